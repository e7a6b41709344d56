/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h: what the packets of a capture say about quick crash detection: the
 * tokens that were shown, what provoked them, how long each recovery took, and
 * whether an SA whose token was shown lives on.
 *
 * A gateway that shows a token says that it has lost the IKE SA (RFC 6290
 * section 9.2).  If it sends protected messages of that IKE SA afterwards, it
 * has not lost it: the token was that of a live SA. */
#ifndef QCD_TOOL_TRACE_H
#define QCD_TOOL_TRACE_H

#include "capture.h"
#include "recent.h"

/* trace_verdict tells whether the IKE SA of a shown token lives on.  Only
 * TRACE_LEAK is proof, as far as a capture can prove who sent a packet. */
enum trace_verdict { TRACE_NO_LEAK = 0, TRACE_SUSPECTED = 1, TRACE_LEAK = 2 };

/* trace_reason is what a verdict rests on. */
enum trace_reason {
    TRACE_NOTHING = 0,
    TRACE_MESSAGE = 1,   /* a new protected message from the address that showed
                          * the token: the leak */
    TRACE_OLD = 2,       /* likewise, but it may be a copy of an earlier one */
    TRACE_ELSEWHERE = 3, /* the token was shown from another address than that
                          * of the SA's end, which goes on */
    TRACE_CHILD = 4 /* ESP or AH of a child SA that is older than the token, and
                     * no other IKE SA is seen that it may belong to */
};

/* trace_cause is what provoked a token. */
enum trace_cause {
    TRACE_UNASKED = 0,     /* nothing in this capture: an announcement */
    TRACE_REQUEST = 1,     /* a protected request with the same Message ID, in
                            * the 30 seconds before */
    TRACE_CHILD_PACKET = 2 /* ESP or AH with the SPI that the message names, in
                            * the five seconds before */
};

/* Times are microseconds since 1970, or TRACE_NEVER. */
#define TRACE_NEVER INT64_C(-1)

/* trace_sent is what one end of an IKE SA has sent in protected messages. Index
 * 0 is for requests and index 1 for responses. */
typedef struct trace_sent {
    bool has_any[2];
    uint32_t max_id[2];
    uint64_t digest[2]; /* of the last message with `max_id` */
} trace_sent;

/* trace_token is a token that was shown: the first message, and what followed.
 * There is one for each IKE SA and address that showed its token. */
typedef struct trace_token {
    recent_link link;
    qcd_spis spis;
    qcd_address shower;
    qcd_address receiver;
    int64_t time;
    uint32_t num_times;     /* messages that showed it, copies included */
    uint32_t num_elsewhere; /* those of them that another receiver got */
    uint8_t num_tokens;     /* in the first message */
    enum qcd_role role;     /* the shower's in the IKE SA */
    enum qcd_cause notify;
    enum trace_cause cause;
    qcd_child_spi child_spi; /* with QCD_CAUSE_INVALID_SPI */
    uint8_t exchange;        /* of the request */
    /* The recovery. */
    int64_t begin;      /* the packet that provoked the token, or the token */
    qcd_spis next;      /* the new IKE SA */
    int64_t init;       /* the first message of the new IKE SA */
    int64_t auth;       /* the last IKE_AUTH response of the new IKE SA */
    int64_t traffic[2]; /* first packet of a new child SA after it, each way */
    uint32_t open_auth; /* next in the pair's lists */
    uint32_t open_traffic[2];
    /* The leak. */
    trace_sent sent; /* by the shower; its IKE SA may be forgotten */
    enum trace_verdict verdict;
    enum trace_reason reason;
    int64_t leak; /* the packet that the verdict rests on */
    uint32_t message_id;
    uint32_t num_after; /* protected messages from the shower afterwards */
} trace_token;

/* trace_counts is what the capture has. */
typedef struct trace_counts {
    uint64_t ike;        /* IKE messages */
    uint64_t child;      /* packets of ESP and AH */
    uint64_t fragments;  /* later fragments: nothing is reassembled */
    uint64_t malformed;  /* IP, UDP, ESP, AH or IKE that breaks a rule */
    uint64_t shown;      /* messages with a token */
    uint64_t bare;       /* INVALID_IKE_SPI or INVALID_SPI in the clear without
                          * a token */
    uint64_t unreadable; /* messages that may have shown a token, but were cut
                          * off by the capture or fragmented */
} trace_counts;

/* trace is the state.  Its memory has a bound, about 86 MB, which only a
 * capture with hundreds of thousands of SPIs or SAs reaches. */
typedef struct trace {
    trace_counts counts;
    recent tokens; /* keeps: a token is never forgotten */
    recent sas;
    recent children;
    recent pairs;
    uint8_t key[RECENT_KEY_LEN];
} trace;

/* The tokens that qcd decode follows at most. */
#define TRACE_TOKENS_MAX (UINT32_C(1) << 17)

/* trace_open starts with the octets of a random key.  It follows `tokens_max`
 * tokens, at least two, half as many IKE SAs and pairs of hosts, and twice as
 * many child SAs.  It returns false if there is no memory; then trace_close is
 * still allowed. */
bool trace_open(trace *out, const uint8_t key[RECENT_KEY_LEN],
                uint32_t tokens_max);

void trace_close(trace *t);

/* trace_take takes the next packet, captured at `time`. */
void trace_take(trace *t, const capture_packet *packet, int64_t time);

/* trace_end makes the verdicts, after the last packet. */
void trace_end(trace *t);

/* trace_num_tokens and trace_token_at give the tokens, in the order in which
 * they were first shown. */
size_t trace_num_tokens(const trace *t);
const trace_token *trace_token_at(const trace *t, size_t number);

/* trace_worst returns the worst of the verdicts. */
enum trace_verdict trace_worst(const trace *t);

/* trace_num_forgotten returns how many SAs, child SPIs and pairs of hosts were
 * forgotten because there were too many: a copy may then count as a new
 * message, and a recovery may be missed.  trace_num_refused returns how many
 * messages with tokens were not followed for the same reason. */
uint64_t trace_num_forgotten(const trace *t);
uint64_t trace_num_refused(const trace *t);

/* trace_recovery returns how long the recovery took, in microseconds, from
 * `begin` until the last IKE_AUTH response of the new IKE SA; trace_traffic
 * until child SAs of it carried packets both ways.  Both return TRACE_NEVER if
 * the capture does not have it. */
int64_t trace_recovery(const trace_token *token);
int64_t trace_traffic(const trace_token *token);

#endif
