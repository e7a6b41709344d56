/* SPDX-License-Identifier: Apache-2.0 */
/* io.c: complete reads and writes, whatever signals arrive. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

int io_open(int *out_fd, int folder_fd, const char *name, int flags)
{
    *out_fd = (int)TEMP_FAILURE_RETRY(openat(folder_fd, name, flags, 0600));
    return *out_fd < 0 ? errno : 0;
}

int io_close(int *fd)
{
    /* Linux has closed it even after an error: a second try could close that of
     * another thread. */
    bool is_closed = *fd < 0 || close(*fd) == 0 || errno == EINTR;
    *fd = -1;
    return is_closed ? 0 : errno;
}

int io_read(int fd, uint8_t *out, size_t *out_len, size_t out_cap, size_t at)
{
    ssize_t n = 1;
    for (*out_len = 0; n > 0 && *out_len < out_cap; *out_len += (size_t)n) {
        n = TEMP_FAILURE_RETRY(pread(fd, out + *out_len, out_cap - *out_len,
                                     (off_t)(at + *out_len)));
        if (n < 0) {
            return errno;
        }
    }
    return 0;
}

int io_write(int fd, const void *in, size_t in_len, size_t at)
{
    const uint8_t *octets = in;
    ssize_t n;
    for (size_t done = 0; done < in_len; done += (size_t)n) {
        n = TEMP_FAILURE_RETRY(
            pwrite(fd, octets + done, in_len - done, (off_t)(at + done)));
        if (n <= 0) { /* 0 is never seen, but it must not loop for ever */
            return n < 0 ? errno : ENOSPC;
        }
    }
    return 0;
}

int io_sync(int fd)
{
    return TEMP_FAILURE_RETRY(fsync(fd)) != 0 ? errno : 0;
}
