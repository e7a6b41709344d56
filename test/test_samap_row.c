/* SPDX-License-Identifier: Apache-2.0 */
/* test_samap_row.c: src/store/samap_row.c. */
#include "test.h"

#include "samap_box.h"

static void test_there_and_back(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 200; n++) {
        uint8_t octets[SAMAP_SLOT_LEN];
        qcd_samap_row row;
        qcd_samap_row again;
        samap_box_row(&row, n, n);
        qcd_samap_encode(octets, &row);
        dirty(&again, sizeof(again));
        assert_true(qcd_samap_decode(&again, octets));
        assert_memory_equal(&again.child_spi, &row.child_spi,
                            sizeof(row.child_spi));
        assert_int_equal(again.encap, row.encap);
        assert_int_equal(again.node, row.node);
        assert_int_equal(again.run, row.run);
        assert_int_equal(again.sa.role, row.sa.role);
        assert_memory_equal(&again.sa.spis, &row.sa.spis, sizeof(row.sa.spis));
        assert_memory_equal(&again.local, &row.local, sizeof(row.local));
        assert_memory_equal(&again.peer, &row.peer, sizeof(row.peer));
        assert_int_equal(again.local_port, row.local_port);
        assert_int_equal(again.peer_port, row.peer_port);
        assert_memory_equal(again.peer_id, row.peer_id, QCD_SAMAP_PEER_LEN);
        assert_true(again.expires == row.expires);
    }
}

/* Octets after the end of an address belong to nobody. */
static void test_behind_an_address(void **state)
{
    (void)state;
    uint8_t octets[2][SAMAP_SLOT_LEN];
    qcd_samap_row row;
    samap_box_row(&row, 2, 0);
    assert_int_equal(row.local.len, 4);
    qcd_samap_encode(octets[0], &row);
    memset(row.local.octets + 4, 0xa5, 12);
    qcd_samap_encode(octets[1], &row);
    assert_memory_equal(octets[0], octets[1], SAMAP_SLOT_LEN);
}

/* One invalid field and a valid checksum. */
static const struct {
    const char *name;
    size_t offset;
    uint8_t value;
    bool is_good;
} rows[] = {
    {"nothing wrong", 0, 1, true},
    {"mark 0", 0, 0, false},
    {"mark 2", 0, 2, false},
    {"any protocol", 5, 108, true},
    {"not in UDP", 6, 0, true},
    {"in UDP", 6, 1, true},
    {"in UDP, 2", 6, 2, false},
    {"role 0", 10, 0, false},
    {"role 1", 10, 1, true},
    {"role 2", 10, 2, true},
    {"role 3", 10, 3, false},
    {"local address of 0", 27, 0, false},
    {"local address of 3", 27, 3, false},
    {"local address of 4", 27, 4, true},
    {"local address of 5", 27, 5, false},
    {"local address of 16", 27, 16, true},
    {"local address of 17", 27, 17, false},
    {"local address of 255", 27, 255, false},
    {"something behind the local address", 32, 1, false},
    {"something at its very end", 43, 1, false},
    {"peer's address of 4", 44, 4, false}, /* it has 16 octets */
    {"peer's address of 16", 44, 16, true},
    {"peer's address of 20", 44, 20, false},
    {"something behind the fields", 89, 1, false},
    {"something before the checksum", 119, 1, false},
};

static void sign(uint8_t *octets)
{
    uint64_t sum = samap_sum(octets, SAMAP_SLOT_LEN - SAMAP_SUM_LEN);
    for (size_t i = 0; i < SAMAP_SUM_LEN; i++) {
        octets[SAMAP_SLOT_LEN - 1 - i] = (uint8_t)(sum >> 8 * i);
    }
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        uint8_t octets[SAMAP_SLOT_LEN];
        uint8_t again[SAMAP_SLOT_LEN];
        qcd_samap_row row;
        samap_box_row(&row, 2, 0);
        qcd_samap_encode(octets, &row);
        octets[rows[i].offset] = rows[i].value;
        sign(octets);
        dirty(&row, sizeof(row));
        CHECK_INT(rows[i].name, qcd_samap_decode(&row, octets),
                  rows[i].is_good);
        if (rows[i].is_good) {
            qcd_samap_encode(again, &row);
            CHECK_OCTETS(rows[i].name, again, octets, SAMAP_SLOT_LEN);
        } else {
            CHECK_ZERO(rows[i].name, row);
        }
    }
}

static void test_every_bit(void **state)
{
    (void)state;
    uint8_t octets[SAMAP_SLOT_LEN];
    qcd_samap_row row;
    samap_box_row(&row, 7, 1);
    qcd_samap_encode(octets, &row);
    for (size_t bit = 0; bit < (size_t)8 * SAMAP_SLOT_LEN; bit++) {
        octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(qcd_samap_decode(&row, octets));
        assert_true(is_zero(&row, sizeof(row)));
        octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(qcd_samap_decode(&row, octets));
    assert_int_equal(samap_head_decode(octets), 0);
}

static void test_head(void **state)
{
    (void)state;
    static const uint16_t versions[] = {1, 2, 3, UINT16_MAX};
    uint8_t octets[SAMAP_SLOT_LEN] = {0};
    qcd_samap_row row;
    assert_int_equal(samap_head_decode(octets), 0);
    for (size_t i = 0; i < NUM_ROWS(versions); i++) {
        samap_head_encode(octets, versions[i]);
        assert_int_equal(samap_head_decode(octets), versions[i]);
        assert_false(qcd_samap_decode(&row, octets));
        for (size_t bit = 0; bit < (size_t)8 * SAMAP_SLOT_LEN; bit++) {
            octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(samap_head_decode(octets), 0);
            octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_behind_an_address),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
