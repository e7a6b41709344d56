/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_samap.c: any octets as a journal of the SA map, as a row, and as the
 * file of the map.  A checksum would keep nearly all of them out: it is made
 * right, record by record. */
#include "fuzz.h"

#include "store/samap_log.h"
#include "store/samap_pages.h"

enum { PAGES_MAX = 64 };

static void sign(uint8_t *octets, size_t len)
{
    uint64_t sum = samap_sum(octets, len - SAMAP_SUM_LEN);

    for (size_t i = 0; i < SAMAP_SUM_LEN; i++) {
        octets[len - 1 - i] = (uint8_t)(sum >> 8 * i);
    }
}

/* What is decoded is encoded to the same octets. */
static void check_row(const uint8_t *in)
{
    uint8_t again[SAMAP_ROW_LEN];
    qcd_samap_row row;

    if (samap_row_decode(&row, in, SAMAP_ROW_LEN)) {
        samap_row_encode(again, &row);
        DEMAND(memcmp(again, in, SAMAP_ROW_LEN) == 0);
    } else {
        DEMAND(fuzz_is_zero(&row, sizeof(row)));
    }
}

static size_t check_journal(const uint8_t *in, size_t in_len)
{
    samap_reader reader;
    samap_change change;
    size_t num = 0;

    samap_reader_init(&reader, in, in_len);
    while (samap_reader_next(&change, &reader)) {
        uint8_t again[SAMAP_RECORD_LEN];
        samap_record_encode(again, reader.seq, &change);
        DEMAND(memcmp(again, in + num * SAMAP_RECORD_LEN, SAMAP_RECORD_LEN) ==
               0);
        num++;
        DEMAND(reader.len == num * SAMAP_RECORD_LEN);
    }
    DEMAND(fuzz_is_zero(&change, sizeof(change)));
    return num;
}

/* sign_records makes the octets a journal of rows with right checksums. */
static void sign_records(uint8_t *octets, size_t len)
{
    for (size_t at = 0; at + SAMAP_RECORD_LEN <= len; at += SAMAP_RECORD_LEN) {
        if (octets[at + 8] == 1) {
            sign(octets + at + 9, SAMAP_ROW_LEN);
            check_row(octets + at + 9);
        }
        sign(octets + at, SAMAP_RECORD_LEN);
    }
}

static bool visit(void *user, const samap_item *item)
{
    samap_tree tree;
    volatile uint8_t last = 0;

    for (size_t i = 0; i < item->key_len; i++) {
        last = item->key[i];
    }
    for (size_t i = 0; item->data != NULL && i < item->data_len; i++) {
        last = item->data[i];
    }
    (void)last;
    if ((item->flags & SAMAP_ITEM_TREE) != 0 && samap_pages_tree(&tree, item)) {
        *(samap_tree *)user = tree;
    }
    return true;
}

static void check_pages(const uint8_t *in, size_t in_len)
{
    samap_pages pages;
    samap_tree tables;
    samap_tree table = {0};
    uint8_t used[PAGES_MAX] = {0};

    if (samap_pages_open(&pages, &tables, in, in_len, used, PAGES_MAX) &&
        samap_pages_walk(&pages, &tables, visit, &table)) {
        (void)samap_pages_walk(&pages, &table, visit, &tables);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    uint8_t *copy = calloc(1, in_len > 0 ? in_len : 1);

    DEMAND(copy != NULL);
    if (in_len > 0) {
        memcpy(copy, in, in_len);
    }
    (void)check_journal(copy, in_len);
    check_pages(copy, in_len);
    sign_records(copy, in_len);
    (void)check_journal(copy, in_len);
    free(copy);
    return 0;
}
