/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_announcer qcd_announcer
 * @{ @ingroup qcd
 */

#ifndef QCD_ANNOUNCER_H_
#define QCD_ANNOUNCER_H_

#include "qcd_answer.h"
#include "qcd_lost.h"
#include "qcd_promises.h"

typedef struct qcd_announcer_t qcd_announcer_t;

/**
 * Tells peers that their SAs are lost, without being asked. It goes as fast as
 * this gateway can accept the peers again.
 */
struct qcd_announcer_t {

	/**
	 * Destroy a qcd_announcer_t. All jobs must have ended.
	 */
	void (*destroy)(qcd_announcer_t *this);
};

/**
 * Start the announcements. They wait until the daemon has loaded its
 * connections.
 *
 * @param promises		tokens that peers hold; all objects must outlive the
 *						announcer
 * @param answer		sends the messages
 * @param lost			CHILD_SAs that were lost in a crash
 * @return				instance
 */
qcd_announcer_t *qcd_announcer_create(qcd_promises_t *promises,
									  qcd_answer_t *answer, qcd_lost_t *lost);

#endif /** QCD_ANNOUNCER_H_ @}*/
