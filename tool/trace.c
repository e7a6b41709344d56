/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c: what the packets of a capture say about quick crash detection. */
#include "trace.h"

#include <sodium.h>
#include <string.h>

#include "../src/ike.h"
#include "trace_parts.h"

enum {
    IKE_AUTH = 35,
};

/* ESP or AH provoked a token that follows within this time; likewise a request,
 * whose reply a gateway may hold until it is ready.  Message IDs are not
 * random: an old request may have the same. */
#define CHILD_WINDOW INT64_C(5000000)
#define REQUEST_WINDOW INT64_C(30000000)

typedef struct token_key {
    qcd_spis spis;
    qcd_address shower;
} token_key;

bool trace_open(trace *out, const uint8_t key[RECENT_KEY_LEN],
                uint32_t tokens_max)
{
    *out = (trace){0};
    memcpy(out->key, key, RECENT_KEY_LEN);
    bool is_open = recent_open(&out->tokens, sizeof(token_key),
                               sizeof(trace_token), tokens_max, key) &&
                   recent_open(&out->sas, sizeof(qcd_spis), sizeof(sa),
                               tokens_max / 2, key) &&
                   recent_open(&out->children, sizeof(child_key), sizeof(child),
                               2 * tokens_max, key) &&
                   recent_open(&out->pairs, sizeof(pair_key), sizeof(pair),
                               tokens_max / 2, key);
    out->tokens.keeps = true;
    return is_open;
}

void trace_close(trace *t)
{
    recent_close(&t->tokens);
    recent_close(&t->sas);
    recent_close(&t->children);
    recent_close(&t->pairs);
}

/* ---- IKE SAs ----------------------------------------------------------- */

static sa *sa_take(trace *t, const qcd_spis *spis, int64_t time)
{
    bool is_new;
    sa *found = recent_take(&t->sas, &is_new, spis);
    if (is_new) {
        found->first = time;
        found->auth = TRACE_NEVER;
        found->ends[0].last = found->ends[1].last = TRACE_NEVER;
        found->ends[0].requested = found->ends[1].requested = TRACE_NEVER;
    }
    return found;
}

/* take_init takes IKE_SA_INIT or IKE_SESSION_RESUME.  Their first message has
 * no SPI of the responder yet. */
static void take_init(trace *t, const qcd_header *header, int64_t time)
{
    qcd_spis begun = {.initiator = header->spis.initiator};
    const sa *first = sa_take(t, &begun, time);
    if (!spi_is_zero(&header->spis.responder)) {
        (void)sa_take(t, &header->spis, first->first);
    }
}

static size_t end_of(enum qcd_role role)
{
    return role == QCD_INITIATOR ? 0 : 1;
}

/* is_copy tells whether a message may be a copy of one that its sender sent
 * before: Message IDs only grow. */
static bool is_copy(const trace_sent *sent, const ike_message *m)
{
    size_t kind = m->is_response ? 1 : 0;
    if (!sent->has_any[kind] || m->header.message_id > sent->max_id[kind]) {
        return false;
    }
    return m->is_part || m->header.message_id < sent->max_id[kind] ||
           m->digest == sent->digest[kind];
}

/* end_take records what an end of an IKE SA has sent, and returns whether it is
 * surely no copy. */
static bool end_take(sa_end *end, const ike_message *m,
                     const capture_packet *packet, int64_t time)
{
    size_t kind = m->is_response ? 1 : 0;
    bool is_new = !is_copy(&end->sent, m);
    end->from = packet->source;
    if (is_new) {
        end->last = time;
        end->sent.has_any[kind] = true;
        end->sent.max_id[kind] = m->header.message_id;
        end->sent.digest[kind] = m->digest;
    }
    if (!m->is_response) {
        end->requested = time;
        end->request_id = m->header.message_id;
        end->request_exchange = m->header.exchange_type;
        end->request_to = packet->destination;
    }
    return is_new;
}

/* ---- Tokens ------------------------------------------------------------ */

static trace_token *token_find(trace *t, const qcd_spis *spis,
                               const qcd_address *shower)
{
    token_key key = {*spis, *shower};
    return recent_find(&t->tokens, &key);
}

/* find_request tells whether the receiver of a token has sent the request that
 * the message answers. */
static bool find_request(trace *t, trace_token *token, const qcd_header *header)
{
    const sa *found = recent_find(&t->sas, &token->spis);
    for (size_t i = 0; found != NULL && i < 2; i++) {
        const sa_end *end = &found->ends[i];
        if (end->requested != TRACE_NEVER &&
            token->time - end->requested <= REQUEST_WINDOW &&
            end->request_id == header->message_id &&
            trace_same(&end->from, &token->receiver) &&
            trace_same(&end->request_to, &token->shower)) {
            token->cause = TRACE_REQUEST;
            token->begin =
                end->requested < token->time ? end->requested : token->time;
            token->exchange = end->request_exchange;
            token->role = i == 0 ? QCD_RESPONDER : QCD_INITIATOR;
            return true;
        }
    }
    return false;
}

/* find_child tells whether the receiver of a token has just sent ESP or AH with
 * the SPI that the message names. */
static bool find_child(trace *t, trace_token *token, uint8_t protocol)
{
    child_key key = {token->receiver, token->shower, token->child_spi};
    key.child_spi.protocol = protocol;
    const child *found = recent_find(&t->children, &key);
    if (found == NULL || found->last > token->time ||
        token->time - found->last > CHILD_WINDOW) {
        return false;
    }
    token->cause = TRACE_CHILD_PACKET;
    token->begin = found->last;
    token->child_spi.protocol = protocol;
    return true;
}

static void token_begin(trace *t, trace_token *token, const qcd_message *m,
                        const capture_packet *packet, int64_t time)
{
    token->receiver = packet->destination;
    token->time = token->begin = time;
    token->num_tokens = (uint8_t)m->num_tokens;
    token->role = (m->header.flags & QCD_FLAG_INITIATOR) != 0 ? QCD_INITIATOR
                                                              : QCD_RESPONDER;
    token->notify = m->cause;
    token->child_spi = m->child_spi;
    token->init = token->auth = token->leak = TRACE_NEVER;
    token->traffic[0] = token->traffic[1] = TRACE_NEVER;
    (void)(m->cause == QCD_CAUSE_INVALID_SPI
               ? find_child(t, token, QCD_ESP) || find_child(t, token, QCD_AH)
               : find_request(t, token, &m->header));
    const sa *of = recent_find(&t->sas, &token->spis);
    if (of != NULL) {
        token->sent = of->ends[end_of(token->role)].sent;
    }
}

static void token_take(trace *t, const qcd_message *m,
                       const capture_packet *packet, int64_t time)
{
    bool is_new;
    size_t way;
    token_key key = {m->header.spis, packet->source};
    trace_token *token = recent_take(&t->tokens, &is_new, &key);
    if (token == NULL) {
        return; /* counted by the table */
    }
    if (is_new) {
        token_begin(t, token, m, packet, time);
        pair *p = pair_take(t, &way, &packet->source, &packet->destination);
        pair_shown(t, p, way, token);
    } else if (!trace_same(&token->receiver, &packet->destination)) {
        token->num_elsewhere++;
    }
    token->num_times++;
}

static void token_suspect(trace_token *token, enum trace_reason reason,
                          int64_t time)
{
    if (token->verdict == TRACE_NO_LEAK) {
        token->verdict = TRACE_SUSPECTED;
        token->reason = reason;
        token->leak = time;
    }
}

/* token_outlived judges a protected message under the SPIs of a token, from the
 * address that has shown it. */
static void token_outlived(trace_token *token, const ike_message *m,
                           bool is_new, int64_t time)
{
    /* Two gateways at one address: only the role tells them apart. */
    if (trace_same(&token->shower, &token->receiver) &&
        m->role != token->role) {
        return;
    }
    token->num_after++;
    if (!is_new || time < token->time) {
        if (token->verdict == TRACE_NO_LEAK) {
            token->message_id = m->header.message_id;
        }
        token_suspect(token, TRACE_OLD, time);
    } else if (token->verdict != TRACE_LEAK) {
        token->verdict = TRACE_LEAK;
        token->reason = TRACE_MESSAGE;
        token->leak = time;
        token->message_id = m->header.message_id;
    }
}

/* ---- Packets ----------------------------------------------------------- */

static void take_protected(trace *t, const qcd_header *header,
                           const capture_packet *packet, int64_t time)
{
    ike_message m = {.header = *header,
                     .role = (header->flags & QCD_FLAG_INITIATOR) != 0
                                 ? QCD_INITIATOR
                                 : QCD_RESPONDER,
                     .is_response = (header->flags & QCD_FLAG_RESPONSE) != 0,
                     .is_part = header->next_payload == PAYLOAD_SKF};
    (void)crypto_shorthash((uint8_t *)&m.digest, packet->message,
                           packet->message_len, t->key);
    size_t way;
    sa *of = sa_take(t, &header->spis, time);
    sa_end *end = &of->ends[end_of(m.role)];
    trace_token *token = token_find(t, &header->spis, &packet->source);
    bool is_showers = token != NULL && m.role == token->role;
    if (is_showers && !end->sent.has_any[0] && !end->sent.has_any[1]) {
        end->sent = token->sent; /* the SA was forgotten, if there is any */
    }
    bool is_new = end_take(end, &m, packet, time);
    if (is_showers) {
        token->sent = end->sent;
    }
    if (token != NULL) {
        token_outlived(token, &m, is_new, time);
    }
    pair *p = pair_take(t, &way, &packet->source, &packet->destination);
    pair_note(p, &header->spis);
    if (header->exchange_type == IKE_AUTH && m.is_response && is_new) {
        of->auth = time;
        pair_auth(t, p, of, time);
    }
}

/* take_clear takes an unprotected message of an IKE SA. */
static void take_clear(trace *t, const capture_packet *packet, int64_t time)
{
    qcd_message m;
    if (packet->message_len < packet->full_len) {
        t->counts.unreadable++;
        return;
    }
    if (qcd_message_decode(&m, packet->message, packet->message_len) !=
        QCD_OK) {
        t->counts.malformed++;
        return;
    }
    if (m.num_tokens > 0) {
        t->counts.shown++;
        token_take(t, &m, packet, time);
    } else if (m.cause != QCD_CAUSE_NONE) {
        t->counts.bare++;
    }
    qcd_wipe(&m, sizeof(m));
}

static void take_ike(trace *t, const capture_packet *packet, int64_t time)
{
    qcd_header header;
    t->counts.ike++;
    if (packet->message_len < packet->full_len &&
        packet->message_len < QCD_HEADER_LEN) {
        t->counts.unreadable++;
    } else if (!trace_message_read(&header, packet)) {
        t->counts.malformed++;
    } else if (header.version >> 4 != IKE_MAJOR_VERSION ||
               spi_is_zero(&header.spis.initiator)) {
        return; /* IKEv1, or nothing that has an SA */
    } else if (header_exchange_is_clear(&header)) {
        take_init(t, &header, time);
    } else if (trace_is_protected(&header, packet)) {
        take_protected(t, &header, packet, time);
    } else if (qcd_message_is_candidate(packet->message, packet->message_len)) {
        take_clear(t, packet, time);
    }
}

static void take_child(trace *t, const capture_packet *packet, int64_t time)
{
    bool is_new;
    size_t way;
    child_key key = {packet->source, packet->destination, packet->child_spi};
    child *c = recent_take(&t->children, &is_new, &key);
    t->counts.child++;
    c->first = is_new ? time : c->first;
    c->last = time;
    pair *p = pair_find(t, &way, &packet->source, &packet->destination);
    if (p != NULL) {
        pair_child(t, p, way, c, is_new, time);
    }
}

void trace_take(trace *t, const capture_packet *packet, int64_t time)
{
    switch (packet->kind) {
    case CAPTURE_IKE:
        take_ike(t, packet, time);
        break;
    case CAPTURE_CHILD:
        take_child(t, packet, time);
        break;
    case CAPTURE_FRAGMENT:
        t->counts.fragments++;
        break;
    case CAPTURE_MALFORMED:
        t->counts.malformed++;
        break;
    case CAPTURE_OTHER:
        break;
    }
}

/* ---- The end ----------------------------------------------------------- */

/* end_elsewhere suspects a token that was shown in the name of another host: a
 * gateway that shares the secrets, and takes a live SA for dead. */
static void end_elsewhere(trace_token *token, const sa *of)
{
    const sa_end *end = &of->ends[end_of(token->role)];
    const sa_end *other = &of->ends[1 - end_of(token->role)];
    if (end->last != TRACE_NEVER && end->last > token->time &&
        !trace_same(&other->from, &token->shower)) {
        token_suspect(token, TRACE_ELSEWHERE, end->last);
    }
}

static void end_token(trace *t, trace_token *token)
{
    size_t way;
    const sa *of = recent_find(&t->sas, &token->spis);
    if (of != NULL) {
        end_elsewhere(token, of);
    }
    const pair *p = pair_find(t, &way, &token->shower, &token->receiver);
    if (p != NULL && !pair_has_other(p, &token->spis) &&
        p->survived[way] > token->time) {
        token_suspect(token, TRACE_CHILD, p->survived[way]);
    }
    if (token->auth != TRACE_NEVER) {
        const sa *next = recent_find(&t->sas, &token->next);
        token->auth =
            next != NULL && next->auth > token->auth ? next->auth : token->auth;
    }
}

void trace_end(trace *t)
{
    for (uint32_t i = 0; i < t->tokens.num; i++) {
        end_token(t, recent_at(&t->tokens, i));
    }
}

size_t trace_num_tokens(const trace *t)
{
    return t->tokens.num;
}

const trace_token *trace_token_at(const trace *t, size_t number)
{
    return recent_at(&t->tokens, (uint32_t)number);
}

enum trace_verdict trace_worst(const trace *t)
{
    enum trace_verdict worst = TRACE_NO_LEAK;
    for (size_t i = 0; i < trace_num_tokens(t); i++) {
        enum trace_verdict verdict = trace_token_at(t, i)->verdict;
        worst = verdict > worst ? verdict : worst;
    }
    return worst;
}

uint64_t trace_num_forgotten(const trace *t)
{
    return t->sas.num_dropped + t->children.num_dropped + t->pairs.num_dropped;
}

uint64_t trace_num_refused(const trace *t)
{
    return t->tokens.num_dropped;
}

int64_t trace_recovery(const trace_token *token)
{
    return token->auth == TRACE_NEVER || token->auth < token->begin
               ? TRACE_NEVER
               : token->auth - token->begin;
}

int64_t trace_traffic(const trace_token *token)
{
    int64_t last = token->traffic[0] > token->traffic[1] ? token->traffic[0]
                                                         : token->traffic[1];
    return token->traffic[0] == TRACE_NEVER ||
                   token->traffic[1] == TRACE_NEVER || last < token->begin
               ? TRACE_NEVER
               : last - token->begin;
}
