/* SPDX-License-Identifier: Apache-2.0 */
/* files.c: the two files of a folder, each read and written in whole. */
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

enum qcd_store_err files_read_run(run_record *out, qcd_store_report *report,
                                  const folder *dir, const qcd_secrets *secrets)
{
    memset(out, 0, sizeof(*out));
    keyfile_body body;
    enum qcd_store_err err = keyfile_read(&body, report, dir, &run_kind);
    if (err != QCD_STORE_OK || body.len == 0) {
        return err;
    }
    err = run_decode(out, &body);
    if (err != QCD_STORE_OK) {
        return keyfile_damaged(report, dir, &run_kind);
    }
    uint8_t digest[KEY_DIGEST_LEN];
    secrets_digest(digest, secrets);
    if (memcmp(digest, out->key_digest, sizeof(digest)) != 0) {
        memset(out, 0, sizeof(*out));
    }
    return QCD_STORE_OK;
}

enum qcd_store_err files_write_run(qcd_store_report *report, const folder *dir,
                                   const qcd_secrets *secrets, uint16_t run,
                                   uint16_t node)
{
    run_record record = {.run = run, .node = node};
    secrets_digest(record.key_digest, secrets);
    keyfile_body body;
    run_encode(&body, &record);
    return keyfile_replace(report, dir, &run_kind, &body);
}
