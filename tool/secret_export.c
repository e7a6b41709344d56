/* SPDX-License-Identifier: Apache-2.0 */
/* secret_export.c: qcd secret export, prints the secrets, encrypted, for
 * another gateway of a group.  The daemon may run meanwhile: its files are
 * replaced as a whole, so they can be read at any time. */
#include <stdio.h>

#include "bundle.h"
#include "passphrase.h"
#include "secret.h"

/* export_text makes the text, or reports an error in `why`. */
static bool export_text(char out[BUNDLE_TEXT_MAX], const options *opts,
                        sentence *why)
{
    qcd_store_report report = {""};
    qcd_secrets secrets;
    passphrase phrase = {0};
    qcd_store_identity identity;
    if (!secret_identity(&identity, why)) {
        return false;
    }
    bool is_done = qcd_store_share(&secrets, &report, opts->state_dir,
                                   &identity) == QCD_STORE_OK;
    if (!is_done) {
        sentence_set(why, "%s", report.text);
    } else {
        is_done = passphrase_new(&phrase, opts, why);
    }
    if (is_done && bundle_seal(out, &report, &secrets, phrase.text, phrase.len,
                               &bundle_cost_default) != QCD_STORE_OK) {
        sentence_set(why, "%s", report.text);
        is_done = false;
    }
    qcd_wipe(&phrase, sizeof(phrase));
    qcd_wipe(&secrets, sizeof(secrets));
    return is_done;
}

int secret_export_main(const options *opts)
{
    char text[BUNDLE_TEXT_MAX];
    sentence why;
    if (!secret_may_use(opts, &why) || !export_text(text, opts, &why)) {
        return output_fail(opts, &why);
    }
    if (!is_json(opts)) {
        (void)fputs(text, stdout);
    }
    output_take(opts, json_pack("{s:s, s:s}", "type", "export", "text", text));
    return TOOL_OK;
}
