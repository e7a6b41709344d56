/* SPDX-License-Identifier: Apache-2.0 */
/* io.h: complete reads and writes: they continue after a signal or a short
 * transfer.  Every function returns 0 or an errno value. */
#ifndef QCD_STORE_IO_H
#define QCD_STORE_IO_H

#include <stddef.h>
#include <stdint.h>

/* io_open opens `name` in the folder `folder_fd` (or a path, with AT_FDCWD).  A
 * new file has mode 0600, less the umask.  On error `*out_fd` is -1. */
int io_open(int *out_fd, int folder_fd, const char *name, int flags);

/* io_close closes `*fd`, unless that is -1, and sets it to -1 in any case.  It
 * returns an error that came late. */
int io_close(int *fd);

/* io_read reads from the offset `at` to the end of the file, or until it has
 * `out_cap` octets. */
int io_read(int fd, uint8_t *out, size_t *out_len, size_t out_cap, size_t at);

/* io_write writes all of the `in_len` octets at `in` to the offset `at`. */
int io_write(int fd, const void *in, size_t in_len, size_t at);

/* io_sync makes the file or folder durable. */
int io_sync(int fd);

#endif
