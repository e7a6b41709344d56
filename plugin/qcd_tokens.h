/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_tokens qcd_tokens
 * @{ @ingroup qcd
 */

#ifndef QCD_TOKENS_H_
#define QCD_TOKENS_H_

#include "qcd_config.h"
#include "qcd_sa.h"

#include <bus/listeners/listener.h>

typedef struct qcd_tokens_t qcd_tokens_t;
typedef enum qcd_outcome_t qcd_outcome_t;

/**
 * What came of the tokens in an unprotected message.
 */
enum qcd_outcome_t {
	/** we hold no token of such an SA */
	QCD_UNKNOWN_SA,
	/** not checked, too many came from there */
	QCD_OVER_LIMIT,
	/** none is one that we hold */
	QCD_REFUSED,
	/** the peer has lost the SA */
	QCD_VERIFIED,
};

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
	 * @param sa			receives the SA, unless it is unknown
	 * @param log			set if a result other than verified may be logged
	 * @param suppressed	receives number of results not logged before
	 * @return				what came of it
	 */
	qcd_outcome_t (*verify)(qcd_tokens_t *this, qcd_message *message,
							host_t *src, qcd_sa_t *sa, bool *log,
							u_int *suppressed);

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
