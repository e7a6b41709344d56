/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_children qcd_children
 * @{ @ingroup qcd
 */

#ifndef QCD_CHILDREN_H_
#define QCD_CHILDREN_H_

#include "qcd_changes.h"
#include "qcd_lost.h"

#include <bus/listeners/listener.h>

typedef struct qcd_children_t qcd_children_t;

/**
 * Follows the CHILD_SAs whose peers can be told if they are lost. Has them
 * written to the SA map when they are installed, changed or removed.
 *
 * Listeners touch no file; one job writes the changes.
 */
struct qcd_children_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Destroy a qcd_children_t, after writing the remaining changes. All jobs
	 * must have ended.
	 */
	void (*destroy)(qcd_children_t *this);
};

/**
 * Create a qcd_children_t and register it with the bus.
 *
 * @param config		settings, must outlive the instance
 * @param promises		tokens that peers hold, must outlive the instance
 * @param lost			writes to the SA map, must outlive the instance
 * @param changes		receives the changes until they are written, must outlive
 *						the instance
 * @return				instance
 */
qcd_children_t *qcd_children_create(qcd_config_t *config, qcd_promises_t *promises,
									qcd_lost_t *lost, qcd_changes_t *changes);

#endif /** QCD_CHILDREN_H_ @}*/
