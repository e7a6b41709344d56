/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_recoveries qcd_recoveries
 * @{ @ingroup qcd
 */

#ifndef QCD_RECOVERIES_H_
#define QCD_RECOVERIES_H_

#include "qcd_events.h"
#include "qcd_json.h"
#include "qcd_peers.h"
#include "qcd_pending.h"
#include "qcd_wanted.h"

typedef struct qcd_recoveries_t qcd_recoveries_t;

/**
 * All recoveries, one for each connection and peer. Runs their steps in jobs:
 * when a recovery asks for it, and as soon as something happens that concerns it.
 *
 * All methods are thread-safe, return at once, and check out no IKE_SA. Those
 * that may be called in a listener say so.
 */
struct qcd_recoveries_t {

	/**
	 * Begin a recovery. If there is one already for the connection and the peer,
	 * that one goes on.
	 *
	 * @param ike_sa		IKE_SA of the connection with the peer, checked out
	 * @param wanted		what has to be up, adopted
	 * @param unique_id		unique ID of the IKE_SA if the peer has lost it, or 0
	 */
	void (*begin)(qcd_recoveries_t *this, ike_sa_t *ike_sa,
				  qcd_wanted_t *wanted, uint32_t unique_id);

	/**
	 * Somebody says, without proof, that an IKE_SA is not known. If it is a try
	 * that is under way, another try may be begun beside it. Nothing is dropped
	 * (RFC 7296 section 2.4).
	 *
	 * @param spis			SPIs of the IKE_SA
	 */
	void (*hint)(qcd_recoveries_t *this, const qcd_spis *spis);

	/**
	 * Something has happened: run the next step of recoveries now. May be called
	 * in a listener.
	 *
	 * @param ike_sa		IKE_SA that it happened to, NULL to wake all
	 */
	void (*wake)(qcd_recoveries_t *this, ike_sa_t *ike_sa);

	/**
	 * Note that an IKE_SA enters a state. May be called in a listener.
	 *
	 * @param ike_sa		IKE_SA, not yet in that state
	 * @param state			new state
	 * @param failing		whether the IKE_SA fails if it ends now; if not,
	 *						somebody closes it
	 */
	void (*note_state)(qcd_recoveries_t *this, ike_sa_t *ike_sa,
					   ike_sa_state_t state, bool failing);

	/**
	 * Note why an IKE_SA, or what is requested on it, fails. May be called in a
	 * listener.
	 *
	 * @param ike_sa		IKE_SA
	 * @param failure		kind of the failure
	 * @param reason		reason for people, cloned
	 */
	void (*note_failure)(qcd_recoveries_t *this, ike_sa_t *ike_sa,
						 enum qcd_failure failure, char *reason);

	/**
	 * Tell whether an IKE_SA is a try, while other connections between the same
	 * identities recover, too. May be called in a listener.
	 *
	 * @param ike_sa		IKE_SA
	 * @return				TRUE if so
	 */
	bool (*is_one_of_several)(qcd_recoveries_t *this, ike_sa_t *ike_sa);

	/**
	 * Add an object for each recovery that is under way.
	 *
	 * @param json			lines
	 */
	void (*describe)(qcd_recoveries_t *this, qcd_json_t *json);

	/**
	 * Destroy a qcd_recoveries_t. Its jobs have ended.
	 */
	void (*destroy)(qcd_recoveries_t *this);
};

/**
 * Create a qcd_recoveries_t.
 *
 * @param events		events, outlive it
 * @param pending		IKE_SAs that we initiate, outlive it
 * @param peers			IKE_SAs that are established, outlive it
 * @return				instance
 */
qcd_recoveries_t *qcd_recoveries_create(qcd_events_t *events,
										qcd_pending_t *pending,
										qcd_peers_t *peers);

#endif /** QCD_RECOVERIES_H_ @}*/
