/* SPDX-License-Identifier: Apache-2.0 */
/* store.c: the secrets and the number of the run, found again after a crash at
 * any point (RFC 6290 sections 1.1 and 5.1).
 *
 * Before the first SPI of run r is minted with key k, this must hold: the disk
 * says durably that r was started with k, in this folder on this machine.  So
 * no later process takes a live run of k for over, or starts a run twice.
 *
 *   next run    only the run file is replaced.  A crash before the return loses
 *               at most a number that was never used.
 *   afresh      first the secrets and then the run file are set aside.  Then
 *               the run file is written, "run 1 of the new key", and then the
 *               secrets with the new key.  A crash on the way leaves no
 *               secrets, or secrets that don't fit the run file.  Neither is
 *               evidence of any run, and the next start is afresh again.  Since
 *               the secrets go first, it sets aside nothing useful.
 *   a rotation  only the secrets are replaced, before the first token of the
 *               new generation is made.  After an error in the last step the
 *               new generation may be there already.  It was then never used.
 *
 * A process that was killed between the rename of the secrets and the fsync of
 * the folder leaves secrets that may not be durable yet.  The next process uses
 * them only after its own fsync of that folder, for the number of its run. */
#include <qcd/store.h>

#include <assert.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "report.h"
#include "secrets.h"

struct qcd_store {
    folder dir;
    bool is_volatile;
    bool is_given; /* to a token maker */
    qcd_secrets secrets;
    run_record last; /* run that was started */
};

/* start_run makes it durable that `run` is started, and then starts it. */
static enum qcd_store_err start_run(qcd_store *store, qcd_store_report *report,
                                    uint16_t run)
{
    run_record next = store->last;
    next.run = run;
    nodes_set(next.nodes, next.node);
    enum qcd_store_err err =
        run_write(report, &store->dir, &store->secrets, &next);
    if (err == QCD_STORE_OK) {
        store->last = next;
    }
    return err;
}

/* ---- Opening ----------------------------------------------------------- */

static enum qcd_store_err draw(void *out, size_t out_len,
                               qcd_store_report *report, const folder *dir)
{
    if (getentropy(out, out_len) != 0) {
        return report_system(report, errno,
                             "get random octets for %s/%s from the system",
                             dir->shown, secrets_kind.file.name);
    }
    return QCD_STORE_OK;
}

/* start_afresh makes a sealing key that never sealed an SPI, and the first
 * secret. */
static enum qcd_store_err start_afresh(qcd_store *store,
                                       qcd_store_report *report, uint64_t now)
{
    qcd_secrets *secrets = &store->secrets;
    qcd_wipe(secrets, sizeof(*secrets));
    memset(store->last.nodes, 0, sizeof(store->last.nodes));
    secrets->num_generations = 1;
    secrets->made_at[0] = now;
    enum qcd_store_err err =
        draw(secrets->seal_key, QCD_SEAL_KEY_LEN, report, &store->dir);
    if (err == QCD_STORE_OK) {
        err = draw(secrets->generations[0].octets, QCD_SECRET_LEN, report,
                   &store->dir);
    }
    if (err == QCD_STORE_OK) {
        err = start_run(store, report, 1);
    }
    if (err == QCD_STORE_OK) {
        err = secrets_write(report, &store->dir, secrets);
    }
    return err;
}

/* start_first makes the first secrets. */
static enum qcd_store_err start_first(qcd_store *store,
                                      qcd_store_report *report, uint64_t now)
{
    enum qcd_store_err err = start_afresh(store, report, now);
    if (err == QCD_STORE_OK) {
        return report_say(report, err,
                          "made new secrets in %s/%s. Peers of earlier SAs, if "
                          "there were any, get no reply",
                          store->dir.shown, secrets_kind.file.name);
    }
    return err;
}

/* start_repaired replaces damaged secrets. */
static enum qcd_store_err start_repaired(qcd_store *store,
                                         qcd_store_report *report, uint64_t now)
{
    const folder *dir = &store->dir;
    enum qcd_store_err err =
        file_set_aside(report, dir, &secrets_kind.file, SECRETS_DAMAGED_NAME);
    if (err == QCD_STORE_OK) {
        err = start_afresh(store, report, now);
    }
    if (err == QCD_STORE_OK) {
        return report_say(
            report, err,
            "%s/%s is damaged: it is now " SECRETS_DAMAGED_NAME
            ", and new secrets were made. Peers of earlier SAs get no reply",
            dir->shown, secrets_kind.file.name);
    }
    return err;
}

/* start_instead replaces the secrets that are there by new ones. */
static enum qcd_store_err start_instead(qcd_store *store,
                                        qcd_store_report *report, uint64_t now,
                                        const char *why)
{
    const folder *dir = &store->dir;
    const file_kind *secrets = &secrets_kind.file;
    const file_kind *run = &run_kind.file;
    enum qcd_store_err err =
        file_set_aside(report, dir, secrets, secrets->old_name);
    if (err == QCD_STORE_OK) {
        err = file_set_aside(report, dir, run, run->old_name);
    }
    if (err == QCD_STORE_OK) {
        err = start_afresh(store, report, now);
    }
    if (err == QCD_STORE_OK) {
        return report_say(
            report, err,
            "%s/%s %s: the gateway starts afresh with new secrets, and peers "
            "of earlier SAs get no reply. The old files are kept as *.old. If "
            "you moved them here on purpose, see \"adopt\" in qcd-secret(8)",
            dir->shown, run->name, why);
    }
    return err;
}

static bool is_taken(const qcd_secrets *secrets, uint16_t node)
{
    return (secrets->taken[node / 8] & 1u << node % 8) != 0;
}

/* start_next starts the run after `last`.  RFC 6290 sections 8.1 and 9.2: it
 * detects two gateways that both mint as one node. */
static enum qcd_store_err start_next(qcd_store *store, qcd_store_report *report,
                                     const run_record *last)
{
    uint16_t node = store->last.node;
    if (is_taken(&store->secrets, node)) {
        return report_say(
            report, QCD_STORE_ERR_NODE,
            "%s/%s came from a gateway with the node number %u, and two "
            "gateways with one number would take each other's SAs for dead. "
            "Configure another number for this gateway (the key node)",
            store->dir.shown, secrets_kind.file.name, (unsigned int)node);
    }
    memcpy(store->last.nodes, last->nodes, sizeof(last->nodes));
    if (last->origin == KEYFILE_OWN) {
        identity_keep(&store->last.machine, &last->machine);
    }
    return start_run(store, report, (uint16_t)(last->run + 1));
}

/* start starts a run.  `store->last` already says who we are. */
static enum qcd_store_err start(qcd_store *store, qcd_store_report *report,
                                uint64_t now)
{
    run_record last;
    enum qcd_store_err err = secrets_read(&store->secrets, report, &store->dir);
    if (err == QCD_STORE_ERR_DAMAGED) {
        return start_repaired(store, report, now);
    }
    if (err != QCD_STORE_OK) {
        return err;
    }
    if (store->secrets.num_generations == 0) {
        return start_first(store, report, now);
    }
    err = run_read(&last, report, &store->dir, &store->secrets,
                   &store->last.machine);
    if (err != QCD_STORE_OK) {
        return err;
    }
    if (last.doubt == NULL && last.run == UINT16_MAX) {
        last.doubt = "has reached the last number, 65535";
    }
    return last.doubt == NULL ? start_next(store, report, &last)
                              : start_instead(store, report, now, last.doubt);
}

/* is_in_memory tells whether the file system is in memory.  One that can't tell
 * is not. */
static bool is_in_memory(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && ((uint32_t)fs.f_type == TMPFS_MAGIC ||
                                     (uint32_t)fs.f_type == RAMFS_MAGIC);
}

static enum qcd_store_err open_and_start(qcd_store *store,
                                         qcd_store_report *report,
                                         const qcd_store_settings *settings,
                                         uint64_t now)
{
    const qcd_store_user self = {.uid = geteuid(), .gid = getegid()};
    folder *dir = &store->dir;
    enum qcd_store_err err =
        folder_open(dir, report, settings->path,
                    settings->user != NULL ? settings->user : &self, true);
    if (err != QCD_STORE_OK) {
        return err;
    }
    store->is_volatile = is_in_memory(dir->fd);
    err = secrets_take(dir, report);
    if (err == QCD_STORE_OK) {
        err = start(store, report, now);
    }
    folder_leave(dir);
    return err;
}

/* warn says that copies of this machine are not recognized. */
static void warn(qcd_store_report *report)
{
    const qcd_store_report said = *report;
    (void)report_say(report, QCD_STORE_OK,
                     "%s%sthis machine has no " QCD_STORE_MACHINE_ID
                     ": a clone of its disk that runs elsewhere would not be "
                     "detected, and tokens of live SAs would be shown. Create "
                     "one with systemd-machine-id-setup",
                     said.text, said.text[0] != '\0' ? ". Besides, " : "");
}

enum qcd_store_err qcd_store_open(qcd_store **out, qcd_store_report *report,
                                  const qcd_store_settings *settings,
                                  uint64_t now)
{
    const qcd_store_identity *identity = settings->identity;
    qcd_store_identity ours;

    assert(settings->path != NULL);
    *out = NULL;
    report->text[0] = '\0';
    if (identity == NULL) {
        enum qcd_store_err err = qcd_store_identity_read(
            &ours, report, QCD_STORE_MACHINE_ID, QCD_STORE_PRODUCT_UUID);
        if (err != QCD_STORE_OK) {
            return err;
        }
        identity = &ours;
    }
    assert(identity->len <= QCD_STORE_IDENTITY_MAX);
    assert(identity->product_len <= QCD_STORE_IDENTITY_MAX);
    qcd_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return report_system(report, ENOMEM, "open %.200s", settings->path);
    }
    store->dir = FOLDER_CLOSED;
    store->last.node = settings->node;
    identity_print_make(&store->last.machine, identity);
    enum qcd_store_err err = open_and_start(store, report, settings, now);
    if (err != QCD_STORE_OK) {
        qcd_store_close(store);
        return err;
    }
    if (identity == &ours && ours.len == 0 && ours.product_len == 0) {
        warn(report);
    }
    *out = store;
    return QCD_STORE_OK;
}

bool qcd_store_is_volatile(const qcd_store *store)
{
    return store->is_volatile;
}

void qcd_store_close(qcd_store *store)
{
    if (store == NULL) {
        return;
    }
    folder_close(&store->dir);
    qcd_wipe(store, sizeof(*store));
    free(store);
}

const qcd_secrets *qcd_store_secrets(const qcd_store *store)
{
    return &store->secrets;
}

uint16_t qcd_store_run(const qcd_store *store)
{
    return store->last.run;
}

enum qcd_store_err qcd_store_state(qcd_store *store, qcd_store_report *report,
                                   qcd_maker_state *out)
{
    memset(out, 0, sizeof(*out));
    if (store->is_given) {
        return report_say(report, QCD_STORE_ERR_GIVEN,
                          "a token maker has the state of %s already. A "
                          "process has one: start the daemon again",
                          store->dir.shown);
    }
    memcpy(out->seal_key, store->secrets.seal_key, sizeof(out->seal_key));
    memcpy(out->secrets, store->secrets.generations, sizeof(out->secrets));
    out->num_secrets = store->secrets.num_generations;
    out->run = store->last.run;
    enum qcd_store_err err =
        draw(out->random, sizeof(out->random), report, &store->dir);
    if (err != QCD_STORE_OK) {
        qcd_wipe(out, sizeof(*out));
    }
    store->is_given = err == QCD_STORE_OK;
    return err;
}

enum qcd_store_err qcd_store_next_run(qcd_store *store,
                                      qcd_store_report *report)
{
    report->text[0] = '\0';
    if (store->last.run == UINT16_MAX) {
        return report_say(report, QCD_STORE_ERR_EXHAUSTED,
                          "%s/%s has reached the last number, 65535. Restart "
                          "the daemon to make new secrets",
                          store->dir.shown, run_kind.file.name);
    }
    enum qcd_store_err err = folder_use(&store->dir, report);
    if (err == QCD_STORE_OK) {
        err = start_run(store, report, (uint16_t)(store->last.run + 1));
        folder_leave(&store->dir);
    }
    return err;
}

/* push puts a new secret before the others, and drops the oldest. */
static enum qcd_store_err push(qcd_secrets *secrets, qcd_store_report *report,
                               const folder *dir, uint64_t now)
{
    size_t num_kept = secrets->num_generations < QCD_GENERATIONS_MAX
                          ? secrets->num_generations
                          : QCD_GENERATIONS_MAX - 1;
    memmove(&secrets->generations[1], &secrets->generations[0],
            num_kept * sizeof(secrets->generations[0]));
    memmove(&secrets->made_at[1], &secrets->made_at[0],
            num_kept * sizeof(secrets->made_at[0]));
    secrets->num_generations = num_kept + 1;
    secrets->made_at[0] = now;
    return draw(secrets->generations[0].octets, QCD_SECRET_LEN, report, dir);
}

enum qcd_store_err qcd_store_rotate(qcd_store *store, qcd_store_report *report,
                                    uint64_t now)
{
    report->text[0] = '\0';
    qcd_secrets next = store->secrets;
    enum qcd_store_err err = push(&next, report, &store->dir, now);
    if (err == QCD_STORE_OK) {
        err = folder_use(&store->dir, report);
    }
    if (err == QCD_STORE_OK) {
        err = secrets_write(report, &store->dir, &next);
        folder_leave(&store->dir);
    }
    if (err == QCD_STORE_OK) {
        store->secrets = next;
    }
    qcd_wipe(&next, sizeof(next));
    return err;
}

uint64_t qcd_store_age(const qcd_store *store, uint64_t now)
{
    uint64_t made_at = store->secrets.made_at[0];
    return now > made_at ? now - made_at : 0;
}
