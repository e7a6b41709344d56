/* SPDX-License-Identifier: Apache-2.0 */
/* samap_row.c: the slots of the SA map as octets. */
#include "samap_row.h"

#include <assert.h>
#include <string.h>

#include "../rd.h"
#include "../wr.h"

#define ROW_MARK 1
#define HEAD_MARK "qcd samap"
#define SUMMED_LEN (SAMAP_SLOT_LEN - SAMAP_SUM_LEN)
#define ADDRESS_MAX sizeof(((qcd_address *)NULL)->octets)

uint64_t samap_sum(const uint8_t *in, size_t in_len)
{
    uint64_t sum = 0xcbf29ce484222325u ^ in_len;
    for (size_t i = 0; i < in_len; i += 8) {
        uint64_t word = 0;
        memcpy(&word, in + i, in_len - i < 8 ? in_len - i : 8);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 32;
    }
    return sum;
}

static const uint8_t zero[SAMAP_SLOT_LEN];

static bool is_address_len(size_t len)
{
    return len == 4 || len == ADDRESS_MAX;
}

static void put_address(wr *w, const qcd_address *address)
{
    assert(is_address_len(address->len));
    wr_u8(w, address->len);
    wr_bytes(w, address->octets, address->len);
    wr_bytes(w, zero, ADDRESS_MAX - address->len);
}

/* finish pads a slot and writes its checksum. */
static void finish(wr *w, uint8_t out[SAMAP_SLOT_LEN])
{
    assert(w->len <= SUMMED_LEN);
    wr_bytes(w, zero, SUMMED_LEN - w->len);
    wr_be64(w, samap_sum(out, SUMMED_LEN));
    assert(!w->bad && w->len == SAMAP_SLOT_LEN);
}

void qcd_samap_encode(uint8_t out[QCD_SAMAP_SLOT_LEN], const qcd_samap_row *row)
{
    wr w;
    wr_init(&w, out, SAMAP_SLOT_LEN);
    wr_u8(&w, ROW_MARK);
    wr_bytes(&w, row->child_spi.octets, QCD_CHILD_SPI_LEN);
    wr_u8(&w, row->child_spi.protocol);
    wr_u8(&w, row->encap ? 1 : 0);
    wr_u8(&w, row->node);
    wr_be16(&w, row->run);
    wr_u8(&w, (uint8_t)row->sa.role);
    wr_bytes(&w, row->sa.spis.initiator.octets, QCD_SPI_LEN);
    wr_bytes(&w, row->sa.spis.responder.octets, QCD_SPI_LEN);
    put_address(&w, &row->local);
    put_address(&w, &row->peer);
    wr_be16(&w, row->local_port);
    wr_be16(&w, row->peer_port);
    wr_bytes(&w, row->peer_id, QCD_SAMAP_PEER_LEN);
    wr_be64(&w, row->expires);
    finish(&w, out);
}

static void get_address(qcd_address *out, rd *r)
{
    uint8_t len = rd_u8(r);
    const uint8_t *octets = rd_bytes(r, ADDRESS_MAX);
    if (octets == NULL || !is_address_len(len) ||
        memcmp(octets + len, zero, ADDRESS_MAX - len) != 0) {
        r->bad = true;
        return;
    }
    out->len = len;
    memcpy(out->octets, octets, len);
}

static void get_fields(qcd_samap_row *out, rd *r)
{
    rd_copy(r, out->child_spi.octets, QCD_CHILD_SPI_LEN);
    out->child_spi.protocol = rd_u8(r);
    uint8_t encap = rd_u8(r);
    out->encap = encap == 1;
    out->node = rd_u8(r);
    out->run = rd_be16(r);
    uint8_t role = rd_u8(r);
    out->sa.role = role == QCD_INITIATOR ? QCD_INITIATOR : QCD_RESPONDER;
    rd_copy(r, out->sa.spis.initiator.octets, QCD_SPI_LEN);
    rd_copy(r, out->sa.spis.responder.octets, QCD_SPI_LEN);
    get_address(&out->local, r);
    get_address(&out->peer, r);
    out->local_port = rd_be16(r);
    out->peer_port = rd_be16(r);
    rd_copy(r, out->peer_id, QCD_SAMAP_PEER_LEN);
    out->expires = rd_be64(r);
    if (encap > 1 || role != (uint8_t)out->sa.role) {
        r->bad = true;
    }
}

/* is_finished tells whether the slot `in` ends as finish writes it. */
static bool is_finished(rd *r, const uint8_t in[SAMAP_SLOT_LEN])
{
    size_t zero_len = r->len < SAMAP_SUM_LEN ? 0 : r->len - SAMAP_SUM_LEN;
    const uint8_t *rest = rd_bytes(r, zero_len);
    uint64_t sum = rd_be64(r);
    return !r->bad && memcmp(rest, zero, zero_len) == 0 &&
           sum == samap_sum(in, SUMMED_LEN);
}

bool qcd_samap_decode(qcd_samap_row *out, const uint8_t in[QCD_SAMAP_SLOT_LEN])
{
    rd r;
    memset(out, 0, sizeof(*out));
    rd_init(&r, in, SAMAP_SLOT_LEN);
    uint8_t mark = rd_u8(&r);
    get_fields(out, &r);
    if (!is_finished(&r, in) || mark != ROW_MARK) {
        memset(out, 0, sizeof(*out));
        return false;
    }
    return true;
}

void samap_head_encode(uint8_t out[SAMAP_SLOT_LEN], uint16_t version)
{
    wr w;
    wr_init(&w, out, SAMAP_SLOT_LEN);
    wr_bytes(&w, (const uint8_t *)HEAD_MARK, sizeof(HEAD_MARK));
    wr_be16(&w, version);
    finish(&w, out);
}

uint16_t samap_head_decode(const uint8_t in[SAMAP_SLOT_LEN])
{
    rd r;
    rd_init(&r, in, SAMAP_SLOT_LEN);
    const uint8_t *mark = rd_bytes(&r, sizeof(HEAD_MARK));
    uint16_t version = rd_be16(&r);
    bool is_head =
        memcmp(mark, HEAD_MARK, sizeof(HEAD_MARK)) == 0 && is_finished(&r, in);
    return is_head ? version : 0;
}
