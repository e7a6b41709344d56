/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_changes qcd_changes
 * @{ @ingroup qcd
 */

#ifndef QCD_CHANGES_H_
#define QCD_CHANGES_H_

#include <qcd/store.h>

#include <library.h>

typedef struct qcd_change_t qcd_change_t;
typedef struct qcd_changes_t qcd_changes_t;

/**
 * A change of the SA map: a row to put, or a row to remove. Of a row to remove,
 * only the child SPI is set.
 */
struct qcd_change_t {
	qcd_samap_row row;
	bool removed;
};

/**
 * Writes one change.
 *
 * @param user			what was passed to qcd_changes_create()
 * @param change		change
 */
typedef void (*qcd_changes_write_t)(void *user, qcd_change_t *change);

/**
 * Queue of changes that are to be written to the SA map.
 *
 * Listeners add changes while they hold the bus, where a slow disk would stall
 * the daemon. One job writes the changes, in the order in which they were
 * added. If the disk hangs and the queue is full, further changes are lost: the
 * map is only a hint.
 */
struct qcd_changes_t {

	/**
	 * Add a change. May be called in a listener.
	 *
	 * @param row			row, cloned
	 * @param removed		TRUE if the row is to be removed
	 */
	void (*add)(qcd_changes_t *this, const qcd_samap_row *row, bool removed);

	/**
	 * Write the remaining changes and destroy a qcd_changes_t. All jobs must
	 * have ended.
	 */
	void (*destroy)(qcd_changes_t *this);
};

/**
 * Create an empty qcd_changes_t.
 *
 * @param write			writes a change
 * @param user			passed to write
 * @return				instance
 */
qcd_changes_t *qcd_changes_create(qcd_changes_write_t write, void *user);

#endif /** QCD_CHANGES_H_ @}*/
