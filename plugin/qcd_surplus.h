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
 * Reduces several IKE_SAs with all CHILD_SAs to one. A recovery finds several
 * if, for example, both peers initiated one. Only one thread at a time may call
 * methods.
 */
struct qcd_surplus_t {

	/**
	 * Note which IKE_SAs existed when the recovery began: they are kept.
	 *
	 * @param all			array of qcd_found_t
	 * @param proved		FALSE if the peer has just initiated the youngest
	 *						one, which is then treated like later ones
	 */
	void (*note_before)(qcd_surplus_t *this, array_t *all, bool proved);

	/**
	 * Handle that there are several IKE_SAs: ask the peer which of them it has
	 * as well, and delete all of these but one. Both peers keep the same one.
	 * Checks out IKE_SAs.
	 *
	 * @param peer_cfg		current configuration
	 * @param lost			unique ID of the lost IKE_SA
	 * @return				when to call again, as qcd_now()
	 */
	uint64_t (*tidy)(qcd_surplus_t *this, peer_cfg_t *peer_cfg, uint32_t lost);

	/**
	 * Handle that there is only one IKE_SA.
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
 * @param pending		IKE_SAs that we initiate, must outlive the instance
 * @param peers			established IKE_SAs, must outlive the instance
 * @param connector		reaches the peer, must outlive the instance
 * @param wanted		what has to be up, must outlive the instance
 * @return				instance
 */
qcd_surplus_t *qcd_surplus_create(qcd_pending_t *pending,
								  qcd_peers_t *peers,
								  qcd_connector_t *connector,
								  qcd_wanted_t *wanted);

#endif /** QCD_SURPLUS_H_ @}*/
