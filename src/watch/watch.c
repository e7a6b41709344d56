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
            ". Does a second daemon with this plugin run in this network "
            "namespace?",
            (unsigned long)other);
    } else {
        (void)snprintf(report->text, sizeof(report->text),
                       "not allowed to use nftables: " UNSEEN
                       ". It needs the capability CAP_NET_ADMIN");
    }
    return QCD_WATCH_ERR_RIGHT;
}

/* table_failed tells what an error of the table means, and what to do. */
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

/* log_failed tells why no group could be had. */
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
        say(report, "no NFLOG, " UNSEEN, why);
        return QCD_WATCH_ERR_SYSTEM;
    }
}

/* ---- The watch --------------------------------------------------------- */

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
        say(report, "no memory, " UNSEEN, ENOMEM);
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
    /* First what logs, then what it logs to: the group may be another's then.
     */
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

/* install installs the table anew, with all SPIs: one without owner may have
 * been removed by anybody. */
static int install(qcd_watch *watch)
{
    return table_install(&watch->table, watch->log.group, watch->spis.numbers,
                         watch->spis.num);
}

/* add_fresh watches for those of `fresh`, too, none of which is watched for. */
static int add_fresh(qcd_watch *watch, const spis *fresh)
{
    spis before = watch->spis;
    int why = ENOENT;

    if (fresh->num == 0) {
        return 0;
    }
    if (!spis_unite(&watch->spis, &before, fresh)) {
        watch->spis = before;
        return ENOMEM;
    }
    if (before.num > 0) {
        why = table_add(&watch->table, fresh->numbers, fresh->num);
    }
    if (why == ENOENT) {
        why = install(watch);
    }
    spis_free(why == 0 ? &before : &watch->spis);
    if (why != 0) {
        watch->spis = before;
    }
    return why;
}

enum qcd_watch_err qcd_watch_add(qcd_watch *watch, qcd_watch_report *report,
                                 const qcd_child_spi *spis_in, size_t num)
{
    spis fresh;
    int why = ENOMEM;

    report->text[0] = '\0';
    if (spis_new(&fresh, &watch->spis, false, spis_in, num)) {
        why = add_fresh(watch, &fresh);
        spis_free(&fresh);
    }
    return why == 0 ? QCD_WATCH_OK : table_failed(&watch->table, report, why);
}

static int remove_gone(qcd_watch *watch, const spis *gone)
{
    if (gone->num == 0) {
        return 0;
    }
    spis_subtract(&watch->spis, gone);
    if (watch->spis.num == 0) {
        int why = table_uninstall(&watch->table);
        return why == ENOENT ? 0 : why;
    }
    return table_remove(&watch->table, gone->numbers, gone->num) == 0
               ? 0
               : install(watch);
}

enum qcd_watch_err qcd_watch_remove(qcd_watch *watch, qcd_watch_report *report,
                                    const qcd_child_spi *spis_in, size_t num)
{
    spis gone;
    int why = ENOMEM;

    report->text[0] = '\0';
    if (spis_new(&gone, &watch->spis, true, spis_in, num)) {
        why = remove_gone(watch, &gone);
        spis_free(&gone);
    }
    return why == 0 ? QCD_WATCH_OK : table_failed(&watch->table, report, why);
}

size_t qcd_watch_count(const qcd_watch *watch)
{
    return watch->spis.num;
}
