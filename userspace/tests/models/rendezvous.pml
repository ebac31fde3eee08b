/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registrar, masters, rendezvous, release, takeover of a site of two nodes (design.md section 5, "Rendezvous" and
 * "Membership", section 6, "Takeover"; consistency.md G2 to G6, H1, L2; seeds/002, Figs. 3C and 3D: secondary
 * controllers rendezvous, the master releases, update in progress, complete, reset).
 *
 * Modelled: a registrar that grants epochs by compare-and-swap, and a second one to which it is moved although the
 * first still answers; masters whose term is the epoch they were granted and who ask every node first; the journal of a
 * node, its stored release, update in progress, the apply of an image of two halves through a volatile
 * cache, complete, reset; takeover with the lineage stored on all nodes before a host writes. Power cuts of any node at
 * any moment, in the middle of an apply too; a node is a master in volatile memory only.
 *
 * Abstracted away, and why that is safe:
 *  - An order, once given, may be taken at any later moment, again, or never. A lost master, node or registrar is one
 *    that does nothing more.
 *  - Question and answer between master and node are one step: from its promise on a node does nothing that another
 *    master's older order says, and what it reports as durable or complete stays so.
 *  - A record counts in a journal when it is durable; what was only received is lost without anybody noticing.
 *  - A comparison that fails changes nothing, so the compare-and-swap is its success.
 *  - Valid checkpoints appear in order in both streams (hold.pml); with -DPRIMARY the model is instead that of the two
 *    primary members and their masters, and of the pairing of the markers that they put.
 *  - A master chooses any checkpoint between the oldest and the newest that the rules allow.
 *
 * Bounds: 2 nodes (2 primary members with -DPRIMARY), CHECKPOINTS, epochs 1 and 2 of one generation, and 3, the first
 * of the next generation, after the move of the registrar.
 *
 * Properties (asserts; numbers of design.md section 9): 9 what one node has released every node can still reach, and no
 * host sees a copy between release and complete; 1 whatever hosts can see is one whole checkpoint on both nodes; 11 the
 * lineage is on all nodes before the first write; 8 at most one master acts in an epoch, and a number names one cut.
 */
#define CHECKPOINTS 2
#define EPOCHS 3

#define BIT(n) (1 << (n))
#define HAS(mask, i) (((mask) >> (i)) & 1)
#define ALL 3
#define OTHER(i) (1 - (i))
#define MAX(x, y) ((x) > (y) -> (x) : (y))
#define MIN(x, y) ((x) < (y) -> (x) : (y))

/* -- the registrar, its move, and who was granted an epoch -------------------------------------------------- */

byte registrar[2];        /* the newest epoch granted by the first and by the second one (0: not yet appointed) */
byte granted[EPOCHS + 1]; /* by epoch: the nodes to whom it was granted as masters */
byte acted[EPOCHS + 1];   /* by epoch: the masters that gave an order in it */

#ifdef TWO_REGISTRARS
#define FIRST_OF_SECOND registrar[0]
#else
#define FIRST_OF_SECOND 2
#endif

#ifdef CAS_BLIND
#define CAN_GRANT(i, r) (registrar[r] > 1 && registrar[r] < r + 3)
#define GRANT_AGAIN(i, r) \
  :: d_step { CAN_GRANT(i, r) && !HAS(granted[registrar[r]], i) -> \
       grant(i, registrar[r]); \
       printf("registrar %d: epoch %d for %d too\n", r, registrar[r], i) }
#else
#define GRANT_AGAIN(i, r)
#endif
#define GRANT(i, r) \
  :: d_step { registrar[r] != 0 && registrar[r] < r + 2 -> \
       registrar[r]++; \
       grant(i, registrar[r]); \
       printf("registrar %d: epoch %d for master %d\n", r, registrar[r], i) } \
  GRANT_AGAIN(i, r)

#ifdef PRIMARY
inline grant(i, e)
{
  granted[e] = granted[e] | BIT(i)
}
#else
byte term[2]; /* the epoch in which this node is master, or 0; lost in a power cut, like ... */
byte asked[2]; /* ... the nodes that have promised it to this master ... */
byte least[2]; /* ... with what must be released at least: the highest that any of them has stored or completed ... */
byte begun;    /* ... and whether one of them has the lineage of a takeover (bit of the master) */

inline grant(i, e)
{
  granted[e] = granted[e] | BIT(i);
  term[i] = e;
  asked[i] = 0;
  least[i] = 0;
  begun = begun & ~BIT(i)
}
#endif

proctype Registrar()
{
end:
  do
  GRANT(0, 0)
  GRANT(1, 0)
  GRANT(0, 1)
  GRANT(1, 1)
  :: d_step { registrar[1] == 0 ->
       registrar[1] = FIRST_OF_SECOND;
       printf("the registrar is moved\n") }
  od
}

inline act(i, e)
{
  acted[e] = acted[e] | BIT(i);
  assert(acted[e] == BIT(i)) /* 8: one master in an epoch */
}

#ifdef PRIMARY
/* -- primary members: who puts which marker --------------------------------------------------------------- */

byte epoch[2];                      /* the newest one that this member has stored ... */
byte master[2];                     /* ... and its master */
byte number[2];                     /* the last marker */
byte mark_epoch[2 * CHECKPOINTS + 2];  /* what the marker says; 0: not put */
byte mark_master[2 * CHECKPOINTS + 2]; /* whose cut it really is */

#ifdef EPOCH_NOT_PAIRED
#define PAIRED(n) (mark_epoch[2 * (n)] && mark_epoch[2 * (n) + 1])
#else
#define PAIRED(n) (mark_epoch[2 * (n)] && mark_epoch[2 * (n)] == mark_epoch[2 * (n) + 1])
#endif

#ifdef OLD_EPOCH
#define NEWER(i, e) ((e) != epoch[i])
#else
#define NEWER(i, e) ((e) > epoch[i])
#endif

#define JOIN(i, m, e) \
  :: d_step { NEWER(i, e) && HAS(granted[e], m) -> \
       epoch[i] = e; \
       master[i] = m; \
       printf("member %d: stores epoch %d of master %d\n", i, e, m) }
#define PUT(i, n) \
  :: atomic { number[i] < n -> \
       number[i] = n; \
       mark_epoch[2 * n + i] = epoch[i]; \
       mark_master[2 * n + i] = master[i]; \
       printf("member %d: marker %d of master %d in epoch %d\n", i, n, master[i], epoch[i]); \
       judge(n) }

inline judge(n)
{
  if
  :: PAIRED(n) ->
     assert(mark_epoch[2 * n] == mark_epoch[2 * n + 1] && mark_master[2 * n] == mark_master[2 * n + 1]); /* 8 */
     if
     :: mark_epoch[2 * n] == 2 -> printf("reached: a checkpoint of the second master\n")
     :: mark_epoch[2 * n] == 3 -> printf("reached: a checkpoint after the registrar was moved\n")
     :: else
     fi
  :: mark_epoch[2 * n] && mark_epoch[2 * n + 1] && !PAIRED(n) -> printf("reached: two cuts under one number\n")
  :: else
  fi
}

proctype Member(byte i)
{
end:
  do
  JOIN(i, 0, 1)
  JOIN(i, 0, 2)
  JOIN(i, 1, 2)
  JOIN(i, 0, 3)
  JOIN(i, 1, 3)
  PUT(i, 1)
  PUT(i, 2)
  od
}

init
{
  atomic {
    registrar[0] = 1;
    granted[1] = BIT(0);
    epoch[0] = 1;
    epoch[1] = 1;
    run Registrar();
    run Member(0);
    run Member(1)
  }
}
#else
/* -- nodes of a secondary site ------------------------------------------------------------------------------ */

/* On stable storage. */
byte epoch[2];    /* the newest one promised */
byte durable[2];  /* the journal: through `held n` */
byte release[2];  /* the stored release, or 0 */
byte updating[2]; /* update in progress: the checkpoint, or 0 */
byte position[2]; /* the checkpoint that is complete in the copy */
byte first[2];    /* the content of the two halves of the copy, by checkpoint; */
byte second[2];   /* what is not flushed may fall back */
byte lineage;     /* nodes that have the entry of a takeover */
byte writable;    /* nodes on which a host may write */

/* Lost in a power cut. */
byte unflushed[2]; /* 1 + the checkpoint to which what is not flushed falls back, or 0 */
byte progress[2];  /* 1 first half written, 2 second half, 3 flushed */

/* Orders, by epoch. */
byte ordered[EPOCHS + 1]; /* release n */
byte reset[EPOCHS + 1];   /* reset update in progress of n */
byte promote[EPOCHS + 1]; /* 1 store the lineage, 2 hosts may write */

/* -- a master ----------------------------------------------------------------------------------------------- */

#ifdef SAME_TERM
#define BEGIN_AGAIN(i, e) \
  :: d_step { term[i] == 0 && HAS(granted[e], i) -> \
       grant(i, e); \
       printf("node %d: is master of epoch %d again\n", i, e) }
#else
#define BEGIN_AGAIN(i, e)
#endif

#define ASK(i, j) \
  :: d_step { term[i] != 0 && !HAS(asked[i], j) && term[i] >= epoch[j] -> \
       asked[i] = asked[i] | BIT(j); \
       discard(j, term[i]); \
       epoch[j] = term[i]; \
       least[i] = MAX(least[i], MAX(KNOWN_RELEASE(j), position[j])); \
       begun = begun | (KNOWN_LINEAGE(j) << i); \
       printf("node %d: promises epoch %d; release %d, position %d\n", j, term[i], release[j], position[j]) }

#ifdef RELEASE_FORGOTTEN
#define KNOWN_RELEASE(j) 0
#else
#define KNOWN_RELEASE(j) release[j]
#endif

#ifdef LINEAGE_FORGOTTEN
#define KNOWN_LINEAGE(j) 0
#else
#define KNOWN_LINEAGE(j) HAS(lineage, j)
#endif

inline discard(j, e)
{
#ifdef DISCARD_BEFORE_ASKING
  if
  :: e > epoch[j] -> durable[j] = MAX(release[j], position[j])
  :: else
  fi
#endif
  skip
}

#ifdef ASKS_ONE
#define PROMISED(i) HAS(asked[i], i)
#else
#define PROMISED(i) (asked[i] == ALL)
#endif
#ifdef TAKEOVER_MINIMUM
#define AT_ONE(i) true
#else
#define AT_ONE(i) (position[0] == position[1] && position[0] >= least[i])
#endif
#define REACHABLE(n) (durable[0] >= (n) && durable[1] >= (n))
#define CAN_ORDER(i) (term[i] != 0 && PROMISED(i) && promote[term[i]] == 0)
/*
 * What somebody has released comes first; a later one when all have completed that; none when a takeover has begun:
 * that is finished.
 */
#define ORDER(i, n) \
  :: atomic { CAN_ORDER(i) && !HAS(begun, i) && ordered[term[i]] < n && REACHABLE(n) \
              && (n == least[i] || (n > least[i] && position[0] == position[1] && position[0] >= least[i])) -> \
       act(i, term[i]); \
       if \
       :: n == least[i] -> printf("reached: a new master rolls forward\n") \
       :: term[i] == 3 -> printf("reached: a release after the registrar was moved\n") \
       :: else \
       fi; \
       ordered[term[i]] = n; \
       least[i] = n; \
       printf("master %d: release %d\n", i, n) }

#ifdef RESET_AFTER_OWN
#define COMPLETE(i, n) (position[i] == (n))
#else
#define COMPLETE(i, n) (position[0] == (n) && position[1] == (n))
#endif
#define RESET(i, n) \
  :: d_step { term[i] != 0 && PROMISED(i) && reset[term[i]] < n && least[i] <= n && COMPLETE(i, n) -> \
       reset[term[i]] = n; \
       act(i, term[i]); \
       printf("master %d: reset %d\n", i, n) }

/* A takeover: all nodes at one checkpoint that no release is beyond, then the lineage on all, then hosts. */
#ifdef WRITE_BEFORE_LINEAGE
#define LINEAGE_STORED true
#else
#define LINEAGE_STORED (lineage == ALL)
#endif
#define TAKEOVER(i) \
  :: d_step { CAN_ORDER(i) && AT_ONE(i) -> \
       act(i, term[i]); \
       promote[term[i]] = 1; \
       printf("master %d: takeover (begun by another: %d)\n", i, HAS(begun, i)) } \
  :: d_step { term[i] != 0 && PROMISED(i) && promote[term[i]] == 1 && LINEAGE_STORED -> \
       promote[term[i]] = 2; \
       printf("master %d: hosts may write\n", i) }

/* -- a node ------------------------------------------------------------------------------------------------- */

#define WHOLE(i) (first[i] == position[i] && second[i] == position[i])

#ifdef OLD_EPOCH
#define LISTENS(i, e) true
#else
#define LISTENS(i, e) (epoch[i] == (e))
#endif
#define OBEY(i, e) \
  :: d_step { LISTENS(i, e) && ordered[e] > position[i] && release[i] == 0 && !HAS(lineage, i) -> \
       release[i] = ordered[e]; \
       FLAG_AT_ONCE(i); \
       printf("node %d: stores release %d\n", i, release[i]) } \
  :: d_step { LISTENS(i, e) && updating[i] != 0 && reset[e] == updating[i] && position[i] == updating[i] -> \
       updating[i] = 0; \
       printf("node %d: update in progress is reset\n", i) } \
  :: d_step { LISTENS(i, e) && promote[e] >= 1 && !HAS(lineage, i) && release[i] == 0 -> \
       lineage = lineage | BIT(i); \
       printf("node %d: stores the lineage\n", i) } \
  :: atomic { LISTENS(i, e) && HAS(lineage, i) && promote[e] == 2 && !HAS(writable, i) && updating[i] == 0 -> \
       assert(lineage == ALL); /* 11 */ \
       assert(WHOLE(0) && WHOLE(1) && position[0] == position[1] && (release[0] | release[1]) == 0); /* 1 */ \
       printf("reached: a host writes after a takeover\n"); \
       writable = writable | BIT(i) }

#ifdef FLAG_EARLIER
#define FLAG_AT_ONCE(i) updating[i] = release[i]
#else
#define FLAG_AT_ONCE(i) skip
#endif
#ifdef FLAG_AFTER_APPLY
#define FLAGGED(i) true
#else
#define FLAGGED(i) (updating[i] == release[i])
#endif

inline complete(i)
{
  position[i] = release[i];
#ifdef FLAG_PER_NODE
  updating[i] = 0;
#elif defined(FLAG_AFTER_APPLY)
  updating[i] = release[i];
#endif
  release[i] = 0;
  progress[i] = 0;
  printf("node %d: complete %d\n", i, position[i])
}

#if defined(COMPLETE_BEFORE_FLUSH)
#define CUT_MATTERS unflushed[i] != 0
#elif defined(REPORT_BEFORE_DURABLE)
#define CUT_MATTERS durable[i] > position[i]
#elif defined(RELEASE_NOT_STORED)
#define CUT_MATTERS release[i] != 0
#else
#define CUT_MATTERS false
#endif

inline power_cut(i)
{
  if
  :: unflushed[i] != 0 ->
     if
     :: release[i] != 0 -> printf("reached: power cut in the middle of an apply\n")
     :: else
     fi;
     if
     :: first[i] = unflushed[i] - 1
     :: true
     fi;
     if
     :: second[i] = unflushed[i] - 1
     :: true
     fi;
     unflushed[i] = 0
  :: else
  fi;
#ifdef REPORT_BEFORE_DURABLE
  if
  :: release[i] == 0 -> durable[i] = position[i]
  :: true
  fi;
#endif
  term[i] = 0;
  asked[i] = 0;
  least[i] = 0;
  begun = begun & ~BIT(i);
#ifndef REDO_FROM_MIDDLE
  progress[i] = 0;
#endif
#ifdef RELEASE_NOT_STORED
  release[i] = 0;
#endif
  printf("node %d: power cut\n", i)
}

#ifdef COMPLETE_BEFORE_FLUSH
#define FLUSHED 2
#else
#define FLUSHED 3
#endif

proctype Node(byte i)
{
end:
  do
  :: d_step { durable[i] < CHECKPOINTS -> durable[i]++; printf("node %d: held %d is durable\n", i, durable[i]) }
  OBEY(i, 1)
  OBEY(i, 2)
  OBEY(i, 3)
  :: d_step { release[i] != 0 && updating[i] != release[i] ->
       updating[i] = release[i];
       printf("node %d: update in progress\n", i) }
  :: d_step { release[i] != 0 && FLAGGED(i) && progress[i] == 0 ->
       first[i] = release[i];
       unflushed[i] = position[i] + 1;
       progress[i] = 1;
       printf("node %d: first half\n", i) }
  :: d_step { progress[i] == 1 -> second[i] = release[i]; progress[i] = 2; printf("node %d: second half\n", i) }
  :: d_step { progress[i] == 2 -> progress[i] = 3; unflushed[i] = 0; printf("node %d: flush\n", i) }
  :: d_step { progress[i] == FLUSHED -> complete(i) }
  :: atomic { term[i] != 0 || progress[i] != 0 || CUT_MATTERS -> power_cut(i) }
  BEGIN_AGAIN(i, 1)
  BEGIN_AGAIN(i, 2)
  BEGIN_AGAIN(i, 3)
  ASK(i, 0)
  ASK(i, 1)
  ORDER(i, 1)
  ORDER(i, 2)
  RESET(i, 1)
  RESET(i, 2)
  TAKEOVER(i)
  od
}

/* -- at every moment ---------------------------------------------------------------------------------------- */

#define VISIBLE(i) (updating[i] == 0)
#define CAN_REACH(i, n) (position[i] >= (n) || (durable[i] >= (n) && !HAS(lineage, i)))

#define ALWAYS \
  (CAN_REACH(0, release[1]) && CAN_REACH(1, release[0]) && CAN_REACH(0, position[1]) && CAN_REACH(1, position[0]) \
   && CAN_REACH(0, release[0]) && CAN_REACH(1, release[1]) /* 9: reach */ \
   && (!VISIBLE(0) || WHOLE(0)) && (!VISIBLE(1) || WHOLE(1)) /* 9: see */ \
   && (!VISIBLE(0) || !VISIBLE(1) || position[0] == position[1])) /* 1 */

proctype Oracle()
{
end:
  atomic { !(ALWAYS) -> assert(false) }
}

init
{
  atomic {
    registrar[0] = 1;
    grant(0, 1);
    epoch[0] = 1;
    epoch[1] = 1;
    run Registrar();
    run Node(0);
    run Node(1);
    run Oracle()
  }
}
#endif
