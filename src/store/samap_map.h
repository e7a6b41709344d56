/* SPDX-License-Identifier: Apache-2.0 */
/* samap_map.h: what an open SA map is made of, for samap.c and its tests. */
#ifndef QCD_STORE_SAMAP_MAP_H
#define QCD_STORE_SAMAP_MAP_H

#include <pthread.h>

#include "folder.h"
#include "samap_index.h"

/* `lock` guards all but `fd` and `dir`.  Slots are read and written with it,
 * and made durable without it: one flush after the other, with `flush`, which
 * is taken before `lock`. */
struct qcd_samap {
    folder dir;
    int fd;
    pthread_mutex_t lock;
    pthread_mutex_t flush;
    samap_index index;
    bool is_dirty;   /* something was written since the last flush */
    size_t rows_max; /* QCD_SAMAP_ROWS_MAX; tests make it less */
};

#endif
