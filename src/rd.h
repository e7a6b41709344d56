/* SPDX-License-Identifier: Apache-2.0 */
/* rd.h: a bounded reader that remembers failure.  Read straight through and
 * test `bad` once: after a read past the end every read returns 0 or NULL.  A
 * length that controls a loop or a copy is checked before it is used. */
#ifndef QCD_RD_H
#define QCD_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct rd {
    const uint8_t *p;
    size_t len; /* octets left; 0 when bad */
    bool bad;
} rd;

/* rd_init reads the `len` octets at `in`, which may be NULL if `len` is 0. */
static inline void rd_init(rd *r, const uint8_t *in, size_t len)
{
    static const uint8_t none[1] = {0};

    r->p = in != NULL ? in : none;
    r->len = in != NULL ? len : 0;
    r->bad = in == NULL && len != 0;
}

/* rd_bytes returns the next `n` octets, borrowed from the input, or NULL.  It
 * is the only function that moves the bound. */
static inline const uint8_t *rd_bytes(rd *r, size_t n)
{
    const uint8_t *p = r->p;

    if (r->bad || n > r->len) {
        r->bad = true;
        r->len = 0;
        return NULL;
    }
    r->p += n;
    r->len -= n;
    return p;
}

/* rd_copy copies the next `n` octets to `out`, or nothing if there are fewer.
 */
static inline void rd_copy(rd *r, uint8_t *out, size_t n)
{
    const uint8_t *p = rd_bytes(r, n);

    if (p != NULL) {
        memcpy(out, p, n);
    }
}

/* rd_sub makes `out` a reader of the next `n` octets.  It is bad if there are
 * fewer. */
static inline void rd_sub(rd *out, rd *r, size_t n)
{
    const uint8_t *p = rd_bytes(r, n);

    rd_init(out, p, p != NULL ? n : 0);
    out->bad = p == NULL;
}

static inline uint64_t rd_be(rd *r, size_t n)
{
    const uint8_t *p = rd_bytes(r, n);
    uint64_t v = 0;

    if (p == NULL) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        v = (v << 8) | p[i];
    }
    return v;
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

#endif
