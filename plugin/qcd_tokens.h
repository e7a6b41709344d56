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
 * Tokens of peers, kept as digests together with their IKE_SAs. Where the taker
 * is off for a connection, none is stored. Those from before it was switched off
 * count once it is on again.
 */
struct qcd_tokens_t {

	/**
	 * Implements listener_t interface, stores tokens of protected messages.
	 */
	listener_t listener;

	/**
	 * Verify the tokens of an unprotected message against those that we hold
	 * for its SA, if the taker is on for its connection. Thread-safe.
	 *
	 * @param message		message
	 * @param src			its source
	 * @param sa			receives the SA if the peer has lost it
	 * @return				QCD_EVENT_VERIFIED if the peer has lost the SA,
	 *						QCD_EVENT_MAX if that was known before, otherwise
	 *						QCD_EVENT_MISMATCHED, _UNCHECKED or _UNKNOWN
	 */
	qcd_event_t (*verify)(qcd_tokens_t *this, qcd_message *message,
						  host_t *src, qcd_sa_t *sa);

	/**
	 * Check if we hold a token of the peer of an IKE_SA, and the taker is on for
	 * its connection.
	 *
	 * @param sa			IKE_SA
	 * @return				TRUE if we do
	 */
	bool (*holds)(qcd_tokens_t *this, qcd_sa_t *sa);

	/**
	 * Destroy a qcd_tokens_t. Its listener must not be registered any more.
	 */
	void (*destroy)(qcd_tokens_t *this);
};

/**
 * Create a qcd_tokens_t.
 *
 * @param config		settings, must outlive the instance
 * @return				instance, NULL if the random number generator failed
 *						(logged)
 */
qcd_tokens_t *qcd_tokens_create(qcd_config_t *config);

#endif /** QCD_TOKENS_H_ @}*/
