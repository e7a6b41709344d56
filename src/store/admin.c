/* SPDX-License-Identifier: Apache-2.0 */
/* admin.c: what an administrator does with a folder. */
#include "store.h"

#include <string.h>

#include "files.h"
#include "identity.h"
#include "io.h"
#include "lock.h"
#include "report.h"

/* place is a folder that nobody else changes as long as it is open. */
typedef struct place {
    folder dir;
    int lock_fd;
} place;

static void leave(place *at)
{
    folder_close(&at->dir);
    if (at->lock_fd >= 0) {
        (void)io_close(at->lock_fd);
    }
}

/* enter locks the folder that `at` has open.  leave it in any case. */
static enum qcd_store_err enter(place *at, qcd_store_report *report)
{
    enum qcd_store_err err = lock_take(&at->lock_fd, report, &at->dir);
    return err == QCD_STORE_OK ? files_clean(report, &at->dir) : err;
}

static enum qcd_store_err
read_present(qcd_secrets *out, qcd_store_report *report, const folder *dir)
{
    enum qcd_store_err err = files_read_secrets(out, report, dir);
    if (err == QCD_STORE_OK && out->num_generations == 0) {
        return report_fail(report, QCD_STORE_ERR_MISSING,
                           "there are no secrets in %s. A gateway makes them "
                           "at its first start",
                           dir->shown);
    }
    return err;
}

static enum qcd_store_err adopt(const folder *dir, qcd_store_report *report,
                                const qcd_store_identity *identity)
{
    qcd_secrets secrets;
    enum qcd_store_err err = read_present(&secrets, report, dir);
    if (err == QCD_STORE_OK) {
        identity_digest(secrets.machine, identity);
        err = files_write_secrets(report, dir, &secrets);
    }
    qcd_wipe(&secrets, sizeof(secrets));
    if (err == QCD_STORE_OK) {
        report_note(
            report, "%s/%s are now bound to %s", dir->shown, secrets_kind.name,
            identity->len != 0 ? "this machine"
                               : "no machine, since this one has no identity");
    }
    return err;
}

enum qcd_store_err qcd_store_adopt(qcd_store_report *report, const char *path,
                                   const qcd_store_identity *identity)
{
    report->text[0] = '\0';
    place at = {FOLDER_CLOSED, -1};
    enum qcd_store_err err = folder_find(&at.dir, report, path);
    if (err == QCD_STORE_OK) {
        err = enter(&at, report);
    }
    if (err == QCD_STORE_OK) {
        err = adopt(&at.dir, report, identity);
    }
    leave(&at);
    return err;
}
