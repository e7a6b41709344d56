/* SPDX-License-Identifier: Apache-2.0 */
/* io.c: complete reads, writes and random draws, whatever signals arrive. */
#include "io.h"

#include <errno.h>

#include "sys.h"

int io_open(int *out_fd, int folder_fd, const char *name, int flags,
            mode_t mode)
{
    do {
        *out_fd = sys_open(folder_fd, name, flags, mode);
    } while (*out_fd < 0 && errno == EINTR);
    return *out_fd < 0 ? errno : 0;
}

int io_close(int fd)
{
    if (sys_close(fd) == 0) {
        return 0;
    }
    /* Linux has closed the descriptor even in this case: a second try could
     * close that of another thread. */
    return errno == EINTR ? 0 : errno;
}

int io_read(int fd, uint8_t *out, size_t *out_len, size_t out_cap)
{
    *out_len = 0;
    while (*out_len < out_cap) {
        ssize_t n = sys_read(fd, out + *out_len, out_cap - *out_len);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            *out_len += (size_t)n;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int io_write(int fd, const void *in, size_t in_len)
{
    const uint8_t *rest = in;
    while (in_len > 0) {
        ssize_t n = sys_write(fd, rest, in_len);
        if (n == 0) {
            return ENOSPC; /* never seen, but it must not loop for ever */
        }
        if (n > 0) {
            rest += n;
            in_len -= (size_t)n;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int io_pread(int fd, uint8_t *out, size_t *out_len, size_t out_cap, size_t at)
{
    *out_len = 0;
    while (*out_len < out_cap) {
        ssize_t n =
            sys_pread(fd, out + *out_len, out_cap - *out_len, at + *out_len);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            *out_len += (size_t)n;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int io_pwrite(int fd, const void *in, size_t in_len, size_t at)
{
    const uint8_t *rest = in;
    while (in_len > 0) {
        ssize_t n = sys_pwrite(fd, rest, in_len, at);
        if (n == 0) {
            return ENOSPC; /* as in io_write */
        }
        if (n > 0) {
            rest += n;
            at += (size_t)n;
            in_len -= (size_t)n;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int io_sync(int fd)
{
    int result;
    do {
        result = sys_fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result != 0 ? errno : 0;
}

int io_sync_data(int fd)
{
    int result;
    do {
        result = sys_fdatasync(fd);
    } while (result != 0 && errno == EINTR);
    return result != 0 ? errno : 0;
}

int io_random(void *out, size_t out_len)
{
    uint8_t *rest = out;
    while (out_len > 0) {
        ssize_t n = sys_random(rest, out_len);
        if (n == 0) {
            return EIO;
        }
        if (n > 0) {
            rest += n;
            out_len -= (size_t)n;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}
