/* SPDX-License-Identifier: Apache-2.0 */
/* fault_calls.c: see fault_calls.h.
 *
 * Only calls of our own code and of the libraries that it alone uses count: if
 * memory for strongSwan's own objects is missing, charon ends. */
#undef _FILE_OFFSET_BITS /* the names for large files are others */
#include "fault_calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)
#define NAP_NS 2000000

static fault_page own;
fault_page *fault_calls = &own;

/* Files whose calls count; those of libnftnl and libmnl are all about our
 * table. */
static const char *const files[] = {"libstrongswan-qcd.so", "libnftnl.so",
                                    "libmnl.so", "fault_watch"};

__attribute__((constructor)) static void find_page(void)
{
    const char *path = getenv("QCD_FAULTS");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0) {
        return;
    }
    void *page = mmap(NULL, sizeof(fault_page), PROT_READ | PROT_WRITE,
                      MAP_SHARED, fd, 0);
    (void)close(fd);
    if (page != MAP_FAILED) {
        fault_calls = page;
    }
}

/* is_ours tells whether the caller is in one of the files, and not the plugin
 * itself if it asks for memory: strongSwan's macros don't expect NULL. */
static bool is_ours(uint32_t kind, const void *caller)
{
    Dl_info found;

    if (dladdr(caller, &found) == 0 || found.dli_fname == NULL) {
        return false;
    }
    const char *slash = strrchr(found.dli_fname, '/');
    const char *name = slash != NULL ? slash + 1 : found.dli_fname;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (strncmp(name, files[i], strlen(files[i])) == 0) {
            return i > 0 || kind != FAULT_ALLOC;
        }
    }
    return false;
}

static void hang(uint32_t kind)
{
    const struct timespec nap = {0, NAP_NS};
    int saved = errno;

    fault_calls->waiting++;
    while (fault_calls->how == FAULT_HANG && (fault_calls->kinds & kind) != 0) {
        (void)nanosleep(&nap, NULL);
    }
    fault_calls->waiting--;
    errno = saved;
}

/* fails tells whether a call is to fail, with errno `why`; it may hang before.
 */
static bool fails(uint32_t kind, const char *name, int why, const void *caller)
{
    fault_page *page = fault_calls;
    uint32_t how = page->how;

    if (how == FAULT_NONE || (page->kinds & kind) == 0 ||
        !is_ours(kind, caller)) {
        return false;
    }
    uint32_t number = ++page->seen;
    if (how == FAULT_HANG) {
        hang(kind);
        return false;
    }
    if (number != page->n && !(how == FAULT_NTH_ON && number > page->n)) {
        return false;
    }
    if (page->failed++ == 0) {
        strncpy(page->first, name, sizeof(page->first) - 1);
    }
    errno = page->why != 0 ? (int)page->why : why;
    return true;
}

/* The function that ours replaces. */
#define NEXT(name, ...)                                                        \
    static __typeof__(name) *next;                                             \
    if (next == NULL) {                                                        \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                             \
    }                                                                          \
    return next(__VA_ARGS__)

/* REPLACE defines a function that fails with `bad` and errno `why`. */
#define REPLACE(kind, why, bad, result, name, parameters, ...)                 \
    EXPORT result name parameters;                                             \
    result name parameters                                                     \
    {                                                                          \
        if (fails(kind, #name, why, CALLER)) {                                 \
            return bad;                                                        \
        }                                                                      \
        NEXT(name, __VA_ARGS__);                                               \
    }

#ifdef QCD_FAULT_ALLOC /* a sanitizer has functions of its own */
extern void *__libc_malloc(size_t len);
extern void *__libc_calloc(size_t num, size_t len);
extern void *__libc_realloc(void *old, size_t len);
extern void __libc_free(void *old);

static void *held(void *got)
{
    fault_calls->held += got != NULL;
    return got;
}

EXPORT void *malloc(size_t len)
{
    bool fail = fails(FAULT_ALLOC, "malloc", ENOMEM, CALLER);
    return fail ? NULL : held(__libc_malloc(len));
}

EXPORT void *calloc(size_t num, size_t len)
{
    bool fail = fails(FAULT_ALLOC, "calloc", ENOMEM, CALLER);
    return fail ? NULL : held(__libc_calloc(num, len));
}

EXPORT void *realloc(void *old, size_t len)
{
    bool fail = fails(FAULT_ALLOC, "realloc", ENOMEM, CALLER);
    if (fail || old != NULL) {
        return fail ? NULL : __libc_realloc(old, len);
    }
    return held(__libc_realloc(old, len));
}

EXPORT void free(void *old)
{
    fault_calls->held -= old != NULL;
    __libc_free(old);
}

EXPORT char *strdup(const char *text)
{
    size_t len = strlen(text) + 1;
    bool fail = fails(FAULT_ALLOC, "strdup", ENOMEM, CALLER);
    char *copy = fail ? NULL : held(__libc_malloc(len));
    return copy != NULL ? memcpy(copy, text, len) : NULL;
}
#endif

/* The mode is passed only with some flags, as by the C library itself. */
#define REPLACE_OPENAT(name)                                                   \
    EXPORT int name(int folder, const char *path, int flags, ...);             \
    int name(int folder, const char *path, int flags, ...)                     \
    {                                                                          \
        mode_t mode = 0;                                                       \
        if ((flags & (O_CREAT | __O_TMPFILE)) != 0) {                          \
            va_list args;                                                      \
            va_start(args, flags);                                             \
            mode = va_arg(args, mode_t);                                       \
            va_end(args);                                                      \
        }                                                                      \
        if (fails(FAULT_OPEN, #name, EIO, CALLER)) {                           \
            return -1;                                                         \
        }                                                                      \
        NEXT(name, folder, path, flags, mode);                                 \
    }
REPLACE_OPENAT(openat)
REPLACE_OPENAT(openat64)

REPLACE(FAULT_READ, EIO, -1, ssize_t, pread,
        (int fd, void *out, size_t len, off_t at), fd, out, len, at)
REPLACE(FAULT_READ, EIO, -1, ssize_t, pread64,
        (int fd, void *out, size_t len, off64_t at), fd, out, len, at)
REPLACE(FAULT_WRITE, ENOSPC, -1, ssize_t, pwrite,
        (int fd, const void *in, size_t len, off_t at), fd, in, len, at)
REPLACE(FAULT_WRITE, ENOSPC, -1, ssize_t, pwrite64,
        (int fd, const void *in, size_t len, off64_t at), fd, in, len, at)
REPLACE(FAULT_SYNC, EIO, -1, int, fsync, (int fd), fd)
REPLACE(FAULT_SYNC, EIO, -1, int, fdatasync, (int fd), fd)
REPLACE(FAULT_RENAME, EROFS, -1, int, renameat,
        (int from_fd, const char *from, int to_fd, const char *to), from_fd,
        from, to_fd, to)
REPLACE(FAULT_UNLINK, EIO, -1, int, unlinkat,
        (int folder, const char *name, int flags), folder, name, flags)
REPLACE(FAULT_STAT, EIO, -1, int, fstat, (int fd, struct stat *out), fd, out)
REPLACE(FAULT_STAT, EIO, -1, int, fstat64, (int fd, struct stat64 *out), fd,
        out)
REPLACE(FAULT_STAT, EIO, -1, int, statx,
        (int fd, const char *name, int flags, unsigned mask, struct statx *out),
        fd, name, flags, mask, out)
REPLACE(FAULT_STAT, EIO, -1, int, fstatfs, (int fd, struct statfs *out), fd,
        out)
REPLACE(FAULT_STAT, EIO, -1, int, fstatfs64, (int fd, struct statfs64 *out), fd,
        out)
REPLACE(FAULT_TRUNCATE, EIO, -1, int, ftruncate, (int fd, off_t len), fd, len)
REPLACE(FAULT_TRUNCATE, EIO, -1, int, ftruncate64, (int fd, off64_t len), fd,
        len)
REPLACE(FAULT_LOCK, ENOLCK, -1, int, flock, (int fd, int what), fd, what)
REPLACE(FAULT_RANDOM, ENOSYS, -1, int, getentropy, (void *out, size_t len), out,
        len)
REPLACE(FAULT_RANDOM, EAGAIN, -1, ssize_t, getrandom,
        (void *out, size_t len, unsigned flags), out, len, flags)
REPLACE(FAULT_SOCKET, EMFILE, -1, int, socket, (int domain, int type, int what),
        domain, type, what)
REPLACE(FAULT_BIND, EADDRINUSE, -1, int, bind,
        (int fd, __CONST_SOCKADDR_ARG at, socklen_t len), fd, at, len)
REPLACE(FAULT_OPTION, EPERM, -1, int, setsockopt,
        (int fd, int level, int name, const void *in, socklen_t len), fd, level,
        name, in, len)
REPLACE(FAULT_SEND, ENOBUFS, -1, ssize_t, sendto,
        (int fd, const void *in, size_t len, int flags, __CONST_SOCKADDR_ARG to,
         socklen_t to_len),
        fd, in, len, flags, to, to_len)
REPLACE(FAULT_SEND, ENOBUFS, -1, ssize_t, sendmsg,
        (int fd, const struct msghdr *in, int flags), fd, in, flags)
REPLACE(FAULT_RECEIVE, ENOMEM, -1, ssize_t, recvfrom,
        (int fd, void *out, size_t len, int flags, __SOCKADDR_ARG from,
         socklen_t *from_len),
        fd, out, len, flags, from, from_len)
REPLACE(FAULT_RECEIVE, ENOMEM, -1, ssize_t, recvmsg,
        (int fd, struct msghdr *out, int flags), fd, out, flags)
/* The wall clock of the whole process, stepped. */
EXPORT int clock_gettime(clockid_t clock, struct timespec *out)
{
    static __typeof__(clock_gettime) *next;

    if (next == NULL) {
        *(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
    }
    int result = next(clock, out);
    if (result == 0 && clock == CLOCK_REALTIME) {
        out->tv_sec += fault_calls->step;
    }
    return result;
}

EXPORT time_t time(time_t *out)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
