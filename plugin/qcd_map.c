/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_map.h"

#include <daemon.h>
#include <processing/jobs/callback_job.h>
#include <threading/mutex.h>

/**
 * Seconds between two writes to the disk
 */
#define FLUSH_INTERVAL 1

/**
 * Milliseconds without a failure after which the map counts as writable again
 */
#define RECOVERED_MS 5000

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
	 * SA map
	 */
	qcd_samap *map;

	/**
	 * Mutex for what follows
	 */
	mutex_t *mutex;

	/**
	 * When the map last could not be written, 0 if that is over
	 */
	uint64_t failed_at;
};

/**
 * Note the result of a change. Log once that the map can't be written, and once
 * that it can be written again: on a full disk, a change succeeds now and then.
 */
static bool note_result(private_qcd_map_t *this, enum qcd_store_err err,
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

	return note_result(this, qcd_samap_put(this->map, &report, row), &report);
}

METHOD(qcd_map_t, remove_, bool,
	private_qcd_map_t *this, const qcd_samap_row *row)
{
	qcd_store_report report = {};
	bool removed;

	note_result(this, qcd_samap_remove(this->map, &report, &removed, row),
				&report);
	return removed;
}

METHOD(qcd_map_t, walk, bool,
	private_qcd_map_t *this, qcd_samap_visit *visit, void *user)
{
	qcd_store_report report = {};

	return note_result(this, qcd_samap_walk(this->map, &report, visit, user),
					   &report);
}

/**
 * Job that makes the changes of the last second durable
 */
static job_requeue_t flush(private_qcd_map_t *this)
{
	qcd_store_report report = {};

	note_result(this, qcd_samap_flush(this->map, &report), &report);
	return JOB_RESCHEDULE(FLUSH_INTERVAL);
}

METHOD(qcd_map_t, destroy, void,
	private_qcd_map_t *this)
{
	qcd_samap_close(this->map);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_map_t *qcd_map_create(char *folder)
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
			.walk = _walk,
			.destroy = _destroy,
		},
		.map = map,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);

	lib->scheduler->schedule_job(lib->scheduler,
			(job_t*)callback_job_create((void*)flush, this, NULL, NULL),
			FLUSH_INTERVAL);
	return &this->public;
}
