/* SPDX-License-Identifier: Apache-2.0 */
/* bench_samap.c: the cost of the SA map at a million rows.  A handshake pays
 * only for a put: a gateway adds a row when it makes a child SA, and the flush
 * comes once a second. */
#define _DEFAULT_SOURCE

#include "bench_samap.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <qcd/store.h>

enum {
    NUM_MAP_ROWS = 1000000,
    NUM_OPENS = 5,
    NUM_FLUSHES = 15,
    NUM_CHANGES = 1000,
    NUM_ROUNDS = 31,
    NUM_FINDS = 2000
};

static struct {
    char root[300];
    char folder[320];
    qcd_samap *map;
    uint32_t num;
} s;

static bench_figure figures[] = {
    {"SA map of 1,000,000 rows, opened", 0},
    {"... a row found", 0},
    {"... no row found", 0},
    {"... a row put, for a handshake", 0},
    {"... a row removed", 0},
    {"... 1000 changes flushed", 0},
};

static void demand(int is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "qcd-bench: not so: %s\n", what);
        exit(1);
    }
}

#define DEMAND(cond) demand((cond), #cond)

static double now_ns(void)
{
    struct timespec t;

    DEMAND(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *c)
{
    double x = *(const double *)a;
    double y = *(const double *)c;

    return (x > y) - (x < y);
}

static double median(double *rounds, size_t num)
{
    qsort(rounds, num, sizeof(double), compare);
    return rounds[num / 2];
}

/* SPIs all over the range, all different: the multiplier is odd. */
static qcd_child_spi spi_of(uint32_t n)
{
    qcd_child_spi spi = {.protocol = QCD_ESP};

    n *= 2654435769u;
    memcpy(spi.octets, &n, sizeof(n));
    return spi;
}

static qcd_samap_row row_of(uint32_t n)
{
    qcd_samap_row row = {.child_spi = spi_of(n), .sa.role = QCD_RESPONDER};

    row.sa.spis.responder.octets[0] = (uint8_t)n;
    memcpy(row.sa.spis.responder.octets + 1, &n, sizeof(n));
    memcpy(row.peer_id, &n, sizeof(n));
    row.local.len = 4;
    row.peer.len = 4;
    return row;
}

static void put(uint32_t n)
{
    qcd_store_report report;
    qcd_samap_row row = row_of(n);

    DEMAND(qcd_samap_put(s.map, &report, &row) == QCD_STORE_OK);
}

static void take_out(uint32_t n)
{
    qcd_store_report report;
    qcd_samap_row row = row_of(n);
    bool removed;

    DEMAND(qcd_samap_remove(s.map, &report, &removed, &row) == QCD_STORE_OK);
    DEMAND(removed);
}

static void flush(void)
{
    qcd_store_report report;

    DEMAND(qcd_samap_flush(s.map, &report) == QCD_STORE_OK);
}

static void open_map(void)
{
    qcd_store_report report;
    enum qcd_store_err err = qcd_samap_open(&s.map, &report, s.folder);

    demand(err == QCD_STORE_OK && report.text[0] == '\0', report.text);
}

static void set_up(void)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(s.root, sizeof(s.root), "%.200s/qcd-bench-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    DEMAND(mkdtemp(s.root) != NULL);
    (void)snprintf(s.folder, sizeof(s.folder), "%s/state", s.root);
    open_map();
    for (s.num = 0; s.num < NUM_MAP_ROWS; s.num++) {
        put(s.num);
    }
    flush();
    DEMAND(qcd_samap_count(s.map) == NUM_MAP_ROWS);
}

static void clean_up(void)
{
    char path[400];

    qcd_samap_close(s.map);
    (void)snprintf(path, sizeof(path), "%s/samap", s.folder);
    (void)unlink(path);
    (void)rmdir(s.folder);
    (void)rmdir(s.root);
}

static double time_open(void)
{
    double rounds[NUM_OPENS];

    for (size_t i = 0; i < NUM_OPENS; i++) {
        qcd_samap_close(s.map);
        double start = now_ns();
        open_map();
        rounds[i] = now_ns() - start;
    }
    DEMAND(qcd_samap_count(s.map) == NUM_MAP_ROWS);
    return median(rounds, NUM_OPENS);
}

static double time_find(uint32_t first, bool is_there)
{
    double rounds[NUM_ROUNDS];
    uint32_t n = 0;

    for (size_t i = 0; i < NUM_ROUNDS; i++) {
        double start = now_ns();
        for (size_t k = 0; k < NUM_FINDS; k++) {
            qcd_samap_row row;
            n += 7919;
            const qcd_child_spi spi = spi_of(first + n % NUM_MAP_ROWS);
            DEMAND(qcd_samap_find(s.map, &row, &spi) == is_there);
        }
        rounds[i] = (now_ns() - start) / NUM_FINDS;
    }
    return median(rounds, NUM_ROUNDS);
}

/* One flush has new rows, and the next has their removal. */
static void time_changes(double *out_put, double *out_remove, double *out_flush)
{
    double puts[NUM_FLUSHES];
    double removes[NUM_FLUSHES];
    double flushes[NUM_FLUSHES];

    for (size_t i = 0; i < NUM_FLUSHES; i++) {
        double start = now_ns();
        for (uint32_t n = 0; n < NUM_CHANGES; n++) {
            put(s.num + n);
        }
        puts[i] = (now_ns() - start) / NUM_CHANGES;
        start = now_ns();
        flush();
        flushes[i] = now_ns() - start;
        start = now_ns();
        for (uint32_t n = 0; n < NUM_CHANGES; n++) {
            take_out(s.num + n);
        }
        removes[i] = (now_ns() - start) / NUM_CHANGES;
        flush();
        s.num += NUM_CHANGES;
    }
    *out_put = median(puts, NUM_FLUSHES);
    *out_remove = median(removes, NUM_FLUSHES);
    *out_flush = median(flushes, NUM_FLUSHES);
}

const bench_figure *bench_samap(size_t *out_num)
{
    set_up();
    figures[0].ns = time_open();
    figures[1].ns = time_find(0, true);
    figures[2].ns = time_find(NUM_MAP_ROWS, false);
    time_changes(&figures[3].ns, &figures[4].ns, &figures[5].ns);
    clean_up();
    *out_num = sizeof(figures) / sizeof(figures[0]);
    return figures;
}
