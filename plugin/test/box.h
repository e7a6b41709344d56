/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup box box
 * @{ @ingroup qcd
 *
 * What a test of the plugin runs in: libstrongswan and a charon that is created
 * but never started, so there are no threads, no sockets and no plugins. The test
 * sets the settings, the clock and whether there are random numbers. It runs the
 * jobs and reads the log.
 */

#ifndef BOX_H_
#define BOX_H_

#include <daemon.h>

#include "test.h"

/* a method of qcd_connector_t; tests use the checks that name a row */
#undef fail

/**
 * Milliseconds of the monotonic clock, and seconds since 1970.
 */
extern uint64_t box_now;
extern time_t box_time;

/**
 * Microseconds of processor time that this thread has used.
 */
extern uint64_t box_used;

/**
 * Where both clocks start
 */
#define BOX_NOW 1000000
#define BOX_TIME 1700000000

/**
 * Set to fail requests for random numbers. Otherwise, random octets count up.
 */
extern bool box_no_random;

/**
 * Setup and teardown of a test.
 */
int box_open(void **state);
int box_close(void **state);

/**
 * Declare a test that runs in a box.
 */
#define BOX_TEST(name) cmocka_unit_test_setup_teardown(name, box_open, box_close)

/**
 * Set a value of strongswan.conf.
 *
 * @param key			key below charon
 * @param value			value, NULL to remove it
 */
void box_set(char *key, char *value);

/**
 * Count the log lines of level 1 that contain a text.
 *
 * @param text			text, "" for all lines
 * @return				number of lines since box_open() or box_forget_log()
 */
u_int box_logged(const char *text);

/**
 * Get the last log line.
 *
 * @return				line, "" if there is none
 */
const char *box_last_line(void);

/**
 * Forget the log.
 */
void box_forget_log(void);

/**
 * Count the jobs that wait.
 */
u_int box_count_jobs(void);

/**
 * Run the jobs that wait, and those that they queue. A job runs once, even if it
 * asks to be scheduled again.
 */
void box_run_jobs(void);

/**
 * Drop all jobs, as charon does before it unloads its plugins.
 */
void box_forget_jobs(void);

/**
 * Advance the clock to the next scheduled job, run it and the jobs that it queues.
 *
 * @return				FALSE if none is scheduled
 */
bool box_run_scheduled(void);

/**
 * Advance the clock, and run the jobs that are scheduled until then.
 *
 * @param then			milliseconds of the monotonic clock
 */
void box_run_until(uint64_t then);

/**
 * Fail unless so many log lines contain a text.
 */
#define CHECK_LOGGED(row, text, times) \
	check_logged((row), (text), (times), __FILE__, __LINE__)

void check_logged(const char *row, const char *text, u_int times,
				  const char *file, int line);

/**
 * Fail unless two strings are equal.
 */
#define CHECK_STR(row, got, want) \
	check_str((row), #got, (got), (want), __FILE__, __LINE__)

void check_str(const char *row, const char *what, const char *got,
			   const char *want, const char *file, int line);

#endif /** BOX_H_ @}*/
