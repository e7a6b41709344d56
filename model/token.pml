/* SPDX-FileCopyrightText: The qcd authors
 * SPDX-License-Identifier: Apache-2.0 */
/* token.pml: which tokens are shown, and which SAs are dropped for them.  Two
 * gateways make, rekey and delete IKE SAs and crash, as often and whenever they
 * like, on a network that belongs to an attacker.  Checked:
 *
 *   1  An SA is dropped for a token only if the other end no longer has it, and
 *      a token is acted on once.
 *   2  A gateway shows the valid token of an SA only if it no longer has that SA
 *      (RFC 6290 section 9.2).
 *
 * README.md says what is left out.  Each rule names the code that it stands
 * for.  To define a name that `ifdef` or `ifndef` asks for is to remove a rule:
 * spin must then find an error. */

#ifndef SAS
#define SAS 2           /* SAs at a time */
#endif

#define X(p, s) ((p) * SAS + (s))
#define OTHER(p) (1 - (p))

/* What gateway p has of SA s.  At NONE it never had the SA, has destroyed it, or
 * has lost it in a crash. */
#define NONE 0
#define HALF 1          /* not established yet */
#define UP 2
#define REKEYED 3       /* another SA has replaced it */
#define DELETING 4      /* it has sent a DELETE */
byte state[2 * SAS];
#define HAS(p, s) (state[X(p, s)] != NONE)

/* The SPI on p's side of SA s: who sealed it (src/seal.c), and whether in the
 * current run of that gateway or an earlier one.  The number of a run is durable
 * before its first SPI: src/store/store.c, start_run. */
bit sealer[2 * SAS];
byte sealed[2 * SAS];
#define NEVER 0         /* no SPI yet */
#define NOW 1
#define EARLIER 2

/* What p knows besides.  A crash clears it. */
byte promise[2 * SAS];  /* NOT, SENT or GIVEN: qcd_promise, src/promise.c */
#define NOT 0
#define SENT 1
#define GIVEN 2
bit held[2 * SAS];      /* p holds the other end's token: qcd_held, src/taker.c */
bit acted[2 * SAS];     /* it was shown that token: qcd_held.is_shown */
bit buried[2 * SAS];    /* qcd_graveyard, src/evidence.c */
byte drops[2 * SAS];    /* jobs that drop it: plugin/qcd_taker.c, queue_drop */

/* The network.  p has one exchange at a time on SA s (RFC 7296 section 2.3: a
 * window of one).  A message waits until it is delivered, however late, even if
 * its sender has crashed since; or it never is.  An end that has the SA ignores a
 * second delivery, by the Message ID.  For an end that has not, see `judge`. */
byte exchange[2 * SAS];
bit answered[2 * SAS];  /* its request was delivered, its response is under way */
byte next[2 * SAS];     /* of a REKEY: the SA that it makes */
#define NO 0
#define AUTH 1          /* both messages carry a token: RFC 6290 section 4.2 */
#define INFO 2
#define TOKEN 3         /* an INFORMATIONAL with a token: sections 4.3, 4.4 */
#define REKEY 4         /* the response carries a token: section 4.3 */
#define DELETE 5

bit shown[2 * SAS];     /* the attacker knows the token of SA s that p made */
#ifdef SAME_TOKEN
bit leaked[2];
#endif

byte s;                 /* of the current step */
byte t;
bit who;

/* ---- The maker --------------------------------------------------------- */

/* src/seal.c, qcd_maker_owns: a peer gets a token only if the gateway will
 * recognize its own SPI after a crash. */
#define OWNS(p, s) (sealer[X(p, s)] == (p) && sealed[X(p, s)] == NOW)

/* src/promise.c, qcd_maker_offer */
inline offer(p, s, how)
{
    if
    :: OWNS(p, s) && promise[X(p, s)] == NOT -> promise[X(p, s)] = how
    :: else
    fi
}

/* src/evidence.c, is_earlier.  `side` is the end whose SPI p takes for its own.
 * It is the other one if somebody has flipped the I flag. */
#ifdef NO_RUN
#define IS_EARLIER(p, side, s) \
    (sealer[X(side, s)] == (p) && sealed[X(side, s)] != NEVER)
#else
#define IS_EARLIER(p, side, s) \
    (sealer[X(side, s)] == (p) && sealed[X(side, s)] == EARLIER)
#endif

/* src/evidence.c, evidence_weigh.  A grave has both SPIs and the role.  The
 * obvious maker would instead look for the SA among those that are
 * established. */
#ifdef LOOK_UP
#define EVIDENCE(p, side, s) (sealed[X(p, s)] != NEVER && state[X(p, s)] != UP)
#else
#define EVIDENCE(p, side, s) (IS_EARLIER(p, side, s) || \
    ((side) == (p) && OWNS(p, s) && buried[X(p, s)]))
#endif

/* src/maker.c, add_tokens, and src/token.c, token_make: the role is hashed, so
 * the token for the wrong side is nobody's. */
#ifdef NO_ROLE
#define IS_TOKEN(p, side) true
#else
#define IS_TOKEN(p, side) ((side) == (p))
#endif

inline show_token(p, side, s)
{
    if
    :: IS_TOKEN(p, side) ->
        assert(!HAS(p, s)); /* property 2 */
        shown[X(p, s)] = 1;
#ifdef SAME_TOKEN
        leaked[p] = 1
#endif
    :: else
    fi
}

/* src/evidence.c, qcd_maker_bury: only if the peer may hold a token */
inline bury(p, s)
{
    if
    :: promise[X(p, s)] != NOT -> buried[X(p, s)] = 1
    :: else
    fi
}

inline forget(p, s)
{
    state[X(p, s)] = NONE;
    promise[X(p, s)] = NOT;
    held[X(p, s)] = 0;
    acted[X(p, s)] = 0
}

/* charon has let go of an SA: plugin/qcd_maker.c and plugin/qcd_tokens.c,
 * ike_state_change.  A grave is evidence, so it is not dug before. */
inline destroy(p, s)
{
    bury(p, s);
    forget(p, s);
    if
    :: exchange[X(p, s)] == REKEY && !answered[X(p, s)] &&
       state[X(p, next[X(p, s)])] == HALF ->
        forget(p, next[X(p, s)]) /* its new SA goes with it */
    :: else
    fi
}

inline closing(p, s)
{
#ifdef BURY_EARLY
    bury(p, s)
#else
    skip
#endif
}

/* ---- IKE --------------------------------------------------------------- */

/* Gateway 1 may be hostile and choose an SPI that it has seen of gateway 0. */
inline choose_spi(p, s)
{
    sealer[X(p, s)] = p;
    sealed[X(p, s)] = NOW;
    if
    :: true
    :: p == 1 -> sealer[X(p, s)] = 0
    :: p == 1 -> sealer[X(p, s)] = 0; sealed[X(p, s)] = EARLIER
    fi
}

/* An IKE_AUTH request may arrive after its sender has crashed: its SPI tells
 * whether there is a token in it. */
#define OFFERED(p, s) (sealer[X(p, s)] == (p))

/* IKE_SA_INIT is one step.  Nothing in it is protected, and of an SA of which one
 * end never got an answer nobody has a token. */
inline connect(p, s)
{
    choose_spi(p, s);
    choose_spi(OTHER(p), s);
    state[X(p, s)] = HALF;
    state[X(OTHER(p), s)] = HALF;
    offer(p, s, SENT);
    exchange[X(p, s)] = AUTH
}

/* p begins an exchange on an SA. */
inline begin(p, s, t)
{
    if
    :: state[X(p, s)] == UP -> exchange[X(p, s)] = INFO
    :: state[X(p, s)] == UP && OWNS(p, s) && promise[X(p, s)] == NOT ->
        /* plugin/qcd_renewals.c, renew */
        offer(p, s, SENT);
        exchange[X(p, s)] = TOKEN
    :: state[X(p, s)] == UP && t < SAS ->
        next[X(p, s)] = t;
        choose_spi(p, t);
        state[X(p, t)] = HALF;
        exchange[X(p, s)] = REKEY
    :: closing(p, s);
        state[X(p, s)] = DELETING;
        exchange[X(p, s)] = DELETE
    fi
}

/* The initiator of an SA has no keys before the first response. */
#define CAN_ANSWER(p, kind, s) (state[X(p, s)] == UP || \
    (state[X(p, s)] == HALF && (kind) == AUTH) || \
    (HAS(p, s) && state[X(p, s)] != HALF && (kind) == DELETE))

/* A request of q arrives at p, which can answer it. */
inline respond(p, q, s)
{
    if
    :: exchange[X(q, s)] == AUTH ->
        state[X(p, s)] = UP;
        held[X(p, s)] = OFFERED(q, s);
        offer(p, s, GIVEN)
    :: exchange[X(q, s)] == INFO
    :: exchange[X(q, s)] == TOKEN ->
        held[X(p, s)] = 1
    :: exchange[X(q, s)] == REKEY ->
        t = next[X(q, s)];
        choose_spi(p, t);
        state[X(p, t)] = UP;
        offer(p, t, GIVEN);
        state[X(p, s)] = REKEYED;
        closing(p, s)
    :: exchange[X(q, s)] == DELETE ->
        destroy(p, s)
    fi;
    answered[X(q, s)] = 1
}

/* The response to p's request arrives at p, which has the SA. */
inline hear(p, q, s)
{
    if
    :: promise[X(p, s)] == SENT -> promise[X(p, s)] = GIVEN
    :: else
    fi;
    if
    :: exchange[X(p, s)] == AUTH ->
        state[X(p, s)] = UP;
        held[X(p, s)] = OFFERED(q, s)
    :: exchange[X(p, s)] == REKEY ->
        /* plugin/qcd_tokens.c, ike_keys; plugin/qcd_renewals.c, ike_rekey */
        t = next[X(p, s)];
        state[X(p, t)] = UP;
        held[X(p, t)] = OFFERED(q, t);
        state[X(p, s)] = REKEYED;
        closing(p, s)
    :: exchange[X(p, s)] == DELETE ->
        destroy(p, s)
    :: else
    fi;
    exchange[X(p, s)] = NO;
    answered[X(p, s)] = 0;
    next[X(p, s)] = 0
}

/* ---- The taker --------------------------------------------------------- */

/* src/taker.c, qcd_taker_check: what is held of s is compared with the tokens
 * that are shown.  The attacker has seen the SPIs of s, and who sends the message
 * does not matter (RFC 6290 section 3). */
#if defined(NO_CHECK)
#define MATCHES(p, s) true
#elif defined(SAME_TOKEN)
#define MATCHES(p, s) (leaked[OTHER(p)])
#else
#define MATCHES(p, s) (shown[X(OTHER(p), s)])
#endif

inline check(p, s)
{
    if
#ifdef NO_MEMORY
    :: true ->
#else
    :: !acted[X(p, s)] ->
#endif
        acted[X(p, s)] = 1;
        assert(drops[X(p, s)] == 0); /* property 1: once */
        drops[X(p, s)]++
    :: else
    fi
}

/* plugin/qcd_taker.c, drop_job.  It may run much later. */
inline drop(p, q, s)
{
    drops[X(p, s)]--;
    if
    :: HAS(p, s) ->
        assert(!HAS(q, s)); /* property 1 */
        destroy(p, s)
    :: else
    fi
}

/* ---- Crashes ----------------------------------------------------------- */

inline crash(p)
{
    s = 0;
    do
    :: s < SAS ->
        forget(p, s);
        buried[X(p, s)] = 0;
        drops[X(p, s)] = 0;
        if
        :: sealer[X(p, s)] == p && sealed[X(p, s)] == NOW ->
            sealed[X(p, s)] = EARLIER
        :: else
        fi;
        if
        :: sealer[X(OTHER(p), s)] == p && sealed[X(OTHER(p), s)] == NOW ->
            sealed[X(OTHER(p), s)] = EARLIER
        :: else
        fi;
        s++
    :: else -> break
    od
}

/* Forgets SAs that neither end has: nothing about them can break a property any
 * more.  Their places serve for new ones.  A REKEY that was sent may still make
 * its SA. */
#define IS_MADE_BY(r, s) (exchange[r] == REKEY && next[r] == (s) && !answered[r])

inline tidy()
{
    s = 0;
    do
    :: s < SAS ->
        if
        :: !HAS(0, s) && !HAS(1, s) ->
            exchange[X(0, s)] = NO;
            exchange[X(1, s)] = NO
        :: else
        fi;
        s++
    :: else -> break
    od;
    s = 0;
    do
    :: s < SAS ->
        t = 0;
        do
        :: t < 2 * SAS && !IS_MADE_BY(t, s) -> t++
        :: else -> break
        od;
        if
        :: t == 2 * SAS && !HAS(0, s) && !HAS(1, s) ->
            clear(X(0, s));
            clear(X(1, s))
        :: else
        fi;
        s++
    :: else -> break
    od;
    who = 0;
    s = 0;
    t = 0
}

inline clear(x)
{
    sealer[x] = 0;
    sealed[x] = NEVER;
    buried[x] = 0;
    drops[x] = 0;
    answered[x] = 0;
    next[x] = 0;
    shown[x] = 0
}

/* ---- The run ----------------------------------------------------------- */

inline pick()
{
    if
    :: who = 0
    :: who = 1
    fi;
    s = 0;
    do
    :: s + 1 < SAS -> s++
    :: break
    od;
    t = 0; /* a place that is free */
    do
    :: t < SAS && (sealed[X(0, t)] != NEVER || sealed[X(1, t)] != NEVER) -> t++
    :: else -> break
    od
}

init {
    do
    :: atomic {
        pick();
        if
        :: t < SAS -> connect(who, t)
        :: crash(who)
        :: (state[X(who, s)] == UP || state[X(who, s)] == REKEYED) &&
           exchange[X(who, s)] == NO ->
            begin(who, s, t)
        :: exchange[X(OTHER(who), s)] != NO && !answered[X(OTHER(who), s)] &&
           CAN_ANSWER(who, exchange[X(OTHER(who), s)], s) ->
            respond(who, OTHER(who), s)
        :: HAS(who, s) && answered[X(who, s)] -> hear(who, OTHER(who), s)

        /* src/maker.c, qcd_maker_judge.  Anybody can send a request about any SA
         * that was seen, with either I flag, however old: the maker can't verify
         * it.  A request that arrives after a crash, or again, is one of
         * these. */
        :: EVIDENCE(who, who, s) -> show_token(who, who, s)
        :: EVIDENCE(who, OTHER(who), s) -> show_token(who, OTHER(who), s)

        /* src/evidence.c, qcd_maker_is_lost: a reply to ESP, or an announcement.
         * The map is a hint and may name any SA in any role. */
#ifdef TRUST_MAP
        :: sealed[X(who, s)] != NEVER -> show_token(who, who, s)
#else
        :: IS_EARLIER(who, who, s) -> show_token(who, who, s)
        :: IS_EARLIER(who, OTHER(who), s) -> show_token(who, OTHER(who), s)
#endif
        :: held[X(who, s)] && MATCHES(who, s) -> check(who, s)
        :: drops[X(who, s)] > 0 -> drop(who, OTHER(who), s)
        :: else
        fi;
        d_step { tidy() }
    }
    od
}
