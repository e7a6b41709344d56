/* SPDX-License-Identifier: Apache-2.0 */
/* secret.c: the table of qcd secret, and what its commands share. */
#include "secret.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

const command secret_commands[] = {
    {"show", "Show when the secrets were made, never the secrets",
     secret_show_main, OPTION_JSON | OPTION_SOCKET | OPTION_STATE_DIR, "", 0,
     NULL},
    {"rotate", "Make a new secret, and keep the three before it",
     secret_rotate_main, OPTION_JSON | OPTION_SOCKET, "", 0, NULL},
    {"export", "Print the secrets, encrypted with a passphrase",
     secret_export_main,
     OPTION_JSON | OPTION_STATE_DIR | OPTION_PASSPHRASE_FILE, "", 0, NULL},
    {"import", "Import exported secrets on another gateway of a group",
     secret_import_main,
     OPTION_JSON | OPTION_STATE_DIR | OPTION_PASSPHRASE_FILE, "[FILE]", 1,
     NULL},
    {"adopt", "Keep secrets that were moved here on purpose", secret_adopt_main,
     OPTION_JSON | OPTION_STATE_DIR, "", 0, NULL},
    {0},
};

bool secret_may_use(const options *opts, sentence *why)
{
    struct stat st;
    bool is_there = stat(opts->state_dir, &st) == 0;
    if (geteuid() == 0 || (is_there && st.st_uid == geteuid()) ||
        (!is_there && errno != EACCES)) {
        return true;
    }
    sentence_set(why,
                 "only root may use the secrets in %s. Try again with sudo",
                 opts->state_dir);
    return false;
}

bool secret_identity(qcd_store_identity *out, sentence *why)
{
    qcd_store_report report;
    bool is_read =
        qcd_store_identity_read(out, &report, QCD_STORE_MACHINE_ID,
                                QCD_STORE_PRODUCT_UUID) == QCD_STORE_OK;
    if (!is_read) {
        sentence_set(why, "%s", report.text);
    }
    return is_read;
}
