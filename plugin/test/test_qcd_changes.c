/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_changes.h"

#include "box.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER "/dev/shm"
#define PLACES (2 * QCD_CHANGES_MAX)

/**
 * Where the tests damage the file: its head, and its first place
 */
#define AT_MAGIC 0
#define AT_LAYOUT 16
#define AT_RANGE 24
#define AT_PLACES 32

static char path[64];

static int begin(void **state)
{
	snprintf(path, sizeof(path), FOLDER "/qcd-changes-%d", (int)getpid());
	unlink(path);
	return box_open(state);
}

static int end(void **state)
{
	unlink(path);
	return box_close(state);
}

static bool add(qcd_changes_t *changes, uint32_t number, bool removed)
{
	qcd_samap_row row = { .run = number };

	htoun32(row.child_spi.octets, number);
	return changes->add(changes, &row, removed);
}

/**
 * Get and drop the next change
 *
 * @return				its number, 0 if there is none
 */
static uint32_t take(qcd_changes_t *changes)
{
	qcd_change_t change;

	if (!changes->get(changes, &change))
	{
		return 0;
	}
	changes->drop(changes);
	return untoh32(change.row.child_spi.octets);
}

/**
 * Begin as the daemon after one that was killed: nothing is destroyed
 */
static qcd_changes_t *begin_again(qcd_changes_t *changes)
{
	char kept[80];

	/* a process that dies leaves its file, but neither its lock nor its map */
	snprintf(kept, sizeof(kept), "%s.kept", path);
	assert_int_equal(link(path, kept), 0);
	changes->destroy(changes);
	unlink(path);
	assert_int_equal(rename(kept, path), 0);
	return qcd_changes_create(path);
}

static void test_order(void **state)
{
	qcd_changes_t *changes = qcd_changes_create(path);
	qcd_change_t change;
	uint32_t i;

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
	changes->destroy(changes);
	CHECK("no file is left", access(path, F_OK) != 0);
	CHECK_LOGGED("nothing is wrong", "", 0);
}

/**
 * Each place is used, the last one before the first one
 */
static void test_around(void **state)
{
	qcd_changes_t *changes = qcd_changes_create(path);
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
	qcd_changes_t *changes = qcd_changes_create(path);
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
	u_int i, j;

	for (i = 0; i < countof(table); i++)
	{
		changes = qcd_changes_create(path);
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
		for (j = table[i].dropped + 1; j <= table[i].added; j++)
		{
			CHECK_INT(table[i].row, take(changes), j);
		}
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
	changes = qcd_changes_create(path);
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
	const qcd_change_t *change;

	memcpy(&place_len, file + AT_LAYOUT, sizeof(place_len));
	memcpy(range, file + AT_RANGE, sizeof(range));
	CHECK("first", range[0] < PLACES);
	for (i = 0; i < range[1]; i++)
	{
		change = (const qcd_change_t*)(file + AT_PLACES +
									   (range[0] + i) % PLACES * place_len);
		number = untoh32((void*)change->row.child_spi.octets);
		CHECK("whole", number && number == change->row.run);
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
	qcd_changes_t *changes = qcd_changes_create(path);
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
	changes = qcd_changes_create(path);
	CHECK_INT("the last one is left", take(changes), 6);
	CHECK_INT("the last one is left", take(changes), 0);
	changes->destroy(changes);
}

static void test_damaged(void **state)
{
	static const uint32_t many[2] = { 0, PLACES + 1 };
	static const uint32_t far_[2] = { PLACES, 1 };
	static const uint32_t last[2] = { PLACES - 1, 3 };
	static const struct {
		char *row;
		off_t at;
		const void *octets;
		size_t len;
		/** changes that are still there, of 1, 2 and 3 */
		uint32_t left[3];
	} table[] = {
		{ "sound", AT_MAGIC, "q", 1, { 1, 2, 3 } },
		{ "another file", AT_MAGIC, "Q", 1, {} },
		{ "another layout", AT_LAYOUT, "\1\0\0\0", 4, {} },
		{ "more than fit", AT_RANGE, many, sizeof(many), {} },
		{ "beyond the end", AT_RANGE, far_, sizeof(far_), {} },
		{ "places that were never used", AT_RANGE, last, sizeof(last), { 1, 2 } },
		{ "the first", AT_PLACES, "\xff\xff", 2, { 2, 3 } },
	};
	qcd_changes_t *changes;
	u_int i, j;

	for (i = 0; i < countof(table); i++)
	{
		changes = qcd_changes_create(path);
		for (j = 1; j <= 3; j++)
		{
			add(changes, j, FALSE);
		}
		damage(table[i].at, table[i].octets, table[i].len);
		changes = begin_again(changes);
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

static void make_open(void)
{
	close(open(path, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(chmod(path, 0640), 0);
}

static void make_linked(void)
{
	char other[80];

	close(open(path, O_WRONLY | O_CREAT, 0600));
	snprintf(other, sizeof(other), "%s.other", path);
	assert_int_equal(link(path, other), 0);
}

static void make_fifo(void)
{
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void make_symlink(void)
{
	assert_int_equal(symlink("/dev/shm/nothing", path), 0);
}

static void make_folder(void)
{
	assert_int_equal(mkdir(path, 0700), 0);
}

/**
 * A file that may be somebody else's is left alone, and changes are written at
 * once
 */
static void test_refused(void **state)
{
	static const struct {
		char *row;
		void (*make)(void);
		char *why;
	} table[] = {
		{ "too open", make_open, "with mode 0600: remove it" },
		{ "two names", make_linked, "with mode 0600: remove it" },
		{ "a pipe", make_fifo, "with mode 0600: remove it" },
		{ "a symbolic link", make_symlink, "Too many levels of symbolic links" },
		{ "a folder", make_folder, "Is a directory" },
	};
	qcd_changes_t *changes;
	char other[80];
	u_int i;

	snprintf(other, sizeof(other), "%s.other", path);
	for (i = 0; i < countof(table); i++)
	{
		table[i].make();
		box_forget_log();
		changes = qcd_changes_create(path);
		CHECK(table[i].row, !changes->outlive(changes));
		CHECK_LOGGED(table[i].row, table[i].why, 1);
		CHECK_LOGGED(table[i].row, path, 1);
		CHECK(table[i].row, add(changes, 4, FALSE));
		CHECK_INT(table[i].row, take(changes), 4);
		changes->destroy(changes);
		CHECK(table[i].row, unlink(path) == 0 || rmdir(path) == 0);
		unlink(other);
	}
	CHECK("no file was made", access("/dev/shm/nothing", F_OK) != 0);
}

static void test_busy(void **state)
{
	qcd_changes_t *one = qcd_changes_create(path);
	qcd_changes_t *other = qcd_changes_create(path);

	CHECK("the first", one->outlive(one));
	CHECK("the second", !other->outlive(other));
	CHECK_LOGGED("the second", "another daemon uses it", 1);
	add(one, 1, FALSE);
	CHECK_INT("they share nothing", take(other), 0);
	other->destroy(other);
	CHECK("its file stays", access(path, F_OK) == 0);
	one->destroy(one);
}

/**
 * A file system on a disk may hang
 */
static void test_on_disk(void **state)
{
	qcd_changes_t *changes = qcd_changes_create("/proc/self/comm");

	CHECK("not in memory", !changes->outlive(changes));
	changes->destroy(changes);
	changes = qcd_changes_create("/nowhere/changes");
	CHECK("no folder", !changes->outlive(changes));
	CHECK_LOGGED("no folder", "/nowhere/changes can't be used, so each change of "
				 "the SA map is written to the disk at once: No such file", 1);
	changes->destroy(changes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),
		TEST(test_around),
		TEST(test_full),
		TEST(test_left),
		TEST(test_each_instruction),
		TEST(test_damaged),
		TEST(test_refused),
		TEST(test_busy),
		TEST(test_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
