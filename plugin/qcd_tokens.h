/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_tokens qcd_tokens
 * @{ @ingroup qcd
 */

#ifndef QCD_TOKENS_H_
#define QCD_TOKENS_H_

#include "qcd_config.h"
#include "qcd_events.h"
#include "qcd_sa.h"

#include <bus/listeners/listener.h>

typedef struct qcd_tokens_t qcd_tokens_t;

/**
 * Tokens of peers, as digests with the IKE_SAs that they belong to.
 */
struct qcd_tokens_t {

	/**
	 * Implements listener_t interface, stores tokens of protected messages.
	 */
	listener_t listener;

	/**
	 * Verify the tokens of an unprotected message against those that we hold
	 * for its SA. Thread-safe.
	 *
	 * @param message		message
	 * @param src			where it came from
	 * @param sa			receives the SA if the peer has lost it
	 * @return				QCD_EVENT_VERIFIED if the peer has lost the SA,
	 *						QCD_EVENT_MAX if that was known before, or else
	 *						QCD_EVENT_REFUSED, _UNCHECKED or _UNKNOWN
	 */
	qcd_event_t (*verify)(qcd_tokens_t *this, qcd_message *message,
						  host_t *src, qcd_sa_t *sa);

	/**
	 * Get how long the recovery of an SA is to be put off, so that those of many
	 * don't all come at once.
	 *
	 * @return				milliseconds, 0 for a single one
	 */
	u_int (*get_delay)(qcd_tokens_t *this);

	/**
	 * Check if we hold a token of an IKE_SA's peer.
	 *
	 * @param sa			IKE_SA
	 * @return				TRUE if so
	 */
	bool (*holds)(qcd_tokens_t *this, qcd_sa_t *sa);

	/**
	 * Destroy a qcd_tokens_t. Its listener is not registered any more.
	 */
	void (*destroy)(qcd_tokens_t *this);
};

/**
 * Create a qcd_tokens_t.
 *
 * @param config		settings, outlive it
 * @return				instance, NULL if there is no randomness (logged)
 */
qcd_tokens_t *qcd_tokens_create(qcd_config_t *config);

#endif /** QCD_TOKENS_H_ @}*/
