/* SPDX-License-Identifier: Apache-2.0 */
/* io.h: complete reads, writes and random draws: they continue after a signal
 * or a short transfer.  Every function returns 0 or an errno value. */
#ifndef QCD_STORE_IO_H
#define QCD_STORE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* io_open opens `name` in the folder `folder_fd` (or a path, with AT_FDCWD).
 * On error `*out_fd` is -1. */
int io_open(int *out_fd, int folder_fd, const char *name, int flags,
            mode_t mode);

/* io_close closes `fd` in any case, and returns an error that came late. */
int io_close(int fd);

/* io_read reads to the end of the file, or until it has `out_cap` octets. */
int io_read(int fd, uint8_t *out, size_t *out_len, size_t out_cap);

/* io_write writes all of the `in_len` octets at `in`. */
int io_write(int fd, const void *in, size_t in_len);

/* io_pread is io_read from the offset `at`. */
int io_pread(int fd, uint8_t *out, size_t *out_len, size_t out_cap, size_t at);

/* io_pwrite writes all of the `in_len` octets at `in` to the offset `at`. */
int io_pwrite(int fd, const void *in, size_t in_len, size_t at);

/* io_sync makes the file or folder durable. */
int io_sync(int fd);

/* io_sync_data makes the content of the file durable, and its length. */
int io_sync_data(int fd);

/* io_random draws `out_len` octets from the system. */
int io_random(void *out, size_t out_len);

#endif
