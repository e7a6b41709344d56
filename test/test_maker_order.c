/* SPDX-License-Identifier: Apache-2.0 */
/* test_maker_order.c: which generation's token comes first in the messages of
 * src/maker.c. */
#include "maker_box.h"

static size_t first_at(const qcd_spis *spis, uint64_t now_ms, uint32_t len)
{
    size_t num = maker.keys.num_generations;
    qcd_header h = dead_request();
    qcd_datagram out;
    qcd_message m;

    h.spis = *spis;
    h.length = len;
    assert_int_equal(reply(&out, &h, NULL, 16, now_ms), QCD_OK);
    assert_int_equal(qcd_message_decode(&m, out.octets, out.len), QCD_OK);
    size_t fit = (len * 3 - 36) / 24;
    assert_int_equal(m.num_tokens, fit < num ? fit : num);
    return shown_first(&m, QCD_RESPONDER);
}

/* The rest follows, newest first.  If only one token fits, or two, or three,
 * each generation has its turn as well. */
static void test_order_of_generations(void **state)
{
    static const uint32_t lens[] = {20, 28, 36, 80};
    const qcd_spis spis = {spi_which(PEER), spi_which(DEAD)};

    (void)state;
    for (size_t num = 1; num <= QCD_GENERATIONS_MAX; num++) {
        set_generations(num);
        for (size_t i = 0; i < NUM_ROWS(lens); i++) {
            unsigned seen = 0;

            for (uint64_t now_ms = 0; now_ms < 100; now_ms++) {
                size_t first = first_at(&spis, now_ms, lens[i]);
                seen |= 1u << first;
                assert_int_equal(first, first_at(&spis, now_ms, 80));
            }
            assert_int_equal(seen, (1u << num) - 1);
        }
    }
}

/* When a peer asks, in milliseconds after its first request.  All of that is
 * repeated, each time this much later. */
static const struct {
    const char *name;
    size_t num;
    uint32_t at[8];
    uint32_t again;
} schedules[] = {
    {"charon", 6, {0, 4000, 11200, 24160, 47488, 89478}, 165000},
    {"libreswan", 8, {0, 500, 1500, 3500, 7500, 15500, 31500, 63500}, 127500},
    {"each 100 ms", 1, {0}, 100},
    {"each second", 1, {0}, 1000},
    {"each 1024 ms", 1, {0}, 1024},
    {"each 2 s", 1, {0}, 2000},
    {"each 3 s", 1, {0}, 3000},
    {"each 5 s", 1, {0}, 5000},
    {"each 7 s", 1, {0}, 7000},
    {"each 10 s", 1, {0}, 10000},
    {"each 15 s", 1, {0}, 15000},
    {"each 16.384 s", 1, {0}, 16384},
    {"each 20 s", 1, {0}, 20000},
    {"each 30 s", 1, {0}, 30000},
    {"each 60 s", 1, {0}, 60000},
    {"each 65.536 s", 1, {0}, 65536},
    {"each 5 minutes", 1, {0}, 300000},
    {"each hour", 1, {0}, 3600000},
};

enum { NUM_PEERS = 1000, REPLIES_MAX = 150 };

/* How many replies each of many peers gets until the first token is of
 * `generation`.  Returns the number of peers that got more than `bound`. */
static size_t count_late(size_t schedule, size_t generation, size_t bound)
{
    uint64_t random = schedule * 100 + generation;
    size_t num_late = 0;

    for (size_t peers = 0; peers < NUM_PEERS; peers++) {
        qcd_spis spis;
        uint64_t start_ms = random64(&random) % ((uint64_t)1 << 40);
        size_t num = schedules[schedule].num;
        size_t n = 0;
        size_t first = SIZE_MAX;

        random_octets(&random, &spis, sizeof(spis));
        while (n < REPLIES_MAX && first != generation) {
            first = first_at(&spis,
                             start_ms + schedules[schedule].at[n % num] +
                                 n / num * schedules[schedule].again,
                             80);
            n++;
        }
        CHECK(schedules[schedule].name, first == generation);
        num_late += n > bound;
    }
    return num_late;
}

/* A peer that only reads the first token is told, whichever generation it holds
 * and whenever it asks: of 100 peers, 99 within this many replies. */
static void test_each_generation_comes_first_soon(void **state)
{
    static const size_t newest_bounds[] = {0, 1, 10, 10, 10};
    static const size_t older_bounds[] = {0, 0, 10, 20, 32};

    (void)state;
    for (size_t num = 1; num <= QCD_GENERATIONS_MAX; num++) {
        set_generations(num);
        for (size_t i = 0; i < NUM_ROWS(schedules); i++) {
            for (size_t g = 0; g < num; g++) {
                size_t bound = g == 0 ? newest_bounds[num] : older_bounds[num];

                CHECK(schedules[i].name,
                      count_late(i, g, bound) <= NUM_PEERS / 100);
            }
        }
    }
}

/* The newest one in half of all replies, the older ones in equal parts. */
static void test_shares_of_generations(void **state)
{
    enum { NUM = 12000 };
    const qcd_spis spis = {spi_which(PEER), spi_which(DEAD)};

    (void)state;
    for (size_t num = 2; num <= QCD_GENERATIONS_MAX; num++) {
        size_t shares[QCD_GENERATIONS_MAX] = {0};

        set_generations(num);
        for (uint64_t i = 0; i < NUM; i++) {
            shares[first_at(&spis, START_MS + i * 1000, 80)]++;
        }
        for (size_t g = 0; g < num; g++) {
            size_t want = g == 0 ? NUM / 2 : NUM / 2 / (num - 1);

            assert_in_range(shares[g], want - want / 10, want + want / 10);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAKER_TEST(test_order_of_generations),
        MAKER_TEST(test_each_generation_comes_first_soon),
        MAKER_TEST(test_shares_of_generations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
