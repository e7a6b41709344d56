/* SPDX-License-Identifier: Apache-2.0 */
/* promise.c: when the peer of a live IKE SA is sent a token, RFC 6290 sections
 * 4.2 to 4.4 and 5.1. */
#include "parts.h"

/* Returns the address to which the token of a peer at `taker` is bound.  Its
 * len is 0 if tokens are unbound. */
static qcd_address bound_to(const qcd_maker *maker, const qcd_address *taker)
{
    static const qcd_address unbound;

    return maker->settings.is_bound ? *taker : unbound;
}

/* Returns how many rotations ago the pledged generation was the newest. */
static uint32_t age_of(const qcd_maker *maker, const qcd_pledge *pledge)
{
    return maker->keys.newest - pledge->generation;
}

bool qcd_maker_is_due(const qcd_maker *maker, const qcd_promise *promise,
                      const qcd_ike_sa *sa, const qcd_address *taker)
{
    const qcd_address bound = bound_to(maker, taker);

    /* RFC 6290 sections 4.2 and 4.3: a new SA, or a resumed one.  RFC 6290
     * section 4.4: the old token became invalid, or is of the last generation.
     * Such a token is replaced while it can still be made.  A crash at any time
     * then finds a token that we can show.  This also means that after a crash
     * only the newest three generations are needed.  They fit into the reply to
     * an empty request with an ICV of 16 octets; all four would not. */
    return !promise->is_sent &&
           (!promise->is_given ||
            !address_equals(&promise->given.taker, &bound) ||
            age_of(maker, &promise->given) >= QCD_GENERATIONS_MAX - 1) &&
           qcd_maker_owns(maker, sa);
}

bool qcd_maker_offer(const qcd_maker *maker, qcd_promise *promise,
                     qcd_token *out, const qcd_ike_sa *sa,
                     const qcd_offer *offer)
{
    const qcd_pledge pledge = {maker->keys.newest,
                               bound_to(maker, &offer->taker)};

    memset(out, 0, sizeof(*out));
    if (!qcd_maker_is_due(maker, promise, sa, &offer->taker) ||
        token_make(maker, out, sa, 0, &offer->taker) != QCD_OK) {
        return false;
    }
    if (offer->is_request) {
        promise->is_sent = true;
        promise->message_id = offer->message_id;
        promise->sent = pledge;
    } else {
        promise->is_given = true;
        promise->given = pledge;
    }
    return true;
}

bool qcd_promise_answered(qcd_promise *promise, uint32_t message_id)
{
    if (!promise->is_sent || promise->message_id != message_id) {
        return false;
    }
    promise->is_sent = false;
    promise->is_given = true;
    promise->given = promise->sent;
    return true;
}

bool qcd_maker_is_last(const qcd_maker *maker, const qcd_promise *promise)
{
    return promise->is_given &&
           age_of(maker, &promise->given) == QCD_GENERATIONS_MAX - 1;
}

uint32_t qcd_maker_age(const qcd_maker *maker, const qcd_promise *promise)
{
    return age_of(maker, &promise->given);
}
