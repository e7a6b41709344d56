/* SPDX-License-Identifier: Apache-2.0 */
/* fault_calls.h: makes calls of the C library fail, hang or tell another time,
 * in a whole process: also those of libmnl and libnftnl.
 *
 * fault_calls.c is linked into a test, or preloaded into a daemon.  There
 * QCD_FAULTS names a file with a fault_page, which another process changes
 * while the daemon runs. */
#ifndef QCD_FAULT_CALLS_H
#define QCD_FAULT_CALLS_H

#include <stdatomic.h>
#include <stdint.h>

/* Kinds of calls, as bits; lab/faults.py has the same ones. */
enum fault_kind {
    FAULT_ALLOC = 1 << 0, /* malloc, calloc, realloc */
    FAULT_OPEN = 1 << 1,
    FAULT_READ = 1 << 2,
    FAULT_WRITE = 1 << 3,
    FAULT_SYNC = 1 << 4, /* fsync, fdatasync */
    FAULT_RENAME = 1 << 5,
    FAULT_UNLINK = 1 << 6,
    FAULT_STAT = 1 << 7, /* statx, fstat, fstatfs */
    FAULT_TRUNCATE = 1 << 8,
    FAULT_LOCK = 1 << 9,
    FAULT_RANDOM = 1 << 10, /* getentropy, getrandom */
    FAULT_SOCKET = 1 << 11,
    FAULT_BIND = 1 << 12,
    FAULT_OPTION = 1 << 13, /* setsockopt */
    FAULT_SEND = 1 << 14,
    FAULT_RECEIVE = 1 << 15,
};

enum fault_how {
    FAULT_NONE,
    FAULT_NTH,    /* the n-th call fails */
    FAULT_NTH_ON, /* it and all calls after it fail */
    FAULT_HANG,   /* calls wait until this is over */
};

typedef struct fault_page {
    _Atomic uint32_t how;
    _Atomic uint32_t kinds; /* only these calls count */
    _Atomic uint32_t n;
    _Atomic uint32_t why; /* the errno of all, or 0: that of each kind */
    _Atomic uint32_t seen;
    _Atomic uint32_t failed;
    _Atomic uint32_t waiting; /* calls that hang now */
    _Atomic int64_t step;     /* seconds added to the wall clock */
    _Atomic int64_t held;     /* blocks of memory, in the whole process */
    char first[40];           /* the first call that failed */
} fault_page;

/* The page of this process; before FAULT_NONE is left it does nothing. */
extern fault_page *fault_calls;

#endif
