/* SPDX-License-Identifier: Apache-2.0 */
/* xtea.c: XTEA (Needham and Wheeler, "Tea extensions", 1997), which seals IKE
 * SPIs.  Nettle's ciphers with blocks of 64 bits look up tables by the key, so
 * their time tells of it through the processor's cache. */
#include "xtea.h"

#include "ike.h"

#define DELTA UINT32_C(0x9e3779b9)
#define CYCLES 32

void xtea_set_key(uint32_t out[XTEA_KEY_WORDS], const uint8_t key[XTEA_KEY_LEN])
{
    rd r;

    rd_init(&r, key, XTEA_KEY_LEN);
    for (size_t i = 0; i < XTEA_KEY_WORDS; i++) {
        out[i] = rd_be32(&r);
    }
}

/* Only `sum`, which is public, selects a word of the key. */
static uint32_t mix(uint32_t half, uint32_t sum, uint32_t word)
{
    return ((half << 4 ^ half >> 5) + half) ^ (sum + word);
}

static void read_block(uint32_t out[2], const uint8_t in[XTEA_BLOCK_LEN])
{
    rd r;

    rd_init(&r, in, XTEA_BLOCK_LEN);
    out[0] = rd_be32(&r);
    out[1] = rd_be32(&r);
}

static void write_block(uint8_t out[XTEA_BLOCK_LEN], const uint32_t in[2])
{
    wr w;

    wr_init(&w, out, XTEA_BLOCK_LEN);
    wr_be32(&w, in[0]);
    wr_be32(&w, in[1]);
}

void xtea_encrypt(uint8_t out[XTEA_BLOCK_LEN],
                  const uint32_t key[XTEA_KEY_WORDS],
                  const uint8_t in[XTEA_BLOCK_LEN])
{
    uint32_t v[2];
    uint32_t sum = 0;

    read_block(v, in);
    for (int i = 0; i < CYCLES; i++) {
        v[0] += mix(v[1], sum, key[sum & 3]);
        sum += DELTA;
        v[1] += mix(v[0], sum, key[sum >> 11 & 3]);
    }
    write_block(out, v);
}

void xtea_decrypt(uint8_t out[XTEA_BLOCK_LEN],
                  const uint32_t key[XTEA_KEY_WORDS],
                  const uint8_t in[XTEA_BLOCK_LEN])
{
    uint32_t v[2];
    uint32_t sum = DELTA * CYCLES;

    read_block(v, in);
    for (int i = 0; i < CYCLES; i++) {
        v[1] -= mix(v[0], sum, key[sum >> 11 & 3]);
        sum -= DELTA;
        v[0] -= mix(v[1], sum, key[sum & 3]);
    }
    write_block(out, v);
}
