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
 * An established IKE_SA that may replace a lost one.
 */
struct qcd_found_t {
	qcd_sa_t sa;
	/** wanted CHILD_SAs that are up on it */
	u_int children;
	/** whether we initiated it */
	bool initiator;
	/** CHILD_SAs are being created, the peer was asked whether it is alive, or
	 * the IKE_SA is being closed to be opened again */
	bool busy;
	/** it lacks the virtual IPs that the configuration requests */
	bool no_vip;
};

/**
 * Find the IKE_SAs that may replace a lost one, and let the list of wanted
 * CHILD_SAs look at them. Checks them out one after the other.
 *
 * @param peers			established IKE_SAs
 * @param connector		reaches the peer, knows our own tries
 * @param wanted		what has to be up
 * @param peer_cfg		configuration
 * @param lost			unique ID of the lost IKE_SA; older ones may be lost as
 *						well
 * @param ask			used to ask the peer if it has the IKE_SAs; NULL not to
 *						ask
 * @return				array of qcd_found_t, to destroy
 */
array_t *qcd_found_create(qcd_peers_t *peers, qcd_connector_t *connector,
						  qcd_wanted_t *wanted, peer_cfg_t *peer_cfg,
						  uint32_t lost, qcd_pending_t *ask);

/**
 * Get the IKE_SA with the most CHILD_SAs, the youngest if there are several,
 * and count the IKE_SAs that have all CHILD_SAs.
 *
 * @param all			array of qcd_found_t
 * @param wanted		number of CHILD_SAs
 * @param best			receives the IKE_SA
 * @param complete		receives the number of IKE_SAs with all CHILD_SAs
 * @return				FALSE if there is no IKE_SA
 */
bool qcd_found_best(array_t *all, u_int wanted, qcd_found_t *best,
					u_int *complete);

/**
 * Get the IKE_SAs that can be deleted because several have all CHILD_SAs. Only
 * IKE_SAs are considered whose peer was asked and has answered. The peer
 * reaches the same result.
 *
 * @param all			array of qcd_found_t
 * @param wanted		number of CHILD_SAs
 * @param before		unique IDs of IKE_SAs that existed before: they are kept
 * @return				list of qcd_sa_t, destroy it with destroy_function(free)
 */
linked_list_t *qcd_found_surplus(array_t *all, u_int wanted, array_t *before);

#endif /** QCD_FOUND_H_ @}*/
