/* SPDX-License-Identifier: Apache-2.0 */
/* prove_cursor.c: the reader of rd.h at each place and the writer of wr.h at
 * each place, where the next step may be of any length.  model.h relies on
 * this. */
#include "proof.h"
#include "rd.h"
#include "wr.h"

/* Octets left: each number up to ALL_MAX, then those at the edges of what an
 * octet and a datagram can count.  Nothing in rd.h and wr.h depends on their
 * number otherwise than by comparison. */
#define LEFT_MAX 65536
#define ALL_MAX 40
static const size_t edges[] = {
    0,   1,   8,   ALL_MAX, 127,   128,   254,   255,   256,   257,   511,
    512, 513, 767, 32767,   32768, 65279, 65280, 65281, 65534, 65535, LEFT_MAX};

static uint8_t octets[LEFT_MAX];

/*@ requires n == 0 || \valid_read(p + (0 .. n - 1));
    assigns \nothing; */
void proof_lent(const uint8_t *p, size_t n);

/* Reads `n` of the `left` last octets. */
static void read_on(size_t left, size_t n)
{
    static uint8_t copy[LEFT_MAX];
    rd whole;
    rd r;

    rd_init(&whole, octets + (LEFT_MAX - left), left);
    r = whole;
    const uint8_t *p = rd_bytes(&r, n);
    if (n > left) {
        //@ assert p == \null && r.bad && r.len == 0;
        rd_copy(&whole, copy, n);
        (void)rd_be(&r, 8);
        return;
    }
    proof_lent(p, n);
    //@ assert !r.bad && r.len == left - n;
    rd sub;
    r = whole;
    rd_sub(&sub, &r, n);
    //@ assert !sub.bad && sub.len == n && r.len == left - n;
    proof_lent(sub.p, n);
    if (n > 0) {
        rd_copy(&whole, copy, n);
    }
    (void)rd_be64(&sub);
}

/* Writes `n` octets where `left` are free. */
static void write_on(size_t left, size_t n)
{
    static uint8_t in[LEFT_MAX];
    static uint8_t out[LEFT_MAX];
    wr w;

    wr_init(&w, out + (LEFT_MAX - left), left);
    wr_bytes(&w, in + (LEFT_MAX - n), n);
    if (n > left) {
        //@ assert w.bad && w.len == 0;
        return;
    }
    //@ assert !w.bad && w.len == n && w.len <= w.cap;
    proof_lent(w.out, left);
    wr_be64(&w, any_u64());
    //@ assert w.len <= w.cap;
}

int main(void)
{
    const size_t count = sizeof(edges) / sizeof(edges[0]);
    rd none;

    unknown(octets, sizeof(octets));
    for (size_t left = 0; left <= ALL_MAX; left++) {
        for (size_t n = 0; n <= ALL_MAX; n++) {
            read_on(left, n);
            write_on(left, n);
        }
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            read_on(edges[i], edges[k]);
            write_on(edges[i], edges[k]);
        }
        read_on(edges[i], SIZE_MAX);
    }
    rd_init(&none, NULL, any_size(1, SIZE_MAX));
    //@ assert none.bad;
    (void)rd_bytes(&none, any_u64());
    return 0;
}
