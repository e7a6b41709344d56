/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c: makes the folder of the store if it is missing, and checks it. */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "give.h"
#include "io.h"
#include "report.h"
#include "sys.h"
#include "user.h"

/* show_path keeps the end of a long path: the end tells folders apart. */
static void show_path(char out[FOLDER_SHOWN_MAX + 4], const char *path)
{
    size_t len = strlen(path);
    bool cut = len > FOLDER_SHOWN_MAX;
    (void)snprintf(out, FOLDER_SHOWN_MAX + 4, "%s%.*s", cut ? "..." : "",
                   FOLDER_SHOWN_MAX,
                   cut ? path + (len - FOLDER_SHOWN_MAX) : path);
}

/* clean_path copies `path` without trailing slashes, which would make the
 * system follow a symbolic link. */
static enum qcd_store_err clean_path(char out[PATH_MAX],
                                     qcd_store_report *report, const char *path)
{
    char shown[FOLDER_SHOWN_MAX + 4];
    show_path(shown, path);
    if (path[0] != '/') {
        return report_fail(
            report, QCD_STORE_ERR_SYSTEM,
            "\"%s\" is not an absolute path. Configure one that starts with /",
            shown);
    }
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    if (len == 0) {
        return report_fail(report, QCD_STORE_ERR_UNSAFE,
                           "\"%s\" is the root folder. Configure a folder for "
                           "the secrets alone, with mode 0700",
                           shown);
    }
    if (len >= PATH_MAX) {
        return report_system(report, ENAMETOOLONG, "use %s", shown);
    }
    memcpy(out, path, len);
    out[len] = '\0';
    return QCD_STORE_OK;
}

/* parent_path writes the path of the parent folder of `path`. */
static void parent_path(char out[PATH_MAX], const char *path)
{
    (void)snprintf(out, PATH_MAX, "%s", path);
    char *last = strrchr(out, '/');
    last[last == out ? 1 : 0] = '\0';
}

/* check_parent refuses a parent folder in which others can rename our files. */
static enum qcd_store_err check_parent(qcd_store_report *report,
                                       const char *parent, uint32_t user)
{
    char shown[FOLDER_SHOWN_MAX + 4];
    show_path(shown, parent);
    struct stat st;
    if (sys_stat(parent, &st) != 0) {
        return report_system(report, errno, "look at the folder %s", shown);
    }
    if (st.st_uid != 0 && st.st_uid != geteuid() && st.st_uid != user) {
        return report_fail(
            report, QCD_STORE_ERR_UNSAFE,
            "%s belongs to user %u, who could replace the folder of the "
            "secrets in it. Give it to root, or configure another folder",
            shown, (unsigned int)st.st_uid);
    }
    if ((st.st_mode & 0022) != 0 && (st.st_mode & S_ISVTX) == 0) {
        return report_fail(report, QCD_STORE_ERR_UNSAFE,
                           "%s is writable by others (mode %04o), who could "
                           "replace the folder of the secrets in it. chmod "
                           "go-w it, or configure another folder",
                           shown, (unsigned int)st.st_mode & 07777);
    }
    return QCD_STORE_OK;
}

/* sync_folder makes the names in the folder `path` durable. */
static int sync_folder(const char *path)
{
    int fd;
    int why =
        io_open(&fd, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (why != 0) {
        return why;
    }
    why = io_sync(fd);
    int why_close = io_close(fd);
    return why != 0 ? why : why_close;
}

/* make_one makes the folder `path` if it is missing.  Its parent must exist.  A
 * crash on the way leaves an empty folder that is no more open than `mode`. */
static enum qcd_store_err make_one(qcd_store_report *report, const char *path,
                                   mode_t mode)
{
    char parent[PATH_MAX];
    char shown[FOLDER_SHOWN_MAX + 4];
    struct stat st;
    show_path(shown, path);
    if (sys_stat(path, &st) == 0) {
        return QCD_STORE_OK;
    }
    if (errno != ENOENT) {
        return report_system(report, errno, "look at the folder %s", shown);
    }
    parent_path(parent, path);
    enum qcd_store_err err = check_parent(report, parent, geteuid());
    if (err != QCD_STORE_OK) {
        return err;
    }
    if (sys_mkdir(path, mode) != 0) {
        if (errno == EEXIST) { /* another process was faster */
            return QCD_STORE_OK;
        }
        return report_system(report, errno, "create the folder %s", shown);
    }
    /* The umask has removed bits, and a process with threads cannot change it
     * for a moment.  chmod by name, since the folder may be closed to us.  The
     * parent is checked, so nobody has put another folder in its place. */
    int why = sys_chmod(path, mode) != 0 ? errno : sync_folder(parent);
    if (why != 0) {
        return report_system(report, why, "create the folder %s", shown);
    }
    return QCD_STORE_OK;
}

/* make_missing makes the folder `path`, and its missing parents first. */
static enum qcd_store_err make_missing(qcd_store_report *report,
                                       const char *path)
{
    char prefix[PATH_MAX];
    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] != '/' || path[i - 1] == '/') {
            continue;
        }
        memcpy(prefix, path, i);
        prefix[i] = '\0';
        enum qcd_store_err err = make_one(report, prefix, 0755);
        if (err != QCD_STORE_OK) {
            return err;
        }
    }
    return make_one(report, path, 0700);
}

/* check_name checks that the folder exists and is not a symbolic link; open
 * does not tell these apart.  If `is_anybodys` the folder's owner is its
 * user. */
static enum qcd_store_err check_name(folder *dir, qcd_store_report *report,
                                     const char *path, bool may_make,
                                     bool is_anybodys)
{
    struct stat st;
    if (sys_lstat(path, &st) != 0) {
        if (errno == ENOENT && may_make) {
            return make_missing(report, path);
        }
        if (errno == ENOENT) {
            return report_fail(report, QCD_STORE_ERR_MISSING,
                               "there is no folder %s. Check the path; a "
                               "gateway makes it at its first start",
                               dir->shown);
        }
        return report_system(report, errno, "open %s", dir->shown);
    }
    if (S_ISLNK(st.st_mode)) {
        return report_fail(report, QCD_STORE_ERR_UNSAFE,
                           "%s is a symbolic link. Configure the folder that "
                           "it points to",
                           dir->shown);
    }
    if (is_anybodys) {
        dir->user = (qcd_store_user){.uid = st.st_uid, .gid = st.st_gid};
    }
    char parent[PATH_MAX];
    parent_path(parent, path);
    return check_parent(report, parent, dir->user.uid);
}

/* check_folder checks the open folder itself: names can change.  RFC 6290
 * section 9.1: nobody else may have the secrets. */
static enum qcd_store_err check_folder(const folder *dir,
                                       qcd_store_report *report)
{
    struct stat st;
    if (sys_fstat(dir->fd, &st) != 0) {
        return report_system(report, errno, "look at %s", dir->shown);
    }
    if (st.st_uid != dir->user.uid && st.st_uid != geteuid()) {
        return report_fail(
            report, QCD_STORE_ERR_UNSAFE,
            "%s belongs to user %u, and this process is user %u. chown it and "
            "everything in it, or configure another folder",
            dir->shown, (unsigned int)st.st_uid, (unsigned int)dir->user.uid);
    }
    if ((st.st_mode & 0077) != 0) {
        return report_fail(
            report, QCD_STORE_ERR_UNSAFE,
            "%s is open to others (mode %04o). chmod 700 it; if others could "
            "write to it, first check that its files are yours",
            dir->shown, (unsigned int)st.st_mode & 07777);
    }
    return st.st_uid == dir->user.uid ? QCD_STORE_OK : give_folder(report, dir);
}

static enum qcd_store_err open_checked(folder *dir, qcd_store_report *report,
                                       const char *path, bool may_make,
                                       const qcd_store_user *user)
{
    bool is_anybodys = user == NULL && geteuid() == 0;
    dir->user = user != NULL ? *user : user_self();
    enum qcd_store_err err =
        check_name(dir, report, path, may_make, is_anybodys);
    if (err != QCD_STORE_OK) {
        return err;
    }
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int why = io_open(&dir->fd, AT_FDCWD, path, flags, 0);
    if (why != 0) {
        return report_system(report, why, "open %s", dir->shown);
    }
    return check_folder(dir, report);
}

static enum qcd_store_err open_path(folder *out, qcd_store_report *report,
                                    const char *path, bool may_make,
                                    const qcd_store_user *user)
{
    *out = FOLDER_CLOSED;
    char clean[PATH_MAX];
    enum qcd_store_err err = clean_path(clean, report, path);
    if (err != QCD_STORE_OK) {
        return err;
    }
    show_path(out->shown, clean);
    err = open_checked(out, report, clean, may_make, user);
    if (err != QCD_STORE_OK) {
        folder_close(out);
    }
    return err;
}

enum qcd_store_err folder_open(folder *out, qcd_store_report *report,
                               const char *path, const qcd_store_user *user)
{
    return open_path(out, report, path, true, user);
}

enum qcd_store_err folder_find(folder *out, qcd_store_report *report,
                               const char *path)
{
    return open_path(out, report, path, false, NULL);
}

void folder_close(folder *dir)
{
    if (dir->fd >= 0) {
        (void)io_close(dir->fd);
    }
    *dir = FOLDER_CLOSED;
}
