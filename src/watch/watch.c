/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c: sees packets of lost child SAs, RFC 6290 section 8.2. */
#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"

/* ---- What went wrong --------------------------------------------------- */

#define UNSEEN "ESP of lost SAs is not seen"

static void say(qcd_watch_report *report, const char *text, int why)
{
    (void)snprintf(report->text, sizeof(report->text), "%s: %s", text,
                   strerrordesc_np(why));
}

static enum qcd_watch_err not_permitted(table *t, qcd_watch_report *report)
{
    uint32_t other = t->link.socket != NULL ? table_other(t) : 0;

    if (other != 0) {
        (void)snprintf(
            report->text, sizeof(report->text),
            "the nftables table inet " RULES_TABLE
            " is owned by another process (netlink port %lu): " UNSEEN
            ". Check for a second daemon that watches in this network "
            "namespace",
            (unsigned long)other);
    } else {
        (void)snprintf(report->text, sizeof(report->text),
                       "not allowed to use nftables: " UNSEEN
                       ". It needs the capability CAP_NET_ADMIN");
    }
    return QCD_WATCH_ERR_RIGHT;
}

/* table_failed reports what an error of the table means, and what to do. */
static enum qcd_watch_err table_failed(table *t, qcd_watch_report *report,
                                       int why)
{
    switch (why) {
    case EPERM:
        return not_permitted(t, report);
    case EINVAL:
    case ENOENT:
    case EAFNOSUPPORT:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
        (void)snprintf(
            report->text, sizeof(report->text),
            "the kernel lacks what the nftables table inet " RULES_TABLE
            " needs: " UNSEEN ": %s. Load the modules "
            "nf_tables, nft_limit, nft_log and nfnetlink_log",
            strerrordesc_np(why));
        return QCD_WATCH_ERR_KERNEL;
    case EMSGSIZE:
        (void)snprintf(report->text, sizeof(report->text),
                       "too many SPIs for one message to nftables: ESP of "
                       "these SAs is not seen. Raise net.core.wmem_max");
        return QCD_WATCH_ERR_SYSTEM;
    case ENOBUFS:
    case ENOMEM:
        say(report,
            "no memory for the nftables table inet " RULES_TABLE ": " UNSEEN,
            why);
        return QCD_WATCH_ERR_SYSTEM;
    default:
        say(report, "the nftables table inet " RULES_TABLE " failed: " UNSEEN,
            why);
        return QCD_WATCH_ERR_SYSTEM;
    }
}

/* log_failed reports why no group could be bound. */
static enum qcd_watch_err log_failed(qcd_watch_report *report, int why)
{
    switch (why) {
    case EPERM:
    case EBUSY:
        (void)snprintf(report->text, sizeof(report->text),
                       "other processes have all NFLOG groups from %d to "
                       "%d: " UNSEEN,
                       NFLOG_GROUP_FIRST, NFLOG_GROUP_LAST);
        return QCD_WATCH_ERR_RIGHT;
    case EINVAL:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
        (void)snprintf(report->text, sizeof(report->text),
                       "the kernel has no NFLOG: " UNSEEN
                       ". Load the module nfnetlink_log");
        return QCD_WATCH_ERR_KERNEL;
    default:
        say(report, "NFLOG failed: " UNSEEN, why);
        return QCD_WATCH_ERR_SYSTEM;
    }
}

/* ---- The watch --------------------------------------------------------- */

/* list is what a call changes in the set. */
typedef struct list {
    uint32_t *numbers; /* NULL if there is no memory for it */
    size_t num;
} list;

/* First the table, which can tell what was not permitted. */
static enum qcd_watch_err open_both(qcd_watch *watch, qcd_watch_report *report,
                                    const qcd_watch_settings *settings)
{
    int why = table_open(&watch->table, settings);

    if (why != 0) {
        return table_failed(&watch->table, report, why);
    }
    why = nflog_open(&watch->log);
    return why != 0 ? log_failed(report, why) : QCD_WATCH_OK;
}

enum qcd_watch_err qcd_watch_open(qcd_watch **out, qcd_watch_report *report,
                                  const qcd_watch_settings *settings)
{
    *out = NULL;
    report->text[0] = '\0';
    qcd_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        say(report, "no memory: " UNSEEN, ENOMEM);
        return QCD_WATCH_ERR_SYSTEM;
    }
    enum qcd_watch_err err = open_both(watch, report, settings);
    if (err != QCD_WATCH_OK) {
        qcd_watch_close(watch);
        return err;
    }
    *out = watch;
    return QCD_WATCH_OK;
}

void qcd_watch_close(qcd_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    /* First the rules that log, then the group that they log to: after that
     * another process may have the group. */
    table_close(&watch->table);
    nflog_close(&watch->log);
    spis_free(&watch->spis);
    free(watch);
}

int qcd_watch_fd(const qcd_watch *watch)
{
    return watch->log.link.fd;
}

bool qcd_watch_read(qcd_watch *watch, qcd_traffic *out)
{
    const uint8_t *octets;
    size_t len;

    memset(out, 0, sizeof(*out));
    while ((octets = nflog_read(&watch->log, &len)) != NULL) {
        if (qcd_traffic_decode(out, octets, len) == QCD_OK) {
            return true;
        }
    }
    return false;
}

static int install_some(qcd_watch *watch)
{
    uint32_t *all = calloc(watch->spis.num, sizeof(*all));

    if (all == NULL) {
        return ENOMEM;
    }
    spis_list(&watch->spis, all);
    int why =
        table_install(&watch->table, watch->log.group, all, watch->spis.num);
    free(all);
    return why;
}

/* install gives the kernel the whole set, or no table for none.  It is what
 * mends a table that lost something: one without owner may have been removed by
 * anybody, and a change may have failed half way. */
static int install(qcd_watch *watch)
{
    int why = watch->spis.num > 0 ? install_some(watch)
                                  : table_uninstall(&watch->table);

    if (watch->spis.num == 0 && why == ENOENT) {
        why = 0;
    }
    watch->is_stale = why != 0;
    return why;
}

static int add(qcd_watch *watch, list *fresh, const qcd_child_spi *in,
               size_t num)
{
    /* An empty set has no table, and a stale one may lack something. */
    bool is_whole = watch->is_stale || watch->spis.num == 0;
    int why = 0;

    if (fresh->numbers == NULL || !spis_reserve(&watch->spis, num)) {
        return ENOMEM;
    }
    for (size_t i = 0; i < num; i++) {
        uint32_t number = spis_number(&in[i]);

        if (number != 0 && spis_put(&watch->spis, number)) {
            fresh->numbers[fresh->num++] = number;
        }
    }
    if (fresh->num == 0 && !watch->is_stale) {
        return 0;
    }
    if (!is_whole) {
        why = table_add(&watch->table, fresh->numbers, fresh->num);
        watch->is_stale = why != 0;
        is_whole = why == ENOENT;
    }
    if (is_whole) {
        why = install(watch);
    }
    for (size_t i = 0; why != 0 && i < fresh->num; i++) {
        (void)spis_take(&watch->spis, fresh->numbers[i]);
    }
    return why;
}

/* Without a list of what was removed, the whole set is installed. */
static int remove_all(qcd_watch *watch, list *gone, const qcd_child_spi *in,
                      size_t num)
{
    for (size_t i = 0; i < num; i++) {
        uint32_t number = spis_number(&in[i]);

        if (spis_take(&watch->spis, number)) {
            if (gone->numbers != NULL) {
                gone->numbers[gone->num] = number;
            }
            gone->num++;
        }
    }
    if (gone->num == 0 && !watch->is_stale) {
        return 0;
    }
    return watch->spis.num > 0 && !watch->is_stale && gone->numbers != NULL &&
                   table_remove(&watch->table, gone->numbers, gone->num) == 0
               ? 0
               : install(watch);
}

typedef int change(qcd_watch *watch, list *changed, const qcd_child_spi *in,
                   size_t num);

static enum qcd_watch_err run(qcd_watch *watch, qcd_watch_report *report,
                              change *make, const qcd_child_spi *in, size_t num)
{
    list changed = {calloc(num > 0 ? num : 1, sizeof(*changed.numbers)), 0};
    int why = make(watch, &changed, in, num);

    report->text[0] = '\0';
    free(changed.numbers);
    return why == 0 ? QCD_WATCH_OK : table_failed(&watch->table, report, why);
}

enum qcd_watch_err qcd_watch_add(qcd_watch *watch, qcd_watch_report *report,
                                 const qcd_child_spi *spis_in, size_t num)
{
    return run(watch, report, add, spis_in, num);
}

enum qcd_watch_err qcd_watch_remove(qcd_watch *watch, qcd_watch_report *report,
                                    const qcd_child_spi *spis_in, size_t num)
{
    return run(watch, report, remove_all, spis_in, num);
}

size_t qcd_watch_count(const qcd_watch *watch)
{
    return watch->spis.num;
}
