/* SPDX-License-Identifier: Apache-2.0 */
/* test_secrets.c: src/store/secrets.c. */
#include "test.h"

#include "store/secrets.h"

#define GENERATION_LEN (8 + QCD_SECRET_LEN)
#define OWNERS_LEN (QCD_STORE_MACHINE_LEN + QCD_STORE_NODES / 8)

/* start_of returns the offset of the number of generations. */
static size_t start_of(uint16_t version)
{
    return QCD_SEAL_KEY_LEN + (version > 1 ? OWNERS_LEN : 0);
}

/* body_of makes a body with room for `num_held` generations that claims to have
 * `num_told` of them, and is `extra` octets longer. */
static void body_of(keyfile_body *out, uint16_t version, size_t num_told,
                    size_t num_held, int extra)
{
    size_t start = start_of(version);
    memset(out, 0, sizeof(*out));
    out->version = version;
    out->len = (size_t)((int)(start + 1 + num_held * GENERATION_LEN) + extra);
    count_up(out->octets, 1, out->len);
    out->octets[start] = (uint8_t)num_told;
}

static const struct {
    const char *name;
    size_t num_told;
    size_t num_held;
    int extra;
    enum qcd_store_err want;
} rows[] = {
    {"no generation", 0, 0, 0, QCD_STORE_ERR_DAMAGED},
    {"none told, one there", 0, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"one", 1, 1, 0, QCD_STORE_OK},
    {"one, an octet short", 1, 1, -1, QCD_STORE_ERR_DAMAGED},
    {"one, an octet left over", 1, 1, 1, QCD_STORE_ERR_DAMAGED},
    {"two", 2, 2, 0, QCD_STORE_OK},
    {"two told, one there", 2, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"one told, two there", 1, 2, 0, QCD_STORE_ERR_DAMAGED},
    {"three", 3, 3, 0, QCD_STORE_OK},
    {"four", 4, 4, 0, QCD_STORE_OK},
    {"four, an octet short", 4, 4, -1, QCD_STORE_ERR_DAMAGED},
    {"five", 5, 5, 0, QCD_STORE_ERR_DAMAGED},
    {"five told, four there", 5, 4, 0, QCD_STORE_ERR_DAMAGED},
    {"255 told", 255, 4, 0, QCD_STORE_ERR_DAMAGED},
    {"no number", 0, 0, -1, QCD_STORE_ERR_DAMAGED},
    {"an octet of the nodes taken", 0, 0, -QCD_STORE_NODES / 8,
     QCD_STORE_ERR_DAMAGED},
    {"an octet of the key", 0, 0, -QCD_SEAL_KEY_LEN - OWNERS_LEN,
     QCD_STORE_ERR_DAMAGED},
};

static void test_secrets_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        keyfile_body body;
        keyfile_body again;
        qcd_secrets secrets;
        body_of(&body, SECRETS_VERSION, rows[i].num_told, rows[i].num_held,
                rows[i].extra);
        dirty(&secrets, sizeof(secrets));
        CHECK_INT(rows[i].name, secrets_decode(&secrets, &body), rows[i].want);
        if (rows[i].want != QCD_STORE_OK) {
            CHECK_ZERO(rows[i].name, secrets);
            continue;
        }
        CHECK_INT(rows[i].name, secrets.num_generations, rows[i].num_told);
        secrets_encode(&again, &secrets);
        CHECK_OCTETS(rows[i].name, &again, &body, sizeof(body));
    }
}

static void test_secrets_fields(void **state)
{
    (void)state;
    keyfile_body body;
    qcd_secrets secrets;
    body_of(&body, SECRETS_VERSION, 2, 2, 0);
    assert_int_equal(secrets_decode(&secrets, &body), QCD_STORE_OK);
    const uint8_t *first = body.octets + start_of(SECRETS_VERSION) + 1;
    assert_memory_equal(secrets.seal_key, body.octets, QCD_SEAL_KEY_LEN);
    assert_memory_equal(secrets.machine, body.octets + 16, 32);
    assert_memory_equal(secrets.taken, body.octets + 48, 32);
    assert_true(secrets.made_at[0] == 0x5253545556575859u);
    assert_memory_equal(secrets.generations[0].octets, first + 8,
                        QCD_SECRET_LEN);
    assert_memory_equal(secrets.generations[1].octets,
                        first + GENERATION_LEN + 8, QCD_SECRET_LEN);
    assert_true(is_zero(&secrets.generations[2], sizeof(qcd_secret)));
    assert_true(secrets.made_at[2] == 0);
}

/* The files of version 1, before machines and nodes were distinguished. */
static void test_version_1(void **state)
{
    (void)state;
    keyfile_body body;
    qcd_secrets secrets;
    run_record record;
    body_of(&body, 1, 2, 2, 0);
    assert_int_equal(secrets_decode(&secrets, &body), QCD_STORE_OK);
    assert_int_equal(secrets.num_generations, 2);
    assert_true(is_zero(secrets.machine, sizeof(secrets.machine)));
    assert_true(is_zero(secrets.taken, sizeof(secrets.taken)));
    assert_memory_equal(secrets.generations[1].octets,
                        body.octets + 17 + GENERATION_LEN + 8, QCD_SECRET_LEN);

    body = (keyfile_body){.version = 1, .len = KEY_DIGEST_LEN + 2};
    body.octets[KEY_DIGEST_LEN + 1] = 7;
    assert_int_equal(run_decode(&record, &body), QCD_STORE_OK);
    assert_int_equal(record.run, 7);
    assert_int_equal(record.node, 0);
    body.len += 2;
    assert_int_equal(run_decode(&record, &body), QCD_STORE_ERR_DAMAGED);
}

/* Version 2 of the run file had neither birth nor machine. */
static void test_run_of_version_2(void **state)
{
    (void)state;
    keyfile_body body = {.version = 2, .len = KEY_DIGEST_LEN + 4};
    run_record record;
    body.octets[KEY_DIGEST_LEN + 1] = 7;
    body.octets[KEY_DIGEST_LEN + 3] = 9;
    assert_int_equal(run_decode(&record, &body), QCD_STORE_OK);
    assert_int_equal(record.run, 7);
    assert_int_equal(record.node, 9);
    assert_int_equal(record.nodes[1], 2);
    assert_true(is_zero(&record.machine, sizeof(record.machine)));
    body.len++;
    assert_int_equal(run_decode(&record, &body), QCD_STORE_ERR_DAMAGED);
}

/* Offsets of the parts of a run file. */
#define HIDDEN_AT KEYFILE_BIRTH_LEN
#define DIGEST_AT (HIDDEN_AT + 1 + 2 * QCD_STORE_MACHINE_LEN)
#define RUN_AT (DIGEST_AT + KEY_DIGEST_LEN)
#define NODES_AT (RUN_AT + 4)
#define RUN_LEN (NODES_AT + QCD_STORE_NODES / 8)

static const struct {
    const char *name;
    size_t len;
    uint8_t hidden;
    uint16_t run;
    uint16_t node;
    enum qcd_store_err want;
} run_rows[] = {
    {"nothing", 0, 0, 0, 0, QCD_STORE_ERR_DAMAGED},
    {"a birth alone", KEYFILE_BIRTH_LEN, 0, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"half a machine", KEYFILE_BIRTH_LEN + 40, 0, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"no run", RUN_AT, 0, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"half a run", RUN_AT + 1, 0, 0x0101, 0, QCD_STORE_ERR_DAMAGED},
    {"no node", RUN_AT + 2, 0, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"half a node", RUN_AT + 3, 0, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"no nodes", NODES_AT, 0, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"an octet short", RUN_LEN - 1, 0, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"run 0", RUN_LEN, 0, 0, 0, QCD_STORE_ERR_DAMAGED},
    {"run 1", RUN_LEN, 0, 1, 0, QCD_STORE_OK},
    {"run 256", RUN_LEN, 0, 256, 1, QCD_STORE_OK},
    {"run 65535", RUN_LEN, 0, 65535, 254, QCD_STORE_OK},
    {"hidden", RUN_LEN, 1, 1, 0, QCD_STORE_OK},
    {"neither hidden nor not", RUN_LEN, 2, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"node 255", RUN_LEN, 0, 1, 255, QCD_STORE_OK},
    {"node 256", RUN_LEN, 0, 1, 256, QCD_STORE_ERR_DAMAGED},
    {"node 65534", RUN_LEN, 0, 1, 65534, QCD_STORE_ERR_DAMAGED},
    {"no node yet", RUN_LEN, 0, 1, RUN_NODE_NONE, QCD_STORE_OK},
    {"an octet left over", RUN_LEN + 1, 0, 1, 0, QCD_STORE_ERR_DAMAGED},
};

static void test_run_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(run_rows); i++) {
        const char *name = run_rows[i].name;
        keyfile_body body = {.version = RUN_VERSION, .len = run_rows[i].len};
        keyfile_body again;
        run_record record;
        count_up(body.octets + HIDDEN_AT, 1, RUN_AT - HIDDEN_AT);
        body.octets[HIDDEN_AT] = run_rows[i].hidden;
        body.octets[RUN_AT] = (uint8_t)(run_rows[i].run >> 8);
        body.octets[RUN_AT + 1] = (uint8_t)run_rows[i].run;
        body.octets[RUN_AT + 2] = (uint8_t)(run_rows[i].node >> 8);
        body.octets[RUN_AT + 3] = (uint8_t)run_rows[i].node;
        nodes_set(body.octets + NODES_AT, run_rows[i].node);
        nodes_set(body.octets + NODES_AT, 77);
        dirty(&record, sizeof(record));
        CHECK_INT(name, run_decode(&record, &body), run_rows[i].want);
        if (run_rows[i].want != QCD_STORE_OK) {
            CHECK_ZERO(name, record);
            continue;
        }
        CHECK_INT(name, record.run, run_rows[i].run);
        CHECK_INT(name, record.node, run_rows[i].node);
        CHECK_INT(name, record.machine.is_hidden, run_rows[i].hidden);
        CHECK_INT(name, record.nodes[9], 32);
        run_encode(&again, &record);
        CHECK_OCTETS(name, &again, &body, sizeof(body));
    }
}

static void test_digest_is_of_the_key_alone(void **state)
{
    (void)state;
    qcd_secrets a = {.num_generations = 1};
    qcd_secrets b = {.num_generations = 2, .made_at = {7}};
    uint8_t digest_a[KEY_DIGEST_LEN];
    uint8_t digest_b[KEY_DIGEST_LEN];
    count_up(a.seal_key, 9, QCD_SEAL_KEY_LEN);
    count_up(b.seal_key, 9, QCD_SEAL_KEY_LEN);
    secrets_digest(digest_a, &a);
    secrets_digest(digest_b, &b);
    assert_memory_equal(digest_a, digest_b, KEY_DIGEST_LEN);
    for (size_t i = 0; i < QCD_SEAL_KEY_LEN; i++) {
        b.seal_key[i] ^= 1;
        secrets_digest(digest_b, &b);
        assert_memory_not_equal(digest_a, digest_b, KEY_DIGEST_LEN);
        b.seal_key[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrets_decode),
        cmocka_unit_test(test_secrets_fields),
        cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_run_of_version_2),
        cmocka_unit_test(test_run_decode),
        cmocka_unit_test(test_digest_is_of_the_key_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
