/* SPDX-License-Identifier: Apache-2.0 */
/* sys.h: the calls of the system that the store makes, each under a name of
 * ours and nothing added, so that tests can make every one of them fail
 * (`-Wl,--wrap=sys_write`).  The names of the C library would not do: they are
 * others with large files or with fortified headers. */
#ifndef QCD_STORE_SYS_H
#define QCD_STORE_SYS_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* sys_alloc returns `len` octets of zero, to be freed, or NULL. */
void *sys_alloc(size_t len);

int sys_open(int folder_fd, const char *name, int flags, mode_t mode);
int sys_close(int fd);
ssize_t sys_read(int fd, void *out, size_t len);
ssize_t sys_write(int fd, const void *in, size_t len);
ssize_t sys_pwrite(int fd, const void *in, size_t len, size_t at);
int sys_ftruncate(int fd, size_t len);
int sys_fsync(int fd);
int sys_flock(int fd);
int sys_fchmod(int fd, mode_t mode);
int sys_fstat(int fd, struct stat *out);

int sys_rename(int folder_fd, const char *from, const char *to);
int sys_unlink(int folder_fd, const char *name);

/* These follow symbolic links, but for sys_lstat. */
int sys_mkdir(const char *path, mode_t mode);
int sys_chmod(const char *path, mode_t mode);
int sys_stat(const char *path, struct stat *out);
int sys_lstat(const char *path, struct stat *out);

/* The ends are closed by exec. */
int sys_pipe(int fds[2]);
pid_t sys_fork(void);

ssize_t sys_random(void *out, size_t len);

#endif
