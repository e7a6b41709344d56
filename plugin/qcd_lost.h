/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_lost qcd_lost
 * @{ @ingroup qcd
 */

#ifndef QCD_LOST_H_
#define QCD_LOST_H_

#include "qcd_config.h"
#include "qcd_lost_index.h"
#include "qcd_map.h"
#include "qcd_promises.h"
#include "qcd_watcher.h"

#include <qcd/store.h>

typedef struct qcd_lost_t qcd_lost_t;

/**
 * Keeps what a crash took (RFC 6290 section 8.2): the CHILD_SAs of earlier runs in
 * the SA map, until the peer is back with the same connection or their time is
 * up.
 *
 * CHILD_SAs of this run are put into the map and removed. All methods are
 * thread-safe; but for note_return(), those that take a row or an SPI use the disk.
 */
struct qcd_lost_t {

	/**
	 * Write down a CHILD_SA of this run. Where it takes the SPI of a lost one again,
	 * packets with it are of a live one from now on. If it can't be written, that
	 * one stays lost: nothing is told of it that is not true of the old IKE_SA.
	 *
	 * @param row			CHILD_SA
	 */
	void (*put)(qcd_lost_t *this, const qcd_samap_row *row);

	/**
	 * Remove a CHILD_SA of this run that is gone. It may never have got as far as
	 * being written, and then the SPI may be that of a lost one, which stays.
	 *
	 * @param spi			inbound SPI
	 */
	void (*remove)(qcd_lost_t *this, const qcd_child_spi *spi);

	/**
	 * Note that a peer is back: what it had is lost no more, bit by bit. May be
	 * called in a listener.
	 *
	 * @param row			CHILD_SA that it has now
	 */
	void (*note_return)(qcd_lost_t *this, const qcd_samap_row *row);

	/**
	 * Find a lost CHILD_SA by its SPI.
	 *
	 * @param spi			inbound SPI
	 * @param row			receives what is known of it
	 * @return				FALSE if there is none, or if the SPI was taken again
	 */
	bool (*find)(qcd_lost_t *this, const qcd_child_spi *spi,
				 qcd_samap_row *row);

	/**
	 * Get the next IKE_SA that was lost with its CHILD_SAs.
	 *
	 * @param place			place to go on from, 0 to begin
	 * @param row			receives one of its CHILD_SAs
	 * @return				FALSE if there are no more
	 */
	bool (*next)(qcd_lost_t *this, u_int *place, qcd_samap_row *row);

	/**
	 * Keep somebody informed about the SPIs of lost CHILD_SAs.
	 *
	 * @param watcher		told all of them now, and then those that are lost
	 *						no more; NULL to stop
	 */
	void (*watch)(qcd_lost_t *this, qcd_watcher_t *watcher);

	/**
	 * Get the number of lost CHILD_SAs.
	 */
	u_int (*get_count)(qcd_lost_t *this);

	/**
	 * Destroy a qcd_lost_t. CHILD_SAs of this run are not lost: charon
	 * deletes them when it ends.
	 */
	void (*destroy)(qcd_lost_t *this);
};

/**
 * Open the map, and see what is lost.
 *
 * @param config		settings, outlive it
 * @param promises		tokens that peers hold, outlives it
 * @param index			receives the IKE_SAs of lost CHILD_SAs, outlives it
 * @return				NULL if there is no map to be had (logged)
 */
qcd_lost_t *qcd_lost_create(qcd_config_t *config, qcd_promises_t *promises,
									qcd_lost_index_t *index);

/**
 * Get what libqcd has to know of a lost CHILD_SA.
 *
 * @param lost			receives it
 * @param row			row of the map
 */
void qcd_lost_from_row(qcd_lost *lost, const qcd_samap_row *row);

#endif /** QCD_LOST_H_ @}*/
