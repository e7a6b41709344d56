/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_hurry qcd_hurry
 * @{ @ingroup qcd
 */

#ifndef QCD_HURRY_H_
#define QCD_HURRY_H_

#include "qcd_pending.h"

typedef struct qcd_hurry_t qcd_hurry_t;

/**
 * Hurries up our own connecting to a peer that asks about a lost SA: it is there,
 * but may have missed our request. Not thread-safe.
 */
struct qcd_hurry_t {

	/**
	 * Check if a reply is held because we are connecting to the peer ourselves.
	 * Then the peer learns by INITIAL_CONTACT that we lost its SA, and two
	 * tunnels would be one too many. Our request is repeated at once; if it is
	 * not answered for half a second, the reply is held no more.
	 *
	 * IKE_SAs that others begin don't count, so nobody can keep us from answering.
	 *
	 * @param peer			peer
	 * @param name			name of its connection, NULL if it is not certain
	 * @param held			0 at first, kept with the reply
	 * @return				TRUE if so
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
 * @param pending		IKE_SAs that we initiate, outlive it
 * @return				instance
 */
qcd_hurry_t *qcd_hurry_create(qcd_pending_t *pending);

#endif /** QCD_HURRY_H_ @}*/
