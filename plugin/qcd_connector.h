/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_connector qcd_connector
 * @{ @ingroup qcd
 */

#ifndef QCD_CONNECTOR_H_
#define QCD_CONNECTOR_H_

#include "qcd_events.h"
#include "qcd_json.h"
#include "qcd_pending.h"
#include "qcd_wanted.h"

typedef struct qcd_connector_t qcd_connector_t;

/**
 * How the peer of a recovery is reached again: which addresses are used, when a
 * try begins, when its request is repeated, when another try begins beside it,
 * and why a try has failed.
 *
 * A try that has failed is followed by another one. When that is due is up to
 * qcd_retry. A try begins with connect(), or with begin() on an IKE_SA that is
 * established; it ends with fail() or refuse(), in connect(), or with settle().
 *
 * Methods are called by one thread at a time, except for those that say otherwise.
 */
struct qcd_connector_t {

	/**
	 * Begin anew, after the peer was reached: the first try is due now.
	 */
	void (*reset)(qcd_connector_t *this);

	/**
	 * Get the IKE_SA that is being established with the peer, by whatever cause.
	 *
	 * @return				to pass to connect() and to destroy with
	 *						qcd_pending_sa_destroy(), NULL if there is none
	 */
	qcd_pending_sa_t *(*get_try)(qcd_connector_t *this);

	/**
	 * No IKE_SA is established with the peer: go on with the try that is under
	 * way, or begin one if that is due. Checks out IKE_SAs.
	 *
	 * @param peer_cfg		current configuration
	 * @param sa			from get_try(), may be NULL
	 * @param at_once		whether to repeat an unanswered request at once: the peer
	 *						may just have started
	 * @return				when to call again, qcd_now()
	 */
	uint64_t (*connect)(qcd_connector_t *this, peer_cfg_t *peer_cfg,
						qcd_pending_sa_t *sa, bool at_once);

	/**
	 * A try begins on an IKE_SA that is established.
	 */
	void (*begin)(qcd_connector_t *this);

	/**
	 * The last try has failed.
	 *
	 * @param failure		kind of the failure
	 * @param reason		reason for people
	 */
	void (*fail)(qcd_connector_t *this, enum qcd_failure failure,
				 const char *reason);

	/**
	 * The last try has failed: there is an IKE_SA, but something is missing.
	 *
	 * @param reason		reason for people, unless one was noted
	 */
	void (*refuse)(qcd_connector_t *this, const char *reason);

	/**
	 * Get the time at which the next try is due.
	 */
	uint64_t (*get_due)(qcd_connector_t *this);

	/**
	 * Tell whether an IKE_SA is the last try, and has not failed.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	bool (*is_current)(qcd_connector_t *this, uint32_t unique_id);

	/**
	 * All is up: end the tries that are left over. Checks out IKE_SAs.
	 *
	 * @param answered		whether to end those as well that the peer has answered
	 * @param since			those that somebody else began later are left alone,
	 *						qcd_now()
	 * @return				TRUE if one was ended that the peer had answered
	 */
	bool (*settle)(qcd_connector_t *this, bool answered, uint64_t since);

	/**
	 * Set the address that the name of the peer stands for.
	 *
	 * @param host			address, adopted
	 */
	void (*set_resolved)(qcd_connector_t *this, host_t *host);

	/**
	 * Tell whether no try began because as many as allowed are under way with
	 * the peer's address.
	 */
	bool (*is_waiting)(qcd_connector_t *this);

	/**
	 * Tell whether an IKE_SA is one of the tries. May be called in a listener.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	bool (*is_try)(qcd_connector_t *this, uint32_t unique_id);

	/**
	 * Note why the last try fails, unless a reason was noted before. May be called
	 * in a listener.
	 *
	 * @param failure		kind of the failure
	 * @param reason		reason for people, cloned
	 */
	void (*note_failure)(qcd_connector_t *this, enum qcd_failure failure,
						 const char *reason);

	/**
	 * Note that the peer does not know an IKE_SA that is being established, or
	 * so somebody says. May be called in a listener.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*note_unknown)(qcd_connector_t *this, uint32_t unique_id);

	/**
	 * Add members about the tries to an object. May be called by any thread.
	 *
	 * @param json			lines, an object is open
	 */
	void (*describe)(qcd_connector_t *this, qcd_json_t *json);

	/**
	 * Repeat the request that an IKE_SA waits for an answer to, if that is due.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*repeat_request)(qcd_connector_t *this, uint32_t unique_id);

	/**
	 * Destroy a qcd_connector_t, not the IKE_SAs.
	 */
	void (*destroy)(qcd_connector_t *this);
};

/**
 * Create a qcd_connector_t. The first try is due now.
 *
 * @param events		events, outlive it
 * @param pending		IKE_SAs that we initiate, outlive it
 * @param wanted		what has to be up, outlives it
 * @return				instance
 */
qcd_connector_t *qcd_connector_create(qcd_events_t *events,
									  qcd_pending_t *pending,
									  qcd_wanted_t *wanted);

#endif /** QCD_CONNECTOR_H_ @}*/
