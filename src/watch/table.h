/* SPDX-License-Identifier: Apache-2.0 */
/* table.h: our table of nftables, with its set of SPIs.  Errors are errnos. */
#ifndef QCD_WATCH_TABLE_H
#define QCD_WATCH_TABLE_H

#include <qcd/watch.h>

#include "netlink.h"

typedef struct table {
    netlink link; /* owns the table */
    qcd_watch_settings settings;
    bool has_owner; /* the kernel knows owners */
    size_t at_once; /* SPIs in a transaction */
} table;

/* table_open removes a table that an earlier process left, and sees whether the
 * kernel takes ours. */
int table_open(table *out, const qcd_watch_settings *settings);

/* table_close removes the table, if there is one. */
void table_close(table *t);

/* table_install installs the table with the `num` SPIs at `spis`, each of them
 * once and none of them 0, in the place of one that is there.  Its rules log to
 * `group`, which is bound.  On an error there is the one from before, or none.
 */
int table_install(table *t, uint16_t group, const uint32_t *spis, size_t num);

/* table_add and table_remove change the table that is installed by one SPI or
 * more.  On an error nothing has changed: ENOENT where there is no table or, of
 * table_remove, not one of the SPIs. */
int table_add(table *t, const uint32_t *spis, size_t num);
int table_remove(table *t, const uint32_t *spis, size_t num);

/* table_uninstall removes the table: ENOENT where there is none. */
int table_uninstall(table *t);

/* table_other returns the netlink port of another process that owns a table of
 * our name, or 0. */
uint32_t table_other(table *t);

#endif
