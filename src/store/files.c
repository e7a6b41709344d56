/* SPDX-License-Identifier: Apache-2.0 */
/* files.c: the two files of a folder, each read and written as a whole. */
#include "files.h"

#include <string.h>

enum qcd_store_err files_clean(qcd_store_report *report, const folder *dir)
{
    enum qcd_store_err err = keyfile_clean(report, dir, &secrets_kind);
    return err == QCD_STORE_OK ? keyfile_clean(report, dir, &run_kind) : err;
}

enum qcd_store_err files_read_secrets(qcd_secrets *out,
                                      qcd_store_report *report,
                                      const folder *dir)
{
    memset(out, 0, sizeof(*out));
    keyfile_body body;
    enum qcd_store_err err = keyfile_read(&body, report, dir, &secrets_kind);
    if (err == QCD_STORE_OK && body.len != 0) {
        err = secrets_decode(out, &body);
        if (err != QCD_STORE_OK) {
            (void)keyfile_damaged(report, dir, &secrets_kind);
        }
    }
    qcd_wipe(&body, sizeof(body));
    return err;
}

enum qcd_store_err files_write_secrets(qcd_store_report *report,
                                       const folder *dir,
                                       const qcd_secrets *secrets)
{
    keyfile_body body;
    secrets_encode(&body, secrets);
    enum qcd_store_err err = keyfile_replace(report, dir, &secrets_kind, &body);
    qcd_wipe(&body, sizeof(body));
    return err;
}

static bool is_zero(const uint8_t *octets, size_t len)
{
    uint8_t all = 0;
    for (size_t i = 0; i < len; i++) {
        all |= octets[i];
    }
    return all == 0;
}

/* judge tells whether an undamaged run file can be trusted.  A file without a
 * birth is accepted if its secrets were bound to this machine: it is then as
 * safe as it was. */
static enum run_state judge(const run_record *last, const qcd_secrets *secrets,
                            const identity_print *machine)
{
    uint8_t digest[KEY_DIGEST_LEN];
    secrets_digest(digest, secrets);
    if (memcmp(digest, last->key_digest, sizeof(digest)) != 0) {
        return RUN_OF_OTHERS;
    }
    if (last->origin == KEYFILE_COPY) {
        return RUN_COPIED;
    }
    if (last->origin == KEYFILE_OWN) {
        return identity_is_same(&last->machine, machine) ? RUN_KNOWN
                                                         : RUN_ELSEWHERE;
    }
    if (is_zero(secrets->machine, sizeof(secrets->machine))) {
        return RUN_FROM_NO_MACHINE;
    }
    return memcmp(secrets->machine, machine->machine,
                  sizeof(secrets->machine)) == 0
               ? RUN_KNOWN
               : RUN_ELSEWHERE;
}

enum qcd_store_err files_read_run(run_record *out, enum run_state *out_state,
                                  qcd_store_report *report, const folder *dir,
                                  const qcd_secrets *secrets,
                                  const identity_print *machine)
{
    memset(out, 0, sizeof(*out));
    *out_state = RUN_MISSING;
    keyfile_body body;
    enum qcd_store_err err = keyfile_read(&body, report, dir, &run_kind);
    if (err == QCD_STORE_OK && body.len != 0) {
        err = run_decode(out, &body);
        *out_state = judge(out, secrets, machine);
    }
    if (err == QCD_STORE_ERR_DAMAGED) {
        report->text[0] = '\0';
        *out_state = RUN_DAMAGED;
        err = QCD_STORE_OK;
    }
    if (*out_state == RUN_OF_OTHERS) {
        memset(out, 0, sizeof(*out));
    }
    return err;
}

enum qcd_store_err files_write_run(qcd_store_report *report, const folder *dir,
                                   const qcd_secrets *secrets,
                                   const run_record *record)
{
    run_record ours = *record;
    secrets_digest(ours.key_digest, secrets);
    keyfile_body body;
    run_encode(&body, &ours);
    return keyfile_replace(report, dir, &run_kind, &body);
}
