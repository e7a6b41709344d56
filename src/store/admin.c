/* SPDX-License-Identifier: Apache-2.0 */
/* admin.c: what an administrator does with a folder. */
#include "store.h"

#include <assert.h>
#include <string.h>

#include "files.h"
#include "identity.h"
#include "io.h"
#include "lock.h"
#include "report.h"

/* place is a folder that nobody else changes as long as it is open. */
typedef struct place {
    folder dir;
    int lock_fd;
} place;

static void leave(place *at)
{
    folder_close(&at->dir);
    if (at->lock_fd >= 0) {
        (void)io_close(at->lock_fd);
    }
}

/* enter locks the folder that `at` has open.  leave it in any case. */
static enum qcd_store_err enter(place *at, qcd_store_report *report)
{
    enum qcd_store_err err = lock_take(&at->lock_fd, report, &at->dir);
    return err == QCD_STORE_OK ? files_clean(report, &at->dir) : err;
}

static enum qcd_store_err
read_present(qcd_secrets *out, qcd_store_report *report, const folder *dir)
{
    enum qcd_store_err err = files_read_secrets(out, report, dir);
    if (err == QCD_STORE_OK && out->num_generations == 0) {
        return report_fail(report, QCD_STORE_ERR_MISSING,
                           "there are no secrets in %s. A gateway makes them "
                           "at its first start",
                           dir->shown);
    }
    return err;
}

static enum qcd_store_err adopt(const folder *dir, qcd_store_report *report,
                                const qcd_store_identity *identity)
{
    qcd_secrets secrets;
    enum qcd_store_err err = read_present(&secrets, report, dir);
    if (err == QCD_STORE_OK) {
        identity_digest(secrets.machine, identity);
        err = files_write_secrets(report, dir, &secrets);
    }
    qcd_wipe(&secrets, sizeof(secrets));
    if (err == QCD_STORE_OK) {
        report_note(
            report, "%s/%s are now bound to %s", dir->shown, secrets_kind.name,
            identity->len != 0 ? "this machine"
                               : "no machine, since this one has no identity");
    }
    return err;
}

enum qcd_store_err qcd_store_adopt(qcd_store_report *report, const char *path,
                                   const qcd_store_identity *identity)
{
    report->text[0] = '\0';
    place at = {FOLDER_CLOSED, -1};
    enum qcd_store_err err = folder_find(&at.dir, report, path);
    if (err == QCD_STORE_OK) {
        err = enter(&at, report);
    }
    if (err == QCD_STORE_OK) {
        err = adopt(&at.dir, report, identity);
    }
    leave(&at);
    return err;
}

/* ---- Sharing ----------------------------------------------------------- */

enum qcd_store_err qcd_store_peek(qcd_secrets *out, qcd_store_report *report,
                                  const char *path)
{
    memset(out, 0, sizeof(*out));
    report->text[0] = '\0';
    folder dir;
    enum qcd_store_err err = folder_find(&dir, report, path);
    if (err == QCD_STORE_OK) {
        err = read_present(out, report, &dir);
    }
    folder_close(&dir);
    return err;
}

static void set_taken(qcd_secrets *secrets, uint16_t node, bool is_taken)
{
    if (node >= QCD_STORE_NODES) {
        return; /* none yet */
    }
    unsigned int bit = 1u << node % 8;
    unsigned int rest = secrets->taken[node / 8] & ~bit;
    secrets->taken[node / 8] = (uint8_t)(is_taken ? rest | bit : rest);
}

static enum qcd_store_err share(qcd_secrets *out, qcd_store_report *report,
                                const folder *dir)
{
    run_record last;
    enum qcd_store_err err = read_present(out, report, dir);
    if (err == QCD_STORE_OK) {
        err = files_read_run(&last, report, dir, out);
    }
    if (err != QCD_STORE_OK) {
        return err;
    }
    if (last.run == 0) {
        return report_fail(report, QCD_STORE_ERR_MISSING,
                           "%s/%s is missing or belongs to other secrets, and "
                           "the next start will change them. Start the gateway "
                           "first",
                           dir->shown, run_kind.name);
    }
    memset(out->machine, 0, sizeof(out->machine));
    set_taken(out, last.node, true);
    return QCD_STORE_OK;
}

enum qcd_store_err qcd_store_share(qcd_secrets *out, qcd_store_report *report,
                                   const char *path)
{
    memset(out, 0, sizeof(*out));
    report->text[0] = '\0';
    folder dir;
    enum qcd_store_err err = folder_find(&dir, report, path);
    if (err == QCD_STORE_OK) {
        err = share(out, report, &dir);
    }
    folder_close(&dir);
    if (err != QCD_STORE_OK) {
        qcd_wipe(out, sizeof(*out));
    }
    return err;
}

static bool has_generation(const qcd_secrets *secrets, const qcd_secret *wanted)
{
    for (size_t i = 0; i < secrets->num_generations; i++) {
        if (memcmp(&secrets->generations[i], wanted, sizeof(*wanted)) == 0) {
            return true;
        }
    }
    return false;
}

/* renew makes `secrets` those of `given`, but for what is our own. */
static void renew(qcd_secrets *secrets, const qcd_secrets *given, uint16_t node)
{
    qcd_secrets ours = *secrets;
    *secrets = *given;
    memcpy(secrets->machine, ours.machine, sizeof(ours.machine));
    for (size_t i = 0; i < sizeof(ours.taken); i++) {
        secrets->taken[i] |= ours.taken[i];
    }
    set_taken(secrets, node, false);
    for (size_t i = 0; i < ours.num_generations; i++) {
        if (secrets->num_generations < QCD_GENERATIONS_MAX &&
            !has_generation(secrets, &ours.generations[i])) {
            secrets->generations[secrets->num_generations] =
                ours.generations[i];
            secrets->made_at[secrets->num_generations] = ours.made_at[i];
            secrets->num_generations++;
        }
    }
    qcd_wipe(&ours, sizeof(ours));
}

/* import_first takes secrets into a folder that has none.  As for a new key the
 * run comes first: secrets without it would be given another key. */
static enum qcd_store_err import_first(qcd_store_report *report,
                                       const folder *dir,
                                       const qcd_secrets *given,
                                       const qcd_store_identity *identity)
{
    qcd_secrets ours = *given;
    identity_digest(ours.machine, identity);
    enum qcd_store_err err =
        files_write_run(report, dir, &ours, 1, RUN_NODE_NONE);
    if (err == QCD_STORE_OK) {
        err = files_write_secrets(report, dir, &ours);
    }
    qcd_wipe(&ours, sizeof(ours));
    if (err == QCD_STORE_OK) {
        report_note(report,
                    "the secrets are in %s/%s. This gateway needs a number of "
                    "its own (the key node), which no other one of the group "
                    "ever had",
                    dir->shown, secrets_kind.name);
    }
    return err;
}

/* import_again renews the secrets that are there. */
static enum qcd_store_err import_again(qcd_store_report *report,
                                       const folder *dir, qcd_secrets *ours,
                                       const qcd_secrets *given)
{
    if (memcmp(ours->seal_key, given->seal_key, QCD_SEAL_KEY_LEN) != 0) {
        return report_fail(report, QCD_STORE_ERR_OTHERS,
                           "there are other secrets in %s already. To have "
                           "these instead, move that folder away first; peers "
                           "of earlier SAs then get no answer",
                           dir->shown);
    }
    run_record last;
    enum qcd_store_err err = files_read_run(&last, report, dir, ours);
    if (err == QCD_STORE_OK) {
        renew(ours, given, last.run != 0 ? last.node : RUN_NODE_NONE);
        err = files_write_secrets(report, dir, ours);
    }
    if (err == QCD_STORE_OK) {
        report_note(report, "the secrets in %s/%s were renewed", dir->shown,
                    secrets_kind.name);
    }
    return err;
}

enum qcd_store_err qcd_store_import(qcd_store_report *report, const char *path,
                                    const qcd_secrets *secrets,
                                    const qcd_store_identity *identity)
{
    assert(secrets->num_generations >= 1);
    assert(secrets->num_generations <= QCD_GENERATIONS_MAX);
    report->text[0] = '\0';
    place at = {FOLDER_CLOSED, -1};
    qcd_secrets ours = {.num_generations = 0};
    enum qcd_store_err err = folder_open(&at.dir, report, path);
    if (err == QCD_STORE_OK) {
        err = enter(&at, report);
    }
    if (err == QCD_STORE_OK) {
        err = files_read_secrets(&ours, report, &at.dir);
    }
    if (err == QCD_STORE_OK) {
        err = ours.num_generations == 0
                  ? import_first(report, &at.dir, secrets, identity)
                  : import_again(report, &at.dir, &ours, secrets);
    }
    qcd_wipe(&ours, sizeof(ours));
    leave(&at);
    return err;
}
