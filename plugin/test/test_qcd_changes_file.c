/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "changes_box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

/**
 * What the system calls on the file are made to say, and what was asked of them.
 * A test without rights can't have a file of another user, or of another file
 * system.
 */
static struct {
	int flock_errno;
	int chown_errno;
	int reserve_errno;
	int map_errno;
	uid_t owner;
	bool on_disk;
	/** last fchown() */
	uid_t uid;
	gid_t gid;
} played;

int flock(int fd, int operation)
{
	errno = played.flock_errno;
	return errno ? -1 : syscall(SYS_flock, fd, operation);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	played.uid = uid;
	played.gid = gid;
	errno = played.chown_errno;
	return errno ? -1 : 0;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	if (played.reserve_errno)
	{
		return played.reserve_errno;
	}
	return syscall(SYS_fallocate, fd, 0, offset, len) ? errno : 0;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (played.map_errno && fd >= 0)
	{
		errno = played.map_errno;
		return MAP_FAILED;
	}
	return (void*)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

int fstat(int fd, struct stat *st)
{
	int result = fstatat(fd, "", st, AT_EMPTY_PATH);

	st->st_uid = played.owner ?: st->st_uid;
	return result;
}

int fstatfs(int fd, struct statfs *fs)
{
	int result = syscall(SYS_fstatfs, fd, fs);

	if (played.on_disk)
	{
		fs->f_type = EXT4_SUPER_MAGIC;
	}
	return result;
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
	char other[80];

	snprintf(other, sizeof(other), "%s.other", path);
	assert_int_equal(symlink(other, path), 0);
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
		/** whether there is another file, to which a link leads */
		bool other;
	} table[] = {
		{ "too open", make_open, "with mode 0600: remove it" },
		{ "two names", make_linked, "with mode 0600: remove it", TRUE },
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
		CHECK_INT(table[i].row, access(other, F_OK) == 0, table[i].other);
		unlink(other);
	}
}

/**
 * What the system says of the file
 */
typedef struct {
	char *row;
	int flock_errno, chown_errno, reserve_errno, map_errno;
	uid_t owner;
	bool on_disk, outlives;
	char *why;
	/** whether a new file stays */
	bool stays;
} call_t;

/**
 * Create the changes, in a file with a change that was left, or in a new one. The
 * first stays for the next daemon if it can't be used; a new one is removed.
 */
static void check_call(const call_t *call, bool left)
{
	qcd_changes_t *changes;

	if (left)
	{
		changes = qcd_changes_create(path, FOLDER);
		CHECK(call->row, add(changes, 3, FALSE));
		leave(changes);
	}
	box_forget_log();
	played.flock_errno = call->flock_errno;
	played.chown_errno = call->chown_errno;
	played.reserve_errno = call->reserve_errno;
	played.map_errno = call->map_errno;
	played.owner = call->owner;
	played.on_disk = call->on_disk;
	changes = qcd_changes_create(path, FOLDER);
	CHECK_INT(call->row, changes->outlive(changes), call->outlives);
	CHECK_LOGGED(call->row, call->why, !call->outlives);
	CHECK_INT(call->row, access(path, F_OK) == 0, left || call->stays);
	if (call->outlives)
	{
		CHECK_INT(call->row, played.uid, 1234);
		CHECK_INT(call->row, played.gid, 5678);
		CHECK_INT(call->row, take(changes), left ? 3 : 0);
	}
	CHECK(call->row, add(changes, 4, FALSE));
	CHECK_INT(call->row, take(changes), 4);
	changes->destroy(changes);
	memset(&played, 0, sizeof(played));
	if (left && !call->outlives)
	{
		changes = qcd_changes_create(path, FOLDER);
		CHECK_INT(call->row, take(changes), 3);
		changes->destroy(changes);
	}
	unlink(path);
}

static void test_calls(void **state)
{
	static const call_t table[] = {
		{ "all is well", .outlives = TRUE, .why = "", .stays = TRUE },
		{ "charon's user", .owner = 1234, .outlives = TRUE, .why = "",
		  .stays = TRUE },
		{ "another user", .owner = 1235,
		  .why = "a regular file of root or of charon's user" },
		{ "on a disk", .on_disk = TRUE, .why = "not in memory (tmpfs)" },
		{ "locked", .flock_errno = EWOULDBLOCK, .why = "another daemon uses it",
		  .stays = TRUE },
		{ "AppArmor", .flock_errno = EACCES,
		  .why = "it can't be locked. Check the rules of AppArmor" },
		{ "no locks", .flock_errno = ENOLCK, .why = "No locks available" },
		{ "not given away", .chown_errno = EPERM,
		  .why = "Operation not permitted" },
		{ "a full /run", .reserve_errno = ENOSPC,
		  .why = "is written to the disk at once: No space left on device" },
		{ "no memory", .map_errno = ENOMEM,
		  .why = "is written to the disk at once: Cannot allocate memory" },
	};
	int i;

	lib->caps->set_uid(lib->caps, 1234);
	lib->caps->set_gid(lib->caps, 5678);
	for (i = 0; i < countof(table); i++)
	{
		check_call(&table[i], FALSE);
		check_call(&table[i], TRUE);
	}
}

/**
 * All pages are there from the start: a full tmpfs fails no access later
 */
static void test_reserved(void **state)
{
	qcd_changes_t *changes = qcd_changes_create(path, FOLDER);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	CHECK("large enough", st.st_size >= AT_PLACES + PLACES * PLACE_LEN);
	CHECK("reserved", st.st_blocks * 512 >= st.st_size);
	changes->destroy(changes);
}

/**
 * Another gateway has the same socket but its own state folder. Neither takes the
 * changes of the other; an empty file is anybody's.
 */
static void test_another_folder(void **state)
{
	qcd_changes_t *ours, *other;

	ours = qcd_changes_create(path, FOLDER);
	add(ours, 1, FALSE);
	leave(ours);
	other = qcd_changes_create(path, "/");
	CHECK("refused", !other->outlive(other));
	CHECK_LOGGED("refused", "it has changes of a gateway with another state_dir", 1);
	CHECK_INT("not taken", take(other), 0);
	other->destroy(other);

	ours = qcd_changes_create(path, FOLDER);
	CHECK_INT("still there", take(ours), 1);
	leave(ours);
	other = qcd_changes_create(path, "/");
	CHECK("empty", other->outlive(other));
	add(other, 2, FALSE);
	leave(other);
	ours = qcd_changes_create(path, FOLDER);
	CHECK("it has a new owner", !ours->outlive(ours));
	ours->destroy(ours);

	ours = qcd_changes_create(path, "/nowhere");
	CHECK("no state folder", !ours->outlive(ours));
	CHECK_LOGGED("no state folder", "at once: No such file", 1);
	ours->destroy(ours);
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
		add(changes, 6, FALSE);
		CHECK("not while there are changes",
			  !changes->keep(changes, text, sizeof(text)));
		CHECK_INT(table[i].row, take(changes), 6);
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
		TEST(test_calls),
		TEST(test_reserved),
		TEST(test_another_folder),
		TEST(test_busy),
		TEST(test_keep),
		TEST(test_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
