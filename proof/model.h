/* SPDX-License-Identifier: Apache-2.0 */
/* model.h: the reader of rd.h and the writer of wr.h, as far as the files of
 * the core that read and write datagrams may rely on them.
 *
 * EVA keeps no relation between two unknown numbers, such as the place of a
 * reader and what is left to read.  So it can't follow a reader through a
 * datagram of any length in steps of any length.  The model leaves the place
 * out: a read of n octets returns the last n octets of an object, so that one
 * octet more is an alarm.  A write may fail at any time, and otherwise leaves
 * any number of octets written.  prove_cursor.c proves of rd.h and wr.h
 * themselves what is left out here. */
#ifndef QCD_RD_H
#define QCD_RD_H
#define QCD_WR_H

#include <string.h>

#include "proof.h"

typedef struct rd {
    const uint8_t *p;
    size_t len;
    bool bad;
} rd;

extern uint8_t model_octets[PROOF_MAX];

/* What is left to read, as far as it is kept apart: less than the SPI of a
 * child SA, such an SPI, less than a token, or enough for one. */
extern enum model_left {
    LITTLE_LEFT,
    SPI_LEFT,
    LESS_LEFT,
    TOKEN_LEFT
} model_left;
extern bool model_is_apart; /* it is kept apart already */
extern bool model_is_bad;

/*@ requires in == \null || len == 0 || \valid_read(in + (0 .. len - 1));
    requires len <= PROOF_MAX;
    assigns \nothing; */
void model_input(const uint8_t *in, size_t len);

static inline void rd_init(rd *r, const uint8_t *in, size_t len)
{
    model_input(in, len);
    model_is_apart = true;
    r->p = in;
    r->len = in != NULL ? len : 0;
    r->bad = in == NULL && len != 0;
}

static inline const uint8_t *model_take(rd *r, size_t n)
{
    if (r->bad || n > r->len) {
        r->bad = true;
        r->len = 0;
        return NULL;
    }
    r->p = NULL;
    r->len = any_size(0, r->len);
    return model_octets + (PROOF_MAX - n);
}

/* model_part keeps apart what is left after the first read of a notify, since
 * its data is the rest of it. */
static inline void model_part(const rd *r)
{
    if (r->len < QCD_CHILD_SPI_LEN) {
        model_left = LITTLE_LEFT;
    } else if (r->len == QCD_CHILD_SPI_LEN) {
        model_left = SPI_LEFT;
    } else if (r->len < QCD_TOKEN_MIN) {
        model_left = LESS_LEFT;
    } else {
        model_left = TOKEN_LEFT;
    }
    //@ split model_left;
    model_is_apart = true;
}

/* Octets that can be a token end a token's longest length after they begin:
 * prove_notify.c proves for each length that no more are read. */
static inline const uint8_t *rd_bytes(rd *r, size_t n)
{
    (void)model_take(r, n);
    if (!model_is_apart) {
        model_part(r);
    }
    model_is_bad = r->bad;
    //@ split model_is_bad;
    r->bad = model_is_bad;
    if (model_is_bad) {
        return NULL;
    }
    return n < QCD_TOKEN_MIN || n > QCD_TOKEN_MAX
               ? model_octets + (PROOF_MAX - n)
               : model_octets + (PROOF_MAX - QCD_TOKEN_MAX);
}

static inline void rd_copy(rd *r, uint8_t *out, size_t n)
{
    const uint8_t *p = model_take(r, n);

    if (p != NULL) {
        memcpy(out, p, n);
    }
}

static inline void rd_sub(rd *out, rd *r, size_t n)
{
    const uint8_t *p = model_take(r, n);

    model_is_apart = false;
    out->p = p;
    out->len = p != NULL ? n : 0;
    out->bad = p == NULL;
}

static inline uint64_t rd_be(rd *r, size_t n)
{
    const uint8_t *p = model_take(r, n);

    return p == NULL ? 0 : any_u64() >> (64 - 8 * n);
}

static inline uint8_t rd_u8(rd *r)
{
    return (uint8_t)rd_be(r, 1);
}

static inline uint16_t rd_be16(rd *r)
{
    return (uint16_t)rd_be(r, 2);
}

static inline uint32_t rd_be32(rd *r)
{
    return (uint32_t)rd_be(r, 4);
}

static inline uint64_t rd_be64(rd *r)
{
    return rd_be(r, 8);
}

typedef struct wr {
    uint8_t *out;
    size_t cap;
    size_t len;
    bool bad;
} wr;

/*@ requires cap == 0 || \valid(out + (0 .. cap - 1));
    assigns \nothing; */
void model_output(uint8_t *out, size_t cap);

/*@ requires n == 0 || \valid_read((char *)in + (0 .. n - 1));
    requires n == 0 || \initialized((char *)in + (0 .. n - 1));
    assigns \nothing; */
void model_written(const void *in, size_t n);

static inline void wr_init(wr *w, uint8_t *out, size_t cap)
{
    w->out = out;
    w->cap = out != NULL ? cap : 0;
    w->len = 0;
    w->bad = false;
    model_output(out, w->cap);
}

static inline void wr_bytes(wr *w, const void *in, size_t n)
{
    model_written(in, n);
    if (w->bad || n > w->cap || any_bool()) {
        w->bad = true;
        return;
    }
    if (n > 0) {
        unknown(w->out, w->cap);
    }
    w->len = any_size(0, w->cap);
}

static inline void wr_be(wr *w, uint64_t v, size_t n)
{
    uint8_t b[8];

    unknown(b, sizeof(b));
    /*@ assert n <= sizeof(b); */
    (void)v;
    wr_bytes(w, b, n);
}

static inline void wr_u8(wr *w, uint8_t v)
{
    wr_be(w, v, 1);
}

static inline void wr_be16(wr *w, uint16_t v)
{
    wr_be(w, v, 2);
}

static inline void wr_be32(wr *w, uint32_t v)
{
    wr_be(w, v, 4);
}

static inline void wr_be64(wr *w, uint64_t v)
{
    wr_be(w, v, 8);
}

#endif
