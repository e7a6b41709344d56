/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_lost.h"
#include "qcd_queue.h"

#include <daemon.h>
#include <threading/mutex.h>

/**
 * Seconds between two checks for expired CHILD_SAs. Seconds after which a failed
 * walk through the map is repeated, and after which SPIs that the kernel refused
 * are tried again.
 */
#define EXPIRY_INTERVAL 600
#define AGAIN_INTERVAL 1
#define REFUSED_INTERVAL 10

/**
 * A peer that had several IKE_SAs and returns with one may not have been told
 * of the other ones. An IKE_SA is replaced if the peer was told of it and then
 * did not ask about it for SILENCE_MS. That is checked RETIRE_TIMES times, at
 * intervals of RETIRE_MS.
 */
#define SILENCE_MS 3000
#define RETIRE_MS 5000
#define RETIRE_TIMES 3

/**
 * Maximum number of returned peers that wait while the disk hangs. What further
 * ones had is kept until it expires.
 */
#define RETURNED_MAX 16384

typedef struct private_qcd_lost_t private_qcd_lost_t;

/**
 * Private data
 */
struct private_qcd_lost_t {

	/**
	 * Public interface
	 */
	qcd_lost_t public;

	/**
	 * Tokens that peers hold
	 */
	qcd_promises_t *promises;

	/**
	 * SA map, and the changes of it that the daemon before has left
	 */
	qcd_map_t *map;
	qcd_changes_t *changes;

	/**
	 * The IKE_SAs of lost CHILD_SAs
	 */
	qcd_lost_index_t *index;

	/**
	 * Mutex for jobs that remove lost CHILD_SAs, so that only one runs at a
	 * time: there are only two
	 */
	mutex_t *jobs;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus, so it
	 * is only held to look up and to count.
	 */
	mutex_t *mutex;

	/**
	 * Number of lost CHILD_SAs
	 */
	u_int lost;

	/**
	 * Watches for packets of the lost CHILD_SAs, or NULL
	 */
	qcd_watcher_t *watcher;

	/**
	 * Peers that have returned, as return_t
	 */
	qcd_queue_t *returned;

	/**
	 * Whether left changes are not written, or lost CHILD_SAs are not counted:
	 * the disk was full at startup
	 */
	bool unfinished;
};

static job_requeue_t try_again(private_qcd_lost_t *this);

/**
 * Subtract CHILD_SAs that are no longer lost, and get the watcher
 */
static qcd_watcher_t *count_off(private_qcd_lost_t *this, u_int count)
{
	qcd_watcher_t *watcher;

	this->mutex->lock(this->mutex);
	this->lost -= min(this->lost, count);
	watcher = this->watcher;
	this->mutex->unlock(this->mutex);
	return watcher;
}

/**
 * Handle that CHILD_SAs are no longer lost. The kernel may take long, so this
 * must not be called in a listener.
 */
static void forget_lost(private_qcd_lost_t *this, const qcd_child_spi *spis,
						u_int count)
{
	qcd_watcher_t *watcher = count_off(this, count);

	if (watcher && count)
	{
		watcher->remove(watcher, spis, count);
	}
}

/**
 * Tell whether a CHILD_SA is lost: its IKE_SA must have died with an earlier
 * run
 */
static bool is_lost(private_qcd_lost_t *this, const qcd_samap_row *row)
{
	return this->promises->is_lost(this->promises, &row->sa);
}

METHOD(qcd_lost_t, get_count, u_int,
	private_qcd_lost_t *this)
{
	u_int lost;

	this->mutex->lock(this->mutex);
	lost = this->lost;
	this->mutex->unlock(this->mutex);
	return lost;
}

METHOD(qcd_lost_t, find, bool,
	private_qcd_lost_t *this, const qcd_child_spi *spi, qcd_samap_row *row)
{
	return this->map->find(this->map, spi, row) && is_lost(this, row);
}

METHOD(qcd_lost_t, next, bool,
	private_qcd_lost_t *this, qcd_lost_place_t *place, qcd_samap_row *row)
{
	qcd_child_spi spi;

	while (this->index->next(this->index, place, &spi))
	{
		if (find(this, &spi, row))
		{
			return TRUE;
		}
	}
	return FALSE;
}

METHOD(qcd_lost_t, put, void,
	private_qcd_lost_t *this, const qcd_samap_row *row)
{
	qcd_samap_row old;
	bool taken;

	taken = get_count(this) && find(this, &row->child_spi, &old);
	if (this->map->put(this->map, row) && taken)
	{
		this->index->remove(this->index, &old);
		forget_lost(this, &row->child_spi, 1);
	}
}

METHOD(qcd_lost_t, remove_, void,
	private_qcd_lost_t *this, const qcd_child_spi *spi)
{
	qcd_samap_row row;

	if (this->map->find(this->map, spi, &row) && !is_lost(this, &row))
	{
		this->map->remove(this->map, &row);
	}
}

/**
 * A peer that has returned
 */
typedef struct {
	private_qcd_lost_t *this;
	qcd_peer_id_t id;
	qcd_address address;
	/** number of checks so far */
	u_int times;
} return_t;

/**
 * Remove a lost CHILD_SA, unless its SPI was reused meanwhile
 */
static bool remove_lost(private_qcd_lost_t *this, const qcd_child_spi *spi)
{
	qcd_samap_row row;

	if (!find(this, spi, &row) || !this->map->remove(this->map, &row))
	{
		return FALSE;
	}
	this->index->remove(this->index, &row);
	return TRUE;
}

/**
 * Job that checks a peer again
 */
static job_requeue_t retire_later(return_t *ret)
{
	ret->this->returned->add(ret->this->returned, ret);
	return JOB_REQUEUE_NONE;
}

/**
 * Remove what a peer that has returned had before our crash
 */
static void retire(private_qcd_lost_t *this, return_t *ret)
{
	qcd_spis_t gone = {};
	array_t *replaced;
	qcd_child_spi spi;
	return_t *again;
	bool others;

	this->jobs->lock(this->jobs);
	replaced = this->index->find_replaced(this->index, &ret->id, &ret->address,
										  SILENCE_MS, &others);
	while (array_remove(replaced, ARRAY_TAIL, &spi))
	{
		if (remove_lost(this, &spi))
		{
			qcd_spis_add(&gone, &spi);
		}
	}
	this->jobs->unlock(this->jobs);
	array_destroy(replaced);
	forget_lost(this, gone.spis, gone.count);
	free(gone.spis);
	if (others && ++ret->times < RETIRE_TIMES)
	{
		again = malloc_thing(return_t);
		*again = *ret;
		qcd_job_queue(retire_later, again, free, JOB_PRIO_MEDIUM, RETIRE_MS);
	}
}

METHOD(qcd_lost_t, note_return, void,
	private_qcd_lost_t *this, const qcd_samap_row *row)
{
	return_t ret = {
		.this = this,
		.address = row->peer,
	};

	if (get_count(this))
	{
		memcpy(&ret.id, row->peer_id, sizeof(ret.id));
		this->returned->add(this->returned, &ret);
	}
}

/**
 * Job that removes expired lost CHILD_SAs
 */
static job_requeue_t expire(private_qcd_lost_t *this)
{
	qcd_census_t census;

	if (get_count(this))
	{
		this->jobs->lock(this->jobs);
		this->map->take_census(this->map, FALSE, &census);
		this->jobs->unlock(this->jobs);
		/* the result counts even if the walk was incomplete */
		forget_lost(this, census.expired.spis, census.expired.count);
		qcd_census_free(&census);
	}
	return JOB_RESCHEDULE(EXPIRY_INTERVAL);
}

/**
 * Retry what failed because of the map or the kernel
 */
static void retry_in(private_qcd_lost_t *this, u_int seconds)
{
	qcd_job_queue(try_again, this, NULL, JOB_PRIO_MEDIUM, seconds * 1000);
}

/**
 * Watch for packets of all lost CHILD_SAs
 */
static void watch_all(private_qcd_lost_t *this, qcd_watcher_t *watcher)
{
	qcd_census_t census;
	qcd_spis_t gone = {};
	bool complete, added;
	u_int i;

	complete = this->map->take_census(this->map, FALSE, &census);
	added = complete &&
			watcher->add(watcher, census.lost.spis, census.lost.count);
	if (!added)
	{
		retry_in(this, complete ? REFUSED_INTERVAL : AGAIN_INTERVAL);
	}
	else
	{
		/* meanwhile peers may have returned */
		for (i = 0; i < census.lost.count; i++)
		{
			qcd_child_spi *spi = &census.lost.spis[i];
			qcd_samap_row row;

			if (!find(this, spi, &row))
			{
				qcd_spis_add(&gone, spi);
			}
		}
		watcher->remove(watcher, gone.spis, gone.count);
		free(gone.spis);
	}
	count_off(this, census.expired.count);
	qcd_census_free(&census);
}

/**
 * Watch for the lost CHILD_SAs, if there are any and somebody does
 */
static void watch_lost(private_qcd_lost_t *this)
{
	qcd_watcher_t *watcher = count_off(this, 0);

	if (watcher && get_count(this))
	{
		watch_all(this, watcher);
	}
}

METHOD(qcd_lost_t, watch, void,
	private_qcd_lost_t *this, qcd_watcher_t *watcher)
{
	this->mutex->lock(this->mutex);
	this->watcher = watcher;
	this->mutex->unlock(this->mutex);
	watch_lost(this);
}

/**
 * Write a change that the daemon before has left. As it is gone, a row that it
 * wanted to remove is not lost.
 */
static bool write_change(qcd_map_t *map, qcd_change_t *change)
{
	qcd_samap_row row;

	if (!change->removed)
	{
		return map->put(map, &change->row);
	}
	return !map->find(map, &change->row.child_spi, &row) ||
		   map->remove(map, &row);
}

/**
 * Write the changes that the daemon before has left, until one can't be written
 */
static bool write_left(private_qcd_lost_t *this)
{
	qcd_change_t change;

	while (this->changes->get(this->changes, &change) && change.left)
	{
		if (!write_change(this->map, &change))
		{
			return FALSE;
		}
		this->changes->drop(this->changes);
	}
	return TRUE;
}

/**
 * Count the lost CHILD_SAs at startup, and again if changes that were left were
 * written after that
 */
static bool count_all(private_qcd_lost_t *this)
{
	qcd_census_t census;
	bool counted;

	this->index->clear(this->index);
	counted = this->map->take_census(this->map, TRUE, &census);
	if (counted)
	{
		this->mutex->lock(this->mutex);
		this->lost = census.lost.count;
		this->mutex->unlock(this->mutex);
	}
	qcd_census_free(&census);
	return counted;
}

/**
 * Finish what failed at startup
 */
static bool finish(private_qcd_lost_t *this)
{
	bool finished;

	this->jobs->lock(this->jobs);
	if (this->unfinished && write_left(this))
	{
		this->unfinished = !count_all(this);
	}
	finished = !this->unfinished;
	this->jobs->unlock(this->jobs);
	return finished;
}

/**
 * Job that retries what failed because of the map or the kernel
 */
static job_requeue_t try_again(private_qcd_lost_t *this)
{
	if (!finish(this))
	{	/* the disk has no room yet */
		return JOB_RESCHEDULE(AGAIN_INTERVAL);
	}
	watch_lost(this);
	return JOB_REQUEUE_NONE;
}

METHOD(qcd_lost_t, describe, void,
	private_qcd_lost_t *this, qcd_json_t *json)
{
	this->map->describe(this->map, json);
}

METHOD(qcd_lost_t, destroy, void,
	private_qcd_lost_t *this)
{
	this->map->destroy(this->map);
	this->returned->destroy(this->returned);
	this->jobs->destroy(this->jobs);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
void qcd_lost_from_row(qcd_lost *lost, const qcd_samap_row *row)
{
	*lost = (qcd_lost){
		.sa = row->sa,
		.child_spi = row->child_spi,
		.peer = row->peer,
		.peer_port = row->peer_port,
	};
}

/*
 * Described in header
 */
qcd_lost_t *qcd_lost_create(qcd_config_t *config, qcd_promises_t *promises,
							qcd_lost_index_t *index, qcd_changes_t *changes)
{
	private_qcd_lost_t *this;
	qcd_map_t *map;

	map = qcd_map_create(config->state_dir, promises, index);
	if (!map)
	{
		return NULL;
	}

	INIT(this,
		.public = {
			.put = _put,
			.remove = _remove_,
			.note_return = _note_return,
			.find = _find,
			.next = _next,
			.watch = _watch,
			.get_count = _get_count,
			.describe = _describe,
			.destroy = _destroy,
		},
		.promises = promises,
		.map = map,
		.changes = changes,
		.index = index,
		.jobs = mutex_create(MUTEX_TYPE_DEFAULT),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	this->returned = qcd_queue_create(sizeof(return_t), RETURNED_MAX,
									  (qcd_queue_handle_t)retire, this);

	/* lost CHILD_SAs that were written before get replies meanwhile */
	this->unfinished = !write_left(this);
	this->unfinished |= !count_all(this);
	if (this->unfinished)
	{
		retry_in(this, AGAIN_INTERVAL);
	}
	qcd_job_queue(expire, this, NULL, JOB_PRIO_MEDIUM, EXPIRY_INTERVAL * 1000);
	return &this->public;
}
