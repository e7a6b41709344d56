/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_children qcd_children
 * @{ @ingroup qcd
 */

#ifndef QCD_CHILDREN_H_
#define QCD_CHILDREN_H_

#include "qcd_lost.h"

#include <bus/listeners/listener.h>

typedef struct qcd_children_t qcd_children_t;

/**
 * Follows the CHILD_SAs whose peers we can tell that they are lost, and has them
 * written to the SA map as they come, change and go.
 *
 * Listeners touch no file: one job writes what they ask for.
 */
struct qcd_children_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Destroy a qcd_children_t; what is left is written.
	 */
	void (*destroy)(qcd_children_t *this);
};

/**
 * Create a qcd_children_t and register it with the bus.
 *
 * @param config		settings, outlive it
 * @param promises		tokens that peers hold, outlives it
 * @param lost			writes them to the SA map, outlives it
 * @return				instance
 */
qcd_children_t *qcd_children_create(qcd_config_t *config, qcd_promises_t *promises,
									qcd_lost_t *lost);

#endif /** QCD_CHILDREN_H_ @}*/
