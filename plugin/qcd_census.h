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
 * A growing list of SPIs.
 */
struct qcd_spis_t {
	qcd_child_spi *spis;
	u_int count, room;
};

/**
 * The result of a walk through the SA map.
 */
struct qcd_census_t {
	/** lost CHILD_SAs */
	qcd_spis_t lost;
	/** CHILD_SAs that were lost until now and have expired */
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
 * Walk through the map, collect the lost CHILD_SAs and remove the expired ones.
 * Uses the disk, so call it from a job.
 *
 * @param census		receives the result, even if the walk was incomplete
 * @param map			SA map
 * @param promises		tells which IKE_SAs are lost
 * @param index			expired rows are removed from it; if first, lost rows
 *						are added to it
 * @param first			TRUE if the daemon has just started
 * @return				FALSE if not all rows could be read or changed
 */
bool qcd_census_take(qcd_census_t *census, qcd_map_t *map,
					 qcd_promises_t *promises, qcd_lost_index_t *index,
					 bool first);

/**
 * Free the result of a walk.
 */
void qcd_census_free(qcd_census_t *census);

#endif /** QCD_CENSUS_H_ @}*/
