/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_control qcd_control
 * @{ @ingroup qcd
 */

#ifndef QCD_CONTROL_H_
#define QCD_CONTROL_H_

#include "qcd_events.h"
#include "qcd_starter.h"
#include "qcd_taker.h"

typedef struct qcd_control_t qcd_control_t;

/**
 * What the commands of administrators are about.
 */
struct qcd_control_t {
	qcd_events_t *events;
	/** has the token maker */
	qcd_starter_t *starter;
	/** token taker, NULL if off */
	qcd_taker_t *taker;
};

/**
 * Execute a command of an administrator: status, secret-show or rotate.
 *
 * @param command		command
 * @return				allocated lines of JSON; in the first object, "ok" and
 *						"error" give the result
 */
chunk_t qcd_control_execute(qcd_control_t *this, char *command);

#endif /** QCD_CONTROL_H_ @}*/
