/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h: the parts of a qcd_watch. */
#ifndef QCD_WATCH_WATCH_H
#define QCD_WATCH_WATCH_H

#include <qcd/watch.h>

#include "nflog.h"
#include "spis.h"
#include "table.h"

struct qcd_watch {
    table table;   /* installed while there are SPIs */
    spis spis;     /* that it has */
    bool is_stale; /* the table may have others: it failed to change */
    nflog log;
};

#endif
