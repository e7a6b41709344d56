/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_changes.h"

#include <collections/linked_list.h>
#include <processing/jobs/callback_job.h>
#include <threading/mutex.h>

/**
 * Maximum number of waiting changes. As many additional changes may remove
 * rows, because rows of deleted SAs would count as lost after a crash.
 */
#define CHANGES_MAX 16384

typedef struct private_qcd_changes_t private_qcd_changes_t;

/**
 * Private data
 */
struct private_qcd_changes_t {

	/**
	 * Public interface
	 */
	qcd_changes_t public;

	/**
	 * Writes a change, and its argument
	 */
	qcd_changes_write_t write;
	void *user;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * Waiting changes, as qcd_change_t
	 */
	linked_list_t *changes;

	/**
	 * Whether a job is writing
	 */
	bool writing;

	/**
	 * Whether changes were lost since the queue was last empty
	 */
	bool full;
};

/**
 * Get the next change. If there is none, return NULL and note that no job is
 * writing.
 */
static qcd_change_t *next(private_qcd_changes_t *this)
{
	qcd_change_t *change = NULL;

	this->mutex->lock(this->mutex);
	if (this->changes->remove_first(this->changes, (void**)&change) != SUCCESS)
	{
		this->writing = FALSE;
		this->full = FALSE;
	}
	this->mutex->unlock(this->mutex);
	return change;
}

/**
 * Job that writes all changes
 */
static job_requeue_t write_all(private_qcd_changes_t *this)
{
	qcd_change_t *change;

	while ((change = next(this)))
	{
		this->write(this->user, change);
		free(change);
	}
	return JOB_REQUEUE_NONE;
}

METHOD(qcd_changes_t, add, void,
	private_qcd_changes_t *this, const qcd_samap_row *row, bool removed)
{
	qcd_change_t *change;
	bool start = FALSE, lost = FALSE;

	this->mutex->lock(this->mutex);
	if (this->changes->get_count(this->changes) <
		(removed ? 2 : 1) * CHANGES_MAX)
	{
		INIT(change,
			.row = *row,
			.removed = removed,
		);
		this->changes->insert_last(this->changes, change);
		start = !this->writing;
		this->writing = TRUE;
	}
	else
	{
		lost = !this->full;
		this->full = TRUE;
	}
	this->mutex->unlock(this->mutex);
	if (lost)
	{
		DBG1(DBG_CFG, "QCD: the SA map can't be written in time: after a "
			 "crash, ESP of new CHILD_SAs gets no reply. Check the disk of "
			 "state_dir");
	}
	if (start)
	{
		lib->processor->queue_job(lib->processor,
				(job_t*)callback_job_create_with_prio((void*)write_all, this,
												NULL, NULL, JOB_PRIO_HIGH));
	}
}

METHOD(qcd_changes_t, destroy, void,
	private_qcd_changes_t *this)
{
	write_all(this);
	this->changes->destroy(this->changes);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_changes_t *qcd_changes_create(qcd_changes_write_t write, void *user)
{
	private_qcd_changes_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.destroy = _destroy,
		},
		.write = write,
		.user = user,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.changes = linked_list_create(),
	);
	return &this->public;
}
