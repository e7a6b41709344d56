/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_census.h"

#include <time.h>

#include <library.h>

/**
 * Maximum number of seconds for which a lost CHILD_SA is kept, whatever its
 * lifetime
 */
#define LOST_LIFETIME 86400

/**
 * Minimum number of seconds for which a CHILD_SA is kept that was lost in the
 * last crash
 */
#define LOST_LIFETIME_MIN 600

/**
 * A walk through the map
 */
typedef struct {
	qcd_census_t *found;
	qcd_promises_t *promises;
	qcd_lost_index_t *index;
	time_t now;
	/** whether the daemon has just started, and then the run before this one */
	u_int last_run;
	bool first;
} walk_t;

/*
 * Described in header
 */
void qcd_spis_add(qcd_spis_t *list, const qcd_child_spi *spi)
{
	if (list->count == list->room)
	{
		list->room = list->room ? list->room * 2 : 256;
		list->spis = realloc(list->spis, list->room * sizeof(*list->spis));
	}
	list->spis[list->count++] = *spi;
}

/**
 * Get the time at which a lost CHILD_SA expires. The clock that wrote its
 * lifetime may have been wrong, and so may the one that reads it.
 */
static uint64_t get_expiry(walk_t *walk, qcd_samap_row *row)
{
	uint64_t expires = row->expires ?: UINT64_MAX;

	if (row->run == walk->last_run)
	{	/* lost in the last crash */
		expires = max(expires, walk->now + LOST_LIFETIME_MIN);
	}
	return min(expires, walk->now + LOST_LIFETIME);
}

/**
 * Collect a lost CHILD_SA. An expired one is dropped. So is one for which there
 * is no evidence that it is lost: nobody will ever ask for it.
 */
static enum qcd_samap_fate visit(void *user, qcd_samap_row *row)
{
	walk_t *walk = user;
	uint64_t expires;

	if (!walk->promises->is_lost(walk->promises, &row->sa))
	{
		return walk->promises->owns(walk->promises, &row->sa) ? QCD_SAMAP_KEEP
															  : QCD_SAMAP_DROP;
	}
	expires = get_expiry(walk, row);
	if (expires <= walk->now)
	{
		qcd_spis_add(&walk->found->expired, &row->child_spi);
		if (!walk->first)
		{
			walk->index->remove(walk->index, row);
		}
		return QCD_SAMAP_DROP;
	}
	qcd_spis_add(&walk->found->lost, &row->child_spi);
	if (walk->first)
	{
		walk->index->add(walk->index, row);
	}
	if (expires != row->expires)
	{
		row->expires = expires;
		return QCD_SAMAP_UPDATE;
	}
	return QCD_SAMAP_KEEP;
}

/*
 * Described in header
 */
bool qcd_census_take(qcd_census_t *census, qcd_map_t *map,
					 qcd_promises_t *promises, qcd_lost_index_t *index,
					 bool first)
{
	walk_t walk = {
		.found = census,
		.promises = promises,
		.index = index,
		.now = time(NULL),
		.last_run = first ? promises->get_run(promises) - 1 : 0,
		.first = first,
	};

	*census = (qcd_census_t){};
	return map->walk(map, visit, &walk);
}

/*
 * Described in header
 */
void qcd_census_free(qcd_census_t *census)
{
	free(census->lost.spis);
	free(census->expired.spis);
}
