/* SPDX-License-Identifier: Apache-2.0 */
/* test_hmac.c: src/hmac.c, with the vectors of RFC 4231. */
#include "test.h"

#include "ike.h"

static const uint8_t key_1[20] = {0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
                                  0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
                                  0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b};

static const struct {
    const char *name;
    const uint8_t *key;
    size_t key_len;
    const char *data;
    const char *want;
} rows[] = {
    {"RFC 4231 case 1", key_1, sizeof(key_1), "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"RFC 4231 case 2", (const uint8_t *)"Jefe", 4,
     "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
};

static void test_known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        const uint8_t *data = (const uint8_t *)rows[i].data;
        size_t data_len = strlen(rows[i].data);
        uint8_t got[HMAC_LEN];
        qcd_hmac mac;

        mac_set_key(&mac, rows[i].key, rows[i].key_len);
        mac_digest(got, sizeof(got), &mac, data, data_len);
        CHECK_HEX(rows[i].name, got, sizeof(got), rows[i].want);
    }
}

/* One key serves many threads: it is not changed. */
static void test_digest_leaves_the_key(void **state)
{
    uint8_t first[HMAC_LEN];
    uint8_t second[HMAC_LEN];
    qcd_hmac before;
    qcd_hmac mac;

    (void)state;
    mac_set_key(&mac, key_1, sizeof(key_1));
    before = mac;
    mac_digest(first, sizeof(first), &mac, key_1, 5);
    mac_digest(second, sizeof(second), &mac, key_1, 5);
    assert_memory_equal(&mac, &before, sizeof(mac));
    assert_memory_equal(first, second, sizeof(first));
}

static void test_shorter_digest_is_a_prefix(void **state)
{
    static const size_t lens[] = {1, 15, 16, 31};
    uint8_t whole[HMAC_LEN];
    qcd_hmac mac;

    (void)state;
    mac_set_key(&mac, key_1, sizeof(key_1));
    mac_digest(whole, sizeof(whole), &mac, key_1, 5);
    for (size_t i = 0; i < NUM_ROWS(lens); i++) {
        uint8_t part[HMAC_LEN];

        dirty(part, sizeof(part));
        mac_digest(part, lens[i], &mac, key_1, 5);
        assert_memory_equal(part, whole, lens[i]);
        assert_int_equal(part[lens[i]], 0xa5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_digest_leaves_the_key),
        cmocka_unit_test(test_shorter_digest_is_a_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
