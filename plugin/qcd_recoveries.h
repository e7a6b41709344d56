/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_recoveries qcd_recoveries
 * @{ @ingroup qcd
 */

#ifndef QCD_RECOVERIES_H_
#define QCD_RECOVERIES_H_

#include "qcd_config.h"
#include "qcd_events.h"
#include "qcd_json.h"
#include "qcd_pending.h"
#include "qcd_sa.h"
#include "qcd_tokens.h"

#include <bus/listeners/listener.h>

typedef struct qcd_recoveries_t qcd_recoveries_t;

/**
 * All recoveries, one for each connection and peer. Tells them what happens, and
 * runs their steps in jobs. All methods are thread-safe.
 */
struct qcd_recoveries_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Drop an IKE_SA that its peer has lost, and bring up again what was on it,
	 * as configured. Done in a job, nothing is sent on the IKE_SA (RFC 6290
	 * sections 3 and 4.5).
	 *
	 * @param sa			IKE_SA whose token was verified
	 * @param src			where the token came from, cloned
	 * @param delay			milliseconds to wait before
	 */
	void (*recover)(qcd_recoveries_t *this, qcd_sa_t *sa, host_t *src,
					u_int delay);

	/**
	 * Somebody says, without proof, that an IKE_SA is not known. If that is one
	 * whose try is under way, another one may be begun beside it; nothing is
	 * dropped (RFC 7296 section 2.4).
	 *
	 * @param spis			SPIs of the IKE_SA
	 */
	void (*hint)(qcd_recoveries_t *this, const qcd_spis *spis);

	/**
	 * Add an object for each recovery that is under way.
	 *
	 * @param json			lines
	 */
	void (*describe)(qcd_recoveries_t *this, qcd_json_t *json);

	/**
	 * Destroy a qcd_recoveries_t. There are no jobs any more.
	 */
	void (*destroy)(qcd_recoveries_t *this);
};

/**
 * Create a qcd_recoveries_t and register it with the bus.
 *
 * @param config		settings, outlive it
 * @param events		events, outlive it
 * @param pending		IKE_SAs that we initiate, outlive it
 * @param tokens		tokens of peers, outlive it
 * @return				instance
 */
qcd_recoveries_t *qcd_recoveries_create(qcd_config_t *config,
										qcd_events_t *events,
										qcd_pending_t *pending,
										qcd_tokens_t *tokens);

#endif /** QCD_RECOVERIES_H_ @}*/
