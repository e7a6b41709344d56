/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_taker qcd_taker
 * @{ @ingroup qcd
 */

#ifndef QCD_TAKER_H_
#define QCD_TAKER_H_

#include "qcd_config.h"
#include "qcd_events.h"
#include "qcd_json.h"
#include "qcd_pending.h"
#include "qcd_receiver.h"
#include "qcd_sa.h"

typedef struct qcd_taker_t qcd_taker_t;

/**
 * Token taker, RFC 6290: keeps the tokens of peers, checks the tokens in
 * unprotected messages, and recovers the IKE_SAs that they prove lost.
 */
struct qcd_taker_t {

	/**
	 * Tell whether we hold a token of the peer of an IKE_SA.
	 *
	 * @param sa			IKE_SA
	 * @return				TRUE if we do
	 */
	bool (*holds_token)(qcd_taker_t *this, qcd_sa_t *sa);

	/**
	 * Add an object for each current recovery.
	 *
	 * @param json			lines
	 */
	void (*describe)(qcd_taker_t *this, qcd_json_t *json);

	/**
	 * Destroy a qcd_taker_t. No thread may receive packets any more.
	 */
	void (*destroy)(qcd_taker_t *this);
};

/**
 * Create a token taker.
 *
 * @param config		settings, must outlive the taker
 * @param events		events, must outlive the taker
 * @param receiver		receiver, calls the taker until it is destroyed
 * @param pending		IKE_SAs that we initiate, must outlive the taker
 * @return				token taker, NULL on failure (logged)
 */
qcd_taker_t *qcd_taker_create(qcd_config_t *config, qcd_events_t *events,
							  qcd_receiver_t *receiver,
							  qcd_pending_t *pending);

#endif /** QCD_TAKER_H_ @}*/
