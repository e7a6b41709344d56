/* SPDX-License-Identifier: Apache-2.0 */
/* trace_parts.h: what the files of the trace share. */
#ifndef QCD_TOOL_TRACE_PARTS_H
#define QCD_TOOL_TRACE_PARTS_H

#include "trace.h"

/* sa_end is one end of an IKE SA. */
typedef struct sa_end {
    qcd_address from;
    trace_sent sent;
    int64_t last;      /* the last message that was no copy */
    int64_t requested; /* the last request, copies included */
    uint32_t request_id;
    uint8_t request_exchange;
    qcd_address request_to;
} sa_end;

/* sa is an IKE SA, or with no responder's SPI its first message. */
typedef struct sa {
    recent_link link;
    qcd_spis spis;
    int64_t first;
    int64_t auth; /* the last IKE_AUTH response */
    sa_end ends[2];
} sa;

/* child names a child SA by its sender, its receiver and its SPI. */
typedef struct child_key {
    qcd_address source;
    qcd_address destination;
    qcd_child_spi child_spi;
} child_key;

typedef struct child {
    recent_link link;
    child_key key;
    int64_t first;
    int64_t last;
} child;

/* pair is two hosts, of which at least one sent the other a protected message
 * or a token.  The index 0 is for what the first host sends. */
typedef struct pair_key {
    qcd_address hosts[2];
} pair_key;

typedef struct pair {
    recent_link link;
    pair_key key;
    bool has_sa;         /* an IKE SA between them was seen */
    bool has_other;      /* and another one */
    qcd_spis spis;       /* the first one */
    int64_t shown[2];    /* the first token */
    int64_t survived[2]; /* the last packet of a child SA older than that */
    /* Recoveries that have not come so far yet, as lists of tokens. */
    uint32_t open_auth;
    uint32_t open_traffic[2];
} pair;

/* ike_message is a protected message. */
typedef struct ike_message {
    qcd_header header;
    enum qcd_role role; /* the sender's */
    bool is_response;
    bool is_part; /* a fragment of RFC 7383 */
    uint64_t digest;
} ike_message;

/* trace_message_read reads the header of an IKE message that may be cut off.
 * It returns false if the message breaks a rule. */
bool trace_message_read(qcd_header *out, const capture_packet *packet);

/* trace_is_protected tells whether a message looks like a protected one of an
 * IKE SA. */
bool trace_is_protected(const qcd_header *header, const capture_packet *packet);

/* trace_same tells whether two addresses are equal. */
bool trace_same(const qcd_address *a, const qcd_address *b);

/* pair_find returns the pair of a packet's hosts, or NULL, and which of them
 * sent it.  pair_take makes it if there is none. */
pair *pair_find(trace *t, size_t *out_way, const qcd_address *source,
                const qcd_address *destination);
pair *pair_take(trace *t, size_t *out_way, const qcd_address *source,
                const qcd_address *destination);

/* pair_note records that an IKE SA between the hosts was seen.  pair_has_other
 * tells whether one was seen with other SPIs than these. */
void pair_note(pair *p, const qcd_spis *spis);
bool pair_has_other(const pair *p, const qcd_spis *spis);

/* pair_shown starts the recovery of a new token. */
void pair_shown(trace *t, pair *p, size_t way, trace_token *token);

/* pair_auth takes an IKE_AUTH response of `new_sa`. */
void pair_auth(trace *t, pair *p, const sa *new_sa, int64_t time);

/* pair_child takes a packet of a child SA, the first one if `is_new`. */
void pair_child(trace *t, pair *p, size_t way, const child *c, bool is_new,
                int64_t time);

#endif
