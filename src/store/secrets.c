/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.c: the secrets file and the run file: their octets, and what they say
 * of each other and of the machine. */
#include "secrets.h"

#include <assert.h>
#include <nettle/memops.h>
#include <string.h>

#include "../rd.h"
#include "../wr.h"
#include "report.h"

static const char remedy[] = "move it away, and new secrets are made; peers of "
                             "earlier SAs then get no reply";

const keyfile_kind secrets_kind = {
    .file = {.name = "secrets",
             .tmp_name = "secrets.tmp",
             .old_name = "secrets.old",
             .exposure = "read or changed the secrets",
             .remedy = remedy},
    .magic = "QCDsecr\n",
    .version = SECRETS_VERSION,
};

const keyfile_kind run_kind = {
    .file = {.name = "run",
             .tmp_name = "run.tmp",
             .old_name = "run.old",
             .exposure = "changed the number",
             .remedy = remedy},
    .magic = "QCDrun\r\n",
    .version = RUN_VERSION,
    .birth_version = 3,
};

/* ---- Octets ------------------------------------------------------------ */

/* Nobody may learn the key from the run file: its digest serves no other
 * purpose than this one. */
static const char digest_label[] = "qcd sealing key of a run file";

static void finish_body(keyfile_body *out, const wr *w, uint16_t version)
{
    assert(!w->bad);
    out->version = version;
    out->len = w->len;
}

void secrets_encode(keyfile_body *out, const qcd_secrets *secrets)
{
    size_t num = secrets->num_generations;
    assert(num >= 1 && num <= QCD_GENERATIONS_MAX);
    memset(out, 0, sizeof(*out));
    wr w;
    wr_init(&w, out->octets, sizeof(out->octets));
    wr_bytes(&w, secrets->seal_key, QCD_SEAL_KEY_LEN);
    wr_bytes(&w, secrets->machine, sizeof(secrets->machine));
    wr_bytes(&w, secrets->taken, sizeof(secrets->taken));
    wr_u8(&w, (uint8_t)num);
    for (size_t i = 0; i < num; i++) {
        wr_be64(&w, secrets->made_at[i]);
        wr_bytes(&w, secrets->generations[i].octets, QCD_SECRET_LEN);
    }
    finish_body(out, &w, SECRETS_VERSION);
}

enum qcd_store_err secrets_decode(qcd_secrets *out, const keyfile_body *body)
{
    memset(out, 0, sizeof(*out));
    rd r;
    rd_init(&r, body->octets, body->len);
    rd_copy(&r, out->seal_key, QCD_SEAL_KEY_LEN);
    if (body->version > 1) {
        rd_copy(&r, out->machine, sizeof(out->machine));
        rd_copy(&r, out->taken, sizeof(out->taken));
    }
    size_t num = rd_u8(&r);
    if (num > QCD_GENERATIONS_MAX) {
        num = 0; /* as bad as no generation */
    }
    for (size_t i = 0; i < num; i++) {
        out->made_at[i] = rd_be64(&r);
        rd_copy(&r, out->generations[i].octets, QCD_SECRET_LEN);
    }
    if (r.bad || r.len != 0 || num == 0) {
        qcd_wipe(out, sizeof(*out));
        return QCD_STORE_ERR_DAMAGED;
    }
    out->num_generations = num;
    return QCD_STORE_OK;
}

void secrets_digest(uint8_t out[KEY_DIGEST_LEN], const qcd_secrets *secrets)
{
    keyfile_digest(out, KEY_DIGEST_LEN, digest_label, secrets->seal_key,
                   QCD_SEAL_KEY_LEN);
}

void nodes_set(uint8_t nodes[QCD_STORE_NODES / 8], uint16_t node)
{
    if (node < QCD_STORE_NODES) {
        nodes[node / 8] = (uint8_t)(nodes[node / 8] | 1u << node % 8);
    }
}

void run_encode(keyfile_body *out, const run_record *record)
{
    static const uint8_t unborn[KEYFILE_BIRTH_LEN] = {0};
    memset(out, 0, sizeof(*out));
    wr w;
    wr_init(&w, out->octets, sizeof(out->octets));
    wr_bytes(&w, unborn, KEYFILE_BIRTH_LEN);
    wr_u8(&w, record->machine.is_hidden ? 1 : 0);
    wr_bytes(&w, record->machine.machine, QCD_STORE_MACHINE_LEN);
    wr_bytes(&w, record->machine.product, QCD_STORE_MACHINE_LEN);
    wr_bytes(&w, record->key_digest, KEY_DIGEST_LEN);
    wr_be16(&w, record->run);
    wr_be16(&w, record->node);
    wr_bytes(&w, record->nodes, sizeof(record->nodes));
    finish_body(out, &w, RUN_VERSION);
}

/* decode_machine reads what version 3 has before everything else.  It returns
 * false if that is invalid. */
static bool decode_machine(run_record *out, rd *r)
{
    (void)rd_bytes(r, KEYFILE_BIRTH_LEN);
    uint8_t is_hidden = rd_u8(r);
    out->machine.is_hidden = is_hidden != 0;
    rd_copy(r, out->machine.machine, QCD_STORE_MACHINE_LEN);
    rd_copy(r, out->machine.product, QCD_STORE_MACHINE_LEN);
    return is_hidden <= 1;
}

enum qcd_store_err run_decode(run_record *out, const keyfile_body *body)
{
    memset(out, 0, sizeof(*out));
    rd r;
    rd_init(&r, body->octets, body->len);
    out->origin = body->origin;
    bool is_good = body->version < 3 || decode_machine(out, &r);
    rd_copy(&r, out->key_digest, KEY_DIGEST_LEN);
    out->run = rd_be16(&r);
    /* Version 1 did not say; 0 is what most have configured. */
    out->node = body->version > 1 ? rd_be16(&r) : 0;
    if (body->version > 2) {
        rd_copy(&r, out->nodes, sizeof(out->nodes));
    }
    nodes_set(out->nodes, out->node);
    bool is_node = out->node < QCD_STORE_NODES || out->node == RUN_NODE_NONE;
    if (r.bad || r.len != 0 || out->run == 0 || !is_node || !is_good) {
        memset(out, 0, sizeof(*out));
        return QCD_STORE_ERR_DAMAGED;
    }
    return QCD_STORE_OK;
}

/* ---- Files ------------------------------------------------------------- */

enum qcd_store_err secrets_take(folder *dir, qcd_store_report *report)
{
    enum qcd_store_err err = folder_use(dir, report);
    if (err == QCD_STORE_OK) {
        err = file_lock(dir, report);
    }
    if (err == QCD_STORE_OK) {
        err = file_clean(report, dir, &secrets_kind.file);
    }
    return err == QCD_STORE_OK ? file_clean(report, dir, &run_kind.file) : err;
}

enum qcd_store_err secrets_read(qcd_secrets *out, qcd_store_report *report,
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

enum qcd_store_err secrets_write(qcd_store_report *report, const folder *dir,
                                 const qcd_secrets *secrets)
{
    keyfile_body body;
    secrets_encode(&body, secrets);
    enum qcd_store_err err = keyfile_replace(report, dir, &secrets_kind, &body);
    qcd_wipe(&body, sizeof(body));
    return err;
}

/* why_doubt tells why an undamaged run file cannot be trusted, or returns NULL.
 * A file without a birth is accepted if its secrets were bound to this machine:
 * it is then as safe as it was. */
static const char *why_doubt(const run_record *last, const qcd_secrets *secrets,
                             const identity_print *machine)
{
    static const uint8_t none[QCD_STORE_MACHINE_LEN];
    bool is_same;
    if (last->origin == KEYFILE_COPY) {
        return "is a copy of the file that was written";
    }
    if (last->origin == KEYFILE_OWN) {
        is_same = identity_is_same(&last->machine, machine);
    } else if (memcmp(secrets->machine, none, sizeof(none)) == 0) {
        return "was written by an earlier version, which did not bind it to a "
               "machine";
    } else {
        is_same = memcmp(secrets->machine, machine->machine,
                         sizeof(secrets->machine)) == 0;
    }
    return is_same ? NULL : "was written on another machine";
}

/* is_of tells whether `last` is a run of the key of `secrets`. */
static bool is_of(const run_record *last, const qcd_secrets *secrets)
{
    uint8_t digest[KEY_DIGEST_LEN];
    secrets_digest(digest, secrets);
    return memeql_sec(digest, last->key_digest, sizeof(digest)) != 0;
}

enum qcd_store_err run_read(run_record *out, qcd_store_report *report,
                            const folder *dir, const qcd_secrets *secrets,
                            const identity_print *machine)
{
    memset(out, 0, sizeof(*out));
    out->doubt = "is missing";
    keyfile_body body;
    enum qcd_store_err err = keyfile_read(&body, report, dir, &run_kind);
    if (err == QCD_STORE_OK && body.len != 0) {
        err = run_decode(out, &body);
        out->doubt = why_doubt(out, secrets, machine);
    }
    if (err == QCD_STORE_ERR_DAMAGED) {
        report->text[0] = '\0';
        out->doubt = "is damaged";
        return QCD_STORE_OK;
    }
    if (out->run != 0 && !is_of(out, secrets)) {
        *out = (run_record){.doubt = "belongs to other secrets"};
    }
    return err;
}

enum qcd_store_err run_write(qcd_store_report *report, const folder *dir,
                             const qcd_secrets *secrets, run_record *record)
{
    secrets_digest(record->key_digest, secrets);
    keyfile_body body;
    run_encode(&body, record);
    return keyfile_replace(report, dir, &run_kind, &body);
}
