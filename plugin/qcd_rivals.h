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
	/** it was up when the crash was proved, and the peer has not yet confirmed
	 * that it still has it */
	bool doubtful;
	/** it is kept: it was up before the recovery began, or began after
	 * everything was up */
	bool kept;
};

/**
 * The IKE_SAs that may replace a lost one. Several with all CHILD_SAs, for
 * example because both peers initiated one, are reduced to one. Only one thread
 * at a time may call methods.
 */
struct qcd_rivals_t {

	/**
	 * Set whether IKE_SAs are kept that began after the last call of reset().
	 * They serve another purpose, for example a reauthentication. After some
	 * time, they are two of the same, unless that is what the configuration
	 * requests.
	 *
	 * @param closed		FALSE if they may replace the lost one, as initially
	 */
	void (*set_closed)(qcd_rivals_t *this, bool closed);

	/**
	 * Note that the peer has lost an IKE_SA, see qcd_doubts_t.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*note_lost)(qcd_rivals_t *this, uint32_t unique_id);

	/**
	 * Find the IKE_SAs, and let the list of wanted CHILD_SAs look at them, except
	 * for doubtful ones: the peer is asked about these, again if it does not
	 * respond. Checks them out one after the other.
	 *
	 * @param peer_cfg		current configuration
	 * @param ask			TRUE to ask the peer about all IKE_SAs
	 * @return				array of qcd_rival_t, to destroy
	 */
	array_t *(*find)(qcd_rivals_t *this, peer_cfg_t *peer_cfg, bool ask);

	/**
	 * Delete an IKE_SA, which find() does not find any more. Checks it out.
	 *
	 * @param sa			IKE_SA
	 */
	void (*remove)(qcd_rivals_t *this, qcd_sa_t *sa);

	/**
	 * Tell whether somebody else is closing an IKE_SA that find() has passed over
	 * for that. charon may have the DELETE wait for the response to a question.
	 */
	bool (*is_closing)(qcd_rivals_t *this);

	/**
	 * Note that the peer did not confirm the doubtful IKE_SAs in time, so that a
	 * try begins: if it does later, they are two of the same, and are not kept.
	 */
	void (*note_try)(qcd_rivals_t *this);

	/**
	 * Handle that there are several IKE_SAs: ask the peer which of them it has
	 * as well, and delete all of these but one. Both peers keep the same one.
	 * Checks out IKE_SAs.
	 *
	 * @param peer_cfg		current configuration
	 * @return				when to call again, as qcd_now()
	 */
	uint64_t (*tidy)(qcd_rivals_t *this, peer_cfg_t *peer_cfg);

	/**
	 * Get the time until which the last one of these is kept, or until which
	 * has_deleted() is true. The recovery goes on for so long, and looks then.
	 *
	 * @return				as qcd_now(), 0 if none
	 */
	uint64_t (*get_over)(qcd_rivals_t *this);

	/**
	 * Tell whether we have just deleted an IKE_SA. If the peer was deleting the
	 * other one, none is left, although nobody has closed the connection.
	 */
	bool (*has_deleted)(qcd_rivals_t *this);

	/**
	 * Note that everything has come up.
	 */
	void (*note_up)(qcd_rivals_t *this);

	/**
	 * Handle that everything is up, and no IKE_SA is surplus.
	 */
	void (*reset)(qcd_rivals_t *this);

	/**
	 * Destroy a qcd_rivals_t.
	 */
	void (*destroy)(qcd_rivals_t *this);
};

/**
 * Create a qcd_rivals_t, when the recovery begins. Takes no lock but that of
 * peers.
 *
 * @param pending		IKE_SAs that we initiate, must outlive the instance
 * @param peers			established IKE_SAs, must outlive the instance
 * @param connector		reaches the peer, must outlive the instance
 * @param wanted		what has to be up, must outlive the instance
 * @param unique_id		unique ID of the IKE_SA that the recovery begins with
 * @param lost			TRUE if the peer has lost it, FALSE if the peer has just
 *						initiated it
 * @return				instance
 */
qcd_rivals_t *qcd_rivals_create(qcd_pending_t *pending, qcd_peers_t *peers,
								qcd_connector_t *connector,
								qcd_wanted_t *wanted, uint32_t unique_id,
								bool lost);

/**
 * Get the IKE_SA with the most CHILD_SAs, the youngest if there are several,
 * and count those with all CHILD_SAs that need not be kept.
 *
 * @param all			array of qcd_rival_t
 * @param wanted		number of CHILD_SAs
 * @param best			receives the IKE_SA
 * @param complete		receives the number of IKE_SAs with all CHILD_SAs that
 *						need not be kept
 * @return				FALSE if there is none, or only doubtful ones
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
 * @return				list of qcd_sa_t, destroy it with destroy_function(free)
 */
linked_list_t *qcd_rivals_surplus(array_t *all, u_int wanted);

#endif /** QCD_RIVALS_H_ @}*/
