/* SPDX-License-Identifier: Apache-2.0 */
/* table.h: our nftables table, with its set of SPIs.  Errors are errnos. */
#ifndef QCD_WATCH_TABLE_H
#define QCD_WATCH_TABLE_H

#include <qcd/watch.h>

#include "netlink.h"

typedef struct table {
    netlink link; /* owns the table */
    qcd_watch_settings settings;
    bool has_owner; /* the kernel supports owners */
    size_t at_once; /* SPIs in a transaction */
} table;

/* table_open removes a table that an earlier process left, and checks whether
 * the kernel accepts ours. */
int table_open(table *out, const qcd_watch_settings *settings);

/* table_close removes the table, if there is one. */
void table_close(table *t);

/* table_install installs the table with the `num` SPIs at `spis`, each of them
 * once and none of them 0.  It replaces a table that is there.  The rules log
 * to `group`, which must be bound.  On error there is the old table, or none.
 */
int table_install(table *t, uint16_t group, const uint32_t *spis, size_t num);

/* table_add and table_remove change the installed table by one SPI or more.  On
 * error nothing has changed.  ENOENT means that there is no table or, from
 * table_remove, that one of the SPIs is missing. */
int table_add(table *t, const uint32_t *spis, size_t num);
int table_remove(table *t, const uint32_t *spis, size_t num);

/* table_uninstall removes the table: ENOENT if there is none. */
int table_uninstall(table *t);

/* table_other returns the netlink port of another process that owns a table
 * with our name, or 0. */
uint32_t table_other(table *t);

#endif
