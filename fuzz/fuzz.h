/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h: what the fuzz targets share. */
#ifndef QCD_FUZZ_H
#define QCD_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qcd/qcd.h>

/* How many octets of a reply one octet of the request allows.  It is not
 * QCD_AMPLIFICATION_MAX: that would allow whatever qcd.h happens to say. */
enum { OCTETS_FOR_ONE = 3 };

/* The entry of a target, called by libFuzzer or by replay.c. */
int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len);

#define DEMAND(cond) fuzz_demand((cond), #cond, __FILE__, __LINE__)

static inline void fuzz_demand(bool is_true, const char *what, const char *file,
                               int line)
{
    if (!is_true) {
        fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
        abort();
    }
}

static inline bool fuzz_is_zero(const void *p, size_t len)
{
    const uint8_t *o = p;

    for (size_t i = 0; i < len; i++) {
        if (o[i] != 0) {
            return false;
        }
    }
    return true;
}

#endif
