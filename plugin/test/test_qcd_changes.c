/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "changes_box.h"
#include "store/samap_row.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void test_order(void **state)
{
	qcd_changes_t *changes = qcd_changes_create(path, FOLDER);
	qcd_change_t change;
	uint32_t i, range[2];
	int fd;

	CHECK("it is in memory", changes->outlive(changes));
	CHECK_INT("nothing yet", take(changes), 0);
	CHECK("a row", add(changes, 1, FALSE));
	CHECK("its removal", add(changes, 2, TRUE));
	for (i = 0; i < 2; i++)
	{
		CHECK("the same until it is dropped", changes->get(changes, &change));
		CHECK("a row", !change.removed && change.row.run == 1);
	}
	changes->drop(changes);
	CHECK("next", changes->get(changes, &change) && change.removed);
	CHECK_INT("next", take(changes), 2);
	CHECK_INT("nothing left", take(changes), 0);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, range, sizeof(range), AT_RANGE), sizeof(range));
	close(fd);
	CHECK("it begins anew, so that few pages are used", !range[0] && !range[1]);
	changes->destroy(changes);
	CHECK("no file is left", access(path, F_OK) != 0);
	CHECK_LOGGED("nothing is wrong", "", 0);
}

/**
 * Each place is used, the last one before the first one
 */
static void test_around(void **state)
{
	qcd_changes_t *changes = qcd_changes_create(path, FOLDER);
	uint32_t i, next = 1;

	for (i = 1; i <= 3 * PLACES; i++)
	{
		CHECK("there is room", add(changes, i, FALSE));
		if (i % (QCD_CHANGES_MAX - 1) == 0)
		{	/* leave one, so that it never begins anew */
			while (next < i)
			{
				CHECK_INT("in their order", take(changes), next);
				next++;
			}
		}
	}
	changes->destroy(changes);
}

static void test_full(void **state)
{
	qcd_changes_t *changes = qcd_changes_create(path, FOLDER);
	uint32_t i;

	for (i = 1; i <= QCD_CHANGES_MAX; i++)
	{
		CHECK("rows", add(changes, i, FALSE));
	}
	CHECK("one more row", !add(changes, i, FALSE));
	for (; i <= PLACES; i++)
	{
		CHECK("removals", add(changes, i, TRUE));
	}
	CHECK("one more removal", !add(changes, i, TRUE));
	changes = begin_again(changes);
	for (i = 1; i <= PLACES; i++)
	{
		CHECK_INT("all are there", take(changes), i);
	}
	CHECK_INT("and no other", take(changes), 0);
	changes->destroy(changes);
}

/**
 * What is left by a daemon is there for the next one
 */
static void test_left(void **state)
{
	static const struct {
		char *row;
		u_int added, dropped;
	} table[] = {
		{ "nothing", 0, 0 },
		{ "nothing that was not written", 5, 5 },
		{ "one", 1, 0 },
		{ "some", 10, 3 },
		{ "all rows", QCD_CHANGES_MAX, 0 },
	};
	qcd_changes_t *changes;
	qcd_change_t change;
	u_int i, j;

	for (i = 0; i < countof(table); i++)
	{
		changes = qcd_changes_create(path, FOLDER);
		for (j = 1; j <= table[i].added; j++)
		{
			add(changes, j, FALSE);
		}
		for (j = 1; j <= table[i].dropped; j++)
		{
			take(changes);
		}
		changes = begin_again(changes);
		CHECK(table[i].row, changes->outlive(changes));
		CHECK(table[i].row, add(changes, 1 + QCD_CHANGES_MAX, TRUE));
		for (j = table[i].dropped + 1; j <= table[i].added; j++)
		{
			CHECK(table[i].row, changes->get(changes, &change) && change.left);
			CHECK_INT(table[i].row, take(changes), j);
		}
		CHECK(table[i].row, changes->get(changes, &change) && !change.left);
		CHECK_INT(table[i].row, take(changes), 1 + QCD_CHANGES_MAX);
		CHECK_INT(table[i].row, take(changes), 0);
		changes->destroy(changes);
	}
}

/**
 * Write octets into the file
 */
static void damage(off_t at, const void *octets, size_t len)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, octets, len, at), len);
	close(fd);
}

/**
 * A daemon that changes the file, around its end: 1 to 3 are there
 */
static void work(void)
{
	qcd_changes_t *changes;

	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	changes = qcd_changes_create(path, FOLDER);
	add(changes, 4, FALSE);
	take(changes);
	add(changes, 5, TRUE);
	while (take(changes))
	{
		continue;
	}
	add(changes, 6, FALSE);
	_exit(0);
}

/**
 * Check that the changes in a file are whole and follow one another
 */
static void check_file(const uint8_t *file)
{
	uint32_t range[2], place_len, i, number, before = 0;
	const uint8_t *place;
	qcd_samap_row row;

	memcpy(&place_len, file + AT_LAYOUT, sizeof(place_len));
	memcpy(range, file + AT_RANGE, sizeof(range));
	CHECK("first", range[0] < PLACES);
	for (i = 0; i < range[1]; i++)
	{
		place = file + AT_PLACES + (range[0] + i) % PLACES * place_len;
		CHECK("whole, with its checksum", qcd_samap_decode(&row, place));
		number = untoh32((void*)row.child_spi.octets);
		CHECK("a row or a removal", number && place[KIND_AT] == (row.run ? 1 : 2));
		CHECK("in order", !i || number == before + 1);
		before = number;
	}
}

/**
 * Whatever instruction the daemon dies at, the file is whole
 */
static void test_each_instruction(void **state)
{
	static const uint32_t near_end[2] = { PLACES - 2, 0 };
	qcd_changes_t *changes = qcd_changes_create(path, FOLDER);
	struct stat st;
	uint8_t *file;
	int fd, status;
	u_int i, steps;
	pid_t pid;

	damage(AT_RANGE, near_end, sizeof(near_end));
	for (i = 1; i <= 3; i++)
	{
		add(changes, i, FALSE);
	}
	changes->destroy(changes);
	fd = open(path, O_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	file = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(file, MAP_FAILED);
	close(fd);

	pid = fork();
	if (!pid)
	{
		work();
	}
	for (steps = 0; waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);
		 steps++)
	{
		check_file(file);
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
	}
	CHECK("it did its work", WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK("step by step", steps > 1000);
	munmap(file, st.st_size);
	changes = qcd_changes_create(path, FOLDER);
	CHECK_INT("the last one is left", take(changes), 6);
	CHECK_INT("the last one is left", take(changes), 0);
	changes->destroy(changes);
}

static void test_damaged(void **state)
{
	static const uint32_t many[2] = { 0, PLACES + 1 };
	static const uint32_t far_[2] = { PLACES, 1 };
	static const uint32_t farther[2] = { 1U << 30, 1 };
	static const uint32_t last[2] = { PLACES - 1, 3 };
	static const struct {
		char *row;
		off_t at;
		const void *octets;
		size_t len;
		/** changes that are still there, of 1, 2 and 3; how many are dropped */
		uint32_t left[3];
		u_int dropped;
	} table[] = {
		{ "sound", AT_MAGIC, "q", 1, { 1, 2, 3 } },
		{ "another file", AT_MAGIC, "Q", 1, {} },
		{ "another layout", AT_LAYOUT, "\1\0\0\0", 4, {} },
		{ "another number of places", AT_LAYOUT + 4, "\1\0\0\0", 4, {} },
		{ "more than fit", AT_RANGE, many, sizeof(many), {} },
		{ "beyond the end", AT_RANGE, far_, sizeof(far_), {} },
		{ "far beyond the end", AT_RANGE, farther, sizeof(farther), {} },
		{ "places that were never used", AT_RANGE, last, sizeof(last), { 1, 2 },
		  1 },
		{ "the first", AT_PLACES, "\xff\xff", 2, { 2, 3 }, 1 },
		{ "the second", AT_PLACES + PLACE_LEN, "\xff\xff", 2, { 1, 3 }, 1 },
		{ "the last", AT_PLACES + 2 * PLACE_LEN, "\xff\xff", 2, { 1, 2 }, 1 },
		{ "two", AT_PLACES + KIND_AT, "\0\0\0\0\0\0", 6, { 3 }, 2 },
		{ "neither row nor removal", AT_PLACES + KIND_AT, "\3", 1, { 2, 3 }, 1 },
	};
	qcd_changes_t *changes;
	char dropped[160];
	u_int i, j;

	for (i = 0; i < countof(table); i++)
	{
		changes = qcd_changes_create(path, FOLDER);
		for (j = 1; j <= 3; j++)
		{
			add(changes, j, FALSE);
		}
		damage(table[i].at, table[i].octets, table[i].len);
		box_forget_log();
		changes = begin_again(changes);
		snprintf(dropped, sizeof(dropped), "QCD: %u damaged changes of the SA map "
				 "in %s are dropped", table[i].dropped, path);
		CHECK_LOGGED(table[i].row, dropped, table[i].dropped != 0);
		CHECK_LOGGED(table[i].row, "", table[i].dropped != 0);
		for (j = 0; j < 3 && table[i].left[j]; j++)
		{
			CHECK_INT(table[i].row, take(changes), table[i].left[j]);
		}
		CHECK_INT(table[i].row, take(changes), 0);
		CHECK(table[i].row, add(changes, 9, FALSE));
		CHECK_INT(table[i].row, take(changes), 9);
		changes->destroy(changes);
		unlink(path);
	}
}

/**
 * Rows that we never write, with the right checksum: they must not get as far as
 * the SA map, whether the next daemon finds them or they come while in use
 */
static void test_nonsense(void **state)
{
	static const struct {
		char *row;
		u_int at;
		uint8_t octet;
		bool dropped;
	} table[] = {
		{ "sound", 0, 1, FALSE },
		{ "another port", 61, 9, FALSE },
		{ "no row", 0, 0, TRUE },
		{ "encapsulated twice", 6, 2, TRUE },
		{ "no role", 10, 0, TRUE },
		{ "an unknown role", 10, 3, TRUE },
		{ "no address", 27, 0, TRUE },
		{ "an address of 200 octets", 27, 200, TRUE },
		{ "more than an address", 27 + 5, 1, TRUE },
		{ "no address of the peer", 44, 0, TRUE },
		{ "something after the row", SAMAP_SLOT_LEN - SAMAP_SUM_LEN - 1, 1, TRUE },
	};
	uint8_t slot[SAMAP_SLOT_LEN];
	qcd_changes_t *changes;
	u_int i, used;
	int fd;

	for (i = 0; i < 2 * countof(table); i++)
	{
		used = i % 2;
		changes = qcd_changes_create(path, FOLDER);
		add(changes, 1, FALSE);
		add(changes, 2, FALSE);
		fd = open(path, O_RDONLY);
		assert_int_equal(pread(fd, slot, sizeof(slot), AT_PLACES), sizeof(slot));
		close(fd);
		slot[table[i / 2].at] = table[i / 2].octet;
		htoun64(slot + sizeof(slot) - SAMAP_SUM_LEN,
				samap_sum(slot, sizeof(slot) - SAMAP_SUM_LEN));
		damage(AT_PLACES, slot, sizeof(slot));
		if (!used)
		{
			changes = begin_again(changes);
		}
		if (!table[i / 2].dropped)
		{
			CHECK_INT(table[i / 2].row, take(changes), 1);
		}
		CHECK_INT(table[i / 2].row, take(changes), 2);
		CHECK_INT(table[i / 2].row, take(changes), 0);
		changes->destroy(changes);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),
		TEST(test_around),
		TEST(test_full),
		TEST(test_left),
		TEST(test_each_instruction),
		TEST(test_damaged),
		TEST(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
