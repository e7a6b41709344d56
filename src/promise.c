/* SPDX-License-Identifier: Apache-2.0 */
/* promise.c: when the peer of a live IKE SA must be sent another token,
 * RFC 6290 sections 4.3, 4.4 and 5.1. */
#include <qcd/qcd.h>

#include <string.h>

#include "ike.h"

void qcd_promise_give(qcd_promise *promise, const qcd_keys *keys,
                      const qcd_address *taker)
{
    memset(promise, 0, sizeof(*promise));
    promise->is_given = true;
    promise->generation = keys->newest;
    if (taker != NULL) {
        promise->taker = *taker;
    }
}

/* How many rotations ago the promised generation was the newest one. */
static uint32_t age_of(const qcd_promise *promise, const qcd_keys *keys)
{
    return keys->newest - promise->generation;
}

bool qcd_promise_is_due(const qcd_promise *promise, const qcd_keys *keys,
                        const qcd_address *taker)
{
    static const qcd_address unbound;

    if (!promise->is_given) {
        return true;
    }
    /* RFC 6290 section 4.4: the old token became invalid. */
    if (!address_equals(&promise->taker, taker != NULL ? taker : &unbound)) {
        return true;
    }
    /* The last generation is replaced while it can still be made: a crash at
     * any time then finds a token that we can show.  That also keeps what
     * a crash needs to the newest three, which fit into the answer to an empty
     * request with an ICV of 16 octets; all four would not. */
    return age_of(promise, keys) >= QCD_GENERATIONS_MAX - 1;
}

bool qcd_promise_blocks_rotation(const qcd_promise *promise,
                                 const qcd_keys *keys)
{
    return promise->is_given &&
           age_of(promise, keys) == QCD_GENERATIONS_MAX - 1;
}
