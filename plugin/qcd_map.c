/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_map.h"

#include <time.h>

#include <daemon.h>
#include <processing/jobs/callback_job.h>
#include <threading/mutex.h>

/**
 * Seconds between two writes to the disk, and between two looks for CHILD_SAs
 * whose time is up
 */
#define FLUSH_INTERVAL 1
#define EXPIRY_INTERVAL 600

/**
 * Seconds for which a lost CHILD_SA is remembered at most, whatever its end was
 */
#define LOST_LIFETIME 86400

/**
 * Seconds for which one is remembered at least that was lost in the last crash
 */
#define LOST_LIFETIME_MIN 600

/**
 * Milliseconds without a failure after which the map can be written again
 */
#define RECOVERED_MS 5000

/**
 * A peer that had several IKE_SAs and is back with one may not have been told of
 * the others. What it has been told of, and did not ask about for so long, is
 * replaced; that is looked at so often, and so many milliseconds apart.
 */
#define SILENCE_MS 3000
#define RETIRE_MS 5000
#define RETIRE_TIMES 3

typedef struct private_qcd_map_t private_qcd_map_t;

/**
 * Private data
 */
struct private_qcd_map_t {

	/**
	 * Public interface
	 */
	qcd_map_t public;

	/**
	 * Settings
	 */
	qcd_config_t *config;

	/**
	 * State of the maker
	 */
	qcd_promises_t *promises;

	/**
	 * The map
	 */
	qcd_samap *map;

	/**
	 * The IKE_SAs of lost CHILD_SAs
	 */
	qcd_lost_index_t *index;

	/**
	 * Mutex of jobs that remove what is lost: one after the other
	 */
	mutex_t *jobs;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus, so
	 * nobody does more than to look and to count with it.
	 */
	mutex_t *mutex;

	/**
	 * Number of lost CHILD_SAs
	 */
	u_int lost;

	/**
	 * Who watches for their packets, or NULL
	 */
	qcd_watcher_t *watcher;

	/**
	 * Whether nobody knows yet what is lost: the disk was full at the start
	 */
	bool uncounted;

	/**
	 * Whether not all that is lost is watched for: the map could not be read
	 */
	bool unwatched;

	/**
	 * When the map could not be written the last time, 0 if that is over
	 */
	uint64_t failed_at;
};

/**
 * SPIs, a growing list
 */
typedef struct {
	qcd_child_spi *spis;
	u_int count, room;
} spis_t;

/**
 * Add an SPI to a list
 */
static void add_spi(spis_t *list, const qcd_child_spi *spi)
{
	if (list->count == list->room)
	{
		list->room = list->room ? list->room * 2 : 256;
		list->spis = realloc(list->spis, list->room * sizeof(*list->spis));
	}
	list->spis[list->count++] = *spi;
}

/**
 * Log once that the map can't be written, and once that it can be again: where
 * a disk is full, now and then something finds room
 */
static void note_result(private_qcd_map_t *this, enum qcd_store_err err,
						qcd_store_report *report)
{
	bool failed = err != QCD_STORE_OK, changed = FALSE;

	this->mutex->lock(this->mutex);
	if (failed)
	{
		changed = !this->failed_at;
		this->failed_at = qcd_now();
	}
	else if (this->failed_at &&
			 qcd_now() - this->failed_at >= RECOVERED_MS)
	{
		changed = TRUE;
		this->failed_at = 0;
	}
	this->mutex->unlock(this->mutex);
	if (changed)
	{
		DBG1(DBG_CFG, "QCD: the SA map %s%s", failed ? "can't be written, ESP "
			 "of new CHILD_SAs will not be known after a crash: " :
			 "can be written again", failed ? report->text : "");
	}
}

/**
 * Count CHILD_SAs that are lost no more, and get who watches for their packets
 */
static qcd_watcher_t *count_off(private_qcd_map_t *this, u_int count)
{
	qcd_watcher_t *watcher;

	this->mutex->lock(this->mutex);
	this->lost -= min(this->lost, count);
	watcher = this->watcher;
	this->mutex->unlock(this->mutex);
	return watcher;
}

/**
 * CHILD_SAs are lost no more. The kernel may take its time, so not in a listener.
 */
static void forget_lost(private_qcd_map_t *this, const qcd_child_spi *spis,
						u_int count)
{
	qcd_watcher_t *watcher = count_off(this, count);

	if (watcher && count)
	{
		watcher->remove(watcher, spis, count);
	}
}

/**
 * Is a CHILD_SA lost? Its IKE_SA must have died with an earlier run.
 */
static bool is_lost(private_qcd_map_t *this, const qcd_samap_row *row)
{
	return this->promises->is_lost(this->promises, &row->sa);
}

/**
 * Is a CHILD_SA one of this run?
 */
static bool is_ours(private_qcd_map_t *this, const qcd_samap_row *row)
{
	return this->promises->owns(this->promises, &row->sa);
}

METHOD(qcd_map_t, get_lost, u_int,
	private_qcd_map_t *this)
{
	u_int lost;

	this->mutex->lock(this->mutex);
	lost = this->lost;
	this->mutex->unlock(this->mutex);
	return lost;
}

METHOD(qcd_map_t, find, bool,
	private_qcd_map_t *this, const qcd_child_spi *spi, qcd_samap_row *row)
{
	return qcd_samap_find(this->map, row, spi) && is_lost(this, row);
}

METHOD(qcd_map_t, next, bool,
	private_qcd_map_t *this, u_int *place, qcd_samap_row *row)
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

METHOD(qcd_map_t, put, void,
	private_qcd_map_t *this, const qcd_samap_row *row)
{
	qcd_store_report report = {};
	qcd_samap_row old;
	enum qcd_store_err err;
	bool taken;

	taken = get_lost(this) && find(this, &row->child_spi, &old);
	err = qcd_samap_put(this->map, &report, row);
	note_result(this, err, &report);
	if (taken && err == QCD_STORE_OK)
	{
		this->index->remove(this->index, &old);
		forget_lost(this, &row->child_spi, 1);
	}
}

METHOD(qcd_map_t, remove_, void,
	private_qcd_map_t *this, const qcd_child_spi *spi)
{
	qcd_store_report report = {};
	qcd_samap_row row;
	bool removed;

	if (qcd_samap_find(this->map, &row, spi) && !is_lost(this, &row))
	{
		note_result(this, qcd_samap_remove(this->map, &report, &removed, &row),
					&report);
	}
}

/**
 * A peer that is back
 */
typedef struct {
	private_qcd_map_t *this;
	qcd_peer_id_t id;
	qcd_address address;
	/** looks that were taken */
	u_int times;
} return_t;

/**
 * Remove a lost CHILD_SA, unless its SPI was taken again meanwhile
 */
static bool remove_lost(private_qcd_map_t *this, const qcd_child_spi *spi)
{
	qcd_store_report report = {};
	qcd_samap_row row;
	bool removed;

	if (!find(this, spi, &row))
	{
		return FALSE;
	}
	note_result(this, qcd_samap_remove(this->map, &report, &removed, &row),
				&report);
	if (removed)
	{
		this->index->remove(this->index, &row);
	}
	return removed;
}

/**
 * Job for a peer that is back: what it had before our crash is replaced
 */
static job_requeue_t retire(return_t *ret)
{
	private_qcd_map_t *this = ret->this;
	spis_t gone = {};
	array_t *replaced;
	qcd_child_spi spi;
	bool others;

	this->jobs->lock(this->jobs);
	replaced = this->index->find_replaced(this->index, &ret->id, &ret->address,
										  SILENCE_MS, &others);
	while (array_remove(replaced, ARRAY_TAIL, &spi))
	{
		if (remove_lost(this, &spi))
		{
			add_spi(&gone, &spi);
		}
	}
	this->jobs->unlock(this->jobs);
	array_destroy(replaced);
	forget_lost(this, gone.spis, gone.count);
	free(gone.spis);
	if (others && ++ret->times < RETIRE_TIMES)
	{
		return JOB_RESCHEDULE_MS(RETIRE_MS);
	}
	return JOB_REQUEUE_NONE;
}

METHOD(qcd_map_t, note_return, void,
	private_qcd_map_t *this, const qcd_samap_row *row)
{
	return_t *ret;

	if (!get_lost(this))
	{
		return;
	}
	INIT(ret,
		.this = this,
		.address = row->peer,
	);
	memcpy(&ret->id, row->peer_id, sizeof(ret->id));
	lib->processor->queue_job(lib->processor,
			(job_t*)callback_job_create((void*)retire, ret, free, NULL));
}

/**
 * What a walk through the map finds
 */
typedef struct {
	private_qcd_map_t *this;
	time_t now;
	/** when we have just started: the run before ours, and that all is new */
	u_int last_run;
	bool first;
	/** lost ones, and those of them whose time was up */
	spis_t lost;
	spis_t expired;
} census_t;

/**
 * Get the time until which a lost CHILD_SA is remembered. It was written by
 * a clock that may have been wrong, and is read by one that may be.
 */
static uint64_t get_expiry(census_t *census, qcd_samap_row *row)
{
	uint64_t expires = row->expires ?: UINT64_MAX;

	if (row->run == census->last_run)
	{	/* lost just now */
		expires = max(expires, census->now + LOST_LIFETIME_MIN);
	}
	return min(expires, census->now + LOST_LIFETIME);
}

/**
 * Count a lost CHILD_SA. One whose time is up is dropped, and so is one of which
 * we can't know that it is dead: nobody will ever ask for it.
 */
static enum qcd_samap_fate visit(void *user, qcd_samap_row *row)
{
	census_t *census = user;
	private_qcd_map_t *this = census->this;
	uint64_t expires;

	if (!is_lost(this, row))
	{
		return is_ours(this, row) ? QCD_SAMAP_KEEP : QCD_SAMAP_DROP;
	}
	expires = get_expiry(census, row);
	if (expires <= census->now)
	{
		add_spi(&census->expired, &row->child_spi);
		if (!census->first)
		{
			this->index->remove(this->index, row);
		}
		return QCD_SAMAP_DROP;
	}
	add_spi(&census->lost, &row->child_spi);
	if (census->first)
	{
		this->index->add(this->index, row);
	}
	if (expires != row->expires)
	{
		row->expires = expires;
		return QCD_SAMAP_UPDATE;
	}
	return QCD_SAMAP_KEEP;
}

/**
 * Walk through the map
 */
static bool take_census(private_qcd_map_t *this, census_t *census,
						bool first)
{
	qcd_store_report report = {};
	enum qcd_store_err err;

	*census = (census_t){
		.this = this,
		.now = time(NULL),
		.last_run = first ? this->promises->get_run(this->promises) - 1 : 0,
		.first = first,
	};
	err = qcd_samap_walk(this->map, &report, visit, census);
	note_result(this, err, &report);
	return err == QCD_STORE_OK;
}

/**
 * Free what a walk has found
 */
static void census_free(census_t *census)
{
	free(census->lost.spis);
	free(census->expired.spis);
}

/**
 * Job that forgets lost CHILD_SAs whose time is up
 */
static job_requeue_t expire(private_qcd_map_t *this)
{
	census_t census;

	if (get_lost(this))
	{
		this->jobs->lock(this->jobs);
		take_census(this, &census, FALSE);
		this->jobs->unlock(this->jobs);
		/* what was visited, whether or not all was */
		forget_lost(this, census.expired.spis, census.expired.count);
		census_free(&census);
	}
	return JOB_RESCHEDULE(EXPIRY_INTERVAL);
}

/**
 * Have packets with the SPIs of all lost CHILD_SAs watched for
 */
static void watch_all(private_qcd_map_t *this, qcd_watcher_t *watcher)
{
	census_t census;
	spis_t gone = {};
	bool complete;
	u_int i;

	complete = take_census(this, &census, FALSE);
	this->mutex->lock(this->mutex);
	this->unwatched = !complete;
	this->mutex->unlock(this->mutex);
	if (complete && watcher->add(watcher, census.lost.spis, census.lost.count))
	{
		/* peers have come back meanwhile */
		for (i = 0; i < census.lost.count; i++)
		{
			qcd_child_spi *spi = &census.lost.spis[i];
			qcd_samap_row row;

			if (!find(this, spi, &row))
			{
				add_spi(&gone, spi);
			}
		}
		watcher->remove(watcher, gone.spis, gone.count);
		free(gone.spis);
	}
	count_off(this, census.expired.count);
	census_free(&census);
}

METHOD(qcd_map_t, watch, void,
	private_qcd_map_t *this, qcd_watcher_t *watcher)
{
	this->mutex->lock(this->mutex);
	this->watcher = watcher;
	this->mutex->unlock(this->mutex);
	if (watcher && get_lost(this))
	{
		watch_all(this, watcher);
	}
}

/**
 * Count what is lost, when we have just started
 */
static bool count_all(private_qcd_map_t *this)
{
	census_t census;
	bool counted;

	counted = take_census(this, &census, TRUE);
	if (counted)
	{
		this->mutex->lock(this->mutex);
		this->lost = census.lost.count;
		this->mutex->unlock(this->mutex);
	}
	else
	{
		this->index->clear(this->index);
	}
	census_free(&census);
	return counted;
}

/**
 * Tell whether not all that is lost is watched for, and get who should
 */
static bool is_unwatched(private_qcd_map_t *this, qcd_watcher_t **watcher)
{
	bool unwatched;

	this->mutex->lock(this->mutex);
	unwatched = this->unwatched;
	*watcher = this->watcher;
	this->mutex->unlock(this->mutex);
	return unwatched;
}

/**
 * Job that makes durable what was written in the last second
 */
static job_requeue_t flush(private_qcd_map_t *this)
{
	qcd_store_report report = {};
	enum qcd_store_err err;
	qcd_watcher_t *watcher;

	err = qcd_samap_flush(this->map, &report);
	note_result(this, err, &report);
	if (this->uncounted && err == QCD_STORE_OK && count_all(this))
	{	/* there is room again */
		this->uncounted = FALSE;
		watch(this, this->watcher);
	}
	else if (err == QCD_STORE_OK && is_unwatched(this, &watcher))
	{
		watch(this, watcher);
	}
	return JOB_RESCHEDULE(FLUSH_INTERVAL);
}

/**
 * Drop a CHILD_SA of this run
 */
static enum qcd_samap_fate drop_ours(void *user, qcd_samap_row *row)
{
	return is_ours(user, row) ? QCD_SAMAP_DROP : QCD_SAMAP_KEEP;
}

METHOD(qcd_map_t, destroy, void,
	private_qcd_map_t *this)
{
	qcd_store_report report = {};

	note_result(this, qcd_samap_walk(this->map, &report, drop_ours, this),
				&report);
	qcd_samap_close(this->map);
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
qcd_map_t *qcd_map_create(qcd_config_t *config, qcd_promises_t *promises,
									qcd_lost_index_t *index)
{
	private_qcd_map_t *this;
	qcd_store_report report = {};
	qcd_samap *map;

	if (qcd_samap_open(&map, &report, config->state_dir) != QCD_STORE_OK)
	{
		DBG1(DBG_CFG, "QCD: no SA map, ESP of lost CHILD_SAs gets no answer: "
			 "%s", report.text);
		return NULL;
	}
	if (*report.text)
	{
		DBG1(DBG_CFG, "QCD: %s", report.text);
	}

	INIT(this,
		.public = {
			.put = _put,
			.remove = _remove_,
			.note_return = _note_return,
			.find = _find,
			.next = _next,
			.watch = _watch,
			.get_lost = _get_lost,
			.destroy = _destroy,
		},
		.config = config,
		.promises = promises,
		.map = map,
		.index = index,
		.jobs = mutex_create(MUTEX_TYPE_DEFAULT),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);

	this->uncounted = !count_all(this);
	lib->scheduler->schedule_job(lib->scheduler,
			(job_t*)callback_job_create((void*)flush, this, NULL, NULL),
			FLUSH_INTERVAL);
	lib->scheduler->schedule_job(lib->scheduler,
			(job_t*)callback_job_create((void*)expire, this, NULL, NULL),
			EXPIRY_INTERVAL);
	return &this->public;
}
