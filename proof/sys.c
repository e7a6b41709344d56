/* SPDX-License-Identifier: Apache-2.0 */
/* sys.c: what the proof assumes of the system.  Each call checks what it is
 * given, and may have any result that its manual page allows: success with any
 * value, or failure with any error. */
#include "sys.h"

#include <dirent.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/random.h>
#include <sys/vfs.h>

#include "proof.h"

#define PID_MAX 4194304

static int fail(void)
{
    errno = Frama_C_interval(1, ERRNO_MAX);
    return -1;
}

/* How much was transferred: each number is looked at by itself. */
static ssize_t any_part(size_t len)
{
    size_t n = 0;

    while (n < len && any_bool()) {
        n++;
    }
    return (ssize_t)n;
}

/* ---- Files ------------------------------------------------------------- */

int openat(int dirfd, const char *path, int flags, ...)
{
    (void)dirfd;
    (void)flags;
    proof_string(path);
    if (any_bool()) {
        return fail();
    }
    return Frama_C_interval(0, INT32_MAX);
}

int close(int fd)
{
    /*@ assert fd >= 0; */
    (void)fd;
    if (any_bool()) {
        return fail();
    }
    return 0;
}

ssize_t pread(int fd, void *out, size_t len, off_t at)
{
    (void)fd;
    /*@ assert at >= 0; */
    (void)at;
    proof_room(out, len);
    if (any_bool()) {
        return fail();
    }
    if (len > 0) {
        unknown(out, len);
    }
    return any_part(len);
}

ssize_t pwrite(int fd, const void *in, size_t len, off_t at)
{
    (void)fd;
    /*@ assert at >= 0; */
    (void)at;
    proof_written(in, len);
    if (any_bool()) {
        return fail();
    }
    return any_part(len);
}

int fsync(int fd)
{
    (void)fd;
    if (any_bool()) {
        return fail();
    }
    return 0;
}

int flock(int fd, int operation)
{
    (void)fd;
    (void)operation;
    if (any_bool()) {
        return fail();
    }
    return 0;
}

int fchmod(int fd, mode_t mode)
{
    (void)fd;
    (void)mode;
    if (any_bool()) {
        return fail();
    }
    return 0;
}

int fstat(int fd, struct stat *out)
{
    (void)fd;
    if (any_bool()) {
        return fail();
    }
    unknown(out, sizeof(*out));
    return 0;
}

int statx(int fd, const char *path, int flags, unsigned int mask,
          struct statx *out)
{
    (void)fd;
    (void)flags;
    (void)mask;
    proof_string(path);
    if (any_bool()) {
        return fail();
    }
    unknown(out, sizeof(*out));
    return 0;
}

int fstatfs(int fd, struct statfs *out)
{
    (void)fd;
    if (any_bool()) {
        return fail();
    }
    unknown(out, sizeof(*out));
    return 0;
}

int unlinkat(int fd, const char *path, int flags)
{
    (void)fd;
    (void)flags;
    proof_string(path);
    if (any_bool()) {
        return fail();
    }
    return 0;
}

int renameat(int old_fd, const char *old_path, int new_fd, const char *new_path)
{
    (void)old_fd;
    (void)new_fd;
    proof_string(old_path);
    proof_string(new_path);
    if (any_bool()) {
        return fail();
    }
    return 0;
}

/* ---- Folders ----------------------------------------------------------- */

static int see(const char *path, struct stat *out)
{
    proof_string(path);
    if (any_bool()) {
        return fail();
    }
    unknown(out, sizeof(*out));
    return 0;
}

int stat(const char *path, struct stat *out)
{
    return see(path, out);
}

int lstat(const char *path, struct stat *out)
{
    return see(path, out);
}

static int change(const char *path)
{
    proof_string(path);
    return any_bool() ? fail() : 0;
}

int mkdir(const char *path, mode_t mode)
{
    (void)mode;
    return change(path);
}

int chmod(const char *path, mode_t mode)
{
    (void)mode;
    return change(path);
}

int fchownat(int fd, const char *path, uid_t owner, gid_t group, int flags)
{
    (void)fd;
    (void)owner;
    (void)group;
    (void)flags;
    return change(path);
}

int fchown(int fd, uid_t owner, gid_t group)
{
    (void)fd;
    (void)owner;
    (void)group;
    return any_bool() ? fail() : 0;
}

/* The stream of the folder that is read: folder.c has one at a time. */
static DIR *const stream_of_names = &__fc_opendir[0];

DIR *fdopendir(int fd)
{
    /*@ assert fd >= 0; */
    (void)fd;
    if (any_bool()) {
        (void)fail();
        return NULL;
    }
    return stream_of_names;
}

void rewinddir(DIR *stream)
{
    /*@ assert stream == stream_of_names; */
    (void)stream;
}

struct dirent *readdir(DIR *stream)
{
    static struct dirent entry;

    /*@ assert stream == stream_of_names; */
    (void)stream;
    if (any_bool()) {
        return NULL;
    }
    unknown(&entry, sizeof(entry));
    entry.d_name[sizeof(entry.d_name) - 1] = '\0';
    return &entry;
}

int closedir(DIR *stream)
{
    /*@ assert stream == stream_of_names; */
    stream->__fc_dir_inode = NULL;
    return any_bool() ? fail() : 0;
}

int setfsuid(uid_t uid)
{
    (void)uid;
    return Frama_C_interval(INT32_MIN, INT32_MAX);
}

int setfsgid(gid_t gid)
{
    (void)gid;
    return Frama_C_interval(INT32_MIN, INT32_MAX);
}

/* ---- The process ------------------------------------------------------- */

uid_t geteuid(void)
{
    return any_u32();
}

gid_t getegid(void)
{
    return any_u32();
}

pid_t getpid(void)
{
    return Frama_C_interval(1, PID_MAX);
}

int getentropy(void *out, size_t len)
{
    /*@ assert len <= 256; */
    proof_room(out, len);
    if (any_bool()) {
        return fail();
    }
    unknown(out, len);
    return 0;
}

/* ---- Text -------------------------------------------------------------- */

/* A number that follows `%` or `.`. */
static size_t read_number(const char **at)
{
    size_t n = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++) {
        n = 10 * n + (size_t)(**at - '0');
    }
    return n;
}

static size_t num_digits(unsigned long number, unsigned long base)
{
    size_t n = 1;

    for (; number >= base; number /= base) {
        n++;
    }
    return n;
}

static size_t signed_len(long number)
{
    return number < 0 ? 1 + num_digits(-(unsigned long)number, 10)
                      : num_digits((unsigned long)number, 10);
}

char *strrchr(const char *text, int c)
{
    const char *found = NULL;

    proof_string(text);
    for (; *text != '\0'; text++) {
        if (*text == (char)c) {
            found = text;
        }
    }
    return (char *)found;
}

static size_t string_len(const char *text, bool is_cut, size_t most)
{
    proof_string(text);
    size_t len = strlen(text);
    return is_cut && len > most ? most : len;
}

/* The format and what it reads are checked, and the length is exact.  The
 * octets up to the terminator may be any. */
int proof_vsnprintf(char *out, size_t cap, const char *format, va_list args)
{
    size_t len = 0;

    for (const char *at = format; *at != '\0'; at++) {
        if (*at != '%') {
            len++;
            continue;
        }
        at++;
        size_t width = read_number(&at);
        bool is_cut = *at == '.';
        if (is_cut) {
            at++;
        }
        size_t most = read_number(&at);
        bool is_long = *at == 'l';
        if (is_long) {
            at++;
        }
        size_t own = 0;
        switch (*at) {
        case 's':
            own = string_len(va_arg(args, const char *), is_cut, most);
            break;
        case 'd':
            own = is_long ? signed_len(va_arg(args, long))
                          : signed_len(va_arg(args, int));
            break;
        case 'u':
            own = num_digits(va_arg(args, unsigned int), 10);
            break;
        case 'o':
            own = num_digits(va_arg(args, unsigned int), 8);
            break;
        default:
            /*@ assert \false; */
            break;
        }
        len += own > width ? own : width;
    }
    proof_room(out, cap);
    if (cap > 0) {
        unknown(out, cap);
        out[cap - 1] = '\0';
    }
    return (int)len;
}

int proof_snprintf(char *out, size_t cap, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = proof_vsnprintf(out, cap, format, args);
    va_end(args);
    return len;
}
