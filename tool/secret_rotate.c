/* SPDX-License-Identifier: Apache-2.0 */
/* secret_rotate.c: qcd secret rotate, makes a new secret while the gateway
 * runs.  A gateway that is not running makes none: its peers would keep the
 * oldest for good. */
#include <inttypes.h>
#include <stdio.h>

#include "answer.h"

static void take(void *user, json_t *object)
{
    (void)user;
    if (answer_is(object, "rotated")) {
        (void)printf("made a new secret; the gateway now has %" PRId64 "\n",
                     (int64_t)json_integer_value(
                         json_object_get(object, "generations")));
    }
}

int secret_rotate_main(const options *opts)
{
    sentence why;
    if (answer_run(opts, &why, "rotate", take, NULL) != CLIENT_END) {
        return output_fail(opts, &why);
    }
    return TOOL_OK;
}
