/* SPDX-License-Identifier: Apache-2.0 */
/* fault_disk.c: makes LMDB's own writes fail. */

/* Else `pwrite` is the name of another function here. */
#undef _FILE_OFFSET_BITS

#include "fault_disk.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    size_t n;
    size_t num_calls;
    int why;
    bool is_dying;
    bool is_written;
    bool has_failed;
} fault;

void fault_disk_start(size_t n, int why, bool is_dying, bool is_written)
{
    fault.n = n;
    fault.num_calls = 0;
    fault.why = why;
    fault.is_dying = is_dying;
    fault.is_written = is_written;
    fault.has_failed = false;
}

bool fault_disk_stop(void)
{
    fault.n = 0;
    return fault.has_failed;
}

static bool fails(void)
{
    fault.num_calls++;
    bool is_it =
        fault.n != 0 && (fault.num_calls == fault.n ||
                         (fault.is_dying && fault.num_calls > fault.n));
    fault.has_failed = fault.has_failed || is_it;
    return is_it;
}

static ssize_t result_of(bool is_failed, ssize_t result)
{
    if (is_failed) {
        errno = fault.why;
        return -1;
    }
    return result;
}

ssize_t pwrite(int fd, const void *in, size_t len, off_t at)
{
    bool is_failed = fails();
    if (is_failed && !fault.is_written) {
        return result_of(true, 0);
    }
    return result_of(is_failed, syscall(SYS_pwrite64, fd, in, len, at));
}

ssize_t writev(int fd, const struct iovec *in, int num)
{
    bool is_failed = fails();
    if (is_failed && !fault.is_written) {
        return result_of(true, 0);
    }
    return result_of(is_failed, syscall(SYS_writev, fd, in, num));
}

int fdatasync(int fd)
{
    bool is_failed = fails();
    return (int)result_of(is_failed, syscall(SYS_fdatasync, fd));
}
