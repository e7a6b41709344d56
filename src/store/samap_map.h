/* SPDX-License-Identifier: Apache-2.0 */
/* samap_map.h: the parts of an open SA map, for samap.c and its tests. */
#ifndef QCD_STORE_SAMAP_MAP_H
#define QCD_STORE_SAMAP_MAP_H

#include <pthread.h>

#include "folder.h"
#include "samap_index.h"

/* `lock` guards everything but `fd` and `dir`.  Slots are read and written with
 * it held, and made durable without it.  `flush` makes one flush follow the
 * other; it is taken before `lock`. */
struct qcd_samap {
    folder dir;
    int fd;
    pthread_mutex_t lock;
    pthread_mutex_t flush;
    samap_index index;
    bool is_dirty;   /* written to since the last flush */
    size_t rows_max; /* QCD_SAMAP_ROWS_MAX; tests lower it */
};

#endif
