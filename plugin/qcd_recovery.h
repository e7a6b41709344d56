/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_recovery qcd_recovery
 * @{ @ingroup qcd
 */

#ifndef QCD_RECOVERY_H_
#define QCD_RECOVERY_H_

#include "qcd_events.h"
#include "qcd_json.h"
#include "qcd_peers.h"
#include "qcd_pending.h"
#include "qcd_wanted.h"

typedef struct qcd_recovery_t qcd_recovery_t;

/**
 * The recovery of a connection with one peer: it goes on until all that is
 * wanted is up, whoever brought it up, and ends soon after that.
 *
 * Methods are called by one thread at a time, but for those that say otherwise,
 * which take no lock but the recovery's own.
 */
struct qcd_recovery_t {

	/**
	 * Get what has to be up.
	 */
	qcd_wanted_t *(*get_wanted)(qcd_recovery_t *this);

	/**
	 * The peer has lost another IKE_SA, or the one that was just brought up.
	 *
	 * @param wanted		what was on it, adopted
	 * @param unique_id		unique ID of that IKE_SA
	 */
	void (*go_on)(qcd_recovery_t *this, qcd_wanted_t *wanted,
				  uint32_t unique_id);

	/**
	 * Look at what is up, and do what is due. Checks out IKE_SAs.
	 *
	 * @return				when to be called again, qcd_now(); 0 if it is over
	 */
	uint64_t (*step)(qcd_recovery_t *this);

	/**
	 * Check if a step could not try because as many tries as may be are under
	 * way with the peer's address.
	 */
	bool (*is_waiting)(qcd_recovery_t *this);

	/**
	 * Check if all that is wanted was up in the last step.
	 */
	bool (*is_up)(qcd_recovery_t *this);

	/**
	 * Set what the name of the peer stands for.
	 *
	 * @param host			address, adopted
	 */
	void (*set_resolved)(qcd_recovery_t *this, host_t *host);

	/**
	 * Check if an IKE_SA is one of the tries. May be called in a listener.
	 *
	 * @param unique_id		unique ID
	 */
	bool (*is_try)(qcd_recovery_t *this, uint32_t unique_id);

	/**
	 * Note why a try fails. May be called in a listener.
	 *
	 * @param failure		kind
	 * @param reason		for people, cloned
	 */
	void (*note_failure)(qcd_recovery_t *this, enum qcd_failure failure,
						 const char *reason);

	/**
	 * Note that the peer does not know an IKE_SA that is being established, or
	 * so somebody says. May be called in a listener.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*note_unknown)(qcd_recovery_t *this, uint32_t unique_id);

	/**
	 * Note that an IKE_SA is closed on purpose. May be called in a listener.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*note_closed)(qcd_recovery_t *this, uint32_t unique_id);

	/**
	 * Add an object with what is under way, if anything is. May be called by any
	 * thread.
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
 * Begin a recovery.
 *
 * @param events		events
 * @param pending		IKE_SAs that we initiate
 * @param peers			IKE_SAs that are established
 * @param wanted		what has to be up, adopted
 * @param unique_id		unique ID of the IKE_SA that the peer has lost, 0 if it is
 *						only to be seen to that the peer brings up all
 * @return				instance
 */
qcd_recovery_t *qcd_recovery_create(qcd_events_t *events,
									qcd_pending_t *pending, qcd_peers_t *peers,
									qcd_wanted_t *wanted, uint32_t unique_id);

#endif /** QCD_RECOVERY_H_ @}*/
