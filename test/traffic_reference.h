/* SPDX-License-Identifier: Apache-2.0 */
/* traffic_reference.h: a reference for qcd_traffic_decode, written from the
 * RFCs in another way: positions in the whole packet instead of a reader that
 * advances.  `at` is the current octet, and `end` the first one after the
 * packet. */
#ifndef QCD_TRAFFIC_REFERENCE_H
#define QCD_TRAFFIC_REFERENCE_H

#include <string.h>

#include <qcd/qcd.h>

typedef struct reference {
    const uint8_t *in;
    size_t in_len;
    size_t at;
    size_t end;
    unsigned protocol;
    bool is_whole; /* not a fragment */
} reference;

/* The `num` octets at `at` as a number, 0 for those that were cut off.  In that
 * case the result is discarded, since the SPI is cut off as well. */
static inline uint64_t reference_get(const reference *r, size_t at, size_t num)
{
    uint64_t v = 0;

    for (size_t i = at; i < at + num; i++) {
        v = v * 256 + (i < r->in_len ? r->in[i] : 0);
    }
    return v;
}

static inline void reference_address(qcd_address *out, const reference *r,
                                     size_t at, uint8_t len)
{
    out->len = len;
    for (size_t i = 0; i < len; i++) {
        out->octets[i] = (uint8_t)reference_get(r, at + i, 1);
    }
}

static inline bool reference_v4(reference *r)
{
    uint64_t source = reference_get(r, 12, 4);
    uint64_t fragment = reference_get(r, 6, 2);

    r->at = (size_t)reference_get(r, 0, 1) % 16 * 4;
    r->end = (size_t)reference_get(r, 2, 2);
    r->protocol = (unsigned)reference_get(r, 9, 1);
    r->is_whole = fragment / 0x2000 % 2 == 0;
    return r->at >= 20 && r->at <= r->end && fragment % 0x2000 == 0 &&
           source >= 0x01000000 &&
           (source < 0xe0000000 || source > 0xefffffff) && source != 0xffffffff;
}

static inline bool reference_v6(reference *r)
{
    uint64_t high = reference_get(r, 8, 8);
    uint64_t low = reference_get(r, 16, 8);
    unsigned num_extensions = 0;

    if (high >> 56 == 0xff ||
        (high == 0 && (low == 0 || low >> 32 == 0xffff))) {
        return false;
    }
    r->at = 40;
    r->end = 40 + (size_t)reference_get(r, 4, 2);
    r->protocol = (unsigned)reference_get(r, 6, 1);
    r->is_whole = true;
    while (r->protocol == 0 || r->protocol == 43 || r->protocol == 44 ||
           r->protocol == 60) {
        uint64_t words = reference_get(r, r->at + 1, 1) + 1;

        if (r->protocol == 43 && reference_get(r, r->at + 3, 1) != 0) {
            return false;
        }
        if (r->protocol == 44) {
            uint64_t fragment = reference_get(r, r->at + 2, 2);

            if (fragment >= 8) {
                return false;
            }
            words = 1;
            r->is_whole = fragment % 2 == 0;
        }
        r->protocol = (unsigned)reference_get(r, r->at, 1);
        r->at += (size_t)words * 8;
        num_extensions++;
        if (r->at > r->end || num_extensions > 8) {
            return false;
        }
    }
    return true;
}

static inline bool reference_udp(qcd_traffic *out, reference *r)
{
    size_t udp_end = r->at + (size_t)reference_get(r, r->at + 4, 2);

    out->encap = true;
    out->source_port = (uint16_t)reference_get(r, r->at, 2);
    out->destination_port = (uint16_t)reference_get(r, r->at + 2, 2);
    r->at += 8;
    if (r->at > r->end || r->at > udp_end || out->destination_port == 500 ||
        out->source_port == 0 || (r->is_whole && udp_end > r->end)) {
        return false;
    }
    r->end = udp_end < r->end ? udp_end : r->end;
    return true;
}

/* reference_decode tells whether the octets are such a packet, and decodes
 * it. */
static inline bool reference_decode(qcd_traffic *out, const uint8_t *in,
                                    size_t in_len)
{
    reference r = {.in = in, .in_len = in_len};
    uint64_t version = reference_get(&r, 0, 1) / 16;
    bool is_v6 = version == 6;

    memset(out, 0, sizeof(*out));
    if ((version != 4 && version != 6) ||
        !(is_v6 ? reference_v6(&r) : reference_v4(&r)) ||
        (r.protocol == 17 && !reference_udp(out, &r)) ||
        (r.protocol != 17 && r.protocol != 50 && r.protocol != 51)) {
        return false;
    }
    bool is_ah = r.protocol == 51;
    size_t spi_at = r.at + (is_ah ? 4 : 0);
    size_t words = (size_t)reference_get(&r, r.at + 1, 1) + 2;
    if (r.at + (is_ah ? 12 : 8) > r.end || spi_at + 4 > in_len ||
        reference_get(&r, spi_at, 4) < 256 ||
        (is_ah && (words < 3 || r.at + words * 4 > r.end))) {
        return false;
    }
    memcpy(out->child_spi.octets, in + spi_at, QCD_CHILD_SPI_LEN);
    out->child_spi.protocol = is_ah ? 51 : 50;
    out->len = r.end - r.at;
    reference_address(&out->source, &r, is_v6 ? 8 : 12, is_v6 ? 16 : 4);
    reference_address(&out->destination, &r, is_v6 ? 24 : 16, is_v6 ? 16 : 4);
    return true;
}

#endif
