/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_changes.h"

#include "box.h"

/**
 * Changes that wait at most: those that are put, and those that are removed
 */
#define PUTS_MAX 16384
#define ALL_MAX 32768

/**
 * What was written
 */
typedef struct {
	qcd_changes_t *changes;
	u_int count, removed;
	/** number in the SPI of the last one, and whether all came in their order */
	uint32_t last;
	bool ordered;
	/** changes that writing adds to the queue */
	u_int more;
} written_t;

/**
 * Add a change with a number
 */
static void add(qcd_changes_t *changes, uint32_t number, bool removed)
{
	qcd_samap_row row = {};

	memcpy(row.child_spi.octets, &number, sizeof(number));
	changes->add(changes, &row, removed);
}

static void write_change(void *user, qcd_change_t *change)
{
	written_t *this = user;
	uint32_t number;

	memcpy(&number, change->row.child_spi.octets, sizeof(number));
	this->ordered &= number > this->last;
	this->last = number;
	this->count++;
	this->removed += change->removed;
	if (this->more)
	{
		this->more--;
		add(this->changes, 1000000 - this->more, FALSE);
	}
}

/**
 * Begin with nothing
 */
static qcd_changes_t *begin(written_t *written)
{
	*written = (written_t){ .ordered = TRUE };
	written->changes = qcd_changes_create(write_change, written);
	return written->changes;
}

static void test_one_job(void **state)
{
	qcd_changes_t *changes;
	written_t written;

	changes = begin(&written);
	CHECK_INT("nothing", box_count_jobs(), 0);
	add(changes, 1, FALSE);
	add(changes, 2, TRUE);
	add(changes, 3, FALSE);
	CHECK_INT("added", box_count_jobs(), 1);
	CHECK_INT("added", written.count, 0);
	box_run_jobs();
	CHECK_INT("written", written.count, 3);
	CHECK_INT("written", written.removed, 1);
	CHECK("written", written.ordered);
	add(changes, 4, FALSE);
	CHECK_INT("again", box_count_jobs(), 1);
	box_run_jobs();
	CHECK_INT("again", written.count, 4);
	changes->destroy(changes);
	CHECK_INT("destroyed", written.count, 4);
}

/**
 * What is added while the job writes is written by the same job
 */
static void test_while_writing(void **state)
{
	qcd_changes_t *changes;
	written_t written;

	changes = begin(&written);
	written.more = 3;
	add(changes, 1, FALSE);
	box_run_jobs();
	CHECK_INT("written", written.count, 4);
	CHECK("written", written.ordered);
	changes->destroy(changes);
}

static void test_destroy_writes(void **state)
{
	qcd_changes_t *changes;
	written_t written;

	changes = begin(&written);
	add(changes, 1, FALSE);
	add(changes, 2, TRUE);
	changes->destroy(changes);
	CHECK_INT("destroyed", written.count, 2);
	/* its job is never run: charon has ended all of them by then */
}

static void test_full(void **state)
{
	static const struct {
		char *row;
		u_int puts, removes, written, removed;
		bool lost;
	} table[] = {
		{ "all places", PUTS_MAX, 0, PUTS_MAX, 0, FALSE },
		{ "one put too many", PUTS_MAX + 1, 0, PUTS_MAX, 0, TRUE },
		{ "full of puts, a removal", PUTS_MAX, 1, PUTS_MAX + 1, 1, FALSE },
		{ "all of both", PUTS_MAX, PUTS_MAX, ALL_MAX, PUTS_MAX, FALSE },
		{ "one removal too many", PUTS_MAX, PUTS_MAX + 1, ALL_MAX, PUTS_MAX,
		  TRUE },
		{ "removals alone", 0, ALL_MAX, ALL_MAX, ALL_MAX, FALSE },
		{ "removals alone, one too many", 0, ALL_MAX + 1, ALL_MAX, ALL_MAX,
		  TRUE },
		{ "many too many", PUTS_MAX + 100, 10, PUTS_MAX + 10, 10, TRUE },
	};
	qcd_changes_t *changes;
	written_t written;
	uint32_t number;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		changes = begin(&written);
		number = 0;
		box_forget_log();
		for (j = 0; j < table[i].puts; j++)
		{
			add(changes, ++number, FALSE);
		}
		for (j = 0; j < table[i].removes; j++)
		{
			add(changes, ++number, TRUE);
		}
		CHECK_LOGGED(table[i].row, "QCD: the SA map can't be written in time",
					 table[i].lost);
		CHECK_INT(table[i].row, box_count_jobs(), 1);
		box_run_jobs();
		CHECK_INT(table[i].row, written.count, table[i].written);
		CHECK_INT(table[i].row, written.removed, table[i].removed);
		CHECK(table[i].row, written.ordered);
		changes->destroy(changes);
	}
}

/**
 * The log says it once, and again once all were written
 */
static void test_full_again(void **state)
{
	qcd_changes_t *changes;
	written_t written;
	uint32_t number = 0;
	int i, round;

	changes = begin(&written);
	for (round = 1; round <= 2; round++)
	{
		for (i = 0; i < PUTS_MAX + 5; i++)
		{
			add(changes, ++number, FALSE);
		}
		CHECK_LOGGED("round", "can't be written in time", round);
		box_run_jobs();
		CHECK_INT("round", written.count, round * PUTS_MAX);
	}
	changes->destroy(changes);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_one_job),
		BOX_TEST(test_while_writing),
		BOX_TEST(test_destroy_writes),
		BOX_TEST(test_full),
		BOX_TEST(test_full_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
