/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_secrets.c: any octets as the secrets file and as the run file.  A frame
 * and a body that are read are written as the same octets.  The checksum would
 * reject nearly all inputs, so the target also makes a frame of each input: the
 * first octet chooses the kind of file and its version, the rest is the
 * body. */
#include "fuzz.h"

#include "store/secrets.h"

static void check_secrets(const keyfile_body *body)
{
    keyfile_body written;
    qcd_secrets secrets;
    qcd_secrets again;

    enum qcd_store_err err = secrets_decode(&secrets, body);
    if (err != QCD_STORE_OK) {
        DEMAND(err == QCD_STORE_ERR_DAMAGED);
        DEMAND(fuzz_is_zero(&secrets, sizeof(secrets)));
        return;
    }
    DEMAND(secrets.num_generations >= 1);
    DEMAND(secrets.num_generations <= QCD_GENERATIONS_MAX);
    secrets_encode(&written, &secrets);
    DEMAND(written.version == SECRETS_VERSION);
    if (body->version == SECRETS_VERSION) {
        DEMAND(written.len == body->len);
        DEMAND(memcmp(written.octets, body->octets, body->len) == 0);
    }
    DEMAND(secrets_decode(&again, &written) == QCD_STORE_OK);
    DEMAND(memcmp(&again, &secrets, sizeof(secrets)) == 0);
}

/* The birth is written by the file itself.  The node is among the nodes,
 * whether the file said so or not. */
static void check_run(const keyfile_body *body)
{
    keyfile_body written;
    run_record record;
    run_record again;

    enum qcd_store_err err = run_decode(&record, body);
    if (err != QCD_STORE_OK) {
        DEMAND(err == QCD_STORE_ERR_DAMAGED);
        DEMAND(fuzz_is_zero(&record, sizeof(record)));
        return;
    }
    DEMAND(record.run != 0);
    DEMAND(record.node < QCD_STORE_NODES || record.node == RUN_NODE_NONE);
    DEMAND(record.node == RUN_NODE_NONE ||
           (record.nodes[record.node / 8] >> record.node % 8 & 1) != 0);
    run_encode(&written, &record);
    DEMAND(written.version == RUN_VERSION);
    if (body->version == RUN_VERSION) {
        size_t fixed = body->len - sizeof(record.nodes);
        DEMAND(written.len == body->len);
        DEMAND(memcmp(written.octets + KEYFILE_BIRTH_LEN,
                      body->octets + KEYFILE_BIRTH_LEN,
                      fixed - KEYFILE_BIRTH_LEN) == 0);
        for (size_t i = fixed; i < body->len; i++) {
            DEMAND((written.octets[i] & body->octets[i]) == body->octets[i]);
        }
    }
    DEMAND(run_decode(&again, &written) == QCD_STORE_OK);
    record.origin = again.origin;
    DEMAND(memcmp(&again, &record, sizeof(record)) == 0);
}

/* check_frame reads a file and tells whether it is undamaged. */
static bool check_frame(const keyfile_kind *kind, const uint8_t *in,
                        size_t in_len)
{
    static uint8_t out[KEYFILE_MAX];
    keyfile_body body;

    enum qcd_store_err err = keyfile_decode(&body, kind, in, in_len);
    if (err != QCD_STORE_OK) {
        DEMAND(err == QCD_STORE_ERR_DAMAGED || err == QCD_STORE_ERR_VERSION);
        DEMAND(fuzz_is_zero(&body, sizeof(body)));
        return err == QCD_STORE_ERR_VERSION;
    }
    DEMAND(body.version >= 1 && body.version <= kind->version);
    DEMAND(keyfile_encode(out, kind, &body) == in_len);
    DEMAND(memcmp(out, in, in_len) == 0);
    if (kind == &secrets_kind) {
        check_secrets(&body);
    } else {
        check_run(&body);
    }
    return true;
}

/* No octet of an undamaged file can change without being noticed. */
static void check_damage(const keyfile_kind *kind, uint8_t *frame, size_t len,
                         size_t at)
{
    keyfile_body body;

    frame[at % len] ^= (uint8_t)(1 + at / len % 255);
    DEMAND(keyfile_decode(&body, kind, frame, len) == QCD_STORE_ERR_DAMAGED);
    DEMAND(keyfile_decode(&body, kind, frame, len - 1) ==
           QCD_STORE_ERR_DAMAGED);
}

static void check_framed(const uint8_t *in, size_t in_len)
{
    static uint8_t frame[KEYFILE_MAX];
    const keyfile_kind *kind = (in[0] & 1) != 0 ? &run_kind : &secrets_kind;
    keyfile_body body = {.version = in[0] >> 1 & 7};
    bool is_valid = body.version > 0 && in_len > 1;

    body.len = in_len - 1 < KEYFILE_BODY_MAX ? in_len - 1 : KEYFILE_BODY_MAX;
    memcpy(body.octets, in + 1, body.len);
    size_t len = keyfile_encode(frame, kind, &body);
    uint8_t *exact = malloc(len);
    DEMAND(exact != NULL);
    memcpy(exact, frame, len);
    DEMAND(check_frame(kind, exact, len) == is_valid);
    check_damage(kind, exact, len, in_len * 7u + in[0]);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    (void)check_frame(&secrets_kind, in, in_len);
    (void)check_frame(&run_kind, in, in_len);
    if (in_len > 0) {
        check_framed(in, in_len);
    }
    return 0;
}
