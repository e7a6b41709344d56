/* SPDX-License-Identifier: Apache-2.0 */
/* secret_adopt.c: qcd secret adopt, keeps the secrets of a gateway that was
 * moved to this machine. */
#include <stdio.h>

#include "secret.h"

int secret_adopt_main(const options *opts)
{
    sentence why;
    qcd_store_identity identity;
    qcd_store_report report;
    if (!secret_may_use(opts, &why) || !secret_identity(&identity, &why)) {
        return output_fail(opts, &why);
    }
    if (qcd_store_adopt(&report, opts->state_dir, &identity) != QCD_STORE_OK) {
        sentence_set(&why, "%s", report.text);
        return output_fail(opts, &why);
    }
    if (!is_json(opts)) {
        (void)printf("%s\n", report.text);
    }
    output_take(opts, json_pack("{s:s, s:b}", "type", "adopted", "bound",
                                identity.len != 0));
    return TOOL_OK;
}
