/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_observer qcd_observer
 * @{ @ingroup qcd
 */

#ifndef QCD_OBSERVER_H_
#define QCD_OBSERVER_H_

#include "qcd_recoveries.h"

typedef struct qcd_observer_t qcd_observer_t;

/**
 * Reports to the recoveries what happens to IKE_SAs and CHILD_SAs, in messages,
 * and to routes and addresses.
 */
struct qcd_observer_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Destroy a qcd_observer_t.
	 */
	void (*destroy)(qcd_observer_t *this);
};

/**
 * Create a qcd_observer_t and register it with the bus and the kernel
 * interface.
 *
 * @param recoveries	recoveries, must outlive the instance
 * @return				instance
 */
qcd_observer_t *qcd_observer_create(qcd_recoveries_t *recoveries);

#endif /** QCD_OBSERVER_H_ @}*/
