/* SPDX-FileCopyrightText: The qcd authors
 * SPDX-License-Identifier: Apache-2.0 */
/* recovery.pml: how two gateways come back to one SA.  They have one connection
 * between them, and an SA.  Either may crash at any step, messages are lost,
 * duplicated and reordered, and timers run out early, as often as the bounds
 * below allow; a stranger may claim that an SA is unknown.  Then the network is
 * fair.  Checked:
 *
 *   3  Whatever happened, and in whatever order things happen from then on, they
 *      come to rest: no execution goes on for ever.  At rest exactly one SA is
 *      left, and both have it.  Only if both have forgotten that there ever was
 *      one, there is none.  Never are more tries under way than allowed.
 *
 * README.md says what is left out.  Each rule names the code that it stands
 * for.  To define a name that `ifdef` or `ifndef` asks for is to remove a rule:
 * spin must then find an error. */

#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef COPIES
#define COPIES 1        /* duplicates */
#endif
#ifndef EARLY
#define EARLY 1         /* timers that run out while messages are under way */
#endif
#ifndef SAS
#define SAS 4           /* SAs that either end knows, at a time */
#endif

#define X(p, s) ((p) * SAS + (s))
#define OTHER(p) (1 - (p))

/* What gateway p has of SA s.  In charon's words, TRY and ANSWERED are
 * IKE_CONNECTING of the initiator, HALF that of the responder. */
#define NONE 0
#define TRY 1           /* IKE_SA_INIT is not answered */
#define ANSWERED 2      /* IKE_AUTH is not answered */
#define HALF 3
#define UP 4
#define DOOMED 5        /* up, and a verified token waits for its job */
#define LEAVING 6       /* it has sent a DELETE */
byte state[2 * SAS];
#define IS_TRY(x) (state[x] == TRY || state[x] == ANSWERED)
#define IS_UP(x) (state[x] == UP || state[x] == DOOMED)
#define LIVES(x) (IS_UP(x) || state[x] == LEAVING)

bit initiator[SAS];
bit contact[SAS];       /* its IKE_AUTH has INITIAL_CONTACT */
bit stale[SAS];         /* a response of the run before is under way */
bit evidence[2 * SAS];  /* p had s, and can prove that it is lost: token.pml */
byte age[2 * SAS];      /* the higher, the younger: charon's unique ID */

/* Messages from p on SA s that are under way. */
byte net[2 * SAS];
#define INIT 1
#define INIT_ANSWER 2
#define AUTH 4
#define AUTH_ANSWER 8
#define ASK 16          /* a request on an SA that is up: DPD; or ESP */
#define REPLY 32
#define DELETE 64
#define TELL 128        /* p shows its token of s */

/* The recovery of p: plugin/qcd_recovery.c */
byte phase[2];
#define IDLE 0
#define DOWN 1
#define SETTLING 2      /* everything is up */
#define SETTLED 3       /* it was for LEFT_OVER_MS */
bit due[2];             /* a step is to run */
bit proved[2];          /* it began with a token: proved_at */
bit begun[2];           /* its first step is done */
bit extra[2];           /* plugin/qcd_connector.c: a try is due beside another */
bit asked[2];           /* plugin/qcd_rivals.c */
bit closed[2];          /* closings != ignored */
bit busy[2 * SAS];      /* p asked, and has no reply yet */
byte doubt[2 * SAS];    /* plugin/qcd_doubts.c: it was up at the crash */
#define TO_ASK 1        /* perhaps lost as well: the next step asks the peer */
#define WAS_ASKED 2
bit before[2 * SAS];    /* was up when the recovery began, and is kept */
bit unknown[2 * SAS];   /* the peer says that it does not know this try */
bit remembers[2];       /* p had an SA in this run */

byte crashes = CRASHES;
byte losses = LOSSES;
byte copies = COPIES;
byte early = EARLY;

byte x;                 /* of the current step */
byte m;
byte n;
byte n2;
byte free;
bit any;
bit quiet;              /* nothing is under way, see IS_QUIET */

/* plugin/qcd_tries.c, AT_ONCE_MAX, and charon's block_threshold; both less one
 * than there */
#define AT_ONCE 2
#define BLOCK 3

#define OF(x) ((x) / SAS)
#define SA(x) ((x) % SAS)
#define PEERS(x) (X(OTHER(OF(x)), SA(x)))

/* ---- Sets of SAs ------------------------------------------------------- */

/* For any SA of p, for any SA of either, and how many of p. */
#if SAS == 3
#define SOME(f, p) (f(X(p, 0)) || f(X(p, 1)) || f(X(p, 2)))
#define ANY(f) (f(0) || f(1) || f(2) || f(3) || f(4) || f(5))
#define COUNT(f, p) (f(X(p, 0)) + f(X(p, 1)) + f(X(p, 2)))
#elif SAS == 4
#define SOME(f, p) (f(X(p, 0)) || f(X(p, 1)) || f(X(p, 2)) || f(X(p, 3)))
#define ANY(f) (f(0) || f(1) || f(2) || f(3) || f(4) || f(5) || f(6) || f(7))
#define COUNT(f, p) (f(X(p, 0)) + f(X(p, 1)) + f(X(p, 2)) + f(X(p, 3)))
#else
#define SOME(f, p) (f(X(p, 0)) || f(X(p, 1)) || f(X(p, 2)) || f(X(p, 3)) || \
    f(X(p, 4)))
#define ANY(f) (f(0) || f(1) || f(2) || f(3) || f(4) || f(5) || f(6) || f(7) || \
    f(8) || f(9))
#define COUNT(f, p) (f(X(p, 0)) + f(X(p, 1)) + f(X(p, 2)) + f(X(p, 3)) + \
    f(X(p, 4)))
#endif

#define IS_SENT(x) (net[x] != 0)
#define IS_DOOMED(x) (state[x] == DOOMED)
#define IS_HALF(x) (state[x] == HALF)
/* May replace the lost one: plugin/qcd_rivals.c, find */
#define IS_FOUND(x) (IS_UP(x) && doubt[x] == 0)
#ifdef NO_DOUBT
#define IS_DOUBTFUL(x) false
#else
#define IS_DOUBTFUL(x) (IS_UP(x) && doubt[x] != 0)
#endif
#define IS_RIVAL(x) (IS_FOUND(x) && !before[x])
#define IS_SHARED(x) (IS_UP(x) && IS_UP(PEERS(x)))

#define IS_QUIET (!ANY(IS_SENT) && !ANY(IS_DOOMED) && !due[0] && !due[1])

/* Property 3 */
#define AT_REST (quiet && phase[0] == IDLE && phase[1] == IDLE && \
    ((COUNT(IS_SHARED, 0) == 1 && COUNT(IS_UP, 0) == 1 && COUNT(IS_UP, 1) == 1) || \
     (COUNT(IS_UP, 0) == 0 && COUNT(IS_UP, 1) == 0 && !remembers[0] && !remembers[1])))

/* ---- SAs --------------------------------------------------------------- */

inline wake(p)
{
    due[p] = (phase[p] != IDLE)
}

inline gone(x)
{
    state[x] = NONE;
    busy[x] = 0;
    doubt[x] = 0;
    before[x] = 0;
    unknown[x] = 0;
    n = X(OF(x), 0);
    do
    :: n < X(OF(x), 0) + SAS ->
        age[n] = age[n] - (age[n] > age[x] -> 1 : 0);
        n++
    :: else -> break
    od;
    age[x] = 0;
    n = 0
}

/* p destroys its end of an SA.  src/evidence.c, qcd_maker_bury: a grave only if
 * its peer may hold the token. */
inline destroy(x)
{
#ifndef NO_GRAVEYARD
    evidence[x] = (LIVES(x) || state[x] == ANSWERED);
#endif
    gone(x);
    wake(OF(x))
}

/* The youngest of an end has the number of those that are there. */
inline give_age(x)
{
    n = X(OF(x), 0);
    n2 = 0;
    do
    :: n < X(OF(x), 0) + SAS ->
        n2 = (age[n] > n2 -> age[n] : n2);
        n++
    :: else -> break
    od;
    age[x] = n2 + 1;
    n = 0;
    n2 = 0
}

inline send(x, message)
{
    net[x] = net[x] | (message)
}

/* plugin/qcd_pending.c, ask */
inline ask(x)
{
    busy[x] = 1;
    send(x, ASK)
}

#define IS_FREE(s) (state[X(0, s)] == NONE && state[X(1, s)] == NONE && \
    net[X(0, s)] == 0 && net[X(1, s)] == 0)

/* plugin/qcd_tries.c, begin.  The number of the SA stands for its SPIs, so it may
 * be any. */
inline begin_try(p)
{
    if
    :: IS_FREE(0) -> free = 0
    :: IS_FREE(1) -> free = 1
    :: IS_FREE(2) -> free = 2
#if SAS > 3
    :: IS_FREE(3) -> free = 3
#endif
#if SAS > 4
    :: IS_FREE(4) -> free = 4
#endif
    :: else -> assert(false) /* SAS is too small */
    fi;
    initiator[free] = p;
    contact[free] = 0;
    stale[free] = 0;
    evidence[X(0, free)] = 0;
    evidence[X(1, free)] = 0;
    state[X(p, free)] = TRY;
    give_age(X(p, free));
    send(X(p, free), INIT);
    free = 0;
    assert(COUNT(IS_TRY, p) <= AT_ONCE + 1) /* one is charon's own */
}

/* charon has established an SA. */
inline established(x)
{
    state[x] = UP;
    remembers[OF(x)] = 1;
    wake(OF(x))
}

/* plugin/qcd_rivals.c, note_before: what is up now is kept */
inline note_before(x, is_proved)
{
    m = X(OF(x), 0);
    do
    :: m < X(OF(x), 0) + SAS ->
        before[m] = (IS_UP(m) && m != x && (!is_proved || age[m] > age[x]));
        m++
    :: else -> break
    od;
    m = 0
}

/* plugin/qcd_recovery.c, qcd_recovery_create */
inline begin_recovery(x, is_proved)
{
    phase[OF(x)] = DOWN;
    proved[OF(x)] = is_proved;
    due[OF(x)] = 1;
#ifndef NOTE_LATE
    note_before(x, is_proved)
#endif
}

/* plugin/qcd_returns.c: the peer has initiated one.  With INITIAL_CONTACT, charon
 * destroys the others without a word. */
inline returned(x)
{
    any = 0;
    m = X(OF(x), 0);
    do
    :: m < X(OF(x), 0) + SAS ->
        if
        :: m != x && IS_UP(m) && contact[SA(x)] -> destroy(m)
#ifndef NO_QUESTION
        :: m != x && state[m] == UP && !contact[SA(x)] ->
            ask(m);
            any = 1
#endif
        :: else
        fi;
        m++
    :: else -> break
    od;
    m = 0;
    if
    :: any -> ask(x)
    :: else
    fi;
    any = 0;
    if
    :: phase[OF(x)] == IDLE && SOME(IS_TRY, OF(x)) -> begin_recovery(x, 0)
    :: else
    fi
}

/* ---- Messages ---------------------------------------------------------- */

/* Message m arrives, sent by the other end of x. */
inline hear_init(x)
{
    if
    :: state[x] == NONE && state[PEERS(x)] == TRY &&
       COUNT(IS_HALF, OF(x)) < BLOCK ->
        state[x] = HALF;
        evidence[x] = 0;
        give_age(x);
        send(x, INIT_ANSWER)
    :: state[x] == HALF -> send(x, INIT_ANSWER)
    :: else
    fi
}

/* If the responder has crashed meanwhile, the response is of its last run, and
 * what it has made since is of no use. */
inline hear_init_answer(x)
{
    if
    :: state[x] == TRY && stale[SA(x)] && state[PEERS(x)] == HALF ->
        gone(PEERS(x));
        evidence[PEERS(x)] = 1
    :: else
    fi;
    stale[SA(x)] = 0;
    if
    :: state[x] == TRY ->
        state[x] = ANSWERED;
        contact[SA(x)] = !SOME(IS_UP, OF(x));
        send(x, AUTH)
    :: else
    fi
}

/* src/maker.c, qcd_maker_judge: a request for an SA that p does not have */
inline tell(x)
{
    if
#ifndef NO_TOKEN
    :: state[x] == NONE && evidence[x] -> send(x, TELL)
#endif
    :: else
    fi
}

inline hear_auth(x)
{
    if
    :: state[x] == HALF ->
        send(x, AUTH_ANSWER);
        established(x);
        returned(x)
    :: IS_UP(x) -> send(x, AUTH_ANSWER)
    :: else -> tell(x)
    fi
}

inline hear_ask(x)
{
    if
    :: LIVES(x) -> send(x, REPLY)
    :: else -> tell(x)
    fi
}

inline hear_reply(x)
{
    busy[x] = 0;
    if
    :: state[x] == LEAVING -> destroy(x)
    :: doubt[x] == WAS_ASKED ->
#ifndef NO_DOUBT
        doubt[x] = 0;
#endif
        wake(OF(x))
    :: else
    fi
}

/* plugin/qcd_recovery.c, note_closed */
inline hear_delete(x)
{
    if
    :: LIVES(x) ->
        send(x, REPLY);
        closed[OF(x)] = (phase[OF(x)] > DOWN ||
                         (phase[OF(x)] == DOWN && !proved[OF(x)]));
        destroy(x)
    :: else -> tell(x)
    fi
}

/* plugin/qcd_taker.c, handle.  An end that has the SA up holds its token. */
inline hear_tell(x)
{
    if
    :: state[x] == UP -> state[x] = DOOMED
    :: state[x] == LEAVING -> destroy(x)
    :: state[x] == ANSWERED && phase[OF(x)] != IDLE ->
        /* plugin/qcd_recoveries.c, hint: it proves nothing */
        unknown[x] = 1;
        due[OF(x)] = 1
    :: else
    fi
}

inline deliver(x, m)
{
    if
    :: m == INIT -> hear_init(x)
    :: m == INIT_ANSWER -> hear_init_answer(x)
    :: m == AUTH -> hear_auth(x)
    :: m == AUTH_ANSWER ->
        if
        :: state[x] == ANSWERED -> established(x)
        :: else
        fi
    :: m == ASK -> hear_ask(x)
    :: m == REPLY -> hear_reply(x)
    :: m == DELETE -> hear_delete(x)
    :: m == TELL -> hear_tell(x)
    fi
}

/* ---- A recovery -------------------------------------------------------- */

/* plugin/qcd_taker.c, drop_job; plugin/qcd_recoveries.c, begin;
 * plugin/qcd_recovery.c, go_on */
inline drop(x)
{
    if
    :: phase[OF(x)] == IDLE -> begin_recovery(x, 1)
    :: else ->
        phase[OF(x)] = DOWN;
        proved[OF(x)] = 1
    fi;
    closed[OF(x)] = 0;
    m = X(OF(x), 0);
    do
    :: m < X(OF(x), 0) + SAS ->
        doubt[m] = (IS_UP(m) && m != x -> TO_ASK : doubt[m]);
        m++
    :: else -> break
    od;
    m = 0;
    destroy(x)
}

inline end_recovery(p)
{
    phase[p] = IDLE;
    due[p] = 0;
    proved[p] = 0;
    begun[p] = 0;
    extra[p] = 0;
    asked[p] = 0;
    closed[p] = 0;
    m = X(p, 0);
    do
    :: m < X(p, 0) + SAS ->
        doubt[m] = 0;
        before[m] = 0;
        unknown[m] = 0;
        m++
    :: else -> break
    od;
    m = 0
}

#ifdef NOTE_LATE
/* The first step notes what is then up, except for the latest of the peer's */
inline note_all(p)
{
    m = X(p, 0);
    n2 = 0;
    do
    :: m < X(p, 0) + SAS ->
        n2 = (IS_FOUND(m) && age[m] > n2 -> age[m] : n2);
        m++
    :: else -> break
    od;
    m = X(p, 0);
    do
    :: m < X(p, 0) + SAS ->
        before[m] = (IS_FOUND(m) && (proved[p] || age[m] != n2));
        m++
    :: else -> break
    od;
    m = 0;
    n2 = 0
}
#endif

/* plugin/qcd_rivals.c, find: the first step asks about all, a later one about
 * the doubtful ones */
inline look_around(p)
{
    m = X(p, 0);
    do
    :: m < X(p, 0) + SAS ->
        if
        :: IS_UP(m) && (!begun[p] || doubt[m] == TO_ASK) -> ask(m)
        :: else
        fi;
        doubt[m] = (IS_UP(m) && doubt[m] == TO_ASK -> WAS_ASKED : doubt[m]);
        m++
    :: else -> break
    od;
    m = 0
}

/* plugin/qcd_recovery.c, settle; plugin/qcd_connector.c, settle;
 * plugin/qcd_tries.c, drop: what is not answered goes at once, the rest once it
 * had its time.  The peer may have deleted what is up for one of these. */
inline settle(p)
{
    extra[p] = 0;
    phase[p] = (phase[p] == DOWN -> SETTLING : phase[p]);
    any = 0;
    x = X(p, 0);
    do
    :: x < X(p, 0) + SAS ->
        if
        :: state[x] == TRY -> destroy(x)
        :: state[x] == ANSWERED && phase[p] == SETTLED ->
            destroy(x);
            any = 1
        :: else
        fi;
        x++
    :: else -> break
    od;
    due[p] = 0;
#ifndef NO_TIDY
    any = any || (COUNT(IS_RIVAL, p) > 1 && !asked[p]);
    asked[p] = (COUNT(IS_RIVAL, p) > 1);
#endif
    x = X(p, 0);
    do
    :: x < X(p, 0) + SAS ->
        if
        :: IS_FOUND(x) && any -> ask(x)
        :: else
        fi;
        x++
    :: else -> break
    od;
    any = 0;
    x = 0
}

/* plugin/qcd_recovery.c, step_with */
inline step(p)
{
    due[p] = 0;
#ifdef NOTE_LATE
    if
    :: !begun[p] -> note_all(p)
    :: else
    fi;
#endif
    look_around(p);
    if
    :: SOME(IS_FOUND, p) -> closed[p] = 0; settle(p); begun[p] = 1
    :: !SOME(IS_FOUND, p) && closed[p] && !SOME(IS_TRY, p) -> end_recovery(p)
    :: !SOME(IS_FOUND, p) && !(closed[p] && !SOME(IS_TRY, p)) ->
        closed[p] = 0;
        if
        :: phase[p] == SETTLED || !proved[p] -> end_recovery(p)
        :: else ->
            phase[p] = DOWN;
            asked[p] = 0;
            /* plugin/qcd_connector.c, connect_peer */
            if
            :: !begun[p] && !SOME(IS_TRY, p) && !SOME(IS_DOUBTFUL, p) ->
                begin_try(p)
            :: else
            fi;
            begun[p] = 1
        fi
    fi
}

/* plugin/qcd_rivals.c, delete_surplus and qcd_rivals_surplus: of those that the
 * peer has as well, the one with the highest SPIs is kept, at both ends */
#define IS_SURPLUS(x) (state[x] == UP && IS_RIVAL(x) && !busy[x])

inline delete_surplus(p)
{
    asked[p] = 0;
    due[p] = 1;
    any = 0;
    x = X(p, 0) + SAS;
    do
    :: x > X(p, 0) ->
        x--;
        if
#ifdef NO_TIE_BREAK
        :: IS_SURPLUS(x) && initiator[SA(x)] != p -> /* each keeps its own */
#else
        :: IS_SURPLUS(x) && any ->
#endif
            state[x] = LEAVING;
            send(x, DELETE)
        :: IS_SURPLUS(x) && !any -> any = 1
        :: else
        fi
    :: else -> break
    od;
    any = 0;
    m = 0;
    x = 0
}

/* ---- Timers ------------------------------------------------------------ */

/* Each may run out when nothing else is going on, if it then changes something;
 * and `early` times at any moment. */
#define MAY(useful) ((quiet && (useful)) || (!quiet && early > 0))

inline too_early()
{
    early = early - (quiet -> 0 : 1)
}

/* charon's retransmissions, plugin/qcd_tries.c: repeat, plugin/qcd_hurry.c.  The
 * peer can answer an IKE_AUTH if it has the SA, or can prove that it has not. */
#ifdef NO_REPEAT
#define REPEATS(x) false
#else
#define REPEATS(x) (IS_TRY(x) && MAY(state[x] == TRY || \
    state[PEERS(x)] == HALF || IS_UP(PEERS(x)) || \
    (state[PEERS(x)] == NONE && evidence[PEERS(x)] && !unknown[x] && \
     phase[OF(x)] != IDLE)))
#endif

/* plugin/qcd_pending.c and charon: a question, a DELETE.  If nobody answers,
 * charon gives up. */
#define CAN_ANSWER(x) (LIVES(x) || (state[x] == NONE && evidence[x]))
#define ASKS_AGAIN(x) (busy[x] && IS_UP(x) && MAY(CAN_ANSWER(PEERS(x))))
#define LEAVES(x) (state[x] == LEAVING && quiet)

/* Traffic goes to the youngest SA only. */
#define IS_YOUNGER_THAN(x, s) (IS_UP(X(OF(x), s)) && age[X(OF(x), s)] > age[x])
#if SAS == 3
#define IS_YOUNGEST(x) (!IS_YOUNGER_THAN(x, 0) && !IS_YOUNGER_THAN(x, 1) && \
    !IS_YOUNGER_THAN(x, 2))
#elif SAS == 4
#define IS_YOUNGEST(x) (!IS_YOUNGER_THAN(x, 0) && !IS_YOUNGER_THAN(x, 1) && \
    !IS_YOUNGER_THAN(x, 2) && !IS_YOUNGER_THAN(x, 3))
#else
#define IS_YOUNGEST(x) (!IS_YOUNGER_THAN(x, 0) && !IS_YOUNGER_THAN(x, 1) && \
    !IS_YOUNGER_THAN(x, 2) && !IS_YOUNGER_THAN(x, 3) && !IS_YOUNGER_THAN(x, 4))
#endif
#define TRAFFIC(x) (state[x] == UP && !busy[x] && IS_YOUNGEST(x) && quiet && \
    state[PEERS(x)] == NONE && evidence[PEERS(x)])

/* charon's half_open_timeout; and it gives up a try that nobody cares for */
#define EXPIRES(x) ((state[x] == HALF && MAY(!IS_TRY(PEERS(x)))) || \
    (state[x] == ANSWERED && phase[OF(x)] == IDLE && quiet && \
     (state[PEERS(x)] == NONE || state[PEERS(x)] == LEAVING)))

#define FIRES(x) (REPEATS(x) || ASKS_AGAIN(x) || LEAVES(x) || TRAFFIC(x) || EXPIRES(x))

inline fire(x)
{
    if
    :: REPEATS(x) ->
        too_early();
        send(x, (state[x] == TRY -> INIT : AUTH))
    :: ASKS_AGAIN(x) ->
        too_early();
        send(x, ASK)
    :: LEAVES(x) && CAN_ANSWER(PEERS(x)) -> send(x, DELETE)
    :: LEAVES(x) && !CAN_ANSWER(PEERS(x)) -> destroy(x)
    :: TRAFFIC(x) -> send(x, ASK)
    :: EXPIRES(x) ->
        too_early();
        gone(x);
        wake(OF(x))
    fi
}

/* Those of a recovery.  src/retry.c, qcd_retry_due: the next try; beside one that
 * was answered, if the peer does not know it or is silent: is_extra_due;
 * LEFT_OVER_MS; PEERS_TIME_MS; OVER_MS. */
#define IS_SILENT(x) (state[x] == ANSWERED && (unknown[x] || \
    (state[PEERS(x)] != HALF && !IS_UP(PEERS(x)) && !evidence[PEERS(x)])))
#define IS_SLOW(x) (state[x] == TRY || (state[x] == ANSWERED && !IS_SILENT(x)) || \
    (IS_DOUBTFUL(x) && CAN_ANSWER(PEERS(x))))
#ifdef NO_BESIDE
#define NO_OTHER(p) !SOME(IS_TRY, p)
#else
#define NO_OTHER(p) MAY(!SOME(IS_SLOW, p))
#endif
#define FEW(p) (COUNT(IS_TRY, p) < AT_ONCE)
#ifdef NO_RETRY
#define NEXT_TRY(p) false
#else
#define NEXT_TRY(p) (phase[p] == DOWN && proved[p] && begun[p] && \
    !SOME(IS_FOUND, p) && NO_OTHER(p) && FEW(p))
#endif
#define LEFT_OVER(p) (phase[p] == SETTLING && MAY(true))
#define TIDIES(p) (asked[p] && MAY(COUNT(IS_SURPLUS, p) > 1))
#define IS_OVER(p) (phase[p] == SETTLED && !asked[p] && quiet)
#define STEPS_ON(p) (NEXT_TRY(p) || LEFT_OVER(p) || TIDIES(p) || IS_OVER(p))

inline step_on(p)
{
    if
    :: NEXT_TRY(p) -> too_early(); begin_try(p)
    :: LEFT_OVER(p) -> too_early(); phase[p] = SETTLED; due[p] = 1
    :: TIDIES(p) -> too_early(); delete_surplus(p)
    :: IS_OVER(p) -> end_recovery(p)
    fi
}

/* ---- The run ----------------------------------------------------------- */

inline crash(p)
{
    crashes--;
    x = X(p, 0);
    do
    :: x < X(p, 0) + SAS ->
        evidence[x] = evidence[x] || state[x] != NONE;
        stale[SA(x)] = stale[SA(x)] || (net[x] & INIT_ANSWER) != 0;
        state[x] = NONE;
        age[x] = 0;
        busy[x] = 0;
        x++
    :: else -> break
    od;
    x = 0;
    end_recovery(p);
    remembers[p] = 0
}

#if SAS == 3
#define PICK(f) if :: f(0) -> x = 0 :: f(1) -> x = 1 :: f(2) -> x = 2 \
    :: f(3) -> x = 3 :: f(4) -> x = 4 :: f(5) -> x = 5 fi
#elif SAS == 4
#define PICK(f) if :: f(0) -> x = 0 :: f(1) -> x = 1 :: f(2) -> x = 2 \
    :: f(3) -> x = 3 :: f(4) -> x = 4 :: f(5) -> x = 5 :: f(6) -> x = 6 \
    :: f(7) -> x = 7 fi
#else
#define PICK(f) if :: f(0) -> x = 0 :: f(1) -> x = 1 :: f(2) -> x = 2 \
    :: f(3) -> x = 3 :: f(4) -> x = 4 :: f(5) -> x = 5 :: f(6) -> x = 6 \
    :: f(7) -> x = 7 :: f(8) -> x = 8 :: f(9) -> x = 9 fi
#endif

inline pick_message()
{
    if
    :: net[x] & INIT -> m = INIT
    :: net[x] & INIT_ANSWER -> m = INIT_ANSWER
    :: net[x] & AUTH -> m = AUTH
    :: net[x] & AUTH_ANSWER -> m = AUTH_ANSWER
    :: net[x] & ASK -> m = ASK
    :: net[x] & REPLY -> m = REPLY
    :: net[x] & DELETE -> m = DELETE
    :: net[x] & TELL -> m = TELL
    fi
}

init {
    d_step {
        state[X(0, 0)] = UP;
        state[X(1, 0)] = UP;
        age[X(0, 0)] = 1;
        age[X(1, 0)] = 1;
        remembers[0] = 1;
        remembers[1] = 1
    }
    quiet = 1;
    do
    :: atomic {
        if
        :: ANY(IS_SENT) ->
            PICK(IS_SENT);
            pick_message();
            if
            :: net[x] = net[x] & (255 - m)
            :: copies > 0 -> copies--
            fi;
            x = PEERS(x);
            deliver(x, m)
        :: losses > 0 && ANY(IS_SENT) ->
            PICK(IS_SENT);
            pick_message();
            losses--;
            net[x] = net[x] & (255 - m)
        :: ANY(IS_DOOMED) ->
            PICK(IS_DOOMED);
            drop(x)
        :: due[0] -> step(0)
        :: due[1] -> step(1)
        :: ANY(FIRES) ->
            PICK(FIRES);
            fire(x)
        :: STEPS_ON(0) -> step_on(0)
        :: STEPS_ON(1) -> step_on(1)
        :: crashes > 0 -> crash(0)
        :: crashes > 0 -> crash(1)
#ifndef PASSIVE
        :: crashes > 0 -> crash(0); begin_try(0)
        :: crashes > 0 -> crash(1); begin_try(1)
#endif
        :: crashes + losses + copies + early > 0 ->
            crashes = 0;
            losses = 0;
            copies = 0;
            early = 0
        :: else ->
            assert(AT_REST); /* property 3 */
            break
        fi;
        x = 0;
        m = 0;
        quiet = IS_QUIET
    }
    od
}
