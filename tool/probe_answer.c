/* SPDX-License-Identifier: Apache-2.0 */
/* probe_answer.c: reads what a gateway answers to qcd probe.  libqcd's own
 * decoder reads what a taker accepts; this one also reads what is wrong, and
 * the answers to IKE_SA_INIT. */
#include "probe.h"

#include <string.h>

#include "../src/ike.h"

enum {
    PAYLOAD_SA = 33,
    INVALID_KE_PAYLOAD = 17,
    COOKIE = 16390,
    ERRORS_END = 16384, /* RFC 7296 section 3.10.1: status types from here on */
    EXCHANGE_SA_INIT = IKE_SA_INIT,
};

/* ---- One answer -------------------------------------------------------- */

static void take_token(probe_answer *out, const notify *n, uint8_t protocol)
{
    qcd_token token;
    size_t len = n->data_len;
    out->len_min =
        out->num_tokens == 0 || len < out->len_min ? len : out->len_min;
    out->len_max = len > out->len_max ? len : out->len_max;
    out->num_tokens++;
    out->protocol = protocol;
    if (notify_token(&token, n) != QCD_OK) {
        out->num_invalid++;
    } else if (out->num_kept < QCD_TOKENS_READ_MAX) {
        out->tokens[out->num_kept++] = token;
    }
    qcd_wipe(&token, sizeof(token));
}

static void take_notify(probe_answer *out, rd *body)
{
    uint8_t protocol = body->len > 0 ? *body->p : 0;
    notify n;
    notify_read(&n, body);
    if (body->bad) {
        out->is_malformed = true;
        return;
    }
    if (n.type == QCD_NOTIFY_QUICK_CRASH_DETECTION) {
        take_token(out, &n, protocol);
    } else if (n.type == COOKIE) {
        out->has_cookie = true;
    } else if (n.type < ERRORS_END && out->error == 0) {
        out->error = n.type;
    }
    if (n.type == QCD_NOTIFY_INVALID_IKE_SPI) {
        out->has_invalid_ike_spi = true;
    }
    if (n.type == INVALID_KE_PAYLOAD && n.data_len == 2) {
        out->group = (uint16_t)(n.data[0] << 8 | n.data[1]);
    }
}

/* take_payload reads a payload of type `type`, and returns that of the next. */
static uint8_t take_payload(probe_answer *out, rd *r, uint8_t type)
{
    uint8_t next = rd_u8(r);
    (void)rd_u8(r);
    uint16_t len = rd_be16(r);
    rd body;
    rd_sub(&body, r,
           len < PAYLOAD_HEADER_LEN ? SIZE_MAX
                                    : (size_t)len - PAYLOAD_HEADER_LEN);
    if (body.bad) {
        return PAYLOAD_NONE;
    }
    if (type == PAYLOAD_NOTIFY) {
        take_notify(out, &body);
    } else if (type == PAYLOAD_SA) {
        out->has_sa = true;
    } else if (type == PAYLOAD_SK || type == PAYLOAD_SKF) {
        out->is_protected = true;
        return PAYLOAD_NONE;
    }
    return next;
}

bool probe_read(probe_answer *out, const uint8_t *in, size_t in_len)
{
    rd r;
    *out = (probe_answer){0};
    rd_init(&r, in, in_len);
    header_read(&out->header, &r);
    if (r.bad) {
        *out = (probe_answer){0};
        return false;
    }
    out->len = in_len;
    uint8_t type = out->header.next_payload;
    while (type != PAYLOAD_NONE) {
        type = take_payload(out, &r, type);
    }
    if (r.bad || r.len > 0 || out->header.length != in_len) {
        out->is_malformed = true;
    }
    return true;
}

/* ---- Its place --------------------------------------------------------- */

/* is_answer tells whether a message may answer `seen`. */
static bool is_answer(const probe_seen *seen, const qcd_header *h, bool by_id)
{
    static const qcd_spi zero;
    if (seen->sent_len == 0 ||
        memcmp(&h->spis.initiator, &seen->spis.initiator, sizeof(zero)) != 0) {
        return false;
    }
    /* The responder of IKE_SA_INIT puts its SPI there. */
    bool is_same =
        memcmp(&h->spis.responder, &seen->spis.responder, sizeof(zero)) == 0 ||
        (h->exchange_type == EXCHANGE_SA_INIT && seen->message_id == 0);
    return is_same && (!by_id || h->message_id == seen->message_id);
}

/* find_asked returns the number of the last message that may have got this
 * answer, or PROBE_NUM. */
static size_t find_asked(const probe *p, const qcd_header *h, bool by_id)
{
    for (size_t i = PROBE_NUM; i-- > 0;) {
        if (is_answer(&p->seen[i], h, by_id)) {
            return i;
        }
    }
    return PROBE_NUM;
}

static void take_answer(probe_seen *seen, const probe_answer *answer)
{
    if (seen->num_answers++ == 0) {
        seen->answer = *answer;
    }
    seen->octets += answer->len;
    seen->num_tokens += answer->num_tokens;
    seen->is_id_changed =
        seen->is_id_changed || answer->header.message_id != seen->message_id;
}

void probe_take(probe *p, const uint8_t *in, size_t in_len)
{
    probe_answer answer;
    if (!probe_read(&answer, in, in_len) ||
        answer.header.version >> 4 != IKE_MAJOR_VERSION) {
        p->num_foreign++;
        qcd_wipe(&answer, sizeof(answer));
        return;
    }
    size_t asked = find_asked(p, &answer.header, true);
    if (asked == PROBE_NUM) {
        asked = find_asked(p, &answer.header, false);
    }
    if (asked == PROBE_NUM) {
        p->num_strays++;
        p->num_stray_tokens += answer.num_tokens;
    } else {
        take_answer(&p->seen[asked], &answer);
    }
    qcd_wipe(&answer, sizeof(answer));
}

const qcd_spis *probe_accepted(const probe *p)
{
    static const enum probe_ask asks[] = {PROBE_INIT_GROUP, PROBE_INIT};
    static const qcd_spi zero;
    for (size_t i = 0; i < 2; i++) {
        const probe_seen *seen = &p->seen[asks[i]];
        const qcd_spis *spis = &seen->answer.header.spis;
        if (seen->num_answers > 0 && seen->answer.has_sa &&
            memcmp(&spis->responder, &zero, sizeof(zero)) != 0) {
            return spis;
        }
    }
    return NULL;
}

void probe_wipe(probe *p)
{
    qcd_wipe(p, sizeof(*p));
}
