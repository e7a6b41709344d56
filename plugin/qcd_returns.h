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
 * Peers that initiate an IKE_SA may have come back from a crash. They are asked
 * about older IKE_SAs. If we initiate one ourselves, a recovery makes one of both.
 *
 * Only peers count that have given us a token.
 */
struct qcd_returns_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Destroy a qcd_returns_t. Its jobs have ended.
	 */
	void (*destroy)(qcd_returns_t *this);
};

/**
 * Create a qcd_returns_t and register it with the bus.
 *
 * @param config		settings, outlive it
 * @param pending		IKE_SAs that we initiate, outlive it
 * @param peers			IKE_SAs that are established, outlive it
 * @param tokens		tokens of peers, outlive it
 * @param recoveries	recoveries, outlive it
 * @return				instance
 */
qcd_returns_t *qcd_returns_create(qcd_config_t *config, qcd_pending_t *pending,
								  qcd_peers_t *peers, qcd_tokens_t *tokens,
								  qcd_recoveries_t *recoveries);

#endif /** QCD_RETURNS_H_ @}*/
