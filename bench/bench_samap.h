/* SPDX-License-Identifier: Apache-2.0 */
/* bench_samap.h: the cost of the SA map at a million rows. */
#ifndef QCD_BENCH_SAMAP_H
#define QCD_BENCH_SAMAP_H

#include <stddef.h>

/* bench_figure is the median of rounds. */
typedef struct bench_figure {
    const char *name;
    double ns;
} bench_figure;

/* bench_samap measures with a map in its own folder under $TMPDIR, and returns
 * `*out_num` figures.  It ends the process if something fails. */
const bench_figure *bench_samap(size_t *out_num);

#endif
