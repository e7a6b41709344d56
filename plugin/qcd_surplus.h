/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_surplus qcd_surplus
 * @{ @ingroup qcd
 */

#ifndef QCD_SURPLUS_H_
#define QCD_SURPLUS_H_

#include "qcd_connector.h"
#include "qcd_peers.h"
#include "qcd_wanted.h"

#include <collections/array.h>

typedef struct qcd_surplus_t qcd_surplus_t;

/**
 * Ends up with one IKE_SA where a recovery finds several that have all CHILD_SAs,
 * as where both peers initiated one. Called by one thread at a time.
 */
struct qcd_surplus_t {

	/**
	 * Note which IKE_SAs were there when the recovery began: they stay.
	 *
	 * @param all			array of qcd_found_t
	 * @param proved		FALSE if the peer has just initiated the youngest one, which
	 *						counts like those to come
	 */
	void (*note_before)(qcd_surplus_t *this, array_t *all, bool proved);

	/**
	 * There are several: ask the peer which of them it has as well, and delete all
	 * of these but one. Both peers keep the same one. Checks out IKE_SAs.
	 *
	 * @param peer_cfg		current configuration
	 * @param lost			unique ID of the lost IKE_SA
	 * @return				when to call again, qcd_now()
	 */
	uint64_t (*tidy)(qcd_surplus_t *this, peer_cfg_t *peer_cfg, uint32_t lost);

	/**
	 * There is only one.
	 */
	void (*reset)(qcd_surplus_t *this);

	/**
	 * Destroy a qcd_surplus_t.
	 */
	void (*destroy)(qcd_surplus_t *this);
};

/**
 * Create a qcd_surplus_t.
 *
 * @param pending		IKE_SAs that we initiate, outlive it
 * @param peers			IKE_SAs that are established, outlive it
 * @param connector		how the peer is reached, outlives it
 * @param wanted		what has to be up, outlives it
 * @return				instance
 */
qcd_surplus_t *qcd_surplus_create(qcd_pending_t *pending,
								  qcd_peers_t *peers,
								  qcd_connector_t *connector,
								  qcd_wanted_t *wanted);

#endif /** QCD_SURPLUS_H_ @}*/
