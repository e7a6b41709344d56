/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c: what the harness of the store assumes of src/store/folder.c, and
 * prove_folder.c shows. */
#include "store/folder.h"

#include <string.h>

#include "proof.h"

static enum qcd_store_err refuse(qcd_store_report *report,
                                 enum qcd_store_err err)
{
    unknown(report, sizeof(*report));
    report->text[sizeof(report->text) - 1] = '\0';
    return err;
}

enum qcd_store_err folder_open(folder *out, qcd_store_report *report,
                               const char *path, const qcd_store_user *user,
                               bool may_make)
{
    *out = FOLDER_CLOSED;
    proof_string(path);
    if (any_bool()) {
        return refuse(report, QCD_STORE_ERR_UNSAFE);
    }
    if (!may_make && any_bool()) {
        return refuse(report, QCD_STORE_ERR_MISSING);
    }
    out->fd = Frama_C_interval(0, INT32_MAX);
    if (user != NULL) {
        out->user = *user;
    } else {
        unknown(&out->user, sizeof(out->user));
    }
    unknown(out->shown, sizeof(out->shown));
    out->shown[sizeof(out->shown) - 1] = '\0';
    return QCD_STORE_OK;
}

enum qcd_store_err folder_use(const folder *dir, qcd_store_report *report)
{
    proof_string(dir->shown);
    return any_bool() ? QCD_STORE_OK : refuse(report, QCD_STORE_ERR_SYSTEM);
}

void folder_leave(const folder *dir)
{
    proof_written(&dir->user, sizeof(dir->user));
}

void folder_close(folder *dir)
{
    proof_written(&dir->fd, sizeof(dir->fd));
    proof_written(&dir->lock_fd, sizeof(dir->lock_fd));
    *dir = FOLDER_CLOSED;
}
