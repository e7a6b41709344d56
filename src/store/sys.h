/* SPDX-License-Identifier: Apache-2.0 */
/* sys.h: the system calls of the store, each under a name of ours and with
 * nothing added, so that tests can make every one of them fail
 * (`-Wl,--wrap=sys_write`).  The names of the C library would not do: they
 * differ with large files or with fortified headers. */
#ifndef QCD_STORE_SYS_H
#define QCD_STORE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* sys_alloc returns `len` octets of zero, or NULL.  The caller frees them. */
void *sys_alloc(size_t len);

int sys_open(int folder_fd, const char *name, int flags, mode_t mode);
int sys_close(int fd);
ssize_t sys_read(int fd, void *out, size_t len);
ssize_t sys_write(int fd, const void *in, size_t len);
ssize_t sys_pread(int fd, void *out, size_t len, size_t at);
ssize_t sys_pwrite(int fd, const void *in, size_t len, size_t at);
int sys_ftruncate(int fd, size_t len);
int sys_fsync(int fd);
int sys_fdatasync(int fd);
int sys_flock(int fd);
int sys_fchmod(int fd, mode_t mode);
int sys_fstat(int fd, struct stat *out);

/* sys_birth is what statx says about the origin of a file. */
struct sys_birth {
    uint64_t inode;
    bool has_time; /* a few file systems keep no time */
    int64_t seconds;
    uint32_t nanoseconds;
};
int sys_statx(int fd, struct sys_birth *out);

/* sys_fstatfs returns the number that statfs(2) has for the type of the file
 * system. */
int sys_fstatfs(int fd, uint32_t *out_kind);

/* sys_chown changes the owner of `name`.  It does not follow symbolic links. */
int sys_chown(int folder_fd, const char *name, uid_t uid, gid_t gid);
int sys_fchown(int fd, uid_t uid, gid_t gid);

/* The user and group as which this thread uses files.  Each call returns 0, or
 * -1 if it is not permitted. */
int sys_setfsuid(uid_t uid);
int sys_setfsgid(gid_t gid);

int sys_rename(int folder_fd, const char *from, const char *to);
int sys_unlink(int folder_fd, const char *name);

/* These follow symbolic links, except sys_lstat. */
int sys_mkdir(const char *path, mode_t mode);
int sys_chmod(const char *path, mode_t mode);
int sys_stat(const char *path, struct stat *out);
int sys_lstat(const char *path, struct stat *out);

ssize_t sys_random(void *out, size_t len);

#endif
