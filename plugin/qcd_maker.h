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
 * Token maker, RFC 6290: mints our SPIs, gives tokens to peers and replies to
 * requests for lost IKE_SAs.
 */
struct qcd_maker_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Make a new generation of secrets, and send new tokens to peers whose
	 * token is of the oldest generation.
	 *
	 * @param error			receives a sentence on failure
	 * @param len			size of error
	 * @return				FALSE on failure
	 */
	bool (*rotate)(qcd_maker_t *this, char *error, size_t len);

	/**
	 * Add members about the maker to an object.
	 *
	 * @param json			open object
	 */
	void (*describe)(qcd_maker_t *this, qcd_json_t *json);

	/**
	 * Add an object for each generation of secrets, but not the secrets.
	 *
	 * @param json			lines
	 */
	void (*describe_secrets)(qcd_maker_t *this, qcd_json_t *json);

	/**
	 * Check if the peer of an IKE_SA holds a token.
	 *
	 * @param sa			IKE_SA
	 * @param generation	receives the number of rotations since the token was
	 *						made
	 * @return				TRUE if so
	 */
	bool (*is_given)(qcd_maker_t *this, qcd_sa_t *sa, u_int *generation);

	/**
	 * Destroy a qcd_maker_t. charon then uses its own SPIs again.
	 */
	void (*destroy)(qcd_maker_t *this);
};

/**
 * Create a token maker. It mints all IKE SPIs from now on. This waits for the
 * disk. A process has at most one maker in its life: the next one would take the
 * SAs of the first one for lost.
 *
 * @param config		settings, must outlive the maker
 * @param events		events, must outlive the maker
 * @param receiver		receiver, calls the maker until it is destroyed
 * @param pending		IKE_SAs that we initiate, must outlive the maker
 * @param error			receives a sentence on failure
 * @param len			size of error
 * @return				token maker, NULL if it would not be safe here
 */
qcd_maker_t *qcd_maker_create(qcd_config_t *config, qcd_events_t *events,
							  qcd_receiver_t *receiver,
							  qcd_pending_t *pending, char *error, size_t len);

#endif /** QCD_MAKER_H_ @}*/
