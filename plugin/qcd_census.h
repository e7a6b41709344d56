/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_census qcd_census
 * @{ @ingroup qcd
 */

#ifndef QCD_CENSUS_H_
#define QCD_CENSUS_H_

#include "qcd_lost_index.h"
#include "qcd_map.h"
#include "qcd_promises.h"

typedef struct qcd_spis_t qcd_spis_t;
typedef struct qcd_census_t qcd_census_t;

/**
 * SPIs, a growing list.
 */
struct qcd_spis_t {
	qcd_child_spi *spis;
	u_int count, room;
};

/**
 * What a walk through the SA map finds.
 */
struct qcd_census_t {
	/** lost CHILD_SAs */
	qcd_spis_t lost;
	/** those that were lost until now, and whose time is up */
	qcd_spis_t expired;
};

/**
 * Add an SPI to a list.
 *
 * @param list			list, all zero if empty
 * @param spi			SPI
 */
void qcd_spis_add(qcd_spis_t *list, const qcd_child_spi *spi);

/**
 * Walk through the map, see which CHILD_SAs are lost, and remove those whose time
 * is up. A job: it uses the disk.
 *
 * @param census		receives what was found, even if not all could be read
 * @param map			the map
 * @param promises		knows which IKE_SAs are lost
 * @param index			loses what expired; receives what is lost if first
 * @param first			whether the daemon has just started
 * @return				FALSE if not all could be read, or changed
 */
bool qcd_census_take(qcd_census_t *census, qcd_map_t *map,
					 qcd_promises_t *promises, qcd_lost_index_t *index,
					 bool first);

/**
 * Free what a walk has found.
 */
void qcd_census_free(qcd_census_t *census);

#endif /** QCD_CENSUS_H_ @}*/
