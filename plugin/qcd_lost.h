/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_lost qcd_lost
 * @{ @ingroup qcd
 */

#ifndef QCD_LOST_H_
#define QCD_LOST_H_

#include "qcd_changes.h"
#include "qcd_config.h"
#include "qcd_lost_index.h"
#include "qcd_map.h"
#include "qcd_promises.h"
#include "qcd_watcher.h"

#include <qcd/store.h>

typedef struct qcd_lost_t qcd_lost_t;

/**
 * Keeps the CHILD_SAs that were lost in a crash (RFC 6290 section 8.2).
 * CHILD_SAs of earlier runs stay in the SA map until the peer has returned with
 * the same connection, or until they expire.
 *
 * CHILD_SAs of this run are put into the map and removed from it. All methods
 * are thread-safe. Those that take a row or an SPI use the disk, except for
 * note_return().
 */
struct qcd_lost_t {

	/**
	 * Write a CHILD_SA of this run to the map. If it reuses the SPI of a lost
	 * CHILD_SA, packets with that SPI belong to the new one from now on. If it
	 * can't be written, the old one stays lost: whatever is told about it is
	 * still true of the old IKE_SA.
	 *
	 * @param row			CHILD_SA
	 */
	void (*put)(qcd_lost_t *this, const qcd_samap_row *row);

	/**
	 * Remove a CHILD_SA of this run that was destroyed. If it was never
	 * written, the SPI may be that of a lost CHILD_SA. That one is kept.
	 *
	 * @param spi			inbound SPI
	 */
	void (*remove)(qcd_lost_t *this, const qcd_child_spi *spi);

	/**
	 * Note that a peer has returned: step by step, its former SAs stop being
	 * lost. May be called in a listener.
	 *
	 * @param row			CHILD_SA that the peer has now
	 */
	void (*note_return)(qcd_lost_t *this, const qcd_samap_row *row);

	/**
	 * Find a lost CHILD_SA by its SPI.
	 *
	 * @param spi			inbound SPI
	 * @param row			receives its row
	 * @return				FALSE if there is none, or if its SPI was reused
	 */
	bool (*find)(qcd_lost_t *this, const qcd_child_spi *spi,
				 qcd_samap_row *row);

	/**
	 * Get the next IKE_SA that was lost with its CHILD_SAs. Addresses take turns.
	 *
	 * @param place			position to continue from, zeroed at first
	 * @param row			receives one of its CHILD_SAs
	 * @return				FALSE if there are no more
	 */
	bool (*next)(qcd_lost_t *this, qcd_lost_place_t *place,
				 qcd_samap_row *row);

	/**
	 * Have a watcher watch for the SPIs of lost CHILD_SAs.
	 *
	 * @param watcher		gets all these SPIs now, and later those that are no
	 *						longer lost; NULL to stop
	 */
	void (*watch)(qcd_lost_t *this, qcd_watcher_t *watcher);

	/**
	 * Get the number of lost CHILD_SAs.
	 */
	u_int (*get_count)(qcd_lost_t *this);

	/**
	 * Add members about the map to an object.
	 *
	 * @param json			open object
	 */
	void (*describe)(qcd_lost_t *this, qcd_json_t *json);

	/**
	 * Destroy a qcd_lost_t.
	 */
	void (*destroy)(qcd_lost_t *this);
};

/**
 * Open the map, write the changes that the daemon before has left, and find what
 * is lost.
 *
 * @param config		settings, must outlive the instance
 * @param promises		tokens that peers hold, must outlive the instance
 * @param index			receives the IKE_SAs of lost CHILD_SAs, must outlive the
 *						instance
 * @param changes		changes that were left, must outlive the instance. What
 *						can't be written stays there, and is tried again each
 *						second
 * @return				NULL if the map can't be used (logged)
 */
qcd_lost_t *qcd_lost_create(qcd_config_t *config, qcd_promises_t *promises,
							qcd_lost_index_t *index, qcd_changes_t *changes);

/**
 * Convert a row of the map to what libqcd needs of a lost CHILD_SA.
 *
 * @param lost			receives the CHILD_SA
 * @param row			row of the map
 */
void qcd_lost_from_row(qcd_lost *lost, const qcd_samap_row *row);

#endif /** QCD_LOST_H_ @}*/
