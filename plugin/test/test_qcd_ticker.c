/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_ticker.h"

#include "box.h"

/**
 * Work
 */
typedef struct {
	/** when it was done, since the begin */
	char done[256];
	/** milliseconds until it is to be done again, for so many times */
	u_int next, times;
	/** microseconds of a processor that it takes */
	u_int takes;
	/** asks for work with that delay while it works, -1 for none */
	int asks;
	qcd_ticker_t *ticker;
} work_t;

static u_int work(void *user)
{
	work_t *this = user;
	size_t len = strlen(this->done);

	snprintf(this->done + len, sizeof(this->done) - len, "%s%u",
			 len ? " " : "", (u_int)(box_now - BOX_NOW));
	box_used += this->takes;
	if (this->asks >= 0)
	{
		this->ticker->work(this->ticker, this->asks);
		this->asks = -1;
	}
	return this->times && this->times-- ? this->next : 0;
}

/**
 * Run all jobs, now and later
 */
static void run()
{
	do
	{
		box_run_jobs();
	}
	while (box_run_scheduled());
}

static void test_work(void **state)
{
	static const struct {
		char *row;
		/* for when it is asked to work, all at the begin, -1 at the end */
		int delays[4];
		u_int next, times, takes;
		int asks;
		char *done;
	} table[] = {
		{ "nobody asks", { -1 }, 0, 0, 0, -1, "" },
		{ "now", { 0, -1 }, 0, 0, 0, -1, "0" },
		{ "later", { 100, -1 }, 0, 0, 0, -1, "100" },
		{ "asked twice", { 100, 100, -1 }, 0, 0, 0, -1, "100" },
		{ "asked for later, too", { 100, 200, -1 }, 0, 0, 0, -1, "100" },
		{ "asked for earlier, too", { 200, 100, -1 }, 0, 0, 0, -1, "100" },
		{ "asked for now, too", { 200, 0, -1 }, 0, 0, 0, -1, "0" },
		{ "again", { 10, -1 }, 50, 3, 0, -1, "10 60 110 160" },
		{ "asked for while it works", { 0, -1 }, 0, 0, 0, 30, "0 30" },
		{ "asked for now while it works", { 0, -1 }, 0, 0, 0, 0, "0 0" },
		{ "and again, which is earlier", { 0, -1 }, 20, 1, 0, 30, "0 20" },
		/* a rest of forty times what it took */
		{ "took 24 us", { 0, -1 }, 1, 2, 24, -1, "0 1 2" },
		{ "took 50 us", { 0, -1 }, 1, 2, 50, -1, "0 2 4" },
		{ "took 1 ms", { 0, -1 }, 1, 2, 1000, -1, "0 40 80" },
		{ "took 1 ms, and has time", { 0, -1 }, 100, 2, 1000, -1,
		  "0 100 200" },
	};
	qcd_ticker_t *ticker;
	work_t this;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		box_now = BOX_NOW;
		this = (work_t){
			.next = table[i].next,
			.times = table[i].times,
			.takes = table[i].takes,
			.asks = table[i].asks,
		};
		ticker = this.ticker = qcd_ticker_create(work, &this);
		for (j = 0; table[i].delays[j] >= 0; j++)
		{
			ticker->work(ticker, table[i].delays[j]);
		}
		CHECK_STR(table[i].row, this.done, "");
		run();
		CHECK_STR(table[i].row, this.done, table[i].done);
		ticker->destroy(ticker);
	}
}

/**
 * Who asks while it rests waits for the end of that
 */
static void test_rest(void **state)
{
	work_t this = { .takes = 1000, .asks = -1 };
	qcd_ticker_t *ticker = qcd_ticker_create(work, &this);

	ticker->work(ticker, 0);
	run();
	CHECK_STR("first", this.done, "0");
	box_now += 39;
	ticker->work(ticker, 0);
	box_run_jobs();
	CHECK_STR("rests", this.done, "0");
	run();
	CHECK_STR("rested", this.done, "0 40");
	box_now += 40;
	ticker->work(ticker, 0);
	box_run_jobs();
	CHECK_STR("has rested", this.done, "0 40 80");
	ticker->destroy(ticker);
}

/**
 * One job is enough, however many ask
 */
static void test_one_job(void **state)
{
	work_t this = { .asks = -1 };
	qcd_ticker_t *ticker = qcd_ticker_create(work, &this);

	ticker->work(ticker, 0);
	ticker->work(ticker, 0);
	ticker->work(ticker, 5);
	CHECK_INT("now", box_count_jobs(), 1);
	run();
	CHECK_STR("now", this.done, "0");
	ticker->destroy(ticker);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_work),
		BOX_TEST(test_rest),
		BOX_TEST(test_one_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
