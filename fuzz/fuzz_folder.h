/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_folder.h: a folder in memory for the targets that read files. */
#ifndef QCD_FUZZ_FOLDER_H
#define QCD_FUZZ_FOLDER_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

typedef struct fuzz_folder {
    char path[64];
    int fd;
} fuzz_folder;

static inline void fuzz_folder_make(fuzz_folder *out)
{
    bool has_memory = access("/dev/shm", W_OK | X_OK) == 0;
    (void)snprintf(out->path, sizeof(out->path), "%s/qcd-fuzz-XXXXXX",
                   has_memory ? "/dev/shm" : "/tmp");
    DEMAND(mkdtemp(out->path) != NULL);
    out->fd = open(out->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DEMAND(out->fd >= 0);
}

static inline void fuzz_folder_empty(const fuzz_folder *f)
{
    int fd = dup(f->fd);
    DIR *names = fdopendir(fd);
    DEMAND(names != NULL);
    rewinddir(names);
    for (struct dirent *e = readdir(names); e != NULL; e = readdir(names)) {
        (void)unlinkat(f->fd, e->d_name, 0);
    }
    (void)closedir(names);
}

static inline void fuzz_folder_remove(fuzz_folder *f)
{
    fuzz_folder_empty(f);
    (void)close(f->fd);
    DEMAND(rmdir(f->path) == 0);
}

/* fuzz_folder_open opens a file, which is made if it is missing. */
static inline int fuzz_folder_open(const fuzz_folder *f, const char *name)
{
    int fd = openat(f->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    DEMAND(fd >= 0);
    return fd;
}

static inline void fuzz_folder_write(const fuzz_folder *f, const char *name,
                                     const uint8_t *in, size_t in_len)
{
    int fd = fuzz_folder_open(f, name);
    DEMAND(ftruncate(fd, 0) == 0);
    DEMAND(write(fd, in, in_len) == (ssize_t)in_len);
    DEMAND(close(fd) == 0);
}

#endif
