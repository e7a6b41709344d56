/* SPDX-License-Identifier: Apache-2.0 */
/* wr.h: a bounded writer that remembers failure, the mirror of rd.h.  After a
 * write that does not fit, nothing more is written.  Test `bad` once. */
#ifndef QCD_WR_H
#define QCD_WR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct wr {
    uint8_t *out;
    size_t cap;
    size_t len; /* octets written */
    bool bad;
} wr;

/* wr_init writes to the `cap` octets at `out`, which may be NULL if `cap` is
 * 0. */
static inline void wr_init(wr *w, uint8_t *out, size_t cap)
{
    w->out = out;
    w->cap = out != NULL ? cap : 0;
    w->len = 0;
    w->bad = false;
}

/* wr_bytes appends `n` octets.  It is the only function that moves the
 * bound. */
static inline void wr_bytes(wr *w, const void *in, size_t n)
{
    if (w->bad || n > w->cap - w->len) {
        w->bad = true;
        return;
    }
    if (n > 0) {
        memcpy(w->out + w->len, in, n);
    }
    w->len += n;
}

static inline void wr_be(wr *w, uint64_t v, size_t n)
{
    uint8_t b[8];

    for (size_t i = 0; i < n; i++) {
        b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    }
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
