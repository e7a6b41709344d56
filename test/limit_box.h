/* SPDX-License-Identifier: Apache-2.0 */
/* limit_box.h: shared by the tests of src/limit.c: a key, a clock, and sources
 * and SPIs by number. */
#ifndef QCD_LIMIT_BOX_H
#define QCD_LIMIT_BOX_H

#include "parts.h"
#include "test.h"

/* The origin of the clock does not matter; this is not a round number. */
enum { START_MS = 123456789 };

static uint8_t key[QCD_RANDOM_KEY_LEN];

static inline int set_key(void **state)
{
    (void)state;
    count_up(key, 7, sizeof(key));
    return 0;
}

static inline qcd_address v4(uint32_t n)
{
    qcd_address a = {4,
                     {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                      (uint8_t)n}};

    return a;
}

static inline qcd_spi spi_of(uint64_t n)
{
    qcd_spi spi;

    for (size_t i = 0; i < sizeof(spi); i++) {
        spi.octets[i] = (uint8_t)(n >> (8 * i));
    }
    return spi;
}

#endif
