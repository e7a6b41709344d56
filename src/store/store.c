/* SPDX-License-Identifier: Apache-2.0 */
/* store.c: the secrets and the number of the run, found again after a crash at
 * any point (RFC 6290 sections 1.1 and 5.1).
 *
 * What must hold before the first SPI of run r is minted with key k: the disk
 * says for good that r was started with k, so that no later process takes a
 * run of k for over that is not, or starts one twice.
 *
 *   next run     the run file alone is replaced.  A crash before it returns
 *                loses at most a number that was never used.
 *   a new key    first the run file, "run 1 of the new key", then the secrets
 *                with the new key.  A crash between the two leaves a run file
 *                that does not fit the secrets, which counts as none: a new
 *                key is made again.  What was overwritten was of no use any
 *                more (missing, of another key, or the last number), and the
 *                secrets, which are, change in the last step.
 *   a rotation   the secrets alone are replaced, before the first token of the
 *                new generation is made.  After an error in the last step it
 *                may be there already: it is then one that was never used.
 *
 * A process that was killed between the rename of the secrets and the fsync of
 * the folder leaves secrets that may not be durable yet.  The next one uses
 * them only after its own fsync of that folder, for the number of its run. */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "folder.h"
#include "identity.h"
#include "io.h"
#include "lock.h"
#include "report.h"
#include "secrets.h"
#include "sys.h"

struct qcd_store {
    folder dir;
    int lock_fd;
    qcd_secrets secrets;
    uint8_t node;
    uint16_t run;
};

/* owner is who opens a folder. */
typedef struct owner {
    uint8_t machine[QCD_STORE_MACHINE_LEN]; /* all zero: no identity */
    uint8_t node;
} owner;

/* start_run makes durable that `run` is started, and then starts it. */
static enum qcd_store_err start_run(qcd_store *store, qcd_store_report *report,
                                    uint16_t run)
{
    enum qcd_store_err err =
        files_write_run(report, &store->dir, &store->secrets, run, store->node);
    if (err == QCD_STORE_OK) {
        store->run = run;
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
                             "draw the random octets of %s/%s from the system",
                             dir->shown, secrets_kind.name);
    }
    return QCD_STORE_OK;
}

/* start_with_new_key seals with a key of which no SPI was ever made, and makes
 * the first secret where there is none. */
static enum qcd_store_err
start_with_new_key(qcd_store *store, qcd_store_report *report, uint64_t now)
{
    qcd_secrets *secrets = &store->secrets;
    memset(secrets->taken, 0, sizeof(secrets->taken)); /* it is ours alone */
    enum qcd_store_err err =
        draw(secrets->seal_key, QCD_SEAL_KEY_LEN, report, &store->dir);
    if (err == QCD_STORE_OK && secrets->num_generations == 0) {
        secrets->num_generations = 1;
        secrets->made_at[0] = now;
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

/* note_new_key tells why SPIs are sealed with a new key. */
static void note_new_key(qcd_store_report *report, const folder *dir,
                         bool had_secrets, uint16_t last_run)
{
    if (!had_secrets) {
        report_note(report, "made new secrets in %s/%s", dir->shown,
                    secrets_kind.name);
        return;
    }
    report_note(report,
                "%s/%s %s: nobody can say which runs are over, so SPIs are "
                "sealed with a new key, and peers of earlier SAs get no answer",
                dir->shown, run_kind.name,
                last_run == 0 ? "is missing or belongs to other secrets"
                              : "has come to the last number, 65535");
}

static bool is_zero(const uint8_t *octets, size_t len)
{
    uint8_t all = 0;
    for (size_t i = 0; i < len; i++) {
        all |= octets[i];
    }
    return all == 0;
}

static bool is_taken(const qcd_secrets *secrets, uint8_t node)
{
    return (secrets->taken[node / 8] & 1u << node % 8) != 0;
}

/* check_owner holds the secrets against who opens the folder: RFC 6290 sections
 * 8.1 and 9.2, two gateways that both mint as one node are found out. */
static enum qcd_store_err check_owner(const qcd_store *store,
                                      qcd_store_report *report, const owner *by)
{
    const qcd_secrets *secrets = &store->secrets;
    bool is_bound = !is_zero(secrets->machine, sizeof(secrets->machine));
    if (is_bound &&
        memcmp(secrets->machine, by->machine, sizeof(by->machine)) != 0) {
        return report_fail(
            report, QCD_STORE_ERR_IDENTITY,
            "%s/%s came with a copy of another machine, or this machine's "
            "identity has changed (/etc/machine-id). Two machines with the "
            "same secrets would take each other's SAs for dead. Only if no "
            "other one uses them, keep them with \"qcd secret adopt\"; else "
            "move the folder away, and new ones are made",
            store->dir.shown, secrets_kind.name);
    }
    if (is_taken(secrets, by->node)) {
        return report_fail(report, QCD_STORE_ERR_NODE,
                           "%s/%s came from a gateway with the node number %u, "
                           "and two with one number would take each other's "
                           "SAs for dead. Configure another number for this "
                           "gateway (the key node)",
                           store->dir.shown, secrets_kind.name,
                           (unsigned int)by->node);
    }
    return QCD_STORE_OK;
}

/* start_next starts the run after `last`, with secrets that are there.  The
 * secrets are bound to the machine where they were bound to none. */
static enum qcd_store_err start_next(qcd_store *store, qcd_store_report *report,
                                     const owner *by, uint16_t last)
{
    qcd_secrets *secrets = &store->secrets;
    bool is_new = memcmp(secrets->machine, by->machine, sizeof(by->machine));
    enum qcd_store_err err = QCD_STORE_OK;
    if (is_new) {
        memcpy(secrets->machine, by->machine, sizeof(by->machine));
        err = files_write_secrets(report, &store->dir, secrets);
    }
    if (err == QCD_STORE_OK) {
        err = start_run(store, report, (uint16_t)(last + 1));
    }
    if (err == QCD_STORE_OK && is_new) {
        report_note(report, "%s/%s are now bound to this machine",
                    store->dir.shown, secrets_kind.name);
    }
    return err;
}

static enum qcd_store_err start(qcd_store *store, qcd_store_report *report,
                                const owner *by, uint64_t now)
{
    run_record last;
    enum qcd_store_err err =
        files_read_secrets(&store->secrets, report, &store->dir);
    bool had_secrets = store->secrets.num_generations != 0;
    if (err == QCD_STORE_OK) {
        err = check_owner(store, report, by);
    }
    if (err == QCD_STORE_OK) {
        err = files_read_run(&last, report, &store->dir, &store->secrets);
    }
    if (err != QCD_STORE_OK) {
        return err;
    }
    store->node = by->node;
    if (had_secrets && last.run != 0 && last.run != UINT16_MAX) {
        return start_next(store, report, by, last.run);
    }
    memcpy(store->secrets.machine, by->machine, sizeof(by->machine));
    err = start_with_new_key(store, report, now);
    if (err == QCD_STORE_OK) {
        note_new_key(report, &store->dir, had_secrets, last.run);
    }
    return err;
}

static enum qcd_store_err open_and_start(qcd_store *store,
                                         qcd_store_report *report,
                                         const char *path, const owner *by,
                                         uint64_t now)
{
    enum qcd_store_err err = folder_open(&store->dir, report, path);
    if (err == QCD_STORE_OK) {
        err = lock_take(&store->lock_fd, report, &store->dir);
    }
    if (err == QCD_STORE_OK) {
        err = files_clean(report, &store->dir);
    }
    return err == QCD_STORE_OK ? start(store, report, by, now) : err;
}

enum qcd_store_err qcd_store_open(qcd_store **out, qcd_store_report *report,
                                  const char *path,
                                  const qcd_store_identity *identity,
                                  uint8_t node, uint64_t now)
{
    assert(path != NULL);
    assert(identity->len <= QCD_STORE_IDENTITY_MAX);
    *out = NULL;
    report->text[0] = '\0';
    qcd_store *store = sys_alloc(sizeof(*store));
    if (store == NULL) {
        return report_system(report, ENOMEM, "open %.200s", path);
    }
    store->dir = FOLDER_CLOSED;
    store->lock_fd = -1;
    owner by = {.node = node};
    identity_digest(by.machine, identity);
    enum qcd_store_err err = open_and_start(store, report, path, &by, now);
    if (err != QCD_STORE_OK) {
        qcd_store_close(store);
        return err;
    }
    *out = store;
    return QCD_STORE_OK;
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
    return store->run;
}

enum qcd_store_err qcd_store_next_run(qcd_store *store,
                                      qcd_store_report *report)
{
    report->text[0] = '\0';
    if (store->run == UINT16_MAX) {
        return report_fail(report, QCD_STORE_ERR_EXHAUSTED,
                           "%s/%s has come to the last number, 65535. Start "
                           "the daemon again, and SPIs get a new sealing key",
                           store->dir.shown, run_kind.name);
    }
    return start_run(store, report, (uint16_t)(store->run + 1));
}

enum qcd_store_err qcd_store_rotate(qcd_store *store, qcd_store_report *report,
                                    uint64_t now)
{
    report->text[0] = '\0';
    qcd_secrets next = store->secrets;
    size_t num_kept = next.num_generations < QCD_GENERATIONS_MAX
                          ? next.num_generations
                          : QCD_GENERATIONS_MAX - 1;
    memmove(&next.generations[1], &next.generations[0],
            num_kept * sizeof(next.generations[0]));
    memmove(&next.made_at[1], &next.made_at[0],
            num_kept * sizeof(next.made_at[0]));
    next.num_generations = num_kept + 1;
    next.made_at[0] = now;
    enum qcd_store_err err =
        draw(next.generations[0].octets, QCD_SECRET_LEN, report, &store->dir);
    if (err == QCD_STORE_OK) {
        err = files_write_secrets(report, &store->dir, &next);
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
