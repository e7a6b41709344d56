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
 *
 * A process that was killed between the rename of the secrets and the fsync of
 * the folder leaves secrets that may not be durable yet.  The next one uses
 * them only after its own fsync of that folder, for the number of its run. */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "folder.h"
#include "io.h"
#include "keyfile.h"
#include "lock.h"
#include "report.h"
#include "secrets.h"
#include "sys.h"

struct qcd_store {
    folder dir;
    int lock_fd;
    qcd_secrets secrets;
    uint16_t run;
};

/* ---- The two files ----------------------------------------------------- */

static enum qcd_store_err read_secrets(qcd_store *store,
                                       qcd_store_report *report)
{
    keyfile_body body;
    enum qcd_store_err err =
        keyfile_read(&body, report, &store->dir, &secrets_kind);
    if (err == QCD_STORE_OK && body.len != 0) {
        err = secrets_decode(&store->secrets, &body);
        if (err != QCD_STORE_OK) {
            (void)keyfile_damaged(report, &store->dir, &secrets_kind);
        }
    }
    qcd_wipe(&body, sizeof(body));
    return err;
}

/* read_run reads the number of the last run that was started with the key of
 * the secrets: 0 where none is known. */
static enum qcd_store_err read_run(uint16_t *out, qcd_store_report *report,
                                   const qcd_store *store)
{
    *out = 0;
    keyfile_body body;
    enum qcd_store_err err =
        keyfile_read(&body, report, &store->dir, &run_kind);
    if (err != QCD_STORE_OK || body.len == 0) {
        return err;
    }
    run_record record;
    err = run_decode(&record, &body);
    if (err != QCD_STORE_OK) {
        return keyfile_damaged(report, &store->dir, &run_kind);
    }
    uint8_t digest[KEY_DIGEST_LEN];
    secrets_digest(digest, &store->secrets);
    if (memcmp(digest, record.key_digest, sizeof(digest)) == 0) {
        *out = record.run;
    }
    return QCD_STORE_OK;
}

static enum qcd_store_err write_secrets(qcd_store_report *report,
                                        const qcd_store *store)
{
    keyfile_body body;
    secrets_encode(&body, &store->secrets);
    enum qcd_store_err err =
        keyfile_replace(report, &store->dir, &secrets_kind, &body);
    qcd_wipe(&body, sizeof(body));
    return err;
}

/* start_run makes durable that `run` is started, and then starts it. */
static enum qcd_store_err start_run(qcd_store *store, qcd_store_report *report,
                                    uint16_t run)
{
    run_record record = {.run = run};
    secrets_digest(record.key_digest, &store->secrets);
    keyfile_body body;
    run_encode(&body, &record);
    enum qcd_store_err err =
        keyfile_replace(report, &store->dir, &run_kind, &body);
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
        err = write_secrets(report, store);
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

static enum qcd_store_err start(qcd_store *store, qcd_store_report *report,
                                uint64_t now)
{
    uint16_t last_run;
    enum qcd_store_err err = read_secrets(store, report);
    if (err != QCD_STORE_OK) {
        return err;
    }
    bool had_secrets = store->secrets.num_generations != 0;
    err = read_run(&last_run, report, store);
    if (err != QCD_STORE_OK) {
        return err;
    }
    if (had_secrets && last_run != 0 && last_run != UINT16_MAX) {
        return start_run(store, report, (uint16_t)(last_run + 1));
    }
    err = start_with_new_key(store, report, now);
    if (err == QCD_STORE_OK) {
        note_new_key(report, &store->dir, had_secrets, last_run);
    }
    return err;
}

static enum qcd_store_err open_and_start(qcd_store *store,
                                         qcd_store_report *report,
                                         const char *path, uint64_t now)
{
    enum qcd_store_err err = folder_open(&store->dir, report, path);
    if (err == QCD_STORE_OK) {
        err = lock_take(&store->lock_fd, report, &store->dir);
    }
    /* Behind the lock: a temporary file is that of a dead process. */
    if (err == QCD_STORE_OK) {
        err = keyfile_clean(report, &store->dir, &secrets_kind);
    }
    if (err == QCD_STORE_OK) {
        err = keyfile_clean(report, &store->dir, &run_kind);
    }
    return err == QCD_STORE_OK ? start(store, report, now) : err;
}

enum qcd_store_err qcd_store_open(qcd_store **out, qcd_store_report *report,
                                  const char *path, uint64_t now)
{
    assert(path != NULL);
    *out = NULL;
    report->text[0] = '\0';
    qcd_store *store = sys_alloc(sizeof(*store));
    if (store == NULL) {
        return report_system(report, ENOMEM, "open %.200s", path);
    }
    store->dir = FOLDER_CLOSED;
    store->lock_fd = -1;
    enum qcd_store_err err = open_and_start(store, report, path, now);
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
