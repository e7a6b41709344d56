/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_queue.h"
#include "qcd_sa.h"

#include <collections/linked_list.h>
#include <threading/mutex.h>

typedef struct private_qcd_queue_t private_qcd_queue_t;

/**
 * Private data
 */
struct private_qcd_queue_t {

	/**
	 * Public interface
	 */
	qcd_queue_t public;

	/**
	 * As passed to qcd_queue_create()
	 */
	size_t len;
	u_int max;
	qcd_queue_handle_t handle;
	void *user;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * Items that wait, and whether the job is running
	 */
	linked_list_t *items;
	bool running;
};

/**
 * Get the next item. If there is none, return NULL and note that the job has
 * ended.
 */
static void *next(private_qcd_queue_t *this)
{
	void *item = NULL;

	this->mutex->lock(this->mutex);
	if (this->items->remove_first(this->items, &item) != SUCCESS)
	{
		this->running = FALSE;
	}
	this->mutex->unlock(this->mutex);
	return item;
}

/**
 * Job that handles all items
 */
static job_requeue_t handle_all(private_qcd_queue_t *this)
{
	void *item;

	while ((item = next(this)))
	{
		this->handle(this->user, item);
		free(item);
	}
	return JOB_REQUEUE_NONE;
}

METHOD(qcd_queue_t, add, void,
	private_qcd_queue_t *this, const void *item)
{
	bool start = FALSE;

	this->mutex->lock(this->mutex);
	if (this->items->get_count(this->items) < this->max)
	{
		this->items->insert_last(this->items,
								 memcpy(malloc(this->len), item, this->len));
		start = !this->running;
		this->running = TRUE;
	}
	this->mutex->unlock(this->mutex);
	if (start)
	{
		qcd_job_queue(handle_all, this, NULL, JOB_PRIO_MEDIUM, 0);
	}
}

METHOD(qcd_queue_t, destroy, void,
	private_qcd_queue_t *this)
{
	this->items->destroy_function(this->items, free);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_queue_t *qcd_queue_create(size_t len, u_int max, qcd_queue_handle_t handle,
							  void *user)
{
	private_qcd_queue_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.destroy = _destroy,
		},
		.len = len,
		.max = max,
		.handle = handle,
		.user = user,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.items = linked_list_create(),
	);
	return &this->public;
}
