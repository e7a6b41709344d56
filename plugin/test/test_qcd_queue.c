/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_queue.h"

#include "box.h"

#define ITEMS_MAX 3

static struct {
	qcd_queue_t *queue;
	/** items that were handled, and how many more are added meanwhile */
	char done[64];
	u_int more;
} begun;

static void handle(void *user, int *item)
{
	size_t len = strlen(begun.done);

	CHECK("user", user == &begun);
	snprintf(begun.done + len, sizeof(begun.done) - len, "%d ", *item);
	if (begun.more)
	{
		int next = *item + 1;

		begun.more--;
		begun.queue->add(begun.queue, &next);
	}
}

static int begin(void **state)
{
	if (box_open(state))
	{
		return -1;
	}
	memset(&begun, 0, sizeof(begun));
	begun.queue = qcd_queue_create(sizeof(int), ITEMS_MAX,
								   (qcd_queue_handle_t)handle, &begun);
	return 0;
}

static int end(void **state)
{
	begun.queue->destroy(begun.queue);
	return box_close(state);
}

static void test_bound(void **state)
{
	static const struct {
		char *row;
		int items;
		char *done;
		u_int jobs;
	} table[] = {
		{ "none", 0, "", 0 },
		{ "one", 1, "1 ", 1 },
		{ "all places", ITEMS_MAX, "1 2 3 ", 1 },
		{ "one too many", ITEMS_MAX + 1, "1 2 3 ", 1 },
		{ "many too many", 100, "1 2 3 ", 1 },
	};
	u_int i;
	int item;

	for (i = 0; i < countof(table); i++)
	{
		begun.done[0] = '\0';
		for (item = 1; item <= table[i].items; item++)
		{
			begun.queue->add(begun.queue, &item);
		}
		CHECK_INT(table[i].row, box_count_jobs(), table[i].jobs);
		CHECK_STR(table[i].row, begun.done, "");
		box_run_jobs();
		CHECK_STR(table[i].row, begun.done, table[i].done);
	}
}

/**
 * What is added while the job runs is handled by the same job, and there is room
 * again
 */
static void test_while_running(void **state)
{
	int item = 1;

	begun.more = 2 * ITEMS_MAX;
	begun.queue->add(begun.queue, &item);
	box_run_jobs();
	CHECK_STR("all", begun.done, "1 2 3 4 5 6 7 ");
	CHECK_INT("no other job", box_count_jobs(), 0);
}

/**
 * Items that wait at the end are freed, which a sanitizer checks
 */
static void test_destroyed(void **state)
{
	int item = 1;

	begun.queue->add(begun.queue, &item);
	CHECK_STR("not handled", begun.done, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bound),
		TEST(test_while_running),
		TEST(test_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
