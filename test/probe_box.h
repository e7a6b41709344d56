/* SPDX-License-Identifier: Apache-2.0 */
/* probe_box.h: a gateway that is played for the tests of qcd probe. */
#ifndef QCD_PROBE_BOX_H
#define QCD_PROBE_BOX_H

#include "test.h"

#include "ike.h"
#include "probe.h"

enum { BOX_SA = 33, BOX_MAX = 2048 };

/* box_init starts a probe whose random octets are the same in every run. */
static inline void box_init(probe *p, uint64_t seed)
{
    memset(p, 0, sizeof(*p));
    random_octets(&seed, &p->random, sizeof(p->random));
    p->may_init = true;
}

static inline void box_payload(wr *w, uint8_t next, const void *body,
                               size_t len)
{
    wr_u8(w, next);
    wr_u8(w, 0);
    wr_be16(w, (uint16_t)(PAYLOAD_HEADER_LEN + len));
    wr_bytes(w, body, len);
}

/* box_notify writes a notify of `len` octets of `data`. */
static inline void box_notify(wr *w, uint8_t next, uint16_t type,
                              const uint8_t *data, size_t len)
{
    uint8_t body[512] = {0, 0, (uint8_t)(type >> 8), (uint8_t)type};
    memcpy(body + NOTIFY_HEADER_LEN, data, len);
    box_payload(w, next, body, NOTIFY_HEADER_LEN + len);
}

/* box_header writes the header of an answer to `seen`; box_end sets its
 * length. */
static inline void box_header(wr *w, uint8_t *out, const probe_seen *seen,
                              uint8_t exchange, uint8_t first)
{
    qcd_header h = {.spis = seen->spis,
                    .next_payload = first,
                    .version = IKE_MAJOR_VERSION << 4,
                    .exchange_type = exchange,
                    .flags = QCD_FLAG_RESPONSE,
                    .message_id = seen->message_id};
    wr_init(w, out, BOX_MAX);
    header_write(w, &h);
}

static inline size_t box_end(wr *w, uint8_t *out)
{
    wr len;
    assert_false(w->bad);
    wr_init(&len, out + QCD_HEADER_LEN - 4, 4);
    wr_be32(&len, (uint32_t)w->len);
    return w->len;
}

/* box_tokens writes INVALID_IKE_SPI and `num` tokens of `len` octets of
 * `fill`. */
static inline size_t box_tokens(uint8_t *out, const probe_seen *seen,
                                size_t num, size_t len, uint8_t fill)
{
    uint8_t data[256];
    wr w;
    box_header(&w, out, seen, INFORMATIONAL, PAYLOAD_NOTIFY);
    box_notify(&w, num > 0 ? PAYLOAD_NOTIFY : PAYLOAD_NONE,
               QCD_NOTIFY_INVALID_IKE_SPI, data, 0);
    for (size_t i = 0; i < num; i++) {
        memset(data, (int)(fill + i), sizeof(data));
        box_notify(&w, i + 1 < num ? PAYLOAD_NOTIFY : PAYLOAD_NONE,
                   QCD_NOTIFY_QUICK_CRASH_DETECTION, data, len);
    }
    return box_end(&w, out);
}

/* box_error writes one notify of the type. */
static inline size_t box_error(uint8_t *out, const probe_seen *seen,
                               uint8_t exchange, uint16_t type, uint16_t data)
{
    uint8_t octets[2] = {(uint8_t)(data >> 8), (uint8_t)data};
    wr w;
    box_header(&w, out, seen, exchange, PAYLOAD_NOTIFY);
    box_notify(&w, PAYLOAD_NONE, type, octets, data != 0 ? 2 : 0);
    return box_end(&w, out);
}

/* box_accept accepts IKE_SA_INIT with an SPI of eight times `fill`. */
static inline size_t box_accept(uint8_t *out, const probe_seen *seen,
                                uint8_t fill)
{
    wr w;
    box_header(&w, out, seen, IKE_SA_INIT, BOX_SA);
    memset(out + QCD_SPI_LEN, fill, QCD_SPI_LEN);
    box_payload(&w, PAYLOAD_NONE, out, 8);
    return box_end(&w, out);
}

#endif
