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
 * A change of the SA map: a row that is put, or removed, of which only its child
 * SPI is set then
 */
struct qcd_change_t {
	qcd_samap_row row;
	bool removed;
};

/**
 * Writes one change.
 *
 * @param user			what it works with
 * @param change		change
 */
typedef void (*qcd_changes_write_t)(void *user, qcd_change_t *change);

/**
 * Changes of the SA map that are to be written, in their order.
 *
 * Listeners add them while they hold the bus, where a disk that is slow would
 * stop the daemon; one job writes. Where the disk hangs, those that are too many
 * are lost: the map is a hint.
 */
struct qcd_changes_t {

	/**
	 * Add a change. May be called in a listener.
	 *
	 * @param row			row, cloned
	 * @param removed		TRUE if it is removed
	 */
	void (*add)(qcd_changes_t *this, const qcd_samap_row *row, bool removed);

	/**
	 * Write what is left, and destroy a qcd_changes_t. There are no jobs any
	 * more.
	 */
	void (*destroy)(qcd_changes_t *this);
};

/**
 * Create an empty qcd_changes_t.
 *
 * @param write			writes
 * @param user			passed to it
 * @return				instance
 */
qcd_changes_t *qcd_changes_create(qcd_changes_write_t write, void *user);

#endif /** QCD_CHANGES_H_ @}*/
