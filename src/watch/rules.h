/* SPDX-License-Identifier: Apache-2.0 */
/* rules.h: the content of our nftables table. */
#ifndef QCD_WATCH_RULES_H
#define QCD_WATCH_RULES_H

#include <qcd/watch.h>

#include "batch.h"

#define RULES_TABLE "qcd"
#define RULES_SET "dead"

/* rules_add appends the content of our table to a transaction in which the
 * table was added: its set, still empty, and the chains and rules, which log to
 * `group`. */
void rules_add(batch *b, const qcd_watch_settings *settings, uint16_t group);

#endif
