/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checkpoint by hold: two groups on two hosts (design.md section 5, "Cut"; consistency.md A1 to A6, E1, E12, E13;
 * seeds/002: the checkpoint message that each primary controller puts into its stream, Figs. 3A and 3B).
 *
 * Modelled: the kernel of each group (marker and hold in one step, `held n` or `void n`, the cap), two masters of
 * different terms, an application whose next write depends on all that has completed anywhere, and the image that the
 * secondary site makes of the two streams.
 *
 * Abstracted away, and why that is safe:
 *  - A message may be taken at any moment after it was sent, any number of times, or never: that is loss, delay,
 *    reordering and duplication, and the death of the agent that should take it.
 *  - So a master needs no process. Either one asks for any number at any time (it knows nothing, and the cut may depend
 *    only on what members refuse); its lift order may be there as soon as all have marked in its term, or never: it
 *    crashed. The second is its successor or its rival.
 *  - Submit and capture of a write are one step, and so are its end on the disk and its completion if nothing
 *    withholds it: that only adds dependences. A write depends on all that completed before it was captured.
 *  - A stream never changes behind its end, so what the site would show for n is known when the last verdict on n is
 *    put. When that arrives there, if ever, decides only which of the valid checkpoints is the newest.
 *  - The cap passes at any moment of a hold. Clock order (B1 to B3) is not modelled.
 *
 * Bounds: 2 groups, 2 masters, CHECKPOINTS numbers, WRITES writes, each on either host, any of them at once.
 *
 * Properties (asserts; numbers of design.md section 9): 1 an image is causal; 8 one verdict for each marker; the era of
 * a record is the first checkpoint that can hold it (section 5).
 */
#define CHECKPOINTS 2
#define WRITES 4

#define NONE 0
#define HELD 1
#define VOID 2

#define BIT(n) (1 << (n))

typedef Group {
  byte captured;                 /* the stream: the writes in it, ... */
  byte markers;                  /* ... the numbers of its markers, ... */
  byte cut[CHECKPOINTS + 1];     /* ... what is in front of the first marker n, ... */
  byte verdict[CHECKPOINTS + 1]; /* ... and its verdict on n */
  byte era;                      /* the first checkpoint that can hold the next write; stored before the marker */
  byte term;                     /* the newest one promised */
  byte hold;                     /* the checkpoint whose hold stands, or 0 */
  byte withheld;                 /* writes whose completion it withholds */
  byte marked[3]                 /* by term: the numbers answered with "marked" */
};
Group group[2];

byte captures;          /* writes so far, in all groups */
byte completed;         /* those returned to the application */
byte depends[WRITES];   /* what had completed when this one was captured */
byte era_of[WRITES];    /* the label of its record */

byte w;
byte image;

/* -- the image of checkpoint n, and what must be true of it ---------------------------------------------- */

#define ALL_MARKED(n, t) (group[0].marked[t] & group[1].marked[t] & BIT(n))
#define VERDICTS(n, a, b) (group[0].verdict[n] == a && group[1].verdict[n] == b)

#if defined(COMMIT_ON_MARKED)
#define VALID(n) (ALL_MARKED(n, 1) || ALL_MARKED(n, 2))
#elif defined(VOID_USED)
#define VALID(n) (group[0].verdict[n] != NONE && group[1].verdict[n] != NONE)
#else
#define VALID(n) VERDICTS(n, HELD, HELD)
#endif

#ifdef VOID_ERA_DROPPED
#define APPLIED(w) VALID(era_of[w])
#else
#define APPLIED(w) true
#endif

inline judge(n)
{
  d_step {
    if
    :: VALID(n) ->
       image = group[0].cut[n] | group[1].cut[n];
       w = 0;
       do
       :: w < captures ->
          assert(((image >> w) & 1) == (era_of[w] <= n)); /* the era: the first checkpoint that can hold it */
          w++
       :: else -> break
       od;
       w = 0;
       do
       :: w < captures ->
          if
          :: (image & BIT(w)) && !APPLIED(w) -> image = image & ~BIT(w)
          :: else
          fi;
          w++
       :: else -> break
       od;
       w = 0;
       do
       :: w < captures ->
          assert(!(image & BIT(w)) || !(depends[w] & ~image)); /* 1: causal */
          w++
       :: else -> break
       od;
       printf("the image of checkpoint %d: writes %d\n", n, image)
    :: else
    fi;
    w = 0;
    image = 0
  };
  /* None of this is true of nothing (run-models: each line must have been reached). */
  if
  :: VALID(n) && (group[0].cut[n] | group[1].cut[n]) == BIT(captures) - 1 ->
     printf("reached: a valid checkpoint holds all writes\n")
  :: VALID(n) && group[0].cut[n] != 0 && group[1].cut[n] != 0 && group[0].withheld && group[1].withheld == 0 ->
     printf("reached: one host still withholds when the checkpoint becomes valid\n")
  :: VALID(n) && n == 2 && VERDICTS(1, VOID, VOID) && (group[0].cut[2] & ~group[0].cut[1]) ->
     printf("reached: a valid checkpoint holds writes of an era that ended void\n")
  :: VERDICTS(n, HELD, VOID) -> printf("reached: held in one stream, void in the other\n")
  :: VALID(n) && group[0].term == 2 && group[0].marked[1] -> printf("reached: valid under the second master\n")
  :: else
  fi
}

/* -- the kernel of a group ----------------------------------------------------------------------------- */

#ifdef NUMBER_REUSED
#define REFUSED(g, n, t) (t < group[g].term || (group[g].marked[t] & BIT(n)))
#else
#define REFUSED(g, n, t) (t < group[g].term || n < group[g].era)
#endif
#define CAN_MARK(g, n, t) (group[g].hold == 0 && !REFUSED(g, n, t)) /* a second marker waits for the end of a hold */

#ifdef TERM_IGNORED
#define ANY_TERM(g) (group[g].marked[1] | group[g].marked[2])
#define LIFT_ORDERED(n, t) (ANY_TERM(0) & ANY_TERM(1) & BIT(n))
#else
#define LIFT_ORDERED(n, t) ALL_MARKED(n, t)
#endif
#ifdef HELD_BY_AGENT
#define CAN_LIFT(g, n, t) (LIFT_ORDERED(n, t) && group[g].verdict[n] == NONE)
#else
#define CAN_LIFT(g, n, t) (LIFT_ORDERED(n, t) && group[g].hold == n && group[g].term == t)
#endif

inline put_marker(g, n, t)
{
  if
  :: !(group[g].markers & BIT(n)) -> group[g].cut[n] = group[g].captured
  :: else
  fi;
  group[g].markers = group[g].markers | BIT(n);
  group[g].term = t;
#ifdef ERA_OFF_BY_ONE
  group[g].era = n;
#else
  group[g].era = n + 1;
#endif
  printf("host %d: marker %d for master %d\n", g, n, t)
}

inline begin_hold(g, n, t)
{
  group[g].marked[t] = group[g].marked[t] | BIT(n);
#ifdef NO_HOLD
  group[g].verdict[n] = HELD;
#else
  group[g].hold = n;
#ifdef HOLD_WIDER
  group[g].withheld = group[g].captured & ~completed;
#else
  group[g].withheld = group[g].captured & ~group[g].cut[n] & ~completed;
#endif
#endif
  printf("host %d: hold %d, answers marked\n", g, n)
}

inline end_hold(g, n, result)
{
#ifndef NUMBER_REUSED
  assert(group[g].verdict[n] == NONE); /* 8: exactly one of held and void */
#endif
  group[g].verdict[n] = result;
  group[g].hold = 0;
  group[g].withheld = 0;
  printf("host %d: verdict %d (1 held, 2 void) on %d\n", g, result, n)
}

inline cap(g)
{
#if defined(HELD_BY_AGENT)
  group[g].hold = 0;
  group[g].withheld = 0
#elif defined(HOLD_RENEWED)
  group[g].withheld = 0
#else
  end_hold(g, number, VOID)
#endif
}

#ifdef MARKER_BEFORE_HOLD
#define MARK(n, t) \
  :: atomic { CAN_MARK(g, n, t) -> d_step { put_marker(g, n, t) } }; \
     atomic { d_step { begin_hold(g, n, t) }; judge(n) }
#else
#define MARK(n, t) \
  :: atomic { CAN_MARK(g, n, t) -> d_step { put_marker(g, n, t); begin_hold(g, n, t) }; judge(n) }
#endif
#define LIFT(n, t) \
  :: atomic { CAN_LIFT(g, n, t) -> d_step { end_hold(g, n, HELD) }; judge(n) }

proctype Kernel(byte g)
{
  byte number;

end:
  do
  MARK(1, 1)
  MARK(2, 1)
  MARK(1, 2)
  MARK(2, 2)
  LIFT(1, 1)
  LIFT(2, 1)
  LIFT(1, 2)
  LIFT(2, 2)
  :: atomic {
       group[g].hold != 0 ->
       number = group[g].hold;
       printf("host %d: the cap has passed\n", g);
       d_step { cap(g) };
       judge(number);
       number = 0
     }
  od
}

/* -- the application ------------------------------------------------------------------------------------ */

/*
 * Two cuts that change nothing: hosts can be exchanged, so the first write is on host 0; a completion after the last
 * capture is something that no write depends on.
 */

inline capture(g, label)
{
  era_of[captures] = label;
  depends[captures] = completed;
  group[g].captured = group[g].captured | BIT(captures);
  if
  :: group[g].hold != 0 -> group[g].withheld = group[g].withheld | BIT(captures)
  :: else
  fi;
  printf("host %d: captures write %d, depending on %d\n", g, captures, completed);
  captures++
}

#define COMPLETE(w) \
  :: d_step { captures < WRITES && w < captures && !((completed | group[0].withheld | group[1].withheld) & BIT(w)) -> \
       completed = completed | BIT(w); printf("write %d is completed\n", w) }

#ifdef ERA_OUTSIDE_LOCK
byte early[2];
#define CAPTURE(g, may) \
  :: d_step { captures < WRITES && (may) && early[g] == 0 -> \
       early[g] = group[g].era; \
       printf("host %d: reads its era\n", g) } \
  :: d_step { captures < WRITES && (may) && early[g] -> capture(g, early[g]); early[g] = 0 }
#else
#define CAPTURE(g, may) :: d_step { captures < WRITES && (may) -> capture(g, group[g].era) }
#endif

proctype Application()
{
end:
  do
  CAPTURE(0, true)
  CAPTURE(1, captures > 0)
  COMPLETE(0)
  COMPLETE(1)
  COMPLETE(2)
  od
}

init
{
  atomic {
    group[0].era = 1;
    group[1].era = 1;
    run Kernel(0);
    run Kernel(1);
    run Application()
  }
}
