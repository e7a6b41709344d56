/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_resolver.h"
#include "qcd_try.h"

#include <daemon.h>
#include <collections/linked_list.h>
#include <processing/jobs/callback_job.h>
#include <threading/mutex.h>

typedef struct private_qcd_resolver_t private_qcd_resolver_t;

/**
 * Private data
 */
struct private_qcd_resolver_t {

	/**
	 * Public interface
	 */
	qcd_resolver_t public;

	/**
	 * Receives addresses, and its argument
	 */
	qcd_resolver_cb_t cb;
	void *data;

	/**
	 * Mutex for what follows. Nothing is called while it is held.
	 */
	mutex_t *mutex;

	/**
	 * Lookups that have not begun, as look_up_t
	 */
	linked_list_t *queue;

	/**
	 * Whether a job processes the queue
	 */
	bool running;
};

/**
 * A lookup
 */
typedef struct {
	char *name;
	uintptr_t number;
} look_up_t;

/**
 * Destroy a look_up_t
 */
static void look_up_destroy(look_up_t *look_up)
{
	free(look_up->name);
	free(look_up);
}

/**
 * Resolve the name of a connection's peer. DNS may take long, so no lock is
 * held.
 */
static host_t *resolve(char *name)
{
	peer_cfg_t *peer_cfg;
	ike_cfg_t *ike_cfg;
	host_t *host = NULL;

	peer_cfg = charon->backends->get_peer_cfg_by_name(charon->backends, name);
	if (peer_cfg)
	{
		ike_cfg = peer_cfg->get_ike_cfg(peer_cfg);
		if (qcd_try_is_named(ike_cfg))
		{
			host = ike_cfg->resolve_other(ike_cfg, AF_UNSPEC);
		}
		peer_cfg->destroy(peer_cfg);
	}
	return host;
}

/**
 * Job that processes the queue until it is empty
 */
static job_requeue_t resolve_job(private_qcd_resolver_t *this)
{
	look_up_t *look_up;
	host_t *host;

	this->mutex->lock(this->mutex);
	while (this->queue->remove_first(this->queue,
									 (void**)&look_up) == SUCCESS)
	{
		this->mutex->unlock(this->mutex);
		host = resolve(look_up->name);
		if (host)
		{
			this->cb(this->data, look_up->number, host);
		}
		look_up_destroy(look_up);
		this->mutex->lock(this->mutex);
	}
	this->running = FALSE;
	this->mutex->unlock(this->mutex);
	return JOB_REQUEUE_NONE;
}

/**
 * Queue a lookup unless it is queued already: the queue must not grow if DNS is
 * slower than the callers
 */
static void enqueue(private_qcd_resolver_t *this, char *name, uintptr_t number)
{
	enumerator_t *enumerator;
	look_up_t *look_up;
	bool found = FALSE;

	enumerator = this->queue->create_enumerator(this->queue);
	while (!found && enumerator->enumerate(enumerator, &look_up))
	{
		found = look_up->number == number;
	}
	enumerator->destroy(enumerator);
	if (!found)
	{
		INIT(look_up,
			.name = strdup(name),
			.number = number,
		);
		this->queue->insert_last(this->queue, look_up);
	}
}

METHOD(qcd_resolver_t, look_up, void,
	private_qcd_resolver_t *this, char *name, uintptr_t number)
{
	bool idle;

	this->mutex->lock(this->mutex);
	enqueue(this, name, number);
	idle = !this->running;
	this->running = TRUE;
	this->mutex->unlock(this->mutex);
	if (idle)
	{
		lib->processor->queue_job(lib->processor,
			(job_t*)callback_job_create_with_prio((void*)resolve_job, this, NULL,
							(callback_job_cancel_t)return_false, JOB_PRIO_LOW));
	}
}

METHOD(qcd_resolver_t, cancel, void,
	private_qcd_resolver_t *this, uintptr_t number)
{
	enumerator_t *enumerator;
	look_up_t *look_up;

	this->mutex->lock(this->mutex);
	enumerator = this->queue->create_enumerator(this->queue);
	while (enumerator->enumerate(enumerator, &look_up))
	{
		if (look_up->number == number)
		{
			this->queue->remove_at(this->queue, enumerator);
			look_up_destroy(look_up);
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_resolver_t, destroy, void,
	private_qcd_resolver_t *this)
{
	this->queue->destroy_function(this->queue, (void*)look_up_destroy);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_resolver_t *qcd_resolver_create(qcd_resolver_cb_t cb, void *data)
{
	private_qcd_resolver_t *this;

	INIT(this,
		.public = {
			.look_up = _look_up,
			.cancel = _cancel,
			.destroy = _destroy,
		},
		.cb = cb,
		.data = data,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.queue = linked_list_create(),
	);
	return &this->public;
}
