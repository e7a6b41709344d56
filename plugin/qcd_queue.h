/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_queue qcd_queue
 * @{ @ingroup qcd
 */

#ifndef QCD_QUEUE_H_
#define QCD_QUEUE_H_

#include <library.h>

typedef struct qcd_queue_t qcd_queue_t;

/**
 * Handles an item. May wait for the disk.
 *
 * @param user			what was passed to qcd_queue_create()
 * @param item			item
 */
typedef void (*qcd_queue_handle_t)(void *user, void *item);

/**
 * Items that one job handles, in the order in which they came. If each had a job
 * of its own, a disk that hangs would block all threads of charon.
 */
struct qcd_queue_t {

	/**
	 * Add a copy of an item, or drop it if there is no room. May be called in a
	 * listener.
	 *
	 * @param item			item
	 */
	void (*add)(qcd_queue_t *this, const void *item);

	/**
	 * Destroy a qcd_queue_t and the items that wait. All jobs must have ended.
	 */
	void (*destroy)(qcd_queue_t *this);
};

/**
 * Create a qcd_queue_t.
 *
 * @param len			length of an item in octets
 * @param max			maximum number of items that wait
 * @param handle		handles an item
 * @param user			passed to handle
 * @return				instance
 */
qcd_queue_t *qcd_queue_create(size_t len, u_int max, qcd_queue_handle_t handle,
							  void *user);

#endif /** QCD_QUEUE_H_ @}*/
