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
    uint8_t want[HMAC_LEN];
} rows[] = {
    {"RFC 4231 case 1",
     key_1,
     sizeof(key_1),
     "Hi There",
     {0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf,
      0xce, 0xaf, 0x0b, 0xf1, 0x2b, 0x88, 0x1d, 0xc2, 0x00, 0xc9, 0x83,
      0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c, 0x2e, 0x32, 0xcf, 0xf7}},
    {"RFC 4231 case 2",
     (const uint8_t *)"Jefe",
     4,
     "what do ya want for nothing?",
     {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
      0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
      0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43}},
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
        CHECK_OCTETS(rows[i].name, got, rows[i].want, sizeof(got));
    }
}

/* One key serves many threads: it stays what it was. */
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
