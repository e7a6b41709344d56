/* SPDX-License-Identifier: Apache-2.0 */
/* fault_sys.h: makes the system calls of the store fail.  The store is compiled
 * once more for it, each file behind fault_names.h. */
#ifndef QCD_FAULT_SYS_H
#define QCD_FAULT_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

enum fault_mode {
    FAULT_OFF = 0,
    FAULT_ONCE,   /* the n-th call fails */
    FAULT_FROM,   /* the n-th call and all later ones: the disk is dying */
    FAULT_KILL,   /* SIGKILL before the n-th call */
    FAULT_TRICKLE /* one octet at a time, and a signal before each */
};

/* fault_start counts calls from 1 again and forgets the trace. */
void fault_start(enum fault_mode mode, size_t n);

/* fault_hold lets calls succeed uncounted, until it is called with false. */
void fault_hold(bool is_held);

/* fault_write_with sets the errno value of each write that fails, until it is
 * called again: ENOSPC, or EIO if the disk can't write there. */
void fault_write_with(int why);

/* fault_refuse_statx makes each statx() fail with `why`, as old container
 * runtimes do, until it is called with 0.  These calls are not counted. */
void fault_refuse_statx(int why);

/* fault_stop returns the name of the first call that failed, or NULL. */
const char *fault_stop(void);

/* fault_trace returns what was done to files since fault_start, in order: "make
 * secrets.tmp, write, sync file, rename secrets, sync folder, ". */
const char *fault_trace(void);

/* The calls themselves. */
void *fault_calloc(size_t num, size_t len);
int fault_fcntl(int fd, int operation, int value);
int fault_openat(int folder_fd, const char *name, int flags, mode_t mode);
int fault_close(int fd);
ssize_t fault_pread(int fd, void *out, size_t len, off_t at);
ssize_t fault_pwrite(int fd, const void *in, size_t len, off_t at);
int fault_ftruncate(int fd, off_t len);
int fault_fsync(int fd);
int fault_fdatasync(int fd);
int fault_flock(int fd, int operation);
int fault_fchmod(int fd, mode_t mode);
int fault_fstat(int fd, struct stat *out);
int fault_fstatat(int folder_fd, const char *name, struct stat *out, int flags);
int fault_statx(int fd, const char *name, int flags, unsigned int mask,
                struct statx *out);
int fault_fstatfs(int fd, struct statfs *out);
int fault_renameat(int from_fd, const char *from, int to_fd, const char *to);
int fault_unlinkat(int folder_fd, const char *name, int flags);
int fault_mkdir(const char *path, mode_t mode);
int fault_chmod(const char *path, mode_t mode);
int fault_stat(const char *path, struct stat *out);
int fault_lstat(const char *path, struct stat *out);
int fault_getentropy(void *out, size_t len);

#endif
