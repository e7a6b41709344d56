/* SPDX-License-Identifier: Apache-2.0 */
/* fault_sys.c: makes the system calls of the store fail. */
#include "fault_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static struct {
    enum fault_mode mode;
    size_t n;
    size_t num_calls;
    const char *first; /* the first call that failed */
    bool is_interrupted;
    bool is_held;
    char trace[1024];
} fault;

static int write_why = ENOSPC;
static int statx_refused; /* an errno value, or 0 */

void fault_start(enum fault_mode mode, size_t n)
{
    memset(&fault, 0, sizeof(fault));
    fault.mode = mode;
    fault.n = n;
}

void fault_hold(bool is_held)
{
    fault.is_held = is_held;
}

void fault_write_with(int why)
{
    write_why = why;
}

void fault_refuse_statx(int why)
{
    statx_refused = why;
}

const char *fault_stop(void)
{
    fault.mode = FAULT_OFF;
    return fault.first;
}

const char *fault_trace(void)
{
    return fault.trace;
}

static void note(const char *what, const char *name)
{
    size_t len = strlen(fault.trace);
    (void)snprintf(fault.trace + len, sizeof(fault.trace) - len, "%s%s, ", what,
                   name);
}

/* fails counts the call `name` and tells whether it is to fail, with `why`. */
static bool fails(const char *name, int why)
{
    if (fault.is_held) {
        return false;
    }
    fault.num_calls++;
    bool is_nth = fault.num_calls == fault.n;
    if (fault.mode == FAULT_KILL && is_nth) {
        (void)raise(SIGKILL);
    }
    bool is_behind = fault.mode == FAULT_FROM && fault.num_calls > fault.n;
    bool is_it =
        is_nth && (fault.mode == FAULT_ONCE || fault.mode == FAULT_FROM);
    if (!is_it && !is_behind) {
        return false;
    }
    if (fault.first == NULL) {
        fault.first = name;
    }
    errno = why;
    return true;
}

/* is_interrupted tells whether a signal arrives before this call: before every
 * second one, so that a second try succeeds. */
static bool is_interrupted(void)
{
    if (fault.mode != FAULT_TRICKLE || fault.is_held) {
        return false;
    }
    fault.is_interrupted = !fault.is_interrupted;
    errno = EINTR;
    return fault.is_interrupted;
}

static bool is_folder(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static size_t some_of(size_t len)
{
    return fault.mode == FAULT_TRICKLE && len > 1 ? 1 : len;
}

void *fault_calloc(size_t num, size_t len)
{
    return fails("alloc", ENOMEM) ? NULL : calloc(num, len);
}

int fault_fcntl(int fd, int operation, int value)
{
    return fails("fcntl", EMFILE) ? -1 : fcntl(fd, operation, value);
}

int fault_openat(int folder_fd, const char *name, int flags, mode_t mode)
{
    if (is_interrupted() || fails("open", EIO)) {
        return -1;
    }
    if ((flags & O_EXCL) != 0) {
        note("make ", name);
    }
    return openat(folder_fd, name, flags, mode);
}

/* A close that fails has closed the file nevertheless. */
int fault_close(int fd)
{
    bool fail = fails("close", EIO);
    int result = close(fd);
    if (fail || fault.mode == FAULT_TRICKLE) {
        errno = fail ? EIO : EINTR;
        return -1;
    }
    return result;
}

ssize_t fault_pread(int fd, void *out, size_t len, off_t at)
{
    if (is_interrupted() || fails("read", EIO)) {
        return -1;
    }
    return pread(fd, out, some_of(len), at);
}

/* A write that fails has written half of the octets. */
ssize_t fault_pwrite(int fd, const void *in, size_t len, off_t at)
{
    if (is_interrupted()) {
        return -1;
    }
    if (fails("write", write_why)) {
        (void)!pwrite(fd, in, len / 2, at);
        errno = write_why;
        return -1;
    }
    if (fault.mode != FAULT_TRICKLE) {
        note("write", "");
    }
    return pwrite(fd, in, some_of(len), at);
}

int fault_ftruncate(int fd, off_t len)
{
    return fails("ftruncate", EIO) ? -1 : ftruncate(fd, len);
}

int fault_fsync(int fd)
{
    if (is_interrupted() || fails("fsync", EIO)) {
        return -1;
    }
    note("sync ", is_folder(fd) ? "folder" : "file");
    return fsync(fd);
}

int fault_fdatasync(int fd)
{
    return is_interrupted() || fails("fdatasync", EIO) ? -1 : fdatasync(fd);
}

int fault_flock(int fd, int operation)
{
    const char *name = is_folder(fd) ? "flock folder" : "flock";
    return is_interrupted() || fails(name, ENOLCK) ? -1 : flock(fd, operation);
}

int fault_fchmod(int fd, mode_t mode)
{
    return fails("fchmod", EPERM) ? -1 : fchmod(fd, mode);
}

int fault_fstat(int fd, struct stat *out)
{
    return fails("fstat", EIO) ? -1 : fstat(fd, out);
}

int fault_fstatat(int folder_fd, const char *name, struct stat *out, int flags)
{
    return fails("fstatat", EIO) ? -1 : fstatat(folder_fd, name, out, flags);
}

int fault_statx(int fd, const char *name, int flags, unsigned int mask,
                struct statx *out)
{
    if (statx_refused != 0) {
        errno = statx_refused;
        return -1;
    }
    return fails("statx", EIO) ? -1 : statx(fd, name, flags, mask, out);
}

int fault_fstatfs(int fd, struct statfs *out)
{
    return fails("fstatfs", EIO) ? -1 : fstatfs(fd, out);
}

int fault_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    if (fails("rename", EROFS)) {
        return -1;
    }
    note("rename ", to);
    return renameat(from_fd, from, to_fd, to);
}

int fault_unlinkat(int folder_fd, const char *name, int flags)
{
    return fails("unlink", EIO) ? -1 : unlinkat(folder_fd, name, flags);
}

int fault_mkdir(const char *path, mode_t mode)
{
    if (fails("mkdir", ENOSPC)) {
        return -1;
    }
    note("make a folder", "");
    return mkdir(path, mode);
}

int fault_chmod(const char *path, mode_t mode)
{
    return fails("chmod", EPERM) ? -1 : chmod(path, mode);
}

int fault_stat(const char *path, struct stat *out)
{
    return fails("stat", EACCES) ? -1 : stat(path, out);
}

int fault_lstat(const char *path, struct stat *out)
{
    return fails("lstat", EACCES) ? -1 : lstat(path, out);
}

/* If that fails, half of the octets are random, and the others zero. */
int fault_getentropy(void *out, size_t len)
{
    if (fails("random", ENOSYS)) {
        memset(out, 0, len);
        (void)!getentropy(out, len / 2);
        errno = ENOSYS;
        return -1;
    }
    return getentropy(out, len);
}
