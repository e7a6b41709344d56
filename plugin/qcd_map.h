/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_map qcd_map
 * @{ @ingroup qcd
 */

#ifndef QCD_MAP_H_
#define QCD_MAP_H_

#include "qcd_json.h"
#include "qcd_lost_index.h"
#include "qcd_promises.h"

#include <qcd/store.h>

typedef struct qcd_spis_t qcd_spis_t;
typedef struct qcd_census_t qcd_census_t;
typedef struct qcd_map_t qcd_map_t;

/**
 * A growing list of SPIs.
 */
struct qcd_spis_t {
	qcd_child_spi *spis;
	u_int count, room;
};

/**
 * What a walk through the map has found.
 */
struct qcd_census_t {
	/** lost CHILD_SAs */
	qcd_spis_t lost;
	/** CHILD_SAs that were lost until now and have expired */
	qcd_spis_t expired;
};

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
	 * Collect the lost CHILD_SAs and remove the expired ones, also from the
	 * index.
	 *
	 * @param first			TRUE if the daemon has just started: the lost ones
	 *						are then added to the index
	 * @param census		receives the result, even if the walk was incomplete
	 * @return				FALSE if not all rows could be read or changed
	 */
	bool (*take_census)(qcd_map_t *this, bool first, qcd_census_t *census);

	/**
	 * Add members about the map to an object: whether it can be written, and if
	 * not, why and since when. Unlike the other methods, this does not use the
	 * disk.
	 *
	 * @param json			open object
	 */
	void (*describe)(qcd_map_t *this, qcd_json_t *json);

	/**
	 * Write the remaining changes and destroy a qcd_map_t. CHILD_SAs of this
	 * run do not become lost: charon deletes them when it terminates.
	 */
	void (*destroy)(qcd_map_t *this);
};

/**
 * Open the map.
 *
 * @param folder		folder of the map, open as a qcd_store
 * @param promises		tells which IKE_SAs are lost, must outlive the instance
 * @param index			receives the IKE_SAs of lost CHILD_SAs, must outlive the
 *						instance
 * @return				NULL if the map can't be used (logged)
 */
qcd_map_t *qcd_map_create(char *folder, qcd_promises_t *promises,
						  qcd_lost_index_t *index);

/**
 * Add an SPI to a list.
 *
 * @param list			list, all zero if empty
 * @param spi			SPI
 */
void qcd_spis_add(qcd_spis_t *list, const qcd_child_spi *spi);

/**
 * Free the result of a walk.
 */
void qcd_census_free(qcd_census_t *census);

#endif /** QCD_MAP_H_ @}*/
