/* SPDX-License-Identifier: Apache-2.0 */
/* sys.h: what Frama-C's own headers of the system lack.  It is included before
 * the store's files and proof/sys.c, which has the functions. */
#ifndef QCD_PROOF_SYS_H
#define QCD_PROOF_SYS_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* As in glibc's unistd.h. */
#define TEMP_FAILURE_RETRY(call)                                               \
    (__extension__({                                                           \
        long result;                                                           \
        do {                                                                   \
            result = (long)(call);                                             \
        } while (result < 0 && errno == EINTR);                                \
        result;                                                                \
    }))

#define AT_EMPTY_PATH 0x1000
#define STATX_INO 0x100U
#define STATX_BTIME 0x800U

struct statx_timestamp {
    int64_t tv_sec;
    uint32_t tv_nsec;
};

struct statx {
    uint32_t stx_mask;
    uint64_t stx_ino;
    struct statx_timestamp stx_btime;
};

int statx(int fd, const char *path, int flags, unsigned int mask,
          struct statx *out);
int unlinkat(int fd, const char *path, int flags);
int renameat(int old_fd, const char *old_path, int new_fd,
             const char *new_path);

int fstatfs(int fd, struct statfs *out);

/* Frama-C itself knows only what a printf writes, not how long it is. */
#define snprintf proof_snprintf
#define vsnprintf proof_vsnprintf
int proof_snprintf(char *out, size_t cap, const char *format, ...);
int proof_vsnprintf(char *out, size_t cap, const char *format, va_list args);

/* Linux has no larger one. */
#define ERRNO_MAX 4095

/* What calls of the system and of the models need. */
/*@ requires \valid_read(text) && valid_read_string(text);
    assigns \nothing; */
void proof_string(const char *text);

/*@ requires len == 0 || \valid((char *)p + (0 .. len - 1));
    assigns \nothing; */
void proof_room(void *p, size_t len);

/*@ requires len == 0 || \valid_read((char *)p + (0 .. len - 1));
    requires len == 0 || \initialized((char *)p + (0 .. len - 1));
    assigns \nothing; */
void proof_written(const void *p, size_t len);

#endif
