/* SPDX-License-Identifier: Apache-2.0 */
/* fault_box.h: a box for each test of fault_store.c and fault_samap.c, whose
 * disk is full or can't write, and processes that are killed in it. */
#ifndef QCD_FAULT_BOX_H
#define QCD_FAULT_BOX_H

#include <errno.h>
#include <sys/wait.h>

#include "fault_sys.h"
#include "store_box.h"

/* FAULT_TEST is a test with its own box, once with a disk that is full and once
 * with one that can't write. */
#define FAULT_TEST(test)                                                       \
    {#test ", full", test, set_up_full, tear_down_disk, NULL},                 \
    {                                                                          \
        #test ", broken", test, set_up_broken, tear_down_disk, NULL            \
    }

static inline int set_up_full(void **state)
{
    fault_write_with(ENOSPC);
    return box_setup(state);
}

static inline int set_up_broken(void **state)
{
    fault_write_with(EIO);
    return box_setup(state);
}

static inline int tear_down_disk(void **state)
{
    fault_write_with(ENOSPC);
    return box_teardown(state);
}

/* was_killed waits for the end of a process.  It has ended without an error, or
 * was killed before. */
static inline bool was_killed(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

#endif
