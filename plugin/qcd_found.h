/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_found qcd_found
 * @{ @ingroup qcd
 */

#ifndef QCD_FOUND_H_
#define QCD_FOUND_H_

#include "qcd_connector.h"
#include "qcd_peers.h"
#include "qcd_wanted.h"

#include <collections/array.h>

typedef struct qcd_found_t qcd_found_t;

/**
 * An established IKE_SA that may take the place of a lost one.
 */
struct qcd_found_t {
	qcd_sa_t sa;
	/** wanted CHILD_SAs that are up on it */
	u_int children;
	/** whether we initiated it */
	bool initiator;
	/** CHILD_SAs are being created, the peer was asked if it lives, or it is closed
	 * to be opened again */
	bool busy;
	/** it lacks the virtual IPs that the configuration asks for */
	bool no_vip;
};

/**
 * Find the IKE_SAs that may take the place of a lost one, and let wanted look at
 * them. Checks them out, one after the other.
 *
 * @param peers			established IKE_SAs
 * @param connector		how the peer is reached, knows our own tries
 * @param wanted		what has to be up
 * @param peer_cfg		configuration
 * @param lost			unique ID of the lost one: older ones may be lost, too
 * @param ask			to ask the peer if it has them, NULL not to ask
 * @return				array of qcd_found_t, to destroy
 */
array_t *qcd_found_create(qcd_peers_t *peers, qcd_connector_t *connector,
						  qcd_wanted_t *wanted, peer_cfg_t *peer_cfg,
						  uint32_t lost, qcd_pending_t *ask);

/**
 * Get the one with most of the CHILD_SAs, the youngest of these, and count those
 * that have all.
 *
 * @param all			array of qcd_found_t
 * @param wanted		number of CHILD_SAs
 * @param best			receives it
 * @param complete		receives the number of those with all CHILD_SAs
 * @return				FALSE if there is none
 */
bool qcd_found_best(array_t *all, u_int wanted, qcd_found_t *best,
					u_int *complete);

/**
 * Get those that can be deleted of several that have all CHILD_SAs and whose peer
 * was asked, and has answered. The peer comes to the same result.
 *
 * @param all			array of qcd_found_t
 * @param wanted		number of CHILD_SAs
 * @param before		unique IDs of those that were there before: they stay
 * @return				list of qcd_sa_t, to destroy with destroy_function(free)
 */
linked_list_t *qcd_found_surplus(array_t *all, u_int wanted, array_t *before);

#endif /** QCD_FOUND_H_ @}*/
