/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_recovery qcd_recovery
 * @{ @ingroup qcd
 */

#ifndef QCD_RECOVERY_H_
#define QCD_RECOVERY_H_

#include "qcd_connector.h"
#include "qcd_events.h"
#include "qcd_json.h"
#include "qcd_peers.h"
#include "qcd_pending.h"
#include "qcd_wanted.h"

typedef struct qcd_recovery_t qcd_recovery_t;

/**
 * The recovery of a connection with one peer. It continues until everything
 * wanted is up, whoever establishes it, and ends soon after.
 *
 * Unless stated otherwise, only one thread at a time may call methods. Methods
 * that any thread or a listener may call only take the locks of the recovery
 * and its connector.
 */
struct qcd_recovery_t {

	/**
	 * Handle that the peer has lost another IKE_SA, or the one that was just
	 * established.
	 *
	 * @param wanted		what was on that IKE_SA, adopted
	 * @param unique_id		unique ID of that IKE_SA
	 */
	void (*go_on)(qcd_recovery_t *this, qcd_wanted_t *wanted,
				  uint32_t unique_id);

	/**
	 * Check what is up and do what is due. Checks out IKE_SAs.
	 *
	 * @return				when to call again, as qcd_now(); 0 if the recovery
	 *						has ended
	 */
	uint64_t (*step)(qcd_recovery_t *this);

	/**
	 * Tell whether everything wanted was up in the last step.
	 */
	bool (*is_up)(qcd_recovery_t *this);

	/**
	 * Get the connector for the peer. May be called by any thread.
	 *
	 * @return				internal connector
	 */
	qcd_connector_t *(*get_connector)(qcd_recovery_t *this);

	/**
	 * Note that an IKE_SA is being closed on purpose. May be called in a
	 * listener.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 * @param by_peer		TRUE if the peer deletes it. Unless everything is
	 *						up, that is no reason to give up: the peer may just
	 *						be restarting
	 */
	void (*note_closed)(qcd_recovery_t *this, uint32_t unique_id, bool by_peer);

	/**
	 * Add an object about the recovery, unless nothing is in progress. May be
	 * called by any thread.
	 *
	 * @param json			lines
	 */
	void (*describe)(qcd_recovery_t *this, qcd_json_t *json);

	/**
	 * Destroy a qcd_recovery_t.
	 */
	void (*destroy)(qcd_recovery_t *this);
};

/**
 * Begin a recovery. Takes no lock but that of peers.
 *
 * @param events		events
 * @param pending		IKE_SAs that we initiate
 * @param peers			established IKE_SAs
 * @param wanted		what has to be up, adopted
 * @param unique_id		unique ID of the IKE_SA that it begins with
 * @param lost			TRUE if the peer has lost that IKE_SA, FALSE if the peer
 *						has just initiated it
 * @return				instance
 */
qcd_recovery_t *qcd_recovery_create(qcd_events_t *events,
									qcd_pending_t *pending, qcd_peers_t *peers,
									qcd_wanted_t *wanted, uint32_t unique_id,
									bool lost);

#endif /** QCD_RECOVERY_H_ @}*/
