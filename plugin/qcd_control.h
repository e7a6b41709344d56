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
	/** gets the response to a command that a job executed, and its argument */
	void (*respond)(void *user, chunk_t response);
	void *user;
	/** whether a job is executing a command, initially FALSE */
	_Atomic bool busy;
};

/**
 * Execute a command of an administrator: status, secret-show or rotate. A
 * command that waits for the disk is executed by a job, one at a time.
 *
 * @param command		command
 * @param response		receives allocated lines of JSON; in the first object,
 *						"ok" and "error" give the result
 * @return				FALSE if respond() will get the response
 */
bool qcd_control_execute(qcd_control_t *this, char *command, chunk_t *response);

/**
 * Get the response to a command that failed.
 *
 * @param error			sentence
 * @return				allocated lines of JSON
 */
chunk_t qcd_control_refuse(char *error);

#endif /** QCD_CONTROL_H_ @}*/
