/* SPDX-License-Identifier: Apache-2.0 */
/* fault_sys.h: makes the calls of src/store/sys.h fail.  Link it with
 * `-Wl,--wrap=` for each of them. */
#ifndef QCD_FAULT_SYS_H
#define QCD_FAULT_SYS_H

#include <stdbool.h>
#include <stddef.h>

enum fault_mode {
    FAULT_OFF = 0,
    FAULT_ONCE,   /* the n-th call fails */
    FAULT_FROM,   /* the n-th call and all later ones: the disk is dying */
    FAULT_KILL,   /* SIGKILL before the n-th call */
    FAULT_TRICKLE /* one octet at a time, and a signal before each */
};

/* fault_start counts calls from 1 again and forgets the trace. */
void fault_start(enum fault_mode mode, size_t n);

/* fault_hold lets calls succeed uncounted, until it is called with false. */
void fault_hold(bool is_held);

/* fault_stop returns the name of the first call that failed, or NULL. */
const char *fault_stop(void);

/* fault_trace returns what was done to files since fault_start, in order: "make
 * secrets.tmp, write, sync file, rename secrets, sync folder, ". */
const char *fault_trace(void);

#endif
