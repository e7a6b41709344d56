/* SPDX-License-Identifier: Apache-2.0 */
/* admin.c: operations of an administrator on a folder. */
#include <qcd/store.h>

#include <assert.h>
#include <nettle/memops.h>
#include <string.h>

#include "report.h"
#include "secrets.h"

/* enter opens a folder that exists and starts to use the files in it.  Call
 * leave in any case. */
static enum qcd_store_err enter(folder *out, qcd_store_report *report,
                                const char *path)
{
    report->text[0] = '\0';
    enum qcd_store_err err = folder_open(out, report, path, NULL, false);
    return err == QCD_STORE_OK ? folder_use(out, report) : err;
}

static void leave(folder *dir)
{
    folder_leave(dir);
    folder_close(dir);
}

static enum qcd_store_err
read_present(qcd_secrets *out, qcd_store_report *report, const folder *dir)
{
    enum qcd_store_err err = secrets_read(out, report, dir);
    if (err == QCD_STORE_OK && out->num_generations == 0) {
        return report_say(report, QCD_STORE_ERR_MISSING,
                          "there are no secrets in %s. A gateway makes them "
                          "at its first start",
                          dir->shown);
    }
    return err;
}

/* read_run reads the secrets and their last run.  The run must be known; the
 * machine does not matter. */
static enum qcd_store_err read_run(qcd_secrets *out, run_record *out_last,
                                   qcd_store_report *report, const folder *dir,
                                   const qcd_store_identity *identity)
{
    identity_print machine;
    identity_print_make(&machine, identity);
    enum qcd_store_err err = read_present(out, report, dir);
    if (err == QCD_STORE_OK) {
        err = run_read(out_last, report, dir, out, &machine);
    }
    if (err == QCD_STORE_OK && out_last->run == 0) {
        return report_say(
            report, QCD_STORE_ERR_MISSING,
            "%s/%s is missing, damaged or belongs to other secrets, and the "
            "next start will make new ones. Start the gateway first",
            dir->shown, run_kind.file.name);
    }
    return err;
}

/* adopt rewrites the run file, with the birth of the new file. */
static enum qcd_store_err adopt(const folder *dir, qcd_store_report *report,
                                const qcd_store_identity *identity)
{
    qcd_secrets secrets;
    run_record last;
    enum qcd_store_err err = read_run(&secrets, &last, report, dir, identity);
    if (err == QCD_STORE_OK) {
        identity_print_make(&last.machine, identity);
        err = run_write(report, dir, &secrets, &last);
    }
    qcd_wipe(&secrets, sizeof(secrets));
    if (err == QCD_STORE_OK) {
        return report_say(report, err,
                          "the secrets in %s now belong to this machine",
                          dir->shown);
    }
    return err;
}

enum qcd_store_err qcd_store_adopt(qcd_store_report *report, const char *path,
                                   const qcd_store_identity *identity)
{
    folder dir;
    report->text[0] = '\0';
    enum qcd_store_err err = folder_open(&dir, report, path, NULL, false);
    if (err == QCD_STORE_OK) {
        err = secrets_take(&dir, report);
    }
    if (err == QCD_STORE_OK) {
        err = adopt(&dir, report, identity);
    }
    leave(&dir);
    return err;
}

/* ---- Sharing ----------------------------------------------------------- */

enum qcd_store_err qcd_store_peek(qcd_secrets *out, qcd_store_report *report,
                                  const char *path)
{
    memset(out, 0, sizeof(*out));
    folder dir;
    enum qcd_store_err err = enter(&dir, report, path);
    if (err == QCD_STORE_OK) {
        err = read_present(out, report, &dir);
    }
    leave(&dir);
    return err;
}

/* share reads the secrets in the form in which another gateway may have
 * them. */
static enum qcd_store_err share(qcd_secrets *out, qcd_store_report *report,
                                const folder *dir,
                                const qcd_store_identity *identity)
{
    run_record last;
    enum qcd_store_err err = read_run(out, &last, report, dir, identity);
    if (err == QCD_STORE_OK && last.doubt != NULL) {
        return report_say(report, QCD_STORE_ERR_MISSING,
                          "%s is a copy of another folder, and the next start "
                          "will make new secrets in it. Start the gateway "
                          "first, or see \"adopt\" in qcd-secret(8)",
                          dir->shown);
    }
    if (err == QCD_STORE_OK) {
        memset(out->machine, 0, sizeof(out->machine));
        for (size_t i = 0; i < sizeof(out->taken); i++) {
            out->taken[i] |= last.nodes[i];
        }
    }
    return err;
}

enum qcd_store_err qcd_store_share(qcd_secrets *out, qcd_store_report *report,
                                   const char *path,
                                   const qcd_store_identity *identity)
{
    memset(out, 0, sizeof(*out));
    folder dir;
    enum qcd_store_err err = enter(&dir, report, path);
    if (err == QCD_STORE_OK) {
        err = share(out, report, &dir, identity);
    }
    leave(&dir);
    if (err != QCD_STORE_OK) {
        qcd_wipe(out, sizeof(*out));
    }
    return err;
}

/* ---- Importing --------------------------------------------------------- */

static bool has_generation(const qcd_secrets *secrets, const qcd_secret *wanted)
{
    for (size_t i = 0; i < secrets->num_generations; i++) {
        if (memeql_sec(&secrets->generations[i], wanted, sizeof(*wanted))) {
            return true;
        }
    }
    return false;
}

/* renew replaces `secrets` by `given`, except for what is our own. */
static void renew(qcd_secrets *secrets, const qcd_secrets *given,
                  const run_record *last)
{
    qcd_secrets ours = *secrets;
    *secrets = *given;
    memcpy(secrets->machine, ours.machine, sizeof(ours.machine));
    for (size_t i = 0; i < sizeof(ours.taken); i++) {
        unsigned int taken = given->taken[i] | ours.taken[i];
        secrets->taken[i] = (uint8_t)(taken & ~(unsigned int)last->nodes[i]);
    }
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

/* import_first puts secrets into a folder that has none.  As with a new key the
 * run comes first: secrets without a run would be replaced by new ones. */
static enum qcd_store_err import_first(qcd_store_report *report,
                                       const folder *dir,
                                       const qcd_secrets *given,
                                       const qcd_store_identity *identity)
{
    run_record none = {.run = 1, .node = RUN_NODE_NONE};
    identity_print_make(&none.machine, identity);
    enum qcd_store_err err = run_write(report, dir, given, &none);
    if (err == QCD_STORE_OK) {
        err = secrets_write(report, dir, given);
    }
    if (err == QCD_STORE_OK) {
        return report_say(
            report, err,
            "the secrets are in %s/%s. This gateway needs its own node number "
            "(the key node), one that no other gateway of the group ever had",
            dir->shown, secrets_kind.file.name);
    }
    return err;
}

/* import_again renews the secrets that are there. */
static enum qcd_store_err import_again(qcd_store_report *report,
                                       const folder *dir, qcd_secrets *ours,
                                       const qcd_secrets *given,
                                       const qcd_store_identity *identity)
{
    if (!memeql_sec(ours->seal_key, given->seal_key, QCD_SEAL_KEY_LEN)) {
        return report_say(
            report, QCD_STORE_ERR_OTHERS,
            "there are other secrets in %s already. To use these instead, move "
            "that folder away first; peers of earlier SAs then get no reply",
            dir->shown);
    }
    run_record last;
    identity_print machine;
    identity_print_make(&machine, identity);
    enum qcd_store_err err = run_read(&last, report, dir, ours, &machine);
    if (err == QCD_STORE_OK) {
        renew(ours, given, &last);
        err = secrets_write(report, dir, ours);
    }
    return err != QCD_STORE_OK
               ? err
               : report_say(report, err, "the secrets in %s/%s were renewed",
                            dir->shown, secrets_kind.file.name);
}

enum qcd_store_err qcd_store_import(qcd_store_report *report, const char *path,
                                    const qcd_secrets *secrets,
                                    const qcd_store_identity *identity)
{
    assert(secrets->num_generations >= 1);
    assert(secrets->num_generations <= QCD_GENERATIONS_MAX);
    report->text[0] = '\0';
    folder dir;
    qcd_secrets ours = {.num_generations = 0};
    enum qcd_store_err err = folder_open(&dir, report, path, NULL, true);
    if (err == QCD_STORE_OK) {
        err = secrets_take(&dir, report);
    }
    if (err == QCD_STORE_OK) {
        err = secrets_read(&ours, report, &dir);
    }
    if (err == QCD_STORE_OK) {
        err = ours.num_generations == 0
                  ? import_first(report, &dir, secrets, identity)
                  : import_again(report, &dir, &ours, secrets, identity);
    }
    qcd_wipe(&ours, sizeof(ours));
    leave(&dir);
    return err;
}
