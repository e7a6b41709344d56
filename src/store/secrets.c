/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.c: the secrets file and the run file. */
#include "secrets.h"

#include <assert.h>
#include <nettle/sha2.h>
#include <string.h>

#include "../rd.h"
#include "../wr.h"

const keyfile_kind secrets_kind = {
    .name = "secrets",
    .tmp_name = "secrets.tmp",
    .old_name = "secrets.old",
    .magic = "QCDsecr\n",
    .version = SECRETS_VERSION,
    .exposure = "read or changed the secrets",
    .remedy = "move it away, and new secrets are made; peers of earlier SAs "
              "then get no reply",
};

const keyfile_kind run_kind = {
    .name = "run",
    .tmp_name = "run.tmp",
    .old_name = "run.old",
    .magic = "QCDrun\r\n",
    .version = RUN_VERSION,
    .birth_version = 3,
    .exposure = "changed the number",
    .remedy = "move it away, and new secrets are made; peers of earlier SAs "
              "then get no reply",
};

/* Nobody may learn the key from the run file: its digest serves no other
 * purpose than this one. */
static const char digest_label[] = "qcd sealing key of a run file";

static void finish_body(keyfile_body *out, const wr *w, uint16_t version)
{
    assert(!w->bad);
    out->version = version;
    out->len = w->len;
}

/* copy_octets copies the next `len` octets of a reader; a bad reader has
 * none. */
static void copy_octets(uint8_t *out, rd *r, size_t len)
{
    const uint8_t *octets = rd_bytes(r, len);
    if (octets != NULL) {
        memcpy(out, octets, len);
    }
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
    copy_octets(out->seal_key, &r, QCD_SEAL_KEY_LEN);
    if (body->version > 1) {
        copy_octets(out->machine, &r, sizeof(out->machine));
        copy_octets(out->taken, &r, sizeof(out->taken));
    }
    size_t num = rd_u8(&r);
    if (num > QCD_GENERATIONS_MAX) {
        num = 0; /* as bad as no generation */
    }
    for (size_t i = 0; i < num; i++) {
        out->made_at[i] = rd_be64(&r);
        copy_octets(out->generations[i].octets, &r, QCD_SECRET_LEN);
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
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, sizeof(digest_label) - 1,
                  (const uint8_t *)digest_label);
    sha256_update(&sha, QCD_SEAL_KEY_LEN, secrets->seal_key);
    sha256_digest(&sha, KEY_DIGEST_LEN, out);
    qcd_wipe(&sha, sizeof(sha));
}

void nodes_set(uint8_t nodes[QCD_STORE_NODES / 8], uint16_t node)
{
    if (node < QCD_STORE_NODES) {
        nodes[node / 8] = (uint8_t)(nodes[node / 8] | 1u << node % 8);
    }
}

void run_encode(keyfile_body *out, const run_record *record)
{
    static const uint8_t unborn[BIRTH_LEN] = {0};
    memset(out, 0, sizeof(*out));
    wr w;
    wr_init(&w, out->octets, sizeof(out->octets));
    wr_bytes(&w, unborn, BIRTH_LEN);
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
    (void)rd_bytes(r, BIRTH_LEN);
    uint8_t is_hidden = rd_u8(r);
    out->machine.is_hidden = is_hidden != 0;
    copy_octets(out->machine.machine, r, QCD_STORE_MACHINE_LEN);
    copy_octets(out->machine.product, r, QCD_STORE_MACHINE_LEN);
    return is_hidden <= 1;
}

enum qcd_store_err run_decode(run_record *out, const keyfile_body *body)
{
    memset(out, 0, sizeof(*out));
    rd r;
    rd_init(&r, body->octets, body->len);
    out->origin = body->origin;
    bool is_good = body->version < 3 || decode_machine(out, &r);
    copy_octets(out->key_digest, &r, KEY_DIGEST_LEN);
    out->run = rd_be16(&r);
    /* Version 1 did not say; 0 is what most have configured. */
    out->node = body->version > 1 ? rd_be16(&r) : 0;
    if (body->version > 2) {
        copy_octets(out->nodes, &r, sizeof(out->nodes));
    }
    nodes_set(out->nodes, out->node);
    bool is_node = out->node < QCD_STORE_NODES || out->node == RUN_NODE_NONE;
    if (r.bad || r.len != 0 || out->run == 0 || !is_node || !is_good) {
        memset(out, 0, sizeof(*out));
        return QCD_STORE_ERR_DAMAGED;
    }
    return QCD_STORE_OK;
}
