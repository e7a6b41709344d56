/* SPDX-License-Identifier: Apache-2.0 */
/* fault_disk.h: makes LMDB's own writes fail.  The functions of the C library
 * that a program defines itself are also those of its shared libraries. */
#ifndef QCD_FAULT_DISK_H
#define QCD_FAULT_DISK_H

#include <stdbool.h>
#include <stddef.h>

/* fault_disk_start makes call `n` to pwrite, writev or fdatasync fail with
 * `why`, and with `is_dying` all after it.  With `is_written` the data is
 * written nevertheless.  An `n` of 0 lets all succeed. */
void fault_disk_start(size_t n, int why, bool is_dying, bool is_written);

/* fault_disk_stop returns whether any call has failed. */
bool fault_disk_stop(void);

#endif
