/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_changes qcd_changes
 * @{ @ingroup qcd
 */

#ifndef QCD_CHANGES_H_
#define QCD_CHANGES_H_

#include <library.h>

#include <qcd/store.h>

/**
 * Maximum number of waiting changes that put a row: at 500 handshakes a second,
 * the disk may hang for half a minute. As many additional changes may remove a
 * row, because rows of deleted SAs would count as lost after a crash. The file
 * takes 4.3 MB of memory.
 */
#define QCD_CHANGES_MAX 16384

typedef struct qcd_change_t qcd_change_t;
typedef struct qcd_changes_t qcd_changes_t;

/**
 * A change of the SA map: a row to put, or a row to remove. Of a row to remove,
 * only the child SPI counts.
 */
struct qcd_change_t {
	qcd_samap_row row;
	bool removed;

	/** whether the daemon before has left it */
	bool left;
};

/**
 * Changes of the SA map that wait to be written to the disk, in a file in
 * memory (tmpfs): if the daemon dies, the next one finds them there. So the
 * disk needs no writing while a handshake is on its way.
 *
 * No method uses the disk or makes a system call, except for keep() and
 * destroy(). All methods are thread-safe. Changes that the daemon before has left
 * come first; lost gets and drops them, and nobody else does.
 */
struct qcd_changes_t {

	/**
	 * Add a change.
	 *
	 * @param row			row, of which only the child SPI counts if it is
	 *						removed
	 * @param removed		whether the row is removed
	 * @return				FALSE if there is no room: the change is lost
	 */
	bool (*add)(qcd_changes_t *this, const qcd_samap_row *row, bool removed);

	/**
	 * Get the oldest change. It stays until it is dropped. Damaged ones are
	 * passed over.
	 *
	 * @param change		receives the change
	 * @return				FALSE if there is none
	 */
	bool (*get)(qcd_changes_t *this, qcd_change_t *change);

	/**
	 * Drop the oldest change, because it was written.
	 */
	void (*drop)(qcd_changes_t *this);

	/**
	 * Whether the changes outlive the daemon. If not, they have to be written
	 * at once.
	 */
	bool (*outlive)(qcd_changes_t *this);

	/**
	 * Make the file again if it was removed or replaced while in use. Nothing
	 * is done while there are changes.
	 *
	 * @param text			receives a sentence for the log
	 * @param len			size of text
	 * @return				FALSE if the file is as it was
	 */
	bool (*keep)(qcd_changes_t *this, char *text, size_t len);

	/**
	 * Destroy a qcd_changes_t. If no change is left, its file is removed.
	 */
	void (*destroy)(qcd_changes_t *this);
};

/**
 * Open the file, or make it. Damaged changes in it are dropped, which is logged.
 * If the file can't be used, because it is not in memory, belongs to somebody
 * else, is used by another daemon or has the changes of one with another state
 * folder, the reason is logged, and the changes don't outlive the daemon.
 *
 * @param path			path of the file
 * @param folder		state folder
 * @return				instance
 */
qcd_changes_t *qcd_changes_create(char *path, char *folder);

#endif /** QCD_CHANGES_H_ @}*/
