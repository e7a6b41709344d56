/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_map.h"

#include <time.h>

#include <daemon.h>
#include <threading/mutex.h>

/**
 * Seconds between two writes to the disk
 */
#define FLUSH_INTERVAL 1

/**
 * Milliseconds without a failure after which the map counts as writable again
 */
#define RECOVERED_MS 5000

/**
 * Milliseconds after which a call that has not returned counts as a failure
 */
#define HANGING_MS 5000

#define REPORT_MAX sizeof(((qcd_store_report*)NULL)->text)

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

typedef struct private_qcd_map_t private_qcd_map_t;

/**
 * Kinds of calls: changes wait for each other, and a flush only for the disk
 */
typedef enum {
	CHANGE,
	FLUSH,
	KINDS,
} kind_t;

/**
 * Private data
 */
struct private_qcd_map_t {

	/**
	 * Public interface
	 */
	qcd_map_t public;

	/**
	 * SA map
	 */
	qcd_samap *map;

	/**
	 * Tokens that peers hold, and the IKE_SAs of lost CHILD_SAs
	 */
	qcd_promises_t *promises;
	qcd_lost_index_t *index;

	/**
	 * Mutex for what follows
	 */
	mutex_t *mutex;

	/**
	 * When the map last could not be written, 0 if that is over. If not, since
	 * when, in seconds since 1970, and why.
	 */
	uint64_t failed_at;
	time_t failed_since;
	char error[REPORT_MAX];

	/**
	 * Calls under way: their number, and when the first of them began or the
	 * last one ended
	 */
	struct {
		u_int count;
		uint64_t since;
	} calls[KINDS];
};

/**
 * Note that a call begins that may wait for the disk
 */
static void begin_call(private_qcd_map_t *this, kind_t kind)
{
	this->mutex->lock(this->mutex);
	if (!this->calls[kind].count++)
	{
		this->calls[kind].since = qcd_now();
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Note the result of a call. Log once that the map can't be written, and once
 * that it can be written again: on a full disk, a change succeeds now and then.
 */
static bool note_result(private_qcd_map_t *this, kind_t kind,
						enum qcd_store_err err, qcd_store_report *report)
{
	bool failed = err != QCD_STORE_OK, changed = FALSE;

	this->mutex->lock(this->mutex);
	this->calls[kind].count--;
	this->calls[kind].since = qcd_now();
	if (failed)
	{
		changed = !this->failed_at;
		if (changed)
		{
			this->failed_since = time(NULL);
		}
		this->failed_at = qcd_now();
		snprintf(this->error, sizeof(this->error), "%s", report->text);
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
		DBG1(DBG_CFG, "QCD: the SA map %s%s", failed ? "can't be written: "
			 "after a crash, ESP of new CHILD_SAs gets no reply: " :
			 "can be written again", failed ? report->text : "");
	}
	return !failed;
}

METHOD(qcd_map_t, find, bool,
	private_qcd_map_t *this, const qcd_child_spi *spi, qcd_samap_row *row)
{
	return qcd_samap_find(this->map, row, spi);
}

METHOD(qcd_map_t, put, bool,
	private_qcd_map_t *this, const qcd_samap_row *row)
{
	qcd_store_report report = {};

	begin_call(this, CHANGE);
	return note_result(this, CHANGE, qcd_samap_put(this->map, &report, row),
					   &report);
}

METHOD(qcd_map_t, remove_, bool,
	private_qcd_map_t *this, const qcd_samap_row *row)
{
	qcd_store_report report = {};
	bool removed;

	begin_call(this, CHANGE);
	note_result(this, CHANGE,
				qcd_samap_remove(this->map, &report, &removed, row), &report);
	return removed;
}

/**
 * Visit all rows
 *
 * @return				FALSE if not all rows could be read or changed
 */
static bool walk_rows(private_qcd_map_t *this, qcd_samap_visit *visit,
					  void *user)
{
	qcd_store_report report = {};

	begin_call(this, CHANGE);
	return note_result(this, CHANGE,
					   qcd_samap_walk(this->map, &report, visit, user), &report);
}

/**
 * A walk through the map
 */
typedef struct {
	private_qcd_map_t *this;
	qcd_census_t *found;
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
	qcd_promises_t *promises = walk->this->promises;
	qcd_lost_index_t *index = walk->this->index;
	uint64_t expires;

	if (!promises->is_lost(promises, &row->sa))
	{
		return promises->owns(promises, &row->sa) ? QCD_SAMAP_KEEP
												  : QCD_SAMAP_DROP;
	}
	expires = get_expiry(walk, row);
	if (expires <= walk->now)
	{
		qcd_spis_add(&walk->found->expired, &row->child_spi);
		if (!walk->first)
		{
			index->remove(index, row);
		}
		return QCD_SAMAP_DROP;
	}
	qcd_spis_add(&walk->found->lost, &row->child_spi);
	if (walk->first)
	{
		index->add(index, row);
	}
	if (expires != row->expires)
	{
		row->expires = expires;
		return QCD_SAMAP_UPDATE;
	}
	return QCD_SAMAP_KEEP;
}

METHOD(qcd_map_t, take_census, bool,
	private_qcd_map_t *this, bool first, qcd_census_t *census)
{
	qcd_promises_t *promises = this->promises;
	walk_t walk = {
		.this = this,
		.found = census,
		.now = time(NULL),
		.last_run = first ? promises->get_run(promises) - 1 : 0,
		.first = first,
	};

	*census = (qcd_census_t){};
	return walk_rows(this, visit, &walk);
}

/**
 * Job that makes the changes of the last second durable
 */
static job_requeue_t flush(private_qcd_map_t *this)
{
	qcd_store_report report = {};

	begin_call(this, FLUSH);
	if (note_result(this, FLUSH, qcd_samap_flush(this->map, &report), &report) &&
		*report.text)
	{
		DBG1(DBG_CFG, "QCD: %s", report.text);
	}
	return JOB_RESCHEDULE(FLUSH_INTERVAL);
}

/**
 * Drop a CHILD_SA of this run
 */
static enum qcd_samap_fate drop_ours(void *user, qcd_samap_row *row)
{
	private_qcd_map_t *this = user;

	return this->promises->owns(this->promises, &row->sa) ? QCD_SAMAP_DROP
														  : QCD_SAMAP_KEEP;
}

METHOD(qcd_map_t, describe, void,
	private_qcd_map_t *this, qcd_json_t *json)
{
	char error[REPORT_MAX] = "";
	time_t since = 0;
	uint64_t hangs = 0;
	kind_t kind;

	this->mutex->lock(this->mutex);
	for (kind = 0; kind < KINDS; kind++)
	{
		if (this->calls[kind].count)
		{
			hangs = max(hangs, qcd_now() - this->calls[kind].since);
		}
	}
	if (hangs >= HANGING_MS)
	{
		snprintf(error, sizeof(error), "the disk does not answer. Check it");
		since = time(NULL) - hangs / 1000;
	}
	else if (this->failed_at)
	{
		snprintf(error, sizeof(error), "%s", this->error);
		since = this->failed_since;
	}
	this->mutex->unlock(this->mutex);

	json->add_bool(json, "map", !*error);
	if (*error)
	{
		json->add_str(json, "map_error", error);
		json->add_num(json, "map_error_since", since);
	}
}

METHOD(qcd_map_t, destroy, void,
	private_qcd_map_t *this)
{
	walk_rows(this, drop_ours, this);
	qcd_samap_close(this->map);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
void qcd_census_free(qcd_census_t *census)
{
	free(census->lost.spis);
	free(census->expired.spis);
}

/*
 * Described in header
 */
qcd_map_t *qcd_map_create(char *folder, qcd_promises_t *promises,
						  qcd_lost_index_t *index)
{
	private_qcd_map_t *this;
	qcd_store_report report = {};
	qcd_samap *map;

	if (qcd_samap_open(&map, &report, folder) != QCD_STORE_OK)
	{
		DBG1(DBG_CFG, "QCD: no SA map, ESP of lost CHILD_SAs gets no reply: "
			 "%s", report.text);
		return NULL;
	}
	if (*report.text)
	{
		DBG1(DBG_CFG, "QCD: %s", report.text);
	}

	INIT(this,
		.public = {
			.find = _find,
			.put = _put,
			.remove = _remove_,
			.take_census = _take_census,
			.describe = _describe,
			.destroy = _destroy,
		},
		.map = map,
		.promises = promises,
		.index = index,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);

	qcd_job_queue(flush, this, NULL, JOB_PRIO_MEDIUM, FLUSH_INTERVAL * 1000);
	return &this->public;
}
