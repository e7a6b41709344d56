/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_renewals qcd_renewals
 * @{ @ingroup qcd
 */

#ifndef QCD_RENEWALS_H_
#define QCD_RENEWALS_H_

#include "qcd_config.h"
#include "qcd_promises.h"

#include <bus/listeners/listener.h>

typedef struct qcd_renewals_t qcd_renewals_t;

/**
 * Sends the tokens that no other message would carry: for an SA that replaces
 * another one, for another address, and for an expiring secret (RFC 6290
 * sections 4.3, 4.4, 5.1 and 5.2). All methods are thread-safe and may be
 * called in listeners.
 */
struct qcd_renewals_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Send an INFORMATIONAL on an IKE_SA, unless no token is due there any more
	 * by that time.
	 *
	 * @param sa			IKE_SA
	 * @param delay			milliseconds from now
	 */
	void (*queue)(qcd_renewals_t *this, qcd_sa_t *sa, u_int delay);

	/**
	 * Get the SA with which the peer replaces an IKE_SA when we are the
	 * responder. Its token is sent with our response.
	 *
	 * @param old			IKE_SA
	 * @param new			receives the SA that replaces it
	 * @return				FALSE if there is none, or if it was returned before
	 */
	bool (*get_successor)(qcd_renewals_t *this, qcd_sa_t *old, qcd_sa_t *new);

	/**
	 * Destroy a qcd_renewals_t. Its listener must not be registered any more,
	 * and all jobs must have ended.
	 */
	void (*destroy)(qcd_renewals_t *this);
};

/**
 * Create a qcd_renewals_t.
 *
 * @param config		settings; all objects must outlive the instance
 * @param promises		tokens that peers hold
 * @return				instance
 */
qcd_renewals_t *qcd_renewals_create(qcd_config_t *config,
									qcd_promises_t *promises);

#endif /** QCD_RENEWALS_H_ @}*/
