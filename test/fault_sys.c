/* SPDX-License-Identifier: Apache-2.0 */
/* fault_sys.c: makes the calls of src/store/sys.h fail. */
#include "fault_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/sys.h"

static struct {
    enum fault_mode mode;
    size_t n;
    size_t num_calls;
    const char *first; /* the first call that failed */
    bool is_interrupted;
    bool is_held;
    char trace[1024];
} fault;

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

static size_t some_of(size_t len)
{
    return fault.mode == FAULT_TRICKLE && len > 1 ? 1 : len;
}

void *__real_sys_alloc(size_t len);
void *__wrap_sys_alloc(size_t len);
void *__wrap_sys_alloc(size_t len)
{
    return fails("alloc", ENOMEM) ? NULL : __real_sys_alloc(len);
}

int __real_sys_open(int folder_fd, const char *name, int flags, mode_t mode);
int __wrap_sys_open(int folder_fd, const char *name, int flags, mode_t mode);
int __wrap_sys_open(int folder_fd, const char *name, int flags, mode_t mode)
{
    if (is_interrupted() || fails("open", EIO)) {
        return -1;
    }
    if ((flags & O_EXCL) != 0) {
        note("make ", name);
    }
    return __real_sys_open(folder_fd, name, flags, mode);
}

/* A close that fails has closed the file nevertheless. */
int __real_sys_close(int fd);
int __wrap_sys_close(int fd);
int __wrap_sys_close(int fd)
{
    bool fail = fails("close", EIO);
    int result = __real_sys_close(fd);
    if (fail) {
        errno = EIO;
        return -1;
    }
    if (fault.mode == FAULT_TRICKLE) {
        errno = EINTR;
        return -1;
    }
    return result;
}

ssize_t __real_sys_read(int fd, void *out, size_t len);
ssize_t __wrap_sys_read(int fd, void *out, size_t len);
ssize_t __wrap_sys_read(int fd, void *out, size_t len)
{
    if (is_interrupted() || fails("read", EIO)) {
        return -1;
    }
    return __real_sys_read(fd, out, some_of(len));
}

/* A write that fails has written half of the octets. */
ssize_t __real_sys_write(int fd, const void *in, size_t len);
ssize_t __wrap_sys_write(int fd, const void *in, size_t len);
ssize_t __wrap_sys_write(int fd, const void *in, size_t len)
{
    if (is_interrupted()) {
        return -1;
    }
    if (fails("write", ENOSPC)) {
        (void)__real_sys_write(fd, in, len / 2);
        errno = ENOSPC;
        return -1;
    }
    if (fault.mode != FAULT_TRICKLE) {
        note("write", "");
    }
    return __real_sys_write(fd, in, some_of(len));
}

ssize_t __real_sys_pread(int fd, void *out, size_t len, size_t at);
ssize_t __wrap_sys_pread(int fd, void *out, size_t len, size_t at);
ssize_t __wrap_sys_pread(int fd, void *out, size_t len, size_t at)
{
    if (is_interrupted() || fails("pread", EIO)) {
        return -1;
    }
    return __real_sys_pread(fd, out, some_of(len), at);
}

ssize_t __real_sys_pwrite(int fd, const void *in, size_t len, size_t at);
ssize_t __wrap_sys_pwrite(int fd, const void *in, size_t len, size_t at);
ssize_t __wrap_sys_pwrite(int fd, const void *in, size_t len, size_t at)
{
    if (is_interrupted()) {
        return -1;
    }
    if (fails("pwrite", ENOSPC)) {
        (void)__real_sys_pwrite(fd, in, len / 2, at);
        errno = ENOSPC;
        return -1;
    }
    return __real_sys_pwrite(fd, in, some_of(len), at);
}

int __real_sys_ftruncate(int fd, size_t len);
int __wrap_sys_ftruncate(int fd, size_t len);
int __wrap_sys_ftruncate(int fd, size_t len)
{
    return fails("ftruncate", EIO) ? -1 : __real_sys_ftruncate(fd, len);
}

int __real_sys_fsync(int fd);
int __wrap_sys_fsync(int fd);
int __wrap_sys_fsync(int fd)
{
    struct stat st;
    if (is_interrupted() || fails("fsync", EIO)) {
        return -1;
    }
    bool is_folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    note("sync ", is_folder ? "folder" : "file");
    return __real_sys_fsync(fd);
}

int __real_sys_fdatasync(int fd);
int __wrap_sys_fdatasync(int fd);
int __wrap_sys_fdatasync(int fd)
{
    if (is_interrupted() || fails("fdatasync", EIO)) {
        return -1;
    }
    return __real_sys_fdatasync(fd);
}

int __real_sys_flock(int fd);
int __wrap_sys_flock(int fd);
int __wrap_sys_flock(int fd)
{
    if (is_interrupted() || fails("flock", ENOLCK)) {
        return -1;
    }
    return __real_sys_flock(fd);
}

int __real_sys_fchmod(int fd, mode_t mode);
int __wrap_sys_fchmod(int fd, mode_t mode);
int __wrap_sys_fchmod(int fd, mode_t mode)
{
    return fails("fchmod", EPERM) ? -1 : __real_sys_fchmod(fd, mode);
}

int __real_sys_fstat(int fd, struct stat *out);
int __wrap_sys_fstat(int fd, struct stat *out);
int __wrap_sys_fstat(int fd, struct stat *out)
{
    return fails("fstat", EIO) ? -1 : __real_sys_fstat(fd, out);
}

int __real_sys_statx(int fd, struct sys_birth *out);
int __wrap_sys_statx(int fd, struct sys_birth *out);
int __wrap_sys_statx(int fd, struct sys_birth *out)
{
    return fails("statx", EIO) ? -1 : __real_sys_statx(fd, out);
}

int __real_sys_fstatfs(int fd, uint32_t *out_kind);
int __wrap_sys_fstatfs(int fd, uint32_t *out_kind);
int __wrap_sys_fstatfs(int fd, uint32_t *out_kind)
{
    return fails("fstatfs", EIO) ? -1 : __real_sys_fstatfs(fd, out_kind);
}

int __real_sys_rename(int folder_fd, const char *from, const char *to);
int __wrap_sys_rename(int folder_fd, const char *from, const char *to);
int __wrap_sys_rename(int folder_fd, const char *from, const char *to)
{
    if (fails("rename", EROFS)) {
        return -1;
    }
    note("rename ", to);
    return __real_sys_rename(folder_fd, from, to);
}

int __real_sys_unlink(int folder_fd, const char *name);
int __wrap_sys_unlink(int folder_fd, const char *name);
int __wrap_sys_unlink(int folder_fd, const char *name)
{
    return fails("unlink", EIO) ? -1 : __real_sys_unlink(folder_fd, name);
}

int __real_sys_mkdir(const char *path, mode_t mode);
int __wrap_sys_mkdir(const char *path, mode_t mode);
int __wrap_sys_mkdir(const char *path, mode_t mode)
{
    if (fails("mkdir", ENOSPC)) {
        return -1;
    }
    note("make a folder", "");
    return __real_sys_mkdir(path, mode);
}

int __real_sys_chmod(const char *path, mode_t mode);
int __wrap_sys_chmod(const char *path, mode_t mode);
int __wrap_sys_chmod(const char *path, mode_t mode)
{
    return fails("chmod", EPERM) ? -1 : __real_sys_chmod(path, mode);
}

int __real_sys_stat(const char *path, struct stat *out);
int __wrap_sys_stat(const char *path, struct stat *out);
int __wrap_sys_stat(const char *path, struct stat *out)
{
    return fails("stat", EACCES) ? -1 : __real_sys_stat(path, out);
}

int __real_sys_lstat(const char *path, struct stat *out);
int __wrap_sys_lstat(const char *path, struct stat *out);
int __wrap_sys_lstat(const char *path, struct stat *out)
{
    return fails("lstat", EACCES) ? -1 : __real_sys_lstat(path, out);
}

ssize_t __real_sys_random(void *out, size_t len);
ssize_t __wrap_sys_random(void *out, size_t len);
ssize_t __wrap_sys_random(void *out, size_t len)
{
    if (is_interrupted() || fails("random", ENOSYS)) {
        return -1;
    }
    return __real_sys_random(out, some_of(len));
}
