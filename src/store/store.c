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
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "folder.h"
#include "io.h"
#include "lock.h"
#include "report.h"
#include "secrets.h"
#include "sys.h"
#include "user.h"

struct qcd_store {
    folder dir;
    int lock_fd;
    bool is_volatile;
    bool is_given; /* to a token maker */
    qcd_secrets secrets;
    run_record last; /* run that was started */
};

/* enter starts to use the files as their user.  Call leave afterwards, except
 * on error. */
static enum qcd_store_err enter(const qcd_store *store,
                                qcd_store_report *report)
{
    const qcd_store_user *user = &store->dir.user;
    int why = user_enter(user);
    if (why != 0) {
        return report_system(report, why, "use %s as user %u", store->dir.shown,
                             (unsigned int)user->uid);
    }
    return QCD_STORE_OK;
}

static void leave(const qcd_store *store)
{
    user_leave(&store->dir.user);
}

/* start_run makes it durable that `run` is started, and then starts it. */
static enum qcd_store_err start_run(qcd_store *store, qcd_store_report *report,
                                    uint16_t run)
{
    run_record next = store->last;
    next.run = run;
    nodes_set(next.nodes, next.node);
    enum qcd_store_err err =
        files_write_run(report, &store->dir, &store->secrets, &next);
    if (err == QCD_STORE_OK) {
        store->last = next;
    }
    return err;
}

/* ---- Opening ----------------------------------------------------------- */

static enum qcd_store_err draw(void *out, size_t out_len,
                               qcd_store_report *report, const folder *dir)
{
    int why = io_random(out, out_len);
    if (why != 0) {
        return report_system(report, why,
                             "get random octets for %s/%s from the system",
                             dir->shown, secrets_kind.name);
    }
    return QCD_STORE_OK;
}

/* why_afresh returns why we start afresh, as a phrase that follows the name of
 * the run file.  It returns NULL if we don't. */
static const char *why_afresh(enum run_state state, const run_record *last)
{
    switch (state) {
    case RUN_MISSING:
        return "is missing";
    case RUN_DAMAGED:
        return "is damaged";
    case RUN_OF_OTHERS:
        return "belongs to other secrets";
    case RUN_COPIED:
        return "is a copy of the file that was written";
    case RUN_ELSEWHERE:
        return "was written on another machine";
    case RUN_FROM_NO_MACHINE:
        return "was written by an earlier version, which did not bind it to a "
               "machine";
    case RUN_KNOWN:
        break;
    }
    return last->run == UINT16_MAX ? "has reached the last number, 65535"
                                   : NULL;
}

/* set_aside makes room for new secrets. */
static enum qcd_store_err set_aside(const qcd_store *store,
                                    qcd_store_report *report)
{
    enum qcd_store_err err = keyfile_set_aside(
        report, &store->dir, &secrets_kind, secrets_kind.old_name);
    if (err == QCD_STORE_OK) {
        err = keyfile_set_aside(report, &store->dir, &run_kind,
                                run_kind.old_name);
    }
    return err;
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
        err = files_write_secrets(report, &store->dir, secrets);
    }
    return err;
}

/* start_first makes the first secrets. */
static enum qcd_store_err start_first(qcd_store *store,
                                      qcd_store_report *report, uint64_t now,
                                      bool was_damaged)
{
    const char *shown = store->dir.shown;
    enum qcd_store_err err = QCD_STORE_OK;
    if (was_damaged) {
        err = keyfile_set_aside(report, &store->dir, &secrets_kind,
                                SECRETS_DAMAGED_NAME);
    }
    if (err == QCD_STORE_OK) {
        err = start_afresh(store, report, now);
    }
    if (err != QCD_STORE_OK) {
        return err;
    }
    if (was_damaged) {
        report_note(
            report,
            "%s/%s is damaged: it is now " SECRETS_DAMAGED_NAME
            ", and new secrets were made. Peers of earlier SAs get no reply",
            shown, secrets_kind.name);
    } else {
        report_note(report,
                    "made new secrets in %s/%s. Peers of earlier SAs, if there "
                    "were any, get no reply",
                    shown, secrets_kind.name);
    }
    return QCD_STORE_OK;
}

/* start_instead replaces the secrets that are there by new ones. */
static enum qcd_store_err start_instead(qcd_store *store,
                                        qcd_store_report *report, uint64_t now,
                                        const char *why)
{
    enum qcd_store_err err = set_aside(store, report);
    if (err == QCD_STORE_OK) {
        err = start_afresh(store, report, now);
    }
    if (err == QCD_STORE_OK) {
        report_note(
            report,
            "%s/%s %s: the gateway starts afresh with new secrets, and peers "
            "of earlier SAs get no reply. The old files are kept as *.old. If "
            "you moved them here on purpose, see \"adopt\" in qcd-secret(8)",
            store->dir.shown, run_kind.name, why);
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
        return report_fail(
            report, QCD_STORE_ERR_NODE,
            "%s/%s came from a gateway with the node number %u, and two "
            "gateways with one number would take each other's SAs for dead. "
            "Configure another number for this gateway (the key node)",
            store->dir.shown, secrets_kind.name, (unsigned int)node);
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
    enum run_state state;
    enum qcd_store_err err =
        files_read_secrets(&store->secrets, report, &store->dir);
    bool was_damaged = err == QCD_STORE_ERR_DAMAGED;
    if (err != QCD_STORE_OK && !was_damaged) {
        return err;
    }
    if (store->secrets.num_generations == 0) {
        return start_first(store, report, now, was_damaged);
    }
    err = files_read_run(&last, &state, report, &store->dir, &store->secrets,
                         &store->last.machine);
    if (err != QCD_STORE_OK) {
        return err;
    }
    const char *why = why_afresh(state, &last);
    return why == NULL ? start_next(store, report, &last)
                       : start_instead(store, report, now, why);
}

/* is_in_memory tells whether the file system is in memory.  One that can't tell
 * is not. */
static bool is_in_memory(int fd)
{
    static const uint32_t tmpfs = 0x01021994;
    static const uint32_t ramfs = 0x858458f6;
    uint32_t kind;
    return sys_fstatfs(fd, &kind) == 0 && (kind == tmpfs || kind == ramfs);
}

static enum qcd_store_err open_and_start(qcd_store *store,
                                         qcd_store_report *report,
                                         const qcd_store_settings *settings,
                                         uint64_t now)
{
    qcd_store_user self = user_self();
    const qcd_store_user *user =
        settings->user != NULL ? settings->user : &self;
    enum qcd_store_err err =
        folder_open(&store->dir, report, settings->path, user);
    if (err == QCD_STORE_OK) {
        err = enter(store, report);
    }
    if (err != QCD_STORE_OK) {
        return err;
    }
    store->is_volatile = is_in_memory(store->dir.fd);
    err = lock_take(&store->lock_fd, report, &store->dir);
    if (err == QCD_STORE_OK) {
        err = files_clean(report, &store->dir);
    }
    if (err == QCD_STORE_OK) {
        err = start(store, report, now);
    }
    leave(store);
    return err;
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
    qcd_store *store = sys_alloc(sizeof(*store));
    if (store == NULL) {
        return report_system(report, ENOMEM, "open %.200s", settings->path);
    }
    store->dir = FOLDER_CLOSED;
    store->lock_fd = -1;
    store->last.node = settings->node;
    identity_print_make(&store->last.machine, identity);
    enum qcd_store_err err = open_and_start(store, report, settings, now);
    if (err != QCD_STORE_OK) {
        qcd_store_close(store);
        return err;
    }
    if (identity == &ours && ours.len == 0 && ours.product_len == 0) {
        report_add(report, "this machine has no " QCD_STORE_MACHINE_ID
                           ": a clone of its disk that runs elsewhere would "
                           "not be detected, and tokens of live SAs would be "
                           "shown. Create one with systemd-machine-id-setup");
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
    if (store->lock_fd >= 0) {
        (void)io_close(store->lock_fd);
    }
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
        return report_fail(report, QCD_STORE_ERR_GIVEN,
                           "a token maker has the state of %s already. A "
                           "process has one: start the daemon again",
                           store->dir.shown);
    }
    enum qcd_store_err err =
        draw(out->random, sizeof(out->random), report, &store->dir);
    if (err != QCD_STORE_OK) {
        qcd_wipe(out, sizeof(*out));
        return err;
    }
    memcpy(out->seal_key, store->secrets.seal_key, sizeof(out->seal_key));
    memcpy(out->secrets, store->secrets.generations, sizeof(out->secrets));
    out->num_secrets = store->secrets.num_generations;
    out->run = store->last.run;
    store->is_given = true;
    return QCD_STORE_OK;
}

enum qcd_store_err qcd_store_next_run(qcd_store *store,
                                      qcd_store_report *report)
{
    report->text[0] = '\0';
    if (store->last.run == UINT16_MAX) {
        return report_fail(report, QCD_STORE_ERR_EXHAUSTED,
                           "%s/%s has reached the last number, 65535. Restart "
                           "the daemon to make new secrets",
                           store->dir.shown, run_kind.name);
    }
    enum qcd_store_err err = enter(store, report);
    if (err == QCD_STORE_OK) {
        err = start_run(store, report, (uint16_t)(store->last.run + 1));
        leave(store);
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
        err = enter(store, report);
    }
    if (err == QCD_STORE_OK) {
        err = files_write_secrets(report, &store->dir, &next);
        leave(store);
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
