/* SPDX-License-Identifier: Apache-2.0 */
/* test_xtea.c: src/xtea.c.
 *
 * The first rows are published test vectors, as in Linux's crypto/testmgr.h and
 * Botan's; the others were made by another implementation, in Python. */
#include "test.h"

#include "xtea.h"

static const struct {
    const char *name;
    const char *key;
    const char *plain;
    const char *cipher;
} rows[] = {
    {"published", "000102030405060708090a0b0c0d0e0f", "4142434445464748",
     "497df3d072612cb5"},
    {"published, zero block", "00000000000000000000000000000000",
     "0000000000000000", "dee9d4d8f7131ed9"},
    {"words that differ", "0123456712345678234567893456789a",
     "0123456789abcdef", "fc26d7c7ebc977cf"},
};

static void test_known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        uint8_t octets[XTEA_KEY_LEN];
        uint8_t block[XTEA_BLOCK_LEN];
        uint32_t key[XTEA_KEY_WORDS];

        assert_int_equal(unhex(octets, sizeof(octets), rows[i].key),
                         sizeof(octets));
        assert_int_equal(unhex(block, sizeof(block), rows[i].plain),
                         sizeof(block));
        xtea_set_key(key, octets);
        xtea_encrypt(block, key, block);
        CHECK_HEX(rows[i].name, block, sizeof(block), rows[i].cipher);
        xtea_decrypt(block, key, block);
        CHECK_HEX(rows[i].name, block, sizeof(block), rows[i].plain);
    }
}

static void test_inverse(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint8_t octets[XTEA_KEY_LEN];
        uint8_t plain[XTEA_BLOCK_LEN];
        uint8_t block[XTEA_BLOCK_LEN];
        uint32_t key[XTEA_KEY_WORDS];

        random_octets(&random, octets, sizeof(octets));
        random_octets(&random, plain, sizeof(plain));
        xtea_set_key(key, octets);
        xtea_encrypt(block, key, plain);
        xtea_decrypt(block, key, block);
        assert_memory_equal(block, plain, sizeof(plain));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_inverse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
