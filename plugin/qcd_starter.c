/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_starter.h"
#include "qcd_spi_source.h"

#include <daemon.h>
#include <threading/condvar.h>
#include <threading/mutex.h>
#include <threading/thread.h>

/**
 * Milliseconds for which charon's start waits for the disk. Requests that arrive
 * meanwhile wait in the kernel; later ones get no reply until the maker is on.
 */
#define PATIENCE_MS 1000

/**
 * Seconds until the next try: the pause doubles up to the maximum
 */
#define PAUSE_MIN 1
#define PAUSE_MAX 60

#define ERROR_MAX 512

typedef struct private_qcd_starter_t private_qcd_starter_t;

/**
 * Private data
 */
struct private_qcd_starter_t {

	/**
	 * Public interface
	 */
	qcd_starter_t public;

	/**
	 * As passed to qcd_starter_create()
	 */
	qcd_config_t *config;
	qcd_events_t *events;
	qcd_receiver_t *receiver;
	qcd_pending_t *pending;

	/**
	 * Thread of the first try, when charon's own threads don't run yet; NULL if
	 * nothing is to be tried
	 */
	thread_t *thread;

	/**
	 * Seconds until the next try, used by one try after the other
	 */
	u_int pause;

	/**
	 * Mutex for what follows, and the condition that the first try is over
	 */
	mutex_t *mutex;
	condvar_t *condvar;
	bool tried;

	/**
	 * Token maker, and why it is off
	 */
	qcd_maker_t *maker;
	char error[ERROR_MAX];
};

METHOD(qcd_starter_t, get_maker, qcd_maker_t*,
	private_qcd_starter_t *this, char *error, size_t len)
{
	qcd_maker_t *maker;

	this->mutex->lock(this->mutex);
	maker = this->maker;
	snprintf(error, len, "%s", this->error);
	this->mutex->unlock(this->mutex);
	return maker;
}

/**
 * Note the result of a try. Log a failure unless it is the same as before, and
 * success after a failure.
 */
static void note_result(private_qcd_starter_t *this, qcd_maker_t *maker,
						char *error)
{
	bool failed, changed;

	this->mutex->lock(this->mutex);
	failed = *this->error;
	changed = !streq(this->error, error);
	snprintf(this->error, sizeof(this->error), "%s", error);
	this->maker = maker;
	this->tried = TRUE;
	this->condvar->signal(this->condvar);
	this->mutex->unlock(this->mutex);

	if (maker && failed)
	{
		DBG1(DBG_CFG, "QCD: token maker is on");
	}
	else if (!maker && changed)
	{
		DBG1(DBG_CFG, "QCD: the token maker is off: %s", error);
	}
}

/**
 * Try to start the maker
 */
static bool start_maker(private_qcd_starter_t *this)
{
	char error[ERROR_MAX] = "";
	qcd_maker_t *maker;

	maker = qcd_maker_create(this->config, this->events, this->receiver,
							 this->pending, error, sizeof(error));
	note_result(this, maker, error);
	return maker;
}

/**
 * Job that tries again
 */
static job_requeue_t try_again(private_qcd_starter_t *this)
{
	if (start_maker(this))
	{
		return JOB_REQUEUE_NONE;
	}
	this->pause = min(this->pause * 2, PAUSE_MAX);
	return JOB_RESCHEDULE(this->pause);
}

/**
 * Thread of the first try
 */
static void *try_first(private_qcd_starter_t *this)
{
	if (!start_maker(this))
	{
		qcd_job_queue(try_again, this, NULL, JOB_PRIO_LOW, this->pause * 1000);
	}
	return NULL;
}

/**
 * Wait for the first try, but not for a disk that hangs
 */
static void wait_first(private_qcd_starter_t *this)
{
	char error[ERROR_MAX];
	bool tried, timeout = FALSE;

	snprintf(error, sizeof(error), "%s can't be read in time. Check its disk; the "
			 "maker starts once it answers", this->config->state_dir);

	this->mutex->lock(this->mutex);
	while (!this->tried && !timeout)
	{
		timeout = this->condvar->timed_wait(this->condvar, this->mutex,
											PATIENCE_MS);
	}
	tried = this->tried;
	if (!tried)
	{
		strcpy(this->error, error);
	}
	this->mutex->unlock(this->mutex);
	if (!tried)
	{
		DBG1(DBG_CFG, "QCD: the token maker is off: %s", error);
	}
}

/**
 * Make the first try, unless settings forbid a maker
 */
static void begin(private_qcd_starter_t *this)
{
	if (!this->config->maker && !this->config->maker_refused)
	{
		return;
	}
	if (!this->config->maker || !qcd_spi_source_is_safe())
	{	/* logged */
		snprintf(this->error, sizeof(this->error), "a setting does not allow "
				 "it. The log of the daemon's start names the setting");
		return;
	}
	this->thread = qcd_thread_create((void*)try_first, this);
	if (!this->thread)
	{
		try_first(this);
	}
	wait_first(this);
}

METHOD(qcd_starter_t, destroy, void,
	private_qcd_starter_t *this)
{
	if (this->thread)
	{
		this->thread->join(this->thread);
	}
	DESTROY_IF(this->maker);
	this->condvar->destroy(this->condvar);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_starter_t *qcd_starter_create(qcd_config_t *config, qcd_events_t *events,
								  qcd_receiver_t *receiver,
								  qcd_pending_t *pending)
{
	private_qcd_starter_t *this;

	INIT(this,
		.public = {
			.get_maker = _get_maker,
			.destroy = _destroy,
		},
		.config = config,
		.events = events,
		.receiver = receiver,
		.pending = pending,
		.pause = PAUSE_MIN,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.condvar = condvar_create(CONDVAR_TYPE_DEFAULT),
	);
	begin(this);
	return &this->public;
}
