/* SPDX-License-Identifier: Apache-2.0 */
/* proof.h: unknown values for the harnesses.  Frama-C's EVA takes each of them
 * for all its values at once. */
#ifndef QCD_PROOF_H
#define QCD_PROOF_H

#include <__fc_builtin.h>
#include <qcd/qcd.h>

/* Octets of the longest UDP datagram, headers included.  It is the bound of
 * each input of unknown length, unless a harness says otherwise. */
#define PROOF_MAX 65535

/* unknown fills a value with unknown octets. */
static inline void unknown(void *out, size_t len)
{
    Frama_C_make_unknown(out, len);
}

static inline size_t any_size(size_t least, size_t most)
{
    return Frama_C_size_t_interval(least, most);
}

static inline uint64_t any_u64(void)
{
    return Frama_C_unsigned_long_interval(0, UINT64_MAX);
}

static inline uint32_t any_u32(void)
{
    return Frama_C_unsigned_int_interval(0, UINT32_MAX);
}

static inline bool any_bool(void)
{
    return Frama_C_interval(0, 1) != 0;
}

#endif
