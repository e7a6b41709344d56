/* SPDX-License-Identifier: Apache-2.0 */
/* sys.c: the system calls of the store, with nothing added. */
#include "sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

void *sys_alloc(size_t len)
{
    return calloc(1, len);
}

int sys_open(int folder_fd, const char *name, int flags, mode_t mode)
{
    return openat(folder_fd, name, flags, mode);
}

int sys_close(int fd)
{
    return close(fd);
}

ssize_t sys_read(int fd, void *out, size_t len)
{
    return read(fd, out, len);
}

ssize_t sys_write(int fd, const void *in, size_t len)
{
    return write(fd, in, len);
}

ssize_t sys_pread(int fd, void *out, size_t len, size_t at)
{
    return pread(fd, out, len, (off_t)at);
}

ssize_t sys_pwrite(int fd, const void *in, size_t len, size_t at)
{
    return pwrite(fd, in, len, (off_t)at);
}

int sys_ftruncate(int fd, size_t len)
{
    return ftruncate(fd, (off_t)len);
}

int sys_fsync(int fd)
{
    return fsync(fd);
}

int sys_fdatasync(int fd)
{
    return fdatasync(fd);
}

int sys_flock(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB);
}

int sys_fchmod(int fd, mode_t mode)
{
    return fchmod(fd, mode);
}

int sys_fstat(int fd, struct stat *out)
{
    return fstat(fd, out);
}

int sys_statx(int fd, struct sys_birth *out)
{
    struct statx stx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stx) != 0) {
        return -1;
    }
    out->inode = stx.stx_ino;
    out->has_time = (stx.stx_mask & STATX_BTIME) != 0;
    out->seconds = out->has_time ? stx.stx_btime.tv_sec : 0;
    out->nanoseconds = out->has_time ? stx.stx_btime.tv_nsec : 0;
    return 0;
}

int sys_fstatfs(int fd, uint32_t *out_kind)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) {
        return -1;
    }
    *out_kind = (uint32_t)fs.f_type;
    return 0;
}

int sys_chown(int folder_fd, const char *name, uid_t uid, gid_t gid)
{
    return fchownat(folder_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

int sys_fchown(int fd, uid_t uid, gid_t gid)
{
    return fchown(fd, uid, gid);
}

/* These calls report no error.  A call with an invalid value returns the ID in
 * force now. */
int sys_setfsuid(uid_t uid)
{
    (void)setfsuid(uid);
    return (uid_t)setfsuid((uid_t)-1) == uid ? 0 : -1;
}

int sys_setfsgid(gid_t gid)
{
    (void)setfsgid(gid);
    return (gid_t)setfsgid((gid_t)-1) == gid ? 0 : -1;
}

int sys_rename(int folder_fd, const char *from, const char *to)
{
    return renameat(folder_fd, from, folder_fd, to);
}

int sys_unlink(int folder_fd, const char *name)
{
    return unlinkat(folder_fd, name, 0);
}

int sys_mkdir(const char *path, mode_t mode)
{
    return mkdir(path, mode);
}

int sys_chmod(const char *path, mode_t mode)
{
    return chmod(path, mode);
}

int sys_stat(const char *path, struct stat *out)
{
    return stat(path, out);
}

int sys_lstat(const char *path, struct stat *out)
{
    return lstat(path, out);
}

ssize_t sys_random(void *out, size_t len)
{
    return getrandom(out, len, 0);
}
