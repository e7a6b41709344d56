/* SPDX-License-Identifier: Apache-2.0 */
/* message.c: the unprotected messages of RFC 6290 section 4.5, read and
 * written. */
#include "ike.h"

static bool header_is_candidate(const qcd_header *h)
{
    return h->version >> 4 == IKE_MAJOR_VERSION &&
           h->next_payload == PAYLOAD_NOTIFY && !header_exchange_is_clear(h);
}

bool qcd_message_is_candidate(const uint8_t *in, size_t in_len)
{
    qcd_header h;
    rd r;

    rd_init(&r, in, in_len);
    header_read(&h, &r);
    return !r.bad && header_is_candidate(&h);
}

static enum qcd_err take_token(qcd_message *out, const notify *n)
{
    qcd_token surplus;

    /* RFC 6290 section 4.5: at least four must be read. */
    if (out->num_tokens == QCD_TOKENS_READ_MAX) {
        out->num_skipped++;
        return notify_token(&surplus, n);
    }
    enum qcd_err err = notify_token(&out->tokens[out->num_tokens], n);
    if (err == QCD_OK) {
        out->num_tokens++;
    }
    return err;
}

static enum qcd_err take_invalid_spi(qcd_message *out, const notify *n)
{
    /* RFC 7296 section 3.10.1: the notification data is the SPI.  RFC 6290
     * section 8.2: the tokens count as they do with the IKE SPIs. */
    if (n->data_len != QCD_CHILD_SPI_LEN) {
        return QCD_ERR_MALFORMED;
    }
    memcpy(out->child_spi.octets, n->data, QCD_CHILD_SPI_LEN);
    out->cause = QCD_CAUSE_INVALID_SPI;
    return QCD_OK;
}

static enum qcd_err take_notify(qcd_message *out, rd *body)
{
    notify n;

    notify_read(&n, body);
    if (body->bad) {
        return QCD_ERR_TRUNCATED;
    }
    switch (n.type) {
    case QCD_NOTIFY_QUICK_CRASH_DETECTION:
        return take_token(out, &n);
    case QCD_NOTIFY_INVALID_SPI:
        return take_invalid_spi(out, &n);
    case QCD_NOTIFY_INVALID_IKE_SPI:
        out->cause = QCD_CAUSE_INVALID_IKE_SPI;
        return QCD_OK;
    default:
        return QCD_OK; /* RFC 7296 section 3.10.1: ignore unknown types */
    }
}

/* Reads one payload of type `type` and returns the type of the next one in
 * `next` (RFC 7296 section 3.2). */
static enum qcd_err take_payload(qcd_message *out, uint8_t *next, rd *r,
                                 uint8_t type)
{
    *next = rd_u8(r);
    uint8_t flags = rd_u8(r);
    uint16_t len = rd_be16(r);
    if (r->bad) {
        return QCD_ERR_TRUNCATED;
    }
    /* A payload shorter than its own header would loop for ever. */
    if (len < PAYLOAD_HEADER_LEN) {
        return QCD_ERR_MALFORMED;
    }
    rd body;
    rd_sub(&body, r, (size_t)len - PAYLOAD_HEADER_LEN);
    if (body.bad) {
        return QCD_ERR_TRUNCATED;
    }
    if (type == PAYLOAD_NOTIFY) {
        return take_notify(out, &body);
    }
    /* An encrypted payload is not ours to judge.  A critical one must not be
     * skipped (RFC 7296 section 2.5). */
    if (type == PAYLOAD_SK || type == PAYLOAD_SKF ||
        (flags & PAYLOAD_CRITICAL) != 0) {
        return QCD_ERR_MALFORMED;
    }
    return QCD_OK;
}

static enum qcd_err read_payloads(qcd_message *out, rd *r)
{
    uint8_t type = out->header.next_payload;

    while (type != PAYLOAD_NONE) {
        uint8_t next;
        enum qcd_err err = take_payload(out, &next, r, type);
        if (err != QCD_OK) {
            return err;
        }
        type = next;
    }
    return r->len == 0 ? QCD_OK : QCD_ERR_MALFORMED;
}

enum qcd_err qcd_message_decode(qcd_message *out, const uint8_t *in,
                                size_t in_len)
{
    rd r;

    memset(out, 0, sizeof(*out));
    enum qcd_err err = qcd_header_decode(&out->header, in, in_len);
    if (err == QCD_OK) {
        rd_init(&r, in, in_len);
        (void)rd_bytes(&r, QCD_HEADER_LEN);
        err = header_is_candidate(&out->header) ? read_payloads(out, &r)
                                                : QCD_ERR_MALFORMED;
    }
    if (err != QCD_OK) {
        qcd_wipe(out, sizeof(*out));
    }
    return err;
}

static void write_notify(wr *w, bool is_last, uint16_t type, const void *data,
                         size_t data_len)
{
    wr_u8(w, is_last ? PAYLOAD_NONE : PAYLOAD_NOTIFY);
    wr_u8(w, 0); /* RFC 7296 section 2.5: never critical in a response */
    wr_be16(w, (uint16_t)(PAYLOAD_HEADER_LEN + NOTIFY_HEADER_LEN + data_len));
    wr_u8(w, 0); /* Protocol ID: RFC 6290 section 4.1 with erratum 3449 */
    wr_u8(w, 0); /* SPI size */
    wr_be16(w, type);
    wr_bytes(w, data, data_len);
}

static bool message_is_sendable(const qcd_message *m)
{
    if ((unsigned)m->cause > QCD_CAUSE_INVALID_SPI ||
        m->num_tokens > QCD_TOKENS_SENT_MAX ||
        (m->cause == QCD_CAUSE_NONE && m->num_tokens == 0)) {
        return false;
    }
    for (size_t i = 0; i < m->num_tokens; i++) {
        if (m->tokens[i].len < QCD_TOKEN_MIN ||
            m->tokens[i].len > QCD_TOKEN_MAX) {
            return false;
        }
    }
    return true;
}

/* RFC 7296 section 1.5: INVALID_IKE_SPI has no data. */
static void write_cause(wr *w, const qcd_message *m)
{
    bool is_last = m->num_tokens == 0;

    if (m->cause == QCD_CAUSE_INVALID_SPI) {
        write_notify(w, is_last, QCD_NOTIFY_INVALID_SPI, m->child_spi.octets,
                     QCD_CHILD_SPI_LEN);
    } else if (m->cause == QCD_CAUSE_INVALID_IKE_SPI) {
        write_notify(w, is_last, QCD_NOTIFY_INVALID_IKE_SPI, NULL, 0);
    }
}

enum qcd_err qcd_message_encode(qcd_datagram *out, const qcd_message *m,
                                size_t max_len)
{
    size_t cap = max_len < sizeof(out->octets) ? max_len : sizeof(out->octets);
    qcd_header h = m->header;
    wr w;

    memset(out, 0, sizeof(*out));
    if (!message_is_sendable(m)) {
        return QCD_ERR_RANGE;
    }
    h.next_payload = PAYLOAD_NOTIFY;
    wr_init(&w, out->octets, cap);
    header_write(&w, &h);
    write_cause(&w, m);
    for (size_t i = 0; i < m->num_tokens; i++) {
        write_notify(&w, i + 1 == m->num_tokens,
                     QCD_NOTIFY_QUICK_CRASH_DETECTION, m->tokens[i].octets,
                     m->tokens[i].len);
    }
    if (w.bad) {
        qcd_wipe(out, sizeof(*out));
        return QCD_ERR_NOBUF;
    }
    out->len = w.len;
    h.length = (uint32_t)w.len; /* known only now */
    wr_init(&w, out->octets, cap);
    header_write(&w, &h);
    return QCD_OK;
}
