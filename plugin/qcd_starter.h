/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_starter qcd_starter
 * @{ @ingroup qcd
 */

#ifndef QCD_STARTER_H_
#define QCD_STARTER_H_

#include "qcd_maker.h"

typedef struct qcd_starter_t qcd_starter_t;

/**
 * Starts the token maker, whose state is on a disk, without letting charon wait
 * for that disk. If the state can't be used, it tries again, with growing pauses.
 *
 * Until the maker is on, charon uses its own SPIs and no peer gets a token. None
 * of these SPIs counts as one of ours later, so nobody takes their SAs for lost.
 */
struct qcd_starter_t {

	/**
	 * Get the token maker.
	 *
	 * @param error			receives why there is none, "" if that was configured
	 * @param len			size of error
	 * @return				token maker, NULL if it is off
	 */
	qcd_maker_t *(*get_maker)(qcd_starter_t *this, char *error, size_t len);

	/**
	 * Destroy a qcd_starter_t and its maker. Waits for a disk that hangs.
	 */
	void (*destroy)(qcd_starter_t *this);
};

/**
 * Create a qcd_starter_t, and the maker unless its disk hangs. The arguments are
 * those of qcd_maker_create().
 *
 * @return				instance
 */
qcd_starter_t *qcd_starter_create(qcd_config_t *config, qcd_events_t *events,
								  qcd_receiver_t *receiver,
								  qcd_pending_t *pending);

#endif /** QCD_STARTER_H_ @}*/
