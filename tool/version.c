/* SPDX-License-Identifier: Apache-2.0 */
/* version.c: qcd version. */
#include <stdio.h>

#include "output.h"

int version_main(const options *opts)
{
    if (!is_json(opts)) {
        (void)printf("qcd %s\n", QCD_VERSION);
    }
    output_take(opts, json_pack("{s:s, s:s}", "type", "version", "version",
                                QCD_VERSION));
    return TOOL_OK;
}
