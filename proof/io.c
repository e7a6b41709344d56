/* SPDX-License-Identifier: Apache-2.0 */
/* io.c: src/store/io.c, as far as its callers may rely on it.  EVA keeps no
 * relation between what was read and what is left to read, so prove_io.c proves
 * src/store/io.c by itself. */
#include "store/io.h"
#include "proof.h"

static int any_why(void)
{
    return Frama_C_interval(1, ERRNO_MAX);
}

int io_open(int *out_fd, int folder_fd, const char *name, int flags)
{
    (void)folder_fd;
    (void)flags;
    proof_string(name);
    if (any_bool()) {
        *out_fd = -1;
        return any_why();
    }
    *out_fd = Frama_C_interval(0, INT32_MAX);
    return 0;
}

int io_close(int *fd)
{
    *fd = -1;
    if (any_bool()) {
        return any_why();
    }
    return 0;
}

int io_read(int fd, uint8_t *out, size_t *out_len, size_t out_cap, size_t at)
{
    /*@ assert fd >= 0; */
    (void)fd;
    (void)at;
    proof_room(out, out_cap);
    unknown(out, out_cap);
    *out_len = any_size(0, out_cap);
    if (any_bool()) {
        return any_why();
    }
    return 0;
}

int io_write(int fd, const void *in, size_t in_len, size_t at)
{
    /*@ assert fd >= 0; */
    (void)fd;
    (void)at;
    proof_written(in, in_len);
    if (any_bool()) {
        return any_why();
    }
    return 0;
}

int io_sync(int fd)
{
    /*@ assert fd >= 0; */
    (void)fd;
    if (any_bool()) {
        return any_why();
    }
    return 0;
}
