/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_hurry qcd_hurry
 * @{ @ingroup qcd
 */

#ifndef QCD_HURRY_H_
#define QCD_HURRY_H_

#include "qcd_pending.h"

/**
 * Maximum time in milliseconds for which a reply is held
 */
#define QCD_HELD_MAX_MS 500

typedef struct qcd_hurry_t qcd_hurry_t;

/**
 * Speeds up our own connection to a peer that asks about a lost SA: the peer is
 * running, but may have missed our request. Not thread-safe.
 */
struct qcd_hurry_t {

	/**
	 * Check if a reply is held because we are connecting to the peer ourselves.
	 * The peer then learns from INITIAL_CONTACT that we lost its SA, and a
	 * reply would lead to a second tunnel. Our request is repeated at once. If
	 * the peer does not answer it within half a second, the reply is no longer
	 * held.
	 *
	 * IKE_SAs that others initiate don't count, so nobody can suppress our
	 * replies.
	 *
	 * @param peer			peer
	 * @param name			name of its connection, NULL if not certain
	 * @param held			state to keep with the reply, 0 at first
	 * @return				TRUE if the reply is held
	 */
	bool (*holds)(qcd_hurry_t *this, host_t *peer, char *name, uint64_t *held);

	/**
	 * Destroy a qcd_hurry_t.
	 */
	void (*destroy)(qcd_hurry_t *this);
};

/**
 * Create a qcd_hurry_t.
 *
 * @param pending		IKE_SAs that we initiate, must outlive the instance
 * @return				instance
 */
qcd_hurry_t *qcd_hurry_create(qcd_pending_t *pending);

#endif /** QCD_HURRY_H_ @}*/
