/* SPDX-License-Identifier: Apache-2.0 */
/* birth.c: what a file can record of itself that no copy shares. */
#include "birth.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "../rd.h"
#include "../wr.h"

int birth_of(struct sys_birth *out, int fd)
{
    struct stat st;
    memset(out, 0, sizeof(*out));
    if (sys_statx(fd, out) == 0) {
        return 0;
    }
    /* Old container runtimes refuse calls that they don't know. */
    if (errno != ENOSYS && errno != EPERM) {
        return errno;
    }
    if (sys_fstat(fd, &st) != 0) {
        return errno;
    }
    out->inode = (uint64_t)st.st_ino;
    return 0;
}

bool birth_is_same(const struct sys_birth *then, const struct sys_birth *now)
{
    bool is_same_time = now->has_time && then->seconds == now->seconds &&
                        then->nanoseconds == now->nanoseconds;
    return then->inode == now->inode && (!then->has_time || is_same_time);
}

void birth_encode(uint8_t out[BIRTH_LEN], const struct sys_birth *birth)
{
    wr w;
    wr_init(&w, out, BIRTH_LEN);
    wr_be64(&w, birth->inode);
    wr_u8(&w, birth->has_time ? 1 : 0);
    wr_be64(&w, (uint64_t)birth->seconds);
    wr_be32(&w, birth->nanoseconds);
    assert(!w.bad && w.len == BIRTH_LEN);
}

bool birth_decode(struct sys_birth *out, const uint8_t in[BIRTH_LEN])
{
    rd r;
    rd_init(&r, in, BIRTH_LEN);
    out->inode = rd_be64(&r);
    uint8_t has_time = rd_u8(&r);
    out->has_time = has_time == 1;
    out->seconds = (int64_t)rd_be64(&r);
    out->nanoseconds = rd_be32(&r);
    return !r.bad && has_time <= 1;
}
