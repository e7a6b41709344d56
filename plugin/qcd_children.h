/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_children qcd_children
 * @{ @ingroup qcd
 */

#ifndef QCD_CHILDREN_H_
#define QCD_CHILDREN_H_

#include "qcd_config.h"
#include "qcd_lost_index.h"
#include "qcd_nft.h"
#include "qcd_state.h"

#include <store/samap.h>

#include <bus/listeners/listener.h>

typedef struct qcd_children_t qcd_children_t;

/**
 * The CHILD_SAs whose peers we can tell that they are lost: a map from their
 * inbound SPIs to their IKE_SAs, on disk (RFC 6290 section 8.2).
 *
 * Those of this run are written down as they come and go. Those of earlier runs
 * are lost, until the peer is back with the same connection or their time is up.
 * All methods are thread-safe.
 */
struct qcd_children_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Find a lost CHILD_SA by its SPI.
	 *
	 * @param spi			inbound SPI
	 * @param row			receives what is known of it
	 * @return				FALSE if there is none, or if the SPI was taken again
	 */
	bool (*find)(qcd_children_t *this, const uint8_t spi[4],
				 qcd_samap_row *row);

	/**
	 * Get the next IKE_SA that was lost with its CHILD_SAs.
	 *
	 * @param place			place to go on from, 0 to begin
	 * @param row			receives one of its CHILD_SAs
	 * @return				FALSE if there are no more
	 */
	bool (*next)(qcd_children_t *this, u_int *place, qcd_samap_row *row);

	/**
	 * Keep somebody informed about the SPIs of lost CHILD_SAs.
	 *
	 * @param nft			told all of them now, and then those that are lost
	 *						no more; NULL to stop
	 */
	void (*watch)(qcd_children_t *this, qcd_nft_t *nft);

	/**
	 * Get the number of lost CHILD_SAs.
	 */
	u_int (*get_lost)(qcd_children_t *this);

	/**
	 * Destroy a qcd_children_t. CHILD_SAs of this run are not lost: charon
	 * deletes them when it ends.
	 */
	void (*destroy)(qcd_children_t *this);
};

/**
 * Open the map.
 *
 * @param config		settings, outlive it
 * @param state			state of the maker, outlives it
 * @param index			receives the IKE_SAs of lost CHILD_SAs, outlives it
 * @return				NULL if there is no map to be had (logged)
 */
qcd_children_t *qcd_children_create(qcd_config_t *config, qcd_state_t *state,
									qcd_lost_index_t *index);

/**
 * Get what libqcd has to know of a lost CHILD_SA.
 *
 * @param lost			receives it
 * @param row			row of the map
 */
void qcd_lost_from_row(qcd_lost *lost, const qcd_samap_row *row);

#endif /** QCD_CHILDREN_H_ @}*/
