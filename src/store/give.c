/* SPDX-License-Identifier: Apache-2.0 */
/* give.c: gives a folder to the user that the daemon will run as. */
#include "give.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "io.h"
#include "report.h"
#include "sys.h"

/* The names of all files of the store start with one of these. */
static const char *const beginnings[] = {"lock", "run", "samap", "secrets"};

static bool is_of_store(const char *name)
{
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0) {
            return true;
        }
    }
    return false;
}

static enum qcd_store_err take_name(qcd_store_report *report, const folder *dir,
                                    const char *name, bool may_give)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return QCD_STORE_OK;
    }
    if (!is_of_store(name)) {
        return report_fail(report, QCD_STORE_ERR_UNSAFE,
                           "%s has other files in it, such as %.60s, so it is "
                           "not given to user %u, who will run this process. "
                           "Configure a folder for the secrets alone",
                           dir->shown, name, (unsigned int)dir->user.uid);
    }
    if (may_give &&
        sys_chown(dir->fd, name, dir->user.uid, dir->user.gid) != 0) {
        return report_system(report, errno, "chown %s/%.60s", dir->shown, name);
    }
    return QCD_STORE_OK;
}

/* next_name returns the next name in the folder, or NULL after the last. */
static const char *next_name(DIR *names)
{
    /* It is unsafe only if threads share a stream and call it at the same
     * time. */
    const struct dirent *e = readdir(names); /* NOLINT(concurrency-mt-unsafe) */
    return e != NULL ? e->d_name : NULL;
}

static enum qcd_store_err take_names(qcd_store_report *report,
                                     const folder *dir, bool may_give)
{
    int fd;
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int why = io_open(&fd, dir->fd, ".", flags, 0);
    if (why != 0) {
        return report_system(report, why, "open %s", dir->shown);
    }
    DIR *names = fdopendir(fd);
    if (names == NULL) {
        why = errno;
        (void)io_close(fd);
        return report_system(report, why, "open %s", dir->shown);
    }
    enum qcd_store_err err = QCD_STORE_OK;
    const char *name = next_name(names);
    while (name != NULL && err == QCD_STORE_OK) {
        err = take_name(report, dir, name, may_give);
        name = next_name(names);
    }
    (void)closedir(names);
    return err;
}

enum qcd_store_err give_folder(qcd_store_report *report, const folder *dir)
{
    enum qcd_store_err err = take_names(report, dir, false);
    if (err == QCD_STORE_OK) {
        err = take_names(report, dir, true);
    }
    if (err == QCD_STORE_OK &&
        sys_fchown(dir->fd, dir->user.uid, dir->user.gid) != 0) {
        return report_system(report, errno, "chown %s", dir->shown);
    }
    return err;
}
