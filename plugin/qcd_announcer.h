/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_announcer qcd_announcer
 * @{ @ingroup qcd
 */

#ifndef QCD_ANNOUNCER_H_
#define QCD_ANNOUNCER_H_

#include "qcd_answer.h"
#include "qcd_lost.h"
#include "qcd_config.h"
#include "qcd_promises.h"

typedef struct qcd_announcer_t qcd_announcer_t;

/**
 * Tells the peers of lost SAs that they are lost, without being asked, as fast
 * as we can take them back.
 */
struct qcd_announcer_t {

	/**
	 * Destroy a qcd_announcer_t. There are no jobs any more.
	 */
	void (*destroy)(qcd_announcer_t *this);
};

/**
 * Begin to tell, once the daemon has loaded its connections.
 *
 * @param config		settings; all objects outlive it
 * @param promises		tokens that peers hold
 * @param answer		answers
 * @param lost			what a crash took
 * @return				instance
 */
qcd_announcer_t *qcd_announcer_create(qcd_config_t *config, qcd_promises_t *promises,
							qcd_answer_t *answer, qcd_lost_t *lost);

#endif /** QCD_ANNOUNCER_H_ @}*/
