/* SPDX-License-Identifier: Apache-2.0 */
/* evidence.c: the evidence rule, which keeps the token of a live IKE SA from
 * being shown (RFC 6290 section 9.2), and the graveyard that serves it. */
#include "parts.h"

/* Our own SPIs are sealed and therefore spread evenly.  A peer can't choose the
 * set of its SA. */
static size_t set_of(const qcd_ike_sa *sa)
{
    const uint8_t *o = qcd_ike_sa_local(sa)->octets;

    return ((size_t)o[0] << 8 | o[1]) % QCD_GRAVEYARD_SETS;
}

bool graveyard_holds(const qcd_graveyard *graveyard, const qcd_ike_sa *sa)
{
    size_t set = set_of(sa);

    for (size_t i = 0; i < QCD_GRAVEYARD_WAYS; i++) {
        if (graveyard->roles[set][i] == (uint8_t)sa->role &&
            memcmp(&graveyard->graves[set][i], &sa->spis, sizeof(sa->spis)) ==
                0) {
            return true;
        }
    }
    return false;
}

void qcd_maker_bury(qcd_maker *maker, const qcd_ike_sa *sa,
                    const qcd_promise *promise)
{
    qcd_graveyard *graveyard = &maker->graveyard;

    if ((!promise->is_given && !promise->is_sent) ||
        spi_is_zero(&sa->spis.initiator) || spi_is_zero(&sa->spis.responder) ||
        graveyard_holds(graveyard, sa)) {
        return;
    }
    size_t set = set_of(sa);
    size_t way = graveyard->next[set];

    graveyard->graves[set][way] = sa->spis;
    graveyard->roles[set][way] = (uint8_t)sa->role;
    graveyard->next[set] = (uint8_t)((way + 1) % QCD_GRAVEYARD_WAYS);
}

void qcd_takeover_add(qcd_takeover *takeover, uint8_t node)
{
    takeover->nodes[node / 64] |= (uint64_t)1 << (node % 64);
}

/* RFC 6290 section 6: only the active gateway holds the shared address.  A
 * gateway that receives a request there has taken the place of the others. */
static bool is_taken_over(const qcd_takeover *takeover, uint8_t node,
                          const qcd_address *destination)
{
    return takeover->address.len != 0 &&
           address_equals(&takeover->address, destination) &&
           (takeover->nodes[node / 64] >> (node % 64) & 1) != 0;
}

/* Run 0 mints nothing. */
static bool is_earlier(const qcd_mint *mint, const qcd_origin *origin)
{
    return origin->node == mint->node && origin->run != 0 &&
           origin->run < mint->first_run;
}

bool evidence_weigh(const qcd_maker *maker, const qcd_ike_sa *sa,
                    const qcd_address *destination)
{
    const qcd_mint *mint = &maker->mint;
    qcd_origin origin;

    if (!spi_open(&origin, &maker->seal, qcd_ike_sa_local(sa))) {
        return false; /* not ours, and never was */
    }
    if (origin.node != mint->node) {
        /* That gateway may have the SA, unless we have taken its place. */
        return is_taken_over(&maker->settings.takeover, origin.node,
                             destination);
    }
    /* A future run comes from a state that was rolled back.  Nothing tells
     * whether its process lives. */
    return is_earlier(mint, &origin) ||
           (origin.run >= mint->first_run && origin.run <= mint->run &&
            graveyard_holds(&maker->graveyard, sa));
}

bool qcd_maker_is_lost(const qcd_maker *maker, const qcd_ike_sa *sa)
{
    qcd_origin origin;

    /* RFC 6290 section 8.2: the map may be out of date.  An SA that it names as
     * lost is lost only if our SPI says so.  An SA of this run never is.  One
     * without both SPIs never had a child. */
    return (sa->role == QCD_INITIATOR || sa->role == QCD_RESPONDER) &&
           !spi_is_zero(qcd_ike_sa_remote(sa)) &&
           spi_open(&origin, &maker->seal, qcd_ike_sa_local(sa)) &&
           is_earlier(&maker->mint, &origin);
}
