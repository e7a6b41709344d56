/* SPDX-License-Identifier: Apache-2.0 */
/* picture.h: recoveries as an SVG picture, one timeline below the other. */
#ifndef QCD_TOOL_PICTURE_H
#define QCD_TOOL_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PICTURE_STEPS_MAX 6
#define PICTURE_LANES_MAX 20

/* picture_step is a packet of a recovery. */
typedef struct picture_step {
    int64_t at; /* microseconds after the beginning of the recovery */
    const char *words;
} picture_step;

/* picture_lane is a recovery.  The texts may be anything; they are escaped, and
 * octets that are not printable ASCII are replaced. */
typedef struct picture_lane {
    char title[200];
    char remark[240];
    size_t num_steps; /* at least one */
    picture_step steps[PICTURE_STEPS_MAX];
    int64_t up;       /* when the new IKE SA is up, or negative */
    int64_t lives_on; /* when the IKE SA of the token is seen alive, or
                       * negative */
} picture_lane;

/* picture_draw writes the picture of the first `num` recoveries of a capture
 * with `total`; `num` is PICTURE_LANES_MAX at most. */
void picture_draw(FILE *out, const char *title, const picture_lane *lanes,
                  size_t num, size_t total);

#endif
