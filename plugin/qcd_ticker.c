/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_ticker.h"
#include "qcd_sa.h"

#include <time.h>

#include <threading/mutex.h>

/**
 * The rest after the work, as a multiple of the time that the work took
 */
#define REST_SHARE 40

typedef struct private_qcd_ticker_t private_qcd_ticker_t;

/**
 * Private data
 */
struct private_qcd_ticker_t {

	/**
	 * Public interface
	 */
	qcd_ticker_t public;

	/**
	 * Does the work, and its argument
	 */
	qcd_ticker_work_t work;
	void *user;

	/**
	 * Mutex for the work. No listener takes it.
	 */
	mutex_t *working;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * When the work is done next, by a job that is queued or scheduled;
	 * UINT64_MAX if there is none
	 */
	uint64_t due;

	/**
	 * When the current rest ends
	 */
	uint64_t rested;
};

/**
 * A job that works at a given time, unless another job is due earlier
 */
typedef struct {
	private_qcd_ticker_t *this;
	uint64_t at;
} shift_t;

/**
 * Get the processor time of this thread in microseconds. Time spent waiting for
 * a lock does not count.
 */
static uint64_t used()
{
	struct timespec ts = {};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

static void work_at(private_qcd_ticker_t *this, uint64_t at);

/**
 * Work, and schedule the next run
 */
static void work_now(private_qcd_ticker_t *this)
{
	uint64_t begin;
	u_int next, rest;

	this->working->lock(this->working);
	begin = used();
	next = this->work(this->user);
	rest = (used() - begin) * REST_SHARE / 1000;
	this->working->unlock(this->working);

	this->mutex->lock(this->mutex);
	this->rested = qcd_now() + rest;
	this->mutex->unlock(this->mutex);
	if (next)
	{
		work_at(this, qcd_now() + next);
	}
}

/**
 * Job that does the work
 */
static job_requeue_t execute(shift_t *shift)
{
	private_qcd_ticker_t *this = shift->this;
	bool due;

	this->mutex->lock(this->mutex);
	due = this->due == shift->at;
	if (due)
	{
		this->due = UINT64_MAX;
	}
	this->mutex->unlock(this->mutex);
	if (due)
	{
		work_now(this);
	}
	return JOB_REQUEUE_NONE;
}

/**
 * Queue or schedule a job that works at a given time. Work without a delay is
 * as urgent as the message that requests it.
 */
static void schedule(private_qcd_ticker_t *this, uint64_t at, u_int delay)
{
	shift_t *shift;

	INIT(shift,
		.this = this,
		.at = at,
	);
	qcd_job_queue(execute, shift, free, delay ? JOB_PRIO_LOW : JOB_PRIO_MEDIUM,
				  delay);
}

/**
 * Have the work done at a given time, unless it is done earlier anyway
 */
static void work_at(private_qcd_ticker_t *this, uint64_t at)
{
	uint64_t now = qcd_now();
	bool earlier;

	this->mutex->lock(this->mutex);
	at = max(at, this->rested);
	earlier = at < this->due;
	if (earlier)
	{
		this->due = at;
	}
	this->mutex->unlock(this->mutex);
	if (earlier)
	{
		schedule(this, at, at > now ? at - now : 0);
	}
}

METHOD(qcd_ticker_t, work_, void,
	private_qcd_ticker_t *this, u_int delay)
{
	work_at(this, qcd_now() + delay);
}

METHOD(qcd_ticker_t, destroy, void,
	private_qcd_ticker_t *this)
{
	this->working->destroy(this->working);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_ticker_t *qcd_ticker_create(qcd_ticker_work_t work, void *user)
{
	private_qcd_ticker_t *this;

	INIT(this,
		.public = {
			.work = _work_,
			.destroy = _destroy,
		},
		.work = work,
		.user = user,
		.working = mutex_create(MUTEX_TYPE_DEFAULT),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.due = UINT64_MAX,
	);
	return &this->public;
}
