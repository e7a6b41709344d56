/* SPDX-License-Identifier: Apache-2.0 */
/* samap_box.c: shared by the tests of the SA map. */
#include "samap_box.h"

#include <unistd.h>

void samap_box_in_memory(void)
{
    if (access("/dev/shm", R_OK | W_OK | X_OK) == 0) {
        (void)setenv("TMPDIR", "/dev/shm", 0);
    }
}

static void write_number(uint8_t *out, uint32_t n)
{
    for (size_t i = 0; i < 4; i++) {
        out[i] = (uint8_t)(n >> (24 - 8 * i));
    }
}

qcd_child_spi samap_box_spi(uint32_t n)
{
    qcd_child_spi spi = {.protocol = n % 5 == 0 ? QCD_AH : QCD_ESP};
    write_number(spi.octets, n);
    return spi;
}

void samap_box_row(qcd_samap_row *out, uint32_t n, uint32_t v)
{
    memset(out, 0, sizeof(*out));
    out->child_spi = samap_box_spi(n);
    out->encap = n % 3 == 0;
    out->node = (uint8_t)n;
    out->run = (uint16_t)(n + v);
    out->sa.role = n / 4 % 2 == 0 ? QCD_INITIATOR : QCD_RESPONDER;
    count_up(&out->sa.spis, (uint8_t)(v % 2), sizeof(out->sa.spis));
    write_number(out->sa.spis.initiator.octets, n / 4);
    write_number(out->sa.spis.responder.octets, n / 4);
    out->local.len = n % 2 == 0 ? 4 : 16;
    out->peer.len = n % 2 == 0 ? 16 : 4;
    count_up(out->local.octets, (uint8_t)n, out->local.len);
    count_up(out->peer.octets, (uint8_t)(n + 9), out->peer.len);
    out->local_port = (uint16_t)(500 + n);
    out->peer_port = (uint16_t)(4500 + n);
    write_number(out->peer_id, n / 16);
    out->expires = 0x1000000000u + v;
}

bool samap_box_is(const qcd_samap_row *a, const qcd_samap_row *b)
{
    uint8_t octets[2][SAMAP_SLOT_LEN];
    qcd_samap_encode(octets[0], a);
    qcd_samap_encode(octets[1], b);
    return memcmp(octets[0], octets[1], SAMAP_SLOT_LEN) == 0;
}

enum qcd_store_err samap_box_try(qcd_samap **out, qcd_store_report *report,
                                 const box *b)
{
    return qcd_samap_open(out, report, b->folder);
}

qcd_samap *samap_box_open(const box *b)
{
    qcd_samap *map;
    qcd_store_report report;
    enum qcd_store_err err = samap_box_try(&map, &report, b);
    if (err != QCD_STORE_OK || report.text[0] != '\0') {
        fail_msg("%d: %s", (int)err, report.text);
    }
    return map;
}

void samap_box_put(qcd_samap *map, uint32_t n, uint32_t v)
{
    qcd_samap_row row;
    qcd_store_report report;
    samap_box_row(&row, n, v);
    assert_int_equal(qcd_samap_put(map, &report, &row), QCD_STORE_OK);
    assert_string_equal(report.text, "");
}

enum qcd_store_err samap_box_take_out(qcd_samap *map, qcd_store_report *report,
                                      uint32_t n)
{
    const qcd_child_spi spi = samap_box_spi(n);
    qcd_samap_row row;
    bool removed;
    bool is_there = qcd_samap_find(map, &row, &spi);
    if (!is_there) {
        samap_box_row(&row, n, 0);
    }
    enum qcd_store_err err = qcd_samap_remove(map, report, &removed, &row);
    assert_int_equal(removed, err == QCD_STORE_OK && is_there);
    return err;
}

void samap_box_remove(qcd_samap *map, uint32_t n)
{
    qcd_store_report report;
    assert_int_equal(samap_box_take_out(map, &report, n), QCD_STORE_OK);
    assert_string_equal(report.text, "");
}

void samap_box_flush(qcd_samap *map)
{
    qcd_store_report report;
    assert_int_equal(qcd_samap_flush(map, &report), QCD_STORE_OK);
    assert_string_equal(report.text, "");
}

bool samap_box_has(qcd_samap *map, uint32_t n, uint32_t v)
{
    qcd_samap_row row;
    qcd_samap_row want;
    const qcd_child_spi spi = samap_box_spi(n);
    samap_box_row(&want, n, v);
    return qcd_samap_find(map, &row, &spi) && samap_box_is(&row, &want);
}

bool samap_box_lacks(qcd_samap *map, uint32_t n)
{
    qcd_samap_row row;
    const qcd_child_spi spi = samap_box_spi(n);
    dirty(&row, sizeof(row));
    return !qcd_samap_find(map, &row, &spi) && is_zero(&row, sizeof(row));
}

void samap_box_abandon(qcd_samap *map)
{
    (void)close(map->fd);
    samap_index_free(&map->index);
    folder_close(&map->dir);
    (void)pthread_mutex_destroy(&map->lock);
    free(map);
}
