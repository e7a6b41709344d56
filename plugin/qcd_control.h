/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_control qcd_control
 * @{ @ingroup qcd
 */

#ifndef QCD_CONTROL_H_
#define QCD_CONTROL_H_

#include "qcd_events.h"
#include "qcd_maker.h"
#include "qcd_taker.h"

typedef struct qcd_control_t qcd_control_t;

/**
 * Executes commands of administrators.
 */
struct qcd_control_t {

	/**
	 * Execute a command: status, secret-show or rotate.
	 *
	 * @param command		command
	 * @return				allocated lines of JSON; in the first object, "ok"
	 *						and "error" give the result
	 */
	chunk_t (*execute)(qcd_control_t *this, char *command);

	/**
	 * Destroy a qcd_control_t.
	 */
	void (*destroy)(qcd_control_t *this);
};

/**
 * Create a qcd_control_t.
 *
 * @param events		events; all objects must outlive the instance
 * @param maker			token maker, NULL if off
 * @param taker			token taker, NULL if off
 * @return				instance
 */
qcd_control_t *qcd_control_create(qcd_events_t *events, qcd_maker_t *maker,
								  qcd_taker_t *taker);

#endif /** QCD_CONTROL_H_ @}*/
