/* SPDX-License-Identifier: Apache-2.0 */
/* xtea.h: a block cipher of 64 bits whose time depends on nothing: it has only
 * additions, shifts and XOR, and no table. */
#ifndef QCD_SRC_XTEA_H
#define QCD_SRC_XTEA_H

#include <stdint.h>

#define XTEA_BLOCK_LEN 8
#define XTEA_KEY_LEN 16

#define XTEA_KEY_WORDS 4

/* xtea_set_key reads a key into the words that the other two take. */
void xtea_set_key(uint32_t out[XTEA_KEY_WORDS],
                  const uint8_t key[XTEA_KEY_LEN]);

/* xtea_encrypt encrypts a block.  xtea_decrypt is its inverse.  `out` and `in`
 * may be the same. */
void xtea_encrypt(uint8_t out[XTEA_BLOCK_LEN],
                  const uint32_t key[XTEA_KEY_WORDS],
                  const uint8_t in[XTEA_BLOCK_LEN]);
void xtea_decrypt(uint8_t out[XTEA_BLOCK_LEN],
                  const uint32_t key[XTEA_KEY_WORDS],
                  const uint8_t in[XTEA_BLOCK_LEN]);

#endif
