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
 * when a recovery asks for it, and as soon as something happens that concerns
 * it.
 *
 * All methods are thread-safe, return immediately and check out no IKE_SA.
 * Methods that may be called in a listener say so.
 */
struct qcd_recoveries_t {

	/**
	 * Begin a recovery. If the connection and the peer already have one, that
	 * one is continued. May be called in a listener.
	 *
	 * @param ike_sa		IKE_SA of the connection with the peer, checked out
	 * @param wanted		what has to be up, adopted
	 * @param lost			TRUE if the peer has lost the IKE_SA, FALSE if the peer
	 *						has just initiated it
	 */
	void (*begin)(qcd_recoveries_t *this, ike_sa_t *ike_sa,
				  qcd_wanted_t *wanted, bool lost);

	/**
	 * Handle the unproved claim that an IKE_SA is not known to its peer. If it
	 * is the current try, another try may begin beside it. Nothing is dropped
	 * (RFC 7296 section 2.4).
	 *
	 * @param spis			SPIs of the IKE_SA
	 */
	void (*hint)(qcd_recoveries_t *this, const qcd_spis *spis);

	/**
	 * Note that we send an IKE_SA_INIT. The next step of the recoveries that it
	 * concerns runs now: if the peer has refused the IKE_SA_INIT before, this one
	 * is to be repeated sooner. May be called in a listener.
	 *
	 * @param ike_sa		IKE_SA
	 */
	void (*note_init)(qcd_recoveries_t *this, ike_sa_t *ike_sa);

	/**
	 * Run the next step of recoveries now, because something has happened. May
	 * be called in a listener.
	 *
	 * @param ike_sa		IKE_SA that is affected, NULL to wake all
	 */
	void (*wake)(qcd_recoveries_t *this, ike_sa_t *ike_sa);

	/**
	 * Note that an IKE_SA enters a state. May be called in a listener.
	 *
	 * @param ike_sa		IKE_SA, not yet in that state
	 * @param state			new state
	 * @param failing		TRUE if an end of the IKE_SA now is a failure, FALSE
	 *						if somebody closes it
	 */
	void (*note_state)(qcd_recoveries_t *this, ike_sa_t *ike_sa,
					   ike_sa_state_t state, bool failing);

	/**
	 * Note why an IKE_SA, or a request on it, fails. May be called in a
	 * listener.
	 *
	 * @param ike_sa		IKE_SA
	 * @param failure		kind of failure
	 * @param reason		reason in words, cloned
	 */
	void (*note_failure)(qcd_recoveries_t *this, ike_sa_t *ike_sa,
						 enum qcd_failure failure, char *reason);

	/**
	 * Tell whether an IKE_SA is a try while other connections between the same
	 * identities recover as well. May be called in a listener.
	 *
	 * @param ike_sa		IKE_SA
	 * @return				TRUE if it is
	 */
	bool (*is_one_of_several)(qcd_recoveries_t *this, ike_sa_t *ike_sa);

	/**
	 * Add an object for each current recovery.
	 *
	 * @param json			lines
	 */
	void (*describe)(qcd_recoveries_t *this, qcd_json_t *json);

	/**
	 * Destroy a qcd_recoveries_t. All jobs must have ended.
	 */
	void (*destroy)(qcd_recoveries_t *this);
};

/**
 * Create a qcd_recoveries_t.
 *
 * @param events		events, must outlive the instance
 * @param pending		IKE_SAs that we initiate, must outlive the instance
 * @param peers			established IKE_SAs, must outlive the instance
 * @return				instance
 */
qcd_recoveries_t *qcd_recoveries_create(qcd_events_t *events,
										qcd_pending_t *pending,
										qcd_peers_t *peers);

#endif /** QCD_RECOVERIES_H_ @}*/
