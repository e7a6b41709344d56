/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_maker qcd_maker
 * @{ @ingroup qcd
 */

#ifndef QCD_MAKER_H_
#define QCD_MAKER_H_

#include "qcd_config.h"

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
	 * Destroy a qcd_maker_t, SPIs are charon's own again.
	 */
	void (*destroy)(qcd_maker_t *this);
};

/**
 * Create a token maker and let it mint all IKE SPIs from now on.
 *
 * @param config		settings, outlives the maker
 * @return				token maker, NULL if it can't be safe here (logged)
 */
qcd_maker_t *qcd_maker_create(qcd_config_t *config);

#endif /** QCD_MAKER_H_ @}*/
