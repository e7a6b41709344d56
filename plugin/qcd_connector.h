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
 * Reaches the peer of a recovery again. It decides which addresses are used,
 * when a try begins, when its request is repeated, and when another try begins
 * beside it. It also records why a try failed.
 *
 * After a failed try, another one follows. qcd_retry decides when. A try begins
 * with connect(), or with begin() on an established IKE_SA. It ends with fail()
 * or refuse(), in connect(), or with settle().
 *
 * Unless stated otherwise, only one thread at a time may call methods.
 */
struct qcd_connector_t {

	/**
	 * Start over after the peer was reached: the first try is due now.
	 */
	void (*reset)(qcd_connector_t *this);

	/**
	 * Get the IKE_SA that is being established with the peer, whatever started
	 * it.
	 *
	 * @return				IKE_SA to pass to connect() and then to destroy with
	 *						qcd_pending_sa_destroy(), NULL if there is none
	 */
	qcd_pending_sa_t *(*get_try)(qcd_connector_t *this);

	/**
	 * Handle that no IKE_SA is established with the peer: continue the current
	 * try, or begin one if that is due. Checks out IKE_SAs.
	 *
	 * @param peer_cfg		current configuration
	 * @param sa			result of get_try(), may be NULL
	 * @param at_once		TRUE to repeat an unanswered request immediately,
	 *						because the peer may just have started
	 * @return				when to call again, as qcd_now()
	 */
	uint64_t (*connect)(qcd_connector_t *this, peer_cfg_t *peer_cfg,
						qcd_pending_sa_t *sa, bool at_once);

	/**
	 * Note that a try begins on an established IKE_SA.
	 */
	void (*begin)(qcd_connector_t *this);

	/**
	 * Note that the last try has failed.
	 *
	 * @param failure		kind of failure
	 * @param reason		reason in words
	 */
	void (*fail)(qcd_connector_t *this, enum qcd_failure failure,
				 const char *reason);

	/**
	 * Note that the last try has failed although there is an IKE_SA: something
	 * is missing on it.
	 *
	 * @param reason		reason in words, used unless one was noted before
	 */
	void (*refuse)(qcd_connector_t *this, const char *reason);

	/**
	 * Get the time at which the next try is due.
	 */
	uint64_t (*get_due)(qcd_connector_t *this);

	/**
	 * Tell whether an IKE_SA is the last try and that try has not failed.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	bool (*is_current)(qcd_connector_t *this, uint32_t unique_id);

	/**
	 * End the remaining tries, because everything is up. Checks out IKE_SAs.
	 *
	 * @param answered		TRUE to end also the tries that the peer has
	 *						answered
	 * @param since			tries that something else began after this time are
	 *						kept, as qcd_now()
	 * @return				TRUE if a try was ended that the peer had answered
	 */
	bool (*settle)(qcd_connector_t *this, bool answered, uint64_t since);

	/**
	 * Set the address that the peer's name resolves to.
	 *
	 * @param host			address, adopted
	 */
	void (*set_resolved)(qcd_connector_t *this, host_t *host);

	/**
	 * Tell whether no try began because the peer's address already has the
	 * maximum number of tries.
	 */
	bool (*is_waiting)(qcd_connector_t *this);

	/**
	 * Tell whether an IKE_SA is one of the tries. May be called in a listener.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	bool (*is_try)(qcd_connector_t *this, uint32_t unique_id);

	/**
	 * Note why the last try fails, unless a reason was noted before. May be
	 * called in a listener.
	 *
	 * @param failure		kind of failure
	 * @param reason		reason in words, cloned
	 */
	void (*note_failure)(qcd_connector_t *this, enum qcd_failure failure,
						 const char *reason);

	/**
	 * Note the claim that the peer does not know an IKE_SA that is being
	 * established. May be called in a listener.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*note_unknown)(qcd_connector_t *this, uint32_t unique_id);

	/**
	 * Add members about the tries to an object. May be called by any thread.
	 *
	 * @param json			lines, with an open object
	 */
	void (*describe)(qcd_connector_t *this, qcd_json_t *json);

	/**
	 * Repeat the unanswered request of an IKE_SA, if that is due.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*repeat_request)(qcd_connector_t *this, uint32_t unique_id);

	/**
	 * Destroy a qcd_connector_t, but not the IKE_SAs.
	 */
	void (*destroy)(qcd_connector_t *this);
};

/**
 * Create a qcd_connector_t. The first try is due now.
 *
 * @param events		events, must outlive the instance
 * @param pending		IKE_SAs that we initiate, must outlive the instance
 * @param wanted		what has to be up, must outlive the instance
 * @return				instance
 */
qcd_connector_t *qcd_connector_create(qcd_events_t *events,
									  qcd_pending_t *pending,
									  qcd_wanted_t *wanted);

#endif /** QCD_CONNECTOR_H_ @}*/
