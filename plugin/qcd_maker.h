/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_maker qcd_maker
 * @{ @ingroup qcd
 */

#ifndef QCD_MAKER_H_
#define QCD_MAKER_H_

#include "qcd_config.h"
#include "qcd_events.h"
#include "qcd_json.h"
#include "qcd_pending.h"
#include "qcd_receiver.h"
#include "qcd_sa.h"

#include <bus/listeners/listener.h>

typedef struct qcd_maker_t qcd_maker_t;

/**
 * Token maker, RFC 6290: mints our SPIs, hands tokens to peers, and answers
 * requests for IKE_SAs that were lost.
 */
struct qcd_maker_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Make a new generation of secrets, and send new tokens to the peers that
	 * hold one of the oldest.
	 *
	 * @param error			receives a sentence on failure
	 * @param len			octets at error
	 * @return				FALSE on failure
	 */
	bool (*rotate)(qcd_maker_t *this, char *error, size_t len);

	/**
	 * Add what is to be known of the maker to an object.
	 *
	 * @param json			open object
	 */
	void (*describe)(qcd_maker_t *this, qcd_json_t *json);

	/**
	 * Add an object for each generation of secrets, without the secrets.
	 *
	 * @param json			lines
	 */
	void (*describe_secrets)(qcd_maker_t *this, qcd_json_t *json);

	/**
	 * Check if the peer of an IKE_SA holds a token.
	 *
	 * @param sa			IKE_SA
	 * @param generation	receives the number of rotations since it was new
	 * @return				TRUE if so
	 */
	bool (*is_given)(qcd_maker_t *this, qcd_sa_t *sa, u_int *generation);

	/**
	 * Destroy a qcd_maker_t, SPIs are charon's own again.
	 */
	void (*destroy)(qcd_maker_t *this);
};

/**
 * Create a token maker and let it mint all IKE SPIs from now on.
 *
 * @param config		settings, outlive the maker
 * @param events		events, outlive the maker
 * @param receiver		receiver, calls the maker until it is destroyed
 * @param pending		IKE_SAs that we initiate, outlive the maker
 * @return				token maker, NULL if it can't be safe here (logged)
 */
qcd_maker_t *qcd_maker_create(qcd_config_t *config, qcd_events_t *events,
							  qcd_receiver_t *receiver,
							  qcd_pending_t *pending);

#endif /** QCD_MAKER_H_ @}*/
