/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sync site: start, freeze in two phases, lease, seal (design.md section 5, "Sync" and "Freeze"; consistency.md C1,
 * C2, C3, C5, C7, C9; seeds/002 and seeds/003: a failing pair suspends the whole set before any host goes on).
 *
 * Modelled: two hosts A, B whose writes depend on each other, each with its node at the sync site; rounds of challenges
 * and their answers; the lease of a node, the deadline in a host's kernel; nodes that close, hosts that go on alone
 * (fence=go) or never (fence=stop); a takeover at the site that says "without loss" if it believes itself current.
 *
 * Time: TICK moves all clocks by one. A clock whose rate is off is one whose timer is loaded with one tick more (a slow
 * node) or less (a fast host): MARGIN covers both. Any number of steps fits between two ticks, and any number of ticks
 * between two steps, so an expiry is known to nobody before it counts.
 *
 * Abstracted away, and why that is safe:
 *  - A message may be taken at any moment after it was sent, or never. One-way loss, a dead link, a dead agent (no
 *    answer any more; the kernel keeps its deadline), an isolated host are such histories, not special cases.
 *  - Hosts and nodes close, withhold answers and go on alone when they may, not when something fails: failures,
 *    time-outs and stalled acknowledgements only choose among these moments.
 *  - A record is on the node's stable storage in the step in which it is accepted. The clock must be read after the
 *    record was received (mutation CLOCK_READ_FIRST), and what was received before the close counts for the seal.
 *  - The checkpoint that makes the site current is one step: hold.pml shows that such a cut is causal.
 *  - Return to sync after the freeze is a new start; with -DSTART the model begins with asynchronous hosts.
 *
 * Bounds: 2 hosts, 2 nodes, WRITES writes, the round of the beginning and ROUNDS later ones, LEASE ticks.
 *
 * Properties (asserts; numbers of design.md section 9): 2 every completed write is in the seal of a takeover that
 * claims to be without loss, and always with fence=stop; 10 nobody completes alone before all nodes refuse
 * records; 1 the seal is causal at every moment.
 */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define LEASE 2
#ifndef MARGIN
#define MARGIN 2 /* a slow node and a fast host */
#endif

#define BIT(n) (1 << (n))
#define ALL 3 /* both hosts, both nodes */

/* Hosts. */
byte captured[2];     /* writes in the stream */
byte free[2];         /* those in it when the host began to wait: they complete unacknowledged */
byte deadline[2];     /* ticks until the kernel may go on alone */
byte answered[2];     /* rounds */
byte waits;           /* hosts whose writes wait for acknowledgements */
byte alone;           /* hosts that go on alone */

/* Nodes of the site. */
byte stored[2];       /* writes in the journal */
byte lease[2];        /* ticks for which records are accepted */
byte stamp[2 * (ROUNDS + 1)]; /* what the lease would be, counted from the sending of that round */
byte stamped[2];      /* rounds */
byte closed;          /* nodes that have durably closed their streams */
byte claimed;         /* those that closed for a takeover while they believed themselves current */
byte paused;          /* nodes in a virtual machine that stands still, clock and all */
bool marked;          /* the checkpoint on which the site becomes current is put, ... */
byte base;            /* ... with these writes */
bool current;

byte captures;
byte completed;
byte depends[WRITES];
byte w;

#define HAS(mask, i) (((mask) >> (i)) & 1)
#define SEAL (stored[0] | stored[1])
#define OPEN(j) (!HAS(closed | paused, j))
#define STANDING(j) (OPEN(j) && lease[j] > 0)
#define REFUSES(j) (HAS(closed | paused, j) || (current && lease[j] == 0))

/* -- hosts ---------------------------------------------------------------------------------------------- */

#define CAPTURE(i, may) \
  :: d_step { captures < WRITES && (may) -> \
       depends[captures] = completed; \
       captured[i] = captured[i] | BIT(captures); \
       printf("host %d: captures write %d, depending on %d\n", i, captures, completed); \
       captures++ }

#ifdef STOP
#define FENCE_STOP true
#else
#define FENCE_STOP false
#endif
#define UNPROTECTED(i, w) (!HAS(waits, i) || HAS(free[i], w) || HAS(alone, i))
#define COMPLETE(i, w) \
  :: d_step { HAS(captured[i], w) && !HAS(completed, w) && (HAS(stored[i], w) || UNPROTECTED(i, w)) -> \
       completed = completed | BIT(w); \
       printf("host %d: write %d is completed\n", i, w); \
       assert(!FENCE_STOP || HAS(SEAL, w)) } /* 2 */

/* A challenge of round r has left only when every node has stamped the round. */
#ifdef STAMP_BY_NODE
#define CHALLENGED(i, r) HAS(stamped[i], r)
#else
#define CHALLENGED(i, r) HAS(stamped[0] & stamped[1], r)
#endif
#ifdef STAGGERED
#define ANSWERS(i) true
#else
#define ANSWERS(i) HAS(waits, i)
#endif

inline hand_over(i, ticks)
{
  if
  :: deadline[i] < ticks -> deadline[i] = ticks
  :: else
  fi;
  printf("host %d: may go on alone after %d ticks\n", i, deadline[i])
}

inline answer(i, r)
{
  answered[i] = answered[i] | BIT(r);
  printf("host %d: answers round %d\n", i, r)
}

/* The kernel has the deadline before the node has the answer. */
#ifdef ANSWERS_ALONE
#define CAN_ANSWER(i, r) (CHALLENGED(i, r) && ANSWERS(i) && !HAS(answered[i], r))
#else
#define CAN_ANSWER(i, r) (CHALLENGED(i, r) && ANSWERS(i) && !HAS(answered[i], r) && !HAS(alone, i))
#endif
#define TICKS (LEASE + MARGIN - 1)
#if defined(DEADLINE_AFTER_ANSWER)
#define ANSWER(i, r) \
  :: d_step { CAN_ANSWER(i, r) -> answer(i, r) } \
  :: d_step { HAS(answered[i], r) && deadline[i] < TICKS -> hand_over(i, TICKS) }
#elif defined(KEEPS_ANSWERING)
#define ANSWER(i, r) \
  :: d_step { CAN_ANSWER(i, r) -> answer(i, r) } \
  :: d_step { CAN_ANSWER(i, r) -> hand_over(i, TICKS); answer(i, r) }
#else
#define ANSWER(i, r) :: d_step { CAN_ANSWER(i, r) -> hand_over(i, TICKS); answer(i, r) }
#endif

#if defined(GO_AFTER_OWN_NODE)
#define MAY_GO(i) (deadline[i] == 0 || HAS(closed, i))
#elif defined(KERNEL_TIMEOUT)
#define MAY_GO(i) true
#else
#define MAY_GO(i) (deadline[i] == 0 || closed == ALL)
#endif
#ifdef FENCE_FORGOTTEN
#define FENCED (FENCE_STOP && closed != ALL)
#else
#define FENCED FENCE_STOP
#endif
#define GO_ALONE(i) \
  :: atomic { HAS(waits, i) && !HAS(alone, i) && !FENCED && MAY_GO(i) -> \
       printf("host %d: goes on alone\n", i); \
       assert(!current || (REFUSES(0) && REFUSES(1))); /* 10 */ \
       if \
       :: closed == ALL -> printf("reached: alone after all have closed\n") \
       :: current && closed == 0 -> printf("reached: alone after the lease of open nodes\n") \
       :: HAS(paused, 0) -> printf("reached: alone while a node is paused\n") \
       :: else \
       fi; \
       alone = alone | BIT(i); \
       deadline[i] = 0 }

proctype Host(byte i)
{
end:
  do
  CAPTURE(i, i == 0 || captures > 0) /* hosts can be exchanged: the first write is on host 0 */
  COMPLETE(i, 0)
  COMPLETE(i, 1)
#if WRITES > 2
  COMPLETE(i, 2)
#endif
  ANSWER(i, 1)
#if ROUNDS > 1
  ANSWER(i, 2)
#endif
  GO_ALONE(i)
#ifdef START
  :: d_step { !HAS(waits, i) ->
       waits = waits | BIT(i);
       free[i] = captured[i];
       deadline[i] = TICKS;
       printf("host %d: waits for acknowledgements from now on\n", i) }
#endif
  od
}

/* -- nodes of the sync site ------------------------------------------------------------------------------ */

#ifdef LATE_ARRIVALS
#define ACCEPTS(j) !HAS(paused, j)
#else
#define ACCEPTS(j) (OPEN(j) && (!current || lease[j] > 0))
#endif
#define NEXT(j, w) (HAS(captured[j], w) && !HAS(stored[j], w) && !(captured[j] & (BIT(w) - 1) & ~stored[j]))

inline store(j, w)
{
  stored[j] = stored[j] | BIT(w);
  printf("node %d: journals write %d\n", j, w);
  assert(!current || !(depends[w] & ~SEAL)) /* 1: a takeover now would show it */
}

#ifdef CLOCK_READ_FIRST
byte looked; /* nodes that have read the clock and found the lease standing, then waited for a record */
#define STORE(j, w) \
  :: d_step { looked == 0 && ACCEPTS(j) && current -> looked = BIT(j); printf("node %d: reads the clock\n", j) } \
  :: d_step { NEXT(j, w) && HAS(looked, j) && !HAS(closed, j) -> store(j, w); looked = 0 }
#else
#define STORE(j, w) :: d_step { NEXT(j, w) && ACCEPTS(j) -> store(j, w) }
#endif

#define STAMP(j, r) \
  :: d_step { OPEN(j) && !HAS(stamped[j], r) && HAS(stamped[j] | 1, r - 1) -> \
       stamped[j] = stamped[j] | BIT(r); \
       stamp[2 * r + j] = LEASE + 1; \
       printf("node %d: begins round %d\n", j, r) }

#ifdef LEASE_OWN_HOST
#define ALL_ANSWERED(j, r) HAS(answered[j], r)
#else
#define ALL_ANSWERED(j, r) HAS(answered[0] & answered[1], r)
#endif
#ifdef LEASE_FROM_RECEIPT
#define RENEWED(j, r) (LEASE + 1)
#else
#define RENEWED(j, r) stamp[2 * r + j]
#endif
#define RENEW(j, r) \
  :: d_step { OPEN(j) && (!current || lease[j] > 0) && HAS(stamped[j], r) && ALL_ANSWERED(j, r) \
              && lease[j] < RENEWED(j, r) -> \
       lease[j] = RENEWED(j, r); \
       stamp[2 * r + j] = 0; \
       printf("node %d: round %d renews its lease, %d ticks are left\n", j, r, lease[j]) }

#ifdef CLAIM_AFTER_LEASE
#define BELIEVES(j) (current && OPEN(j))
#else
#define BELIEVES(j) (current && STANDING(j))
#endif

inline no_lease(j)
{
  lease[j] = 0;
  stamp[2 + j] = 0;
  stamp[2 * ROUNDS + j] = 0
}

inline taken_over()
{
  if
  :: closed == ALL && claimed == ALL ->
     assert(!(completed & ~SEAL)); /* 2 */
     printf("reached: takeover without loss\n")
  :: closed == ALL && claimed != ALL && FENCE_STOP && current ->
     assert(!(completed & ~SEAL)); /* 2 */
     printf("reached: takeover of a stopped primary\n")
  :: closed == ALL && claimed != ALL && (completed & ~SEAL) -> printf("reached: a takeover that can lose writes\n")
  :: else
  fi
}

proctype Node(byte j)
{
end:
  do
  STORE(j, 0)
  STORE(j, 1)
#if WRITES > 2
  STORE(j, 2)
#endif
  STAMP(j, 1)
  RENEW(j, 1)
#if ROUNDS > 1
  STAMP(j, 2)
  RENEW(j, 2)
#endif
  :: atomic { OPEN(j) ->
       if
       :: BELIEVES(j) ->
          claimed = claimed | BIT(j);
          printf("node %d: closes for a takeover and believes itself current\n", j)
       :: true -> printf("node %d: closes\n", j)
       fi;
       closed = closed | BIT(j);
       no_lease(j);
       taken_over() }
  :: d_step { STANDING(j) ->
       paused = paused | BIT(j);
#ifndef PAUSE_UNNOTICED
       no_lease(j); /* a gap in the clock is the end of the lease */
#endif
       printf("node %d: its machine stands still\n", j) }
  :: d_step { HAS(paused, j) ->
       paused = paused & ~BIT(j);
       printf("node %d: its machine goes on\n", j) }
  od
}

/* -- time ----------------------------------------------------------------------------------------------- */

#define PASS(timer) timer = (timer > 0 -> timer - 1 : 0)

inline pass(j)
{
  if
  :: !HAS(paused, j) ->
     PASS(lease[j]);
     PASS(stamp[2 + j]);
#if ROUNDS > 1
     PASS(stamp[4 + j]);
#endif
     if
     :: current && lease[j] == 0 -> no_lease(j)
     :: else
     fi
  :: else
  fi
}

proctype Clock()
{
end:
  do
  :: d_step {
       printf("a tick\n");
       PASS(deadline[0]);
       PASS(deadline[1]);
       pass(0);
       pass(1)
     }
  od
}

/* -- the start: first all hosts wait, then a checkpoint; once the site has completed it, it is current ----- */

#ifdef STAGGERED
#define ALL_WAIT (waits != 0)
#else
#define ALL_WAIT (waits == ALL)
#endif
#ifdef MARKER_TOO_EARLY
#define CAN_MARK true
#else
#define CAN_MARK ALL_WAIT
#endif

proctype Start()
{
end:
  do
  :: d_step { !marked && CAN_MARK ->
       marked = true;
       base = captured[0] | captured[1];
       printf("checkpoint: writes %d\n", base) }
  :: atomic { marked && !current && ALL_WAIT && !(base & ~SEAL) && STANDING(0) && STANDING(1) ->
       current = true;
       printf("the site is current\n");
       assert(alone == 0);             /* 10 */
       assert(!(completed & ~SEAL));   /* 2 */
       if
       :: base != 0 && free[0] != 0 && free[1] != 0 -> printf("reached: current with writes from before the start\n")
       :: else
       fi }
  od
}

init
{
  atomic {
#ifdef START
    run Start();
#else
    waits = ALL;
    current = true;
    lease[0] = LEASE + 1;
    lease[1] = LEASE + 1;
    deadline[0] = TICKS;
    deadline[1] = TICKS;
#endif
    run Host(0);
    run Host(1);
    run Node(0);
    run Node(1);
    run Clock()
  }
}
