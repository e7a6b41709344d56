/* SPDX-License-Identifier: Apache-2.0 */
/* threads_samap.c: an SA map that several threads use simultaneously.  It finds
 * more with -Db_sanitize=thread. cmocka's own state is not involved, since
 * nothing is asserted in the threads. */
#include "test.h"

#include <stdatomic.h>
#include <unistd.h>

#include "samap_box.h"

enum { NUM_WRITERS = 3, NUM_OF_EACH = 500, NUM_STEPS = 6000 };

static struct {
    qcd_samap *map;
    _Atomic bool is_over;
    _Atomic uint32_t num_wrong;
    uint32_t have[NUM_WRITERS][NUM_OF_EACH]; /* each writer has its own */
} t;

static void demand(bool is_true)
{
    if (!is_true) {
        t.num_wrong++;
    }
}

static bool is_row(uint32_t n, uint32_t version)
{
    return version == 0 ? samap_box_lacks(t.map, n)
                        : samap_box_has(t.map, n, version);
}

/* write_rows changes rows that no other thread changes, and finds them as it
 * left them, whatever the others do. */
static void *write_rows(void *arg)
{
    uint32_t *have = arg;
    uint32_t first = (uint32_t)(have - &t.have[0][0]);
    uint64_t seed = first + 1;
    for (uint32_t step = 1; step <= NUM_STEPS; step++) {
        qcd_samap_row row;
        qcd_store_report report;
        uint32_t i = (uint32_t)(random64(&seed) % NUM_OF_EACH);
        have[i] = random64(&seed) % 3 == 0 ? 0 : step;
        samap_box_row(&row, first + i, step);
        demand((have[i] != 0 ? qcd_samap_put(t.map, &report, &row)
                             : samap_box_take_out(t.map, &report, first + i)) ==
               QCD_STORE_OK);
        i = (uint32_t)(random64(&seed) % NUM_OF_EACH);
        demand(is_row(first + i, have[i]));
    }
    return NULL;
}

static void *flush_always(void *arg)
{
    (void)arg;
    while (!t.is_over) {
        qcd_store_report report;
        (void)unlinkat(t.map->dir.fd, "samap", 0); /* it is written again */
        demand(qcd_samap_flush(t.map, &report) == QCD_STORE_OK);
    }
    return NULL;
}

static enum qcd_samap_fate keep(void *user, qcd_samap_row *row)
{
    (void)row;
    ++*(size_t *)user;
    return QCD_SAMAP_KEEP;
}

static void *look_always(void *arg)
{
    (void)arg;
    while (!t.is_over) {
        qcd_store_report report;
        size_t num = 0;
        demand(qcd_samap_walk(t.map, &report, keep, &num) == QCD_STORE_OK);
        demand(num <= NUM_WRITERS * NUM_OF_EACH);
        demand(qcd_samap_count(t.map) <= NUM_WRITERS * NUM_OF_EACH);
    }
    return NULL;
}

static void test_threads(void **state)
{
    const box *b = *state;
    pthread_t threads[NUM_WRITERS + 2];
    t.map = samap_box_open(b);
    for (size_t i = 0; i < NUM_WRITERS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_rows, t.have[i]), 0);
    }
    assert_int_equal(
        pthread_create(&threads[NUM_WRITERS], NULL, flush_always, NULL), 0);
    assert_int_equal(
        pthread_create(&threads[NUM_WRITERS + 1], NULL, look_always, NULL), 0);
    for (size_t i = 0; i < NUM_WRITERS + 2; i++) {
        t.is_over = i >= NUM_WRITERS;
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(t.num_wrong, 0);
    for (int round = 0; round < 2; round++) {
        size_t count = 0;
        for (uint32_t n = 0; n < NUM_WRITERS * NUM_OF_EACH; n++) {
            uint32_t have = t.have[n / NUM_OF_EACH][n % NUM_OF_EACH];
            assert_true(is_row(n, have));
            count += have != 0;
        }
        assert_int_equal(qcd_samap_count(t.map), count);
        qcd_samap_close(t.map);
        t.map = samap_box_open(b);
    }
    qcd_samap_close(t.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {BOX_TEST(test_threads)};

    samap_box_in_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
