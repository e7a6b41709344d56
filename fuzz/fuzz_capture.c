/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_capture.c: any octets as frames of any link type, and what the trace
 * makes of them.  The input is the link type in two octets, and frames:
 * seconds, length and octets. */
#include "fuzz.h"

#include "../src/rd.h"
#include "../tool/link.h"
#include "../tool/trace.h"

static const uint8_t hash_key[RECENT_KEY_LEN] = {6, 2, 9, 0};

static void check_packet(const capture_packet *p, const uint8_t *in,
                         size_t in_len)
{
    bool has_ends = p->kind == CAPTURE_IKE || p->kind == CAPTURE_CHILD;
    DEMAND(p->kind <= CAPTURE_MALFORMED);
    DEMAND(!has_ends || p->source.len == 4 || p->source.len == 16);
    DEMAND(!has_ends || p->source.len == p->destination.len);
    DEMAND((p->kind == CAPTURE_IKE) == (p->message != NULL));
    DEMAND(p->message_len <= p->full_len);
    if (p->message != NULL) {
        DEMAND(p->message >= in && p->message_len <= in_len);
        DEMAND((size_t)(p->message - in) <= in_len - p->message_len);
    }
    DEMAND((p->kind == CAPTURE_CHILD) == (p->child_spi.protocol != 0));
}

static void check_token(const trace_token *token)
{
    DEMAND(token->num_times > token->num_elsewhere);
    DEMAND(token->num_tokens >= 1 && token->num_tokens <= QCD_TOKENS_READ_MAX);
    DEMAND(token->begin >= 0 && token->begin <= token->time);
    DEMAND((token->verdict == TRACE_NO_LEAK) ==
           (token->reason == TRACE_NOTHING));
    DEMAND((token->verdict == TRACE_LEAK) == (token->reason == TRACE_MESSAGE));
    DEMAND(token->verdict != TRACE_LEAK || token->leak >= token->time);
    DEMAND(token->verdict != TRACE_LEAK || token->num_after > 0);
    DEMAND(trace_recovery(token) == TRACE_NEVER || trace_recovery(token) >= 0);
    DEMAND(trace_traffic(token) == TRACE_NEVER || token->auth != TRACE_NEVER);
}

static void check_trace(trace *t)
{
    enum trace_verdict worst = TRACE_NO_LEAK;
    trace_end(t);
    for (size_t i = 0; i < trace_num_tokens(t); i++) {
        const trace_token *token = trace_token_at(t, i);
        check_token(token);
        worst = token->verdict > worst ? token->verdict : worst;
    }
    DEMAND(trace_worst(t) == worst);
    DEMAND(t->counts.shown >= trace_num_tokens(t) + trace_num_refused(t));
    DEMAND(trace_num_forgotten(t) == 0 || t->sas.num == t->sas.cap ||
           t->children.num == t->children.cap || t->pairs.num == t->pairs.cap);
}

static void take_frame(trace *t, link_layer *l, const uint8_t *in, size_t len,
                       int64_t time)
{
    size_t offset;
    capture_packet packet;
    struct pcap_pkthdr header = {.caplen = (bpf_u_int32)len,
                                 .len = (bpf_u_int32)len};
    /* Of exactly that size, so that a sanitizer guards its end. */
    uint8_t *frame = malloc(len > 0 ? len : 1);
    DEMAND(frame != NULL);
    memcpy(frame, in, len);
    if (link_find(l, &offset, &header, frame)) {
        DEMAND(offset < len);
        capture_read(&packet, frame + offset, len - offset);
        check_packet(&packet, frame + offset, len - offset);
        trace_take(t, &packet, time);
    }
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    rd r;
    trace t;
    link_layer l;
    rd_init(&r, in, in_len);
    int type = rd_be16(&r);
    if (!r.bad && link_open(&l, type)) {
        DEMAND(trace_open(&t, hash_key, 8));
        while (r.len > 0) {
            int64_t time = INT64_C(1000000) * rd_u8(&r);
            size_t len = rd_be16(&r);
            const uint8_t *frame = rd_bytes(&r, len < r.len ? len : r.len);
            if (frame != NULL) {
                take_frame(&t, &l, frame, (size_t)(r.p - frame), time);
            }
        }
        check_trace(&t);
        trace_close(&t);
        link_close(&l);
    }
    return 0;
}
