/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_rivals qcd_rivals
 * @{ @ingroup qcd
 */

#ifndef QCD_RIVALS_H_
#define QCD_RIVALS_H_

#include "qcd_connector.h"
#include "qcd_peers.h"
#include "qcd_wanted.h"

#include <collections/array.h>

typedef struct qcd_rival_t qcd_rival_t;
typedef struct qcd_rivals_t qcd_rivals_t;

/**
 * An established IKE_SA that may replace a lost one.
 */
struct qcd_rival_t {
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
 * The IKE_SAs that may replace a lost one. Several with all CHILD_SAs, for
 * example because both peers initiated one, are reduced to one. Only one thread
 * at a time may call methods.
 */
struct qcd_rivals_t {

	/**
	 * Find the IKE_SAs, and let the list of wanted CHILD_SAs look at them.
	 * Checks them out one after the other.
	 *
	 * @param peer_cfg		current configuration
	 * @param lost			unique ID of the lost IKE_SA; older ones may be lost
	 *						as well
	 * @param ask			TRUE to ask the peer if it has the IKE_SAs
	 * @return				array of qcd_rival_t, to destroy
	 */
	array_t *(*find)(qcd_rivals_t *this, peer_cfg_t *peer_cfg, uint32_t lost,
					 bool ask);

	/**
	 * Note which IKE_SAs existed when the recovery began: they are kept.
	 *
	 * @param all			array of qcd_rival_t
	 * @param proved		FALSE if the peer has just initiated the youngest
	 *						one, which is then treated like later ones
	 */
	void (*note_before)(qcd_rivals_t *this, array_t *all, bool proved);

	/**
	 * Handle that there are several IKE_SAs: ask the peer which of them it has
	 * as well, and delete all of these but one. Both peers keep the same one.
	 * Checks out IKE_SAs.
	 *
	 * @param peer_cfg		current configuration
	 * @param lost			unique ID of the lost IKE_SA
	 * @return				when to call again, as qcd_now()
	 */
	uint64_t (*tidy)(qcd_rivals_t *this, peer_cfg_t *peer_cfg, uint32_t lost);

	/**
	 * Handle that there is only one IKE_SA.
	 */
	void (*reset)(qcd_rivals_t *this);

	/**
	 * Destroy a qcd_rivals_t.
	 */
	void (*destroy)(qcd_rivals_t *this);
};

/**
 * Create a qcd_rivals_t.
 *
 * @param pending		IKE_SAs that we initiate, must outlive the instance
 * @param peers			established IKE_SAs, must outlive the instance
 * @param connector		reaches the peer, must outlive the instance
 * @param wanted		what has to be up, must outlive the instance
 * @return				instance
 */
qcd_rivals_t *qcd_rivals_create(qcd_pending_t *pending, qcd_peers_t *peers,
								qcd_connector_t *connector,
								qcd_wanted_t *wanted);

/**
 * Get the IKE_SA with the most CHILD_SAs, the youngest if there are several,
 * and count the IKE_SAs that have all CHILD_SAs.
 *
 * @param all			array of qcd_rival_t
 * @param wanted		number of CHILD_SAs
 * @param best			receives the IKE_SA
 * @param complete		receives the number of IKE_SAs with all CHILD_SAs
 * @return				FALSE if there is no IKE_SA
 */
bool qcd_rivals_best(array_t *all, u_int wanted, qcd_rival_t *best,
					 u_int *complete);

/**
 * Get the IKE_SAs that can be deleted because several have all CHILD_SAs. Only
 * IKE_SAs are considered whose peer was asked and has answered. The peer
 * reaches the same result.
 *
 * @param all			array of qcd_rival_t
 * @param wanted		number of CHILD_SAs
 * @param before		unique IDs of IKE_SAs that existed before: they are kept
 * @return				list of qcd_sa_t, destroy it with destroy_function(free)
 */
linked_list_t *qcd_rivals_surplus(array_t *all, u_int wanted, array_t *before);

#endif /** QCD_RIVALS_H_ @}*/
