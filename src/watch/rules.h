/* SPDX-License-Identifier: Apache-2.0 */
/* rules.h: what our table of nftables has. */
#ifndef QCD_WATCH_RULES_H
#define QCD_WATCH_RULES_H

#include <qcd/watch.h>

#include "batch.h"

#define RULES_TABLE "qcd"
#define RULES_SET "dead"

/* rules_add appends what our table has to a transaction in which the table was
 * added: its set, still empty, the chains and the rules, which log to `group`.
 */
void rules_add(batch *b, const qcd_watch_settings *settings, uint16_t group);

#endif
