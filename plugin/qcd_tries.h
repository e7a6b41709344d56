/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_tries qcd_tries
 * @{ @ingroup qcd
 */

#ifndef QCD_TRIES_H_
#define QCD_TRIES_H_

#include "qcd_pending.h"
#include "qcd_wanted.h"

/**
 * Milliseconds after which an unanswered request is repeated for the first time
 */
#define QCD_REPEAT_MIN_MS 500

typedef struct qcd_tries_t qcd_tries_t;

/**
 * The tries of a recovery: IKE_SAs that it began, and those that something else
 * began with the same peer and that serve it as well.
 *
 * Except for has(), only one thread at a time may call methods.
 */
struct qcd_tries_t {

	/**
	 * Begin a try.
	 *
	 * @param wanted		what has to be up
	 * @param peer_cfg		configuration
	 * @param me			address to send from, adopted
	 * @param other			address to send to, adopted
	 * @return				unique ID of the IKE_SA, 0 if it can't be initiated
	 */
	uint32_t (*begin)(qcd_tries_t *this, qcd_wanted_t *wanted,
					  peer_cfg_t *peer_cfg, host_t *me, host_t *other);

	/**
	 * Tell whether begin() began an IKE_SA. May be called in a listener.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	bool (*has)(qcd_tries_t *this, uint32_t unique_id);

	/**
	 * Get the youngest current try.
	 *
	 * @param wanted		what has to be up
	 * @return				try, destroy it with qcd_pending_sa_destroy(); NULL
	 *						if there is none
	 */
	qcd_pending_sa_t *(*get_youngest)(qcd_tries_t *this, qcd_wanted_t *wanted);

	/**
	 * Repeat the request of a try, if that is due.
	 *
	 * @param sa			unanswered try
	 * @param at_once		TRUE to repeat it even if it is not due
	 * @return				when to call again, as qcd_now()
	 */
	uint64_t (*repeat)(qcd_tries_t *this, qcd_pending_sa_t *sa, bool at_once);

	/**
	 * Tell whether an address has as many current tries, of all recoveries, as
	 * are good there. Tries that take long don't count: some never end.
	 *
	 * @param peer			address
	 */
	bool (*are_enough)(qcd_tries_t *this, host_t *peer);

	/**
	 * Repeat the unanswered request of an IKE_SA, established or not, if that
	 * is due.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*repeat_request)(qcd_tries_t *this, uint32_t unique_id);

	/**
	 * Drop tries without notifying the peer. Their requests are kept in wanted.
	 *
	 * @param wanted		what has to be up
	 * @param answered		TRUE to drop also the tries that the peer has
	 *						answered
	 * @param since			tries that something else began after this time are
	 *						kept, as qcd_now()
	 * @return				TRUE if a try was dropped that the peer had answered
	 */
	bool (*drop)(qcd_tries_t *this, qcd_wanted_t *wanted, bool answered,
				 uint64_t since);

	/**
	 * Destroy a qcd_tries_t, but not the IKE_SAs.
	 */
	void (*destroy)(qcd_tries_t *this);
};

/**
 * Create a qcd_tries_t.
 *
 * @param pending		IKE_SAs that we initiate
 * @return				instance
 */
qcd_tries_t *qcd_tries_create(qcd_pending_t *pending);

#endif /** QCD_TRIES_H_ @}*/
