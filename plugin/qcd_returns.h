/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_returns qcd_returns
 * @{ @ingroup qcd
 */

#ifndef QCD_RETURNS_H_
#define QCD_RETURNS_H_

#include "qcd_config.h"
#include "qcd_peers.h"
#include "qcd_pending.h"
#include "qcd_recoveries.h"
#include "qcd_tokens.h"

typedef struct qcd_returns_t qcd_returns_t;

/**
 * Handles peers that may have returned from a crash. When a peer initiates an
 * IKE_SA, it is asked about its older IKE_SAs. If we are initiating one
 * ourselves, a recovery ends one of the two.
 *
 * This only applies to peers that have given us a token.
 */
struct qcd_returns_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Destroy a qcd_returns_t. All jobs must have ended.
	 */
	void (*destroy)(qcd_returns_t *this);
};

/**
 * Create a qcd_returns_t and register it with the bus.
 *
 * @param config		settings, must outlive the instance
 * @param pending		IKE_SAs that we initiate, must outlive the instance
 * @param peers			established IKE_SAs, must outlive the instance
 * @param tokens		tokens of peers, must outlive the instance
 * @param recoveries	recoveries, must outlive the instance
 * @return				instance
 */
qcd_returns_t *qcd_returns_create(qcd_config_t *config, qcd_pending_t *pending,
								  qcd_peers_t *peers, qcd_tokens_t *tokens,
								  qcd_recoveries_t *recoveries);

#endif /** QCD_RETURNS_H_ @}*/
