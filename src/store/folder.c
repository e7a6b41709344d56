/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c: makes the folder of the store if it is missing, checks it, and uses
 * it as its user. */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "report.h"

typedef struct shown {
    char text[FOLDER_SHOWN_MAX + 4];
} shown;

/* show keeps the end of a long path: the end tells folders apart. */
static shown show(const char *path)
{
    shown out = {.text = "..."};
    size_t len = strlen(path);
    if (len <= FOLDER_SHOWN_MAX) {
        memcpy(out.text, path, len + 1);
    } else {
        memcpy(out.text + 3, path + (len - FOLDER_SHOWN_MAX),
               FOLDER_SHOWN_MAX + 1);
    }
    return out;
}

/* clean_path copies `path` without trailing slashes, which would make the
 * system follow a symbolic link. */
static enum qcd_store_err clean_path(char out[PATH_MAX],
                                     qcd_store_report *report, const char *path)
{
    if (path[0] != '/') {
        return report_say(
            report, QCD_STORE_ERR_SYSTEM,
            "\"%s\" is not an absolute path. Configure one that starts with /",
            show(path).text);
    }
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    if (len == 0) {
        return report_say(report, QCD_STORE_ERR_UNSAFE,
                          "\"%s\" is the root folder. Configure a folder for "
                          "the secrets alone, with mode 0700",
                          show(path).text);
    }
    if (len >= PATH_MAX) {
        return report_system(report, ENAMETOOLONG, "use %s", show(path).text);
    }
    memcpy(out, path, len);
    out[len] = '\0';
    return QCD_STORE_OK;
}

/* parent_path writes the path of the parent folder of `path`. */
static void parent_path(char out[PATH_MAX], const char *path)
{
    memcpy(out, path, strlen(path) + 1);
    char *last = strrchr(out, '/');
    last[last == out ? 1 : 0] = '\0';
}

/* check_parent refuses a parent folder in which others can rename our files. */
static enum qcd_store_err check_parent(qcd_store_report *report,
                                       const char *parent, uint32_t user)
{
    struct stat st;
    if (stat(parent, &st) != 0) {
        return report_system(report, errno, "look at the folder %s",
                             show(parent).text);
    }
    if (st.st_uid != 0 && st.st_uid != geteuid() && st.st_uid != user) {
        return report_say(
            report, QCD_STORE_ERR_UNSAFE,
            "%s belongs to user %u, who could replace the folder of the "
            "secrets in it. Give it to root, or configure another folder",
            show(parent).text, st.st_uid);
    }
    if ((st.st_mode & 0022) != 0 && (st.st_mode & S_ISVTX) == 0) {
        return report_say(report, QCD_STORE_ERR_UNSAFE,
                          "%s is writable by others (mode %04o), who could "
                          "replace the folder of the secrets in it. chmod "
                          "go-w it, or configure another folder",
                          show(parent).text, st.st_mode & 07777);
    }
    return QCD_STORE_OK;
}

/* sync_folder makes the names in the folder `path` durable. */
static int sync_folder(const char *path)
{
    int fd;
    int why = io_open(&fd, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (why != 0) {
        return why;
    }
    why = io_sync(fd);
    (void)io_close(&fd);
    return why;
}

/* make_one makes the folder `path` if it is missing.  Its parent must exist.  A
 * crash on the way leaves an empty folder that is no more open than `mode`. */
static enum qcd_store_err make_one(qcd_store_report *report, const char *path,
                                   mode_t mode)
{
    char parent[PATH_MAX];
    struct stat st;
    if (stat(path, &st) == 0) {
        return QCD_STORE_OK;
    }
    if (errno != ENOENT) {
        return report_system(report, errno, "look at the folder %s",
                             show(path).text);
    }
    parent_path(parent, path);
    enum qcd_store_err err = check_parent(report, parent, geteuid());
    if (err != QCD_STORE_OK) {
        return err;
    }
    if (mkdir(path, mode) != 0) {
        if (errno == EEXIST) { /* another process was faster */
            return QCD_STORE_OK;
        }
        return report_system(report, errno, "create the folder %s",
                             show(path).text);
    }
    /* The umask has removed bits, and a process with threads cannot change it
     * for a moment.  chmod by name, since the folder may be closed to us.  The
     * parent is checked, so nobody has put another folder in its place. */
    int why = chmod(path, mode) != 0 ? errno : sync_folder(parent);
    if (why != 0) {
        return report_system(report, why, "create the folder %s",
                             show(path).text);
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
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT && may_make) {
            return make_missing(report, path);
        }
        if (errno == ENOENT) {
            return report_say(report, QCD_STORE_ERR_MISSING,
                              "there is no folder %s. Check the path; a "
                              "gateway makes it at its first start",
                              dir->shown);
        }
        return report_system(report, errno, "open %s", dir->shown);
    }
    if (S_ISLNK(st.st_mode)) {
        return report_say(report, QCD_STORE_ERR_UNSAFE,
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

/* ---- Giving it to its user --------------------------------------------- */

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

static enum qcd_store_err give_name(qcd_store_report *report, const folder *dir,
                                    const char *name, bool may_give)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return QCD_STORE_OK;
    }
    if (!is_of_store(name)) {
        return report_say(report, QCD_STORE_ERR_UNSAFE,
                          "%s has other files in it, such as %.60s, so it is "
                          "not given to user %u, who will run this process. "
                          "Configure a folder for the secrets alone",
                          dir->shown, name, dir->user.uid);
    }
    if (may_give && fchownat(dir->fd, name, dir->user.uid, dir->user.gid,
                             AT_SYMLINK_NOFOLLOW) != 0) {
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

/* give_names gives the files of the store to the user or, if not `may_give`,
 * looks for other files. */
static enum qcd_store_err give_names(qcd_store_report *report,
                                     const folder *dir, DIR *names,
                                     bool may_give)
{
    enum qcd_store_err err = QCD_STORE_OK;
    rewinddir(names);
    const char *name = next_name(names);
    while (name != NULL && err == QCD_STORE_OK) {
        err = give_name(report, dir, name, may_give);
        name = next_name(names);
    }
    return err;
}

/* give_folder gives the folder, which is ours alone, and the files of the store
 * in it to its user.  A file that the store did not make is found before
 * anything is changed.  The folder comes last, so that the next start repairs
 * an interrupted one. */
static enum qcd_store_err give_folder(qcd_store_report *report,
                                      const folder *dir)
{
    int fd;
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    DIR *names = io_open(&fd, dir->fd, ".", flags) == 0 ? fdopendir(fd) : NULL;
    if (names == NULL) {
        int why = errno;
        (void)io_close(&fd);
        return report_system(report, why, "open %s", dir->shown);
    }
    enum qcd_store_err err = give_names(report, dir, names, false);
    if (err == QCD_STORE_OK) {
        err = give_names(report, dir, names, true);
    }
    (void)closedir(names);
    if (err == QCD_STORE_OK &&
        fchown(dir->fd, dir->user.uid, dir->user.gid) != 0) {
        return report_system(report, errno, "chown %s", dir->shown);
    }
    return err;
}

/* ---- Opening ----------------------------------------------------------- */

/* check_folder checks the open folder itself: names can change.  RFC 6290
 * section 9.1: nobody else may have the secrets. */
static enum qcd_store_err check_folder(const folder *dir,
                                       qcd_store_report *report)
{
    struct stat st;
    if (fstat(dir->fd, &st) != 0) {
        return report_system(report, errno, "look at %s", dir->shown);
    }
    if (st.st_uid != dir->user.uid && st.st_uid != geteuid()) {
        return report_say(
            report, QCD_STORE_ERR_UNSAFE,
            "%s belongs to user %u, and this process is user %u. chown it and "
            "everything in it, or configure another folder",
            dir->shown, st.st_uid, dir->user.uid);
    }
    if ((st.st_mode & 0077) != 0) {
        return report_say(
            report, QCD_STORE_ERR_UNSAFE,
            "%s is open to others (mode %04o). chmod 700 it; if others could "
            "write to it, first check that its files are yours",
            dir->shown, st.st_mode & 07777);
    }
    return st.st_uid == dir->user.uid ? QCD_STORE_OK : give_folder(report, dir);
}

static enum qcd_store_err open_checked(folder *dir, qcd_store_report *report,
                                       const char *path,
                                       const qcd_store_user *user,
                                       bool may_make)
{
    bool is_anybodys = user == NULL && geteuid() == 0;
    dir->user = user != NULL ? *user : (qcd_store_user){geteuid(), getegid()};
    enum qcd_store_err err =
        check_name(dir, report, path, may_make, is_anybodys);
    if (err != QCD_STORE_OK) {
        return err;
    }
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int why = io_open(&dir->fd, AT_FDCWD, path, flags);
    if (why != 0) {
        return report_system(report, why, "open %s", dir->shown);
    }
    return check_folder(dir, report);
}

enum qcd_store_err folder_open(folder *out, qcd_store_report *report,
                               const char *path, const qcd_store_user *user,
                               bool may_make)
{
    *out = FOLDER_CLOSED;
    char clean[PATH_MAX] = "";
    enum qcd_store_err err = clean_path(clean, report, path);
    if (err != QCD_STORE_OK) {
        return err;
    }
    memcpy(out->shown, show(clean).text, sizeof(out->shown));
    err = open_checked(out, report, clean, user, may_make);
    if (err != QCD_STORE_OK) {
        folder_close(out);
    }
    return err;
}

/* set_ids sets the user and group as which this thread uses files.  The calls
 * report no error.  A call with an invalid value returns the ID in force
 * now. */
static bool set_ids(uid_t uid, gid_t gid)
{
    (void)setfsgid(gid);
    (void)setfsuid(uid);
    return (gid_t)setfsgid((gid_t)-1) == gid &&
           (uid_t)setfsuid((uid_t)-1) == uid;
}

enum qcd_store_err folder_use(const folder *dir, qcd_store_report *report)
{
    const qcd_store_user *user = &dir->user;
    if (user->uid == geteuid() || set_ids(user->uid, user->gid)) {
        return QCD_STORE_OK;
    }
    (void)set_ids(geteuid(), getegid());
    return report_system(report, EPERM, "use %s as user %u", dir->shown,
                         user->uid);
}

void folder_leave(const folder *dir)
{
    if (dir->user.uid != geteuid()) {
        (void)set_ids(geteuid(), getegid());
    }
}

void folder_close(folder *dir)
{
    (void)io_close(&dir->fd);
    (void)io_close(&dir->lock_fd);
    *dir = FOLDER_CLOSED;
}
