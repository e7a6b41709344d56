/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "box.h"

#include <time.h>

/**
 * Lines of the log that are kept
 */
#define LINES_MAX 64

uint64_t box_now;
uint64_t box_used;
time_t box_time;
bool box_no_random;

/**
 * The log
 */
static char *lines[LINES_MAX];
static u_int num_lines;

/**
 * Jobs that wait, as job_t
 */
static linked_list_t *jobs;

/**
 * A job that is scheduled
 */
typedef struct {
	job_t *job;
	uint64_t at;
} scheduled_t;

/**
 * Jobs that are scheduled, as scheduled_t
 */
static linked_list_t *scheduled;

/**
 * The clocks, which replace those of the system in our code (ld --wrap)
 */
time_t __wrap_time_monotonic(timeval_t *tv);
time_t __wrap_time(time_t *out);

time_t __wrap_time_monotonic(timeval_t *tv)
{
	if (tv)
	{
		tv->tv_sec = box_now / 1000;
		tv->tv_usec = box_now % 1000 * 1000;
	}
	return box_now / 1000;
}

time_t __wrap_time(time_t *out)
{
	if (out)
	{
		*out = box_time;
	}
	return box_time;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	*ts = (struct timespec){};
	switch (id)
	{
		case CLOCK_REALTIME:
			ts->tv_sec = box_time;
			break;
		case CLOCK_THREAD_CPUTIME_ID:
			ts->tv_sec = box_used / 1000000;
			ts->tv_nsec = box_used % 1000000 * 1000;
			break;
		default:
			assert_true(FALSE);
	}
	return 0;
}

METHOD(logger_t, log_line, void,
	logger_t *this, debug_t group, level_t level, int thread, ike_sa_t *ike_sa,
	const char *message)
{
	assert_in_range(num_lines, 0, LINES_MAX - 1);
	lines[num_lines++] = strdup(message);
}

METHOD(logger_t, get_level, level_t,
	logger_t *this, debug_t group)
{
	return 1;
}

static logger_t logger;

METHOD(rng_t, get_bytes, bool,
	rng_t *this, size_t len, uint8_t *buffer)
{
	count_up(buffer, 1, len);
	return TRUE;
}

METHOD(rng_t, rng_destroy, void,
	rng_t *this)
{
	free(this);
}

/**
 * Create a source of octets that count up
 */
static rng_t *rng_create(rng_quality_t quality)
{
	rng_t *rng;

	if (box_no_random)
	{
		return NULL;
	}
	INIT(rng,
		.get_bytes = _get_bytes,
		.destroy = _rng_destroy,
	);
	return rng;
}

METHOD(processor_t, queue_job, void,
	processor_t *this, job_t *job)
{
	jobs->insert_last(jobs, job);
}

METHOD(scheduler_t, schedule_job_ms, void,
	scheduler_t *this, job_t *job, uint32_t ms)
{
	scheduled_t *new;

	INIT(new,
		.job = job,
		.at = box_now + ms,
	);
	scheduled->insert_last(scheduled, new);
}

METHOD(scheduler_t, schedule_job, void,
	scheduler_t *this, job_t *job, uint32_t s)
{
	schedule_job_ms(this, job, s * 1000);
}

/**
 * Destroy a job that is scheduled, unless it was taken out
 */
static void scheduled_destroy(scheduled_t *this)
{
	DESTROY_IF(this->job);
	free(this);
}

/*
 * Described in header
 */
int box_open(void **state)
{
	box_now = BOX_NOW;
	box_time = BOX_TIME;
	box_used = 0;
	box_no_random = FALSE;
	/* no configuration of the machine's */
	if (!library_init("", "charon") || !libcharon_init())
	{
		return -1;
	}
	logger = (logger_t){
		.log = _log_line,
		.get_level = _get_level,
	};
	/* it listens, and calls methods that played CHILD_SAs don't have */
	charon->traps->destroy(charon->traps);
	charon->traps = NULL;
	charon->bus->add_logger(charon->bus, &logger);
	lib->crypto->add_rng(lib->crypto, RNG_STRONG, "box", rng_create);
	jobs = linked_list_create();
	lib->processor->queue_job = _queue_job;
	scheduled = linked_list_create();
	lib->scheduler->schedule_job_ms = _schedule_job_ms;
	lib->scheduler->schedule_job = _schedule_job;
	return 0;
}

/*
 * Described in header
 */
int box_close(void **state)
{
	jobs->destroy_offset(jobs, offsetof(job_t, destroy));
	scheduled->destroy_function(scheduled, (void*)scheduled_destroy);
	lib->crypto->remove_rng(lib->crypto, rng_create);
	charon->bus->remove_logger(charon->bus, &logger);
	/* charon would flush the test's manager */
	charon->ike_sa_manager = NULL;
	libcharon_deinit();
	library_deinit();
	box_forget_log();
	return 0;
}

/*
 * Described in header
 */
void box_set(char *key, char *value)
{
	char full[256];

	/* as an argument of the key, a dot would be part of a section's name */
	snprintf(full, sizeof(full), "charon.%s", key);
	lib->settings->set_str(lib->settings, full, value);
}

/*
 * Described in header
 */
u_int box_logged(const char *text)
{
	u_int i, count = 0;

	for (i = 0; i < num_lines; i++)
	{
		count += strstr(lines[i], text) != NULL;
	}
	return count;
}

/*
 * Described in header
 */
const char *box_last_line()
{
	return num_lines ? lines[num_lines - 1] : "";
}

/*
 * Described in header
 */
void box_forget_log()
{
	while (num_lines)
	{
		free(lines[--num_lines]);
	}
}

/*
 * Described in header
 */
u_int box_count_jobs()
{
	return jobs->get_count(jobs);
}

/*
 * Described in header
 */
void box_run_jobs()
{
	job_t *job;

	while (jobs->remove_first(jobs, (void**)&job) == SUCCESS)
	{
		job->execute(job);
		job->destroy(job);
	}
}

/*
 * Described in header
 */
void box_forget_jobs()
{
	scheduled_t *next;
	job_t *job;

	while (jobs->remove_first(jobs, (void**)&job) == SUCCESS)
	{
		job->destroy(job);
	}
	while (scheduled->remove_first(scheduled, (void**)&next) == SUCCESS)
	{
		scheduled_destroy(next);
	}
}

/**
 * Get the job that is scheduled next, NULL if there is none
 */
static scheduled_t *get_next(void)
{
	enumerator_t *enumerator;
	scheduled_t *current, *next = NULL;

	enumerator = scheduled->create_enumerator(scheduled);
	while (enumerator->enumerate(enumerator, &current))
	{
		if (!next || current->at < next->at)
		{
			next = current;
		}
	}
	enumerator->destroy(enumerator);
	return next;
}

/*
 * Described in header
 */
bool box_run_scheduled()
{
	scheduled_t *next = get_next();

	if (!next)
	{
		return FALSE;
	}
	scheduled->remove(scheduled, next, NULL);
	box_now = max(box_now, next->at);
	jobs->insert_first(jobs, next->job);
	next->job = NULL;
	scheduled_destroy(next);
	box_run_jobs();
	return TRUE;
}

/*
 * Described in header
 */
void box_run_until(uint64_t then)
{
	scheduled_t *next;

	while ((next = get_next()) && next->at <= then)
	{
		box_run_scheduled();
	}
	box_now = max(box_now, then);
}

/*
 * Described in header
 */
void check_logged(const char *row, const char *text, u_int times,
				  const char *file, int line)
{
	u_int i, count = box_logged(text);

	if (count != times)
	{
		print_error("row '%s': '%s' is logged %u times, want %u. The log:\n",
					row, text, count, times);
		for (i = 0; i < num_lines; i++)
		{
			print_error("    %s\n", lines[i]);
		}
		_fail(file, line);
	}
}

/*
 * Described in header
 */
void check_str(const char *row, const char *what, const char *got,
			   const char *want, const char *file, int line)
{
	if (!streq(got, want))
	{
		print_error("row '%s': %s is '%s', want '%s'\n", row, what,
					got ?: "(null)", want ?: "(null)");
		_fail(file, line);
	}
}
