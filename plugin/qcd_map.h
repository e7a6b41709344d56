/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_map qcd_map
 * @{ @ingroup qcd
 */

#ifndef QCD_MAP_H_
#define QCD_MAP_H_

#include "qcd_sa.h"

#include <qcd/store.h>

typedef struct qcd_map_t qcd_map_t;

/**
 * The SA map of this gateway on disk, from inbound SPIs of CHILD_SAs to their
 * IKE_SAs (RFC 6290 section 8.2). Changes are made durable once a second. The
 * map logs when that fails, and when it works again.
 *
 * All methods are thread-safe and use the disk, so none may be called in
 * listeners.
 */
struct qcd_map_t {

	/**
	 * Find a CHILD_SA.
	 *
	 * @param spi			inbound SPI
	 * @param row			receives its row
	 * @return				FALSE if there is none
	 */
	bool (*find)(qcd_map_t *this, const qcd_child_spi *spi,
				 qcd_samap_row *row);

	/**
	 * Add a row, or replace the row with the same SPI.
	 *
	 * @param row			row
	 * @return				FALSE if it could not be written
	 */
	bool (*put)(qcd_map_t *this, const qcd_samap_row *row);

	/**
	 * Remove a row, if it is unchanged since it was found.
	 *
	 * @param row			row as it was found
	 * @return				FALSE if it was replaced or can't be removed
	 */
	bool (*remove)(qcd_map_t *this, const qcd_samap_row *row);

	/**
	 * Visit all rows.
	 *
	 * @param visit			called for each row, returns what to do with it
	 * @param user			passed to visit
	 * @return				FALSE if not all rows could be read or changed
	 */
	bool (*walk)(qcd_map_t *this, qcd_samap_visit *visit, void *user);

	/**
	 * Write the remaining changes and destroy a qcd_map_t.
	 */
	void (*destroy)(qcd_map_t *this);
};

/**
 * Open the map.
 *
 * @param folder		folder of the map, open as a qcd_store
 * @return				NULL if the map can't be used (logged)
 */
qcd_map_t *qcd_map_create(char *folder);

#endif /** QCD_MAP_H_ @}*/
