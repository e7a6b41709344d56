/* SPDX-License-Identifier: Apache-2.0 */
/* fault_names.h: the names of the system calls of the store, replaced by those
 * that can fail.  A file of the store is included behind it, so that these are
 * the names in the source: in an object they differ with large files, with
 * fortified headers and between versions of the C library.
 *
 * Not here: what changes owners and users, which test_store_user.c tests, and
 * what lists a folder. */
#ifndef QCD_FAULT_NAMES_H
#define QCD_FAULT_NAMES_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "fault_sys.h"

#define calloc(...) fault_calloc(__VA_ARGS__)
#define fcntl(...) fault_fcntl(__VA_ARGS__)
#define openat(...) fault_openat(__VA_ARGS__)
#define close(...) fault_close(__VA_ARGS__)
#define pread(...) fault_pread(__VA_ARGS__)
#define pwrite(...) fault_pwrite(__VA_ARGS__)
#define ftruncate(...) fault_ftruncate(__VA_ARGS__)
#define fsync(...) fault_fsync(__VA_ARGS__)
#define fdatasync(...) fault_fdatasync(__VA_ARGS__)
#define flock(...) fault_flock(__VA_ARGS__)
#define fchmod(...) fault_fchmod(__VA_ARGS__)
#define fstat(...) fault_fstat(__VA_ARGS__)
#define fstatat(...) fault_fstatat(__VA_ARGS__)
#define statx(...) fault_statx(__VA_ARGS__)
#define fstatfs(...) fault_fstatfs(__VA_ARGS__)
#define renameat(...) fault_renameat(__VA_ARGS__)
#define unlinkat(...) fault_unlinkat(__VA_ARGS__)
#define mkdir(...) fault_mkdir(__VA_ARGS__)
#define chmod(...) fault_chmod(__VA_ARGS__)
#define stat(...) fault_stat(__VA_ARGS__)
#define lstat(...) fault_lstat(__VA_ARGS__)
#define getentropy(...) fault_getentropy(__VA_ARGS__)

#endif
