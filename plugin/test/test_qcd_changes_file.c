/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "changes_box.h"

#include <fcntl.h>
#include <sys/stat.h>

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
		changes = qcd_changes_create(path, FOLDER);
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
	qcd_changes_t *one = qcd_changes_create(path, FOLDER);
	qcd_changes_t *other = qcd_changes_create(path, FOLDER);

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
	qcd_changes_t *changes = qcd_changes_create("/proc/self/comm", FOLDER);

	CHECK("not in memory", !changes->outlive(changes));
	changes->destroy(changes);
	changes = qcd_changes_create("/nowhere/changes", FOLDER);
	CHECK("no folder", !changes->outlive(changes));
	CHECK_LOGGED("no folder", "/nowhere/changes can't be used, so each change of "
				 "the SA map is written to the disk at once: No such file", 1);
	changes->destroy(changes);
}

/**
 * Somebody touches the file while it is in use
 */
static void test_keep(void **state)
{
	static const struct {
		char *row, *command;
		bool made, outlives;
	} table[] = {
		{ "untouched", "true", FALSE, TRUE },
		{ "changed time", "touch $0", FALSE, TRUE },
		{ "removed", "rm $0", TRUE, TRUE },
		{ "renamed", "mv $0 $0.other", TRUE, TRUE },
		{ "replaced by a copy", "mv $0 $0.other; cp -p $0.other $0", TRUE, TRUE },
		{ "replaced by another", "rm $0; umask 077; echo other >$0", TRUE, TRUE },
		{ "replaced by one that is open to others", "rm $0; echo >$0; chmod 666 $0",
		  TRUE, FALSE },
		{ "replaced by a folder", "rm $0; mkdir $0", TRUE, FALSE },
	};
	qcd_changes_t *changes;
	char command[512], text[256];
	int i;

	for (i = 0; i < countof(table); i++)
	{
		changes = qcd_changes_create(path, FOLDER);
		CHECK(table[i].row, add(changes, 7, FALSE) && take(changes) == 7);
		CHECK("untouched", !changes->keep(changes, text, sizeof(text)));
		snprintf(command, sizeof(command), "sh -ec '%s' %s", table[i].command,
				 path);
		CHECK_INT(table[i].row, system(command), 0);
		CHECK_INT(table[i].row, changes->keep(changes, text, sizeof(text)),
				  table[i].made);
		CHECK(table[i].row, !table[i].made || strstr(text, table[i].outlives ?
			  "in use: it is made again" : "can't be made again"));
		CHECK_INT(table[i].row, changes->outlive(changes), table[i].outlives);
		CHECK(table[i].row, !changes->keep(changes, text, sizeof(text)));
		CHECK_INT(table[i].row, take(changes), 0);
		CHECK(table[i].row, add(changes, 8, FALSE));
		if (table[i].outlives)
		{
			changes = begin_again(changes);
		}
		CHECK_INT(table[i].row, take(changes), 8);
		changes->destroy(changes);
		snprintf(command, sizeof(command), "rm -rf %s %s.other", path, path);
		CHECK_INT(table[i].row, system(command), 0);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_refused),
		TEST(test_busy),
		TEST(test_keep),
		TEST(test_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
