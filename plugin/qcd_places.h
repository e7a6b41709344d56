/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_places qcd_places
 * @{ @ingroup qcd
 */

#ifndef QCD_PLACES_H_
#define QCD_PLACES_H_

#include "qcd_reply.h"

typedef struct qcd_places_t qcd_places_t;

/**
 * Places of waiting replies, so that a stranger can't take those of peers.
 *
 * Each rank has its own number of places. At most four replies wait that name the
 * same SPI of ours, of which one is reserved for the peer's address in the map:
 * somebody who has seen that SPI can take no more places, and not that one,
 * whatever addresses and SPIs of the peer are forged. Replies to one source, an
 * IPv4 address or an IPv6 /64, use at most an eighth of the places of a rank that
 * is not home: somebody who has seen many SPIs, and forges no address, can take no
 * more.
 */
struct qcd_places_t {

	/**
	 * Take a place for a reply. An announcement uses none of the places of its
	 * SA: there is only one, and the peer may ask meanwhile.
	 *
	 * @param reply			reply
	 * @return				FALSE if there is none
	 */
	bool (*take)(qcd_places_t *this, qcd_reply_t *reply);

	/**
	 * Release the place of a reply.
	 *
	 * @param reply			reply that has one
	 */
	void (*release)(qcd_places_t *this, qcd_reply_t *reply);

	/**
	 * Tell whether a reply should leave its place to a newer one if it can't be
	 * sent now: those of its rank use more than half of their places, or those
	 * that name its SPI of ours use all that are not reserved. Never true at
	 * home.
	 *
	 * @param reply			reply that has a place
	 */
	bool (*is_surplus)(qcd_places_t *this, qcd_reply_t *reply);

	/**
	 * Get the number of announcements.
	 */
	u_int (*get_unasked)(qcd_places_t *this);

	/**
	 * Destroy a qcd_places_t.
	 */
	void (*destroy)(qcd_places_t *this);
};

/**
 * Create a qcd_places_t.
 *
 * @return				instance
 */
qcd_places_t *qcd_places_create(void);

#endif /** QCD_PLACES_H_ @}*/
