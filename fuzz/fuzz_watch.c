/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_watch.c: what the kernel, and others, send to the sockets of a watch.
 *
 * fuzz_kernel.c plays the kernel.  The input is steps: one octet that chooses
 * it, and what it reads.  SPIs are added and removed, while the kernel obeys,
 * refuses, or answers with any octets; packets are logged, well-formed or not.
 *
 *   - after a success the kernel has exactly the SPIs of the watch;
 *   - nothing that another process sends has an effect;
 *   - each packet that was logged is delivered, in order and unchanged. */
#include "fuzz_kernel.h"

#include <qcd/watch.h>

enum { SPIS_AT_ONCE = 20, PACKETS_MAX = 8 };

static qcd_watch *watch;
static qcd_watch_report report;
static bool is_in[KERNEL_SPIS]; /* what the watch should have */

static qcd_child_spi spi_of(uint8_t n)
{
    return (qcd_child_spi){{0, 0, 0, n % KERNEL_SPIS}, QCD_ESP};
}

static size_t num_in(void)
{
    size_t num = 0;

    for (size_t i = 0; i < KERNEL_SPIS; i++) {
        num += is_in[i] ? 1 : 0;
    }
    return num;
}

/* check compares the sets of the watch and of the kernel. */
static void check(enum qcd_watch_err err)
{
    DEMAND(qcd_watch_count(watch) == num_in());
    DEMAND((err == QCD_WATCH_OK) == (report.text[0] == '\0'));
    if (err == QCD_WATCH_OK && !kernel.has_lied) {
        DEMAND(kernel.has_table == (num_in() > 0));
        DEMAND(num_in() == 0 ||
               memcmp(kernel.has_spi, is_in, sizeof(is_in)) == 0);
    }
}

static size_t read_spis(qcd_child_spi spis[SPIS_AT_ONCE])
{
    size_t num = next_u8() % (SPIS_AT_ONCE + 1);

    for (size_t i = 0; i < num; i++) {
        spis[i] = spi_of(next_u8());
    }
    return num;
}

static void step_add(void)
{
    qcd_child_spi spis[SPIS_AT_ONCE];
    size_t num = read_spis(spis);

    kernel_choose();
    enum qcd_watch_err err = qcd_watch_add(watch, &report, spis, num);
    for (size_t i = 0; err == QCD_WATCH_OK && i < num; i++) {
        is_in[spis[i].octets[3]] = spis[i].octets[3] != 0;
    }
    check(err);
}

static void step_remove(void)
{
    qcd_child_spi spis[SPIS_AT_ONCE];
    size_t num = read_spis(spis);

    kernel_choose();
    enum qcd_watch_err err = qcd_watch_remove(watch, &report, spis, num);
    for (size_t i = 0; i < num; i++) {
        is_in[spis[i].octets[3]] = false;
    }
    check(err);
}

/* Another process may remove a table without owner. */
static void step_lose(void)
{
    kernel.has_table = false;
    memset(kernel.has_spi, 0, sizeof(kernel.has_spi));
    kernel.has_lied = true;
}

/* ---- Packets ----------------------------------------------------------- */

/* Several messages in one datagram, each with a packet.  The watch must deliver
 * those that are ESP or AH, and cuts them off. */
static void step_packets(void)
{
    qcd_traffic want[PACKETS_MAX];
    qcd_traffic got;
    size_t num_want = 0;
    size_t num = next_u8() % PACKETS_MAX;

    kernel_begin_log();
    for (size_t i = 0; i < num; i++) {
        size_t len;
        const uint8_t *octets = next_octets(&len, 160);
        size_t cut = len < KERNEL_COPY ? len : KERNEL_COPY;

        if (octets != NULL && kernel_log(octets, len) &&
            qcd_traffic_decode(&want[num_want], octets, cut) == QCD_OK) {
            num_want++;
        }
    }
    kernel_end_log();
    for (size_t i = 0; i < num_want; i++) {
        DEMAND(qcd_watch_read(watch, &got));
        DEMAND(memcmp(&got, &want[i], sizeof(got)) == 0);
    }
    DEMAND(!qcd_watch_read(watch, &got));
    DEMAND(fuzz_is_zero(&got, sizeof(got)));
}

/* Any octets as a datagram to the socket of the packets. */
static void step_noise(void)
{
    uint8_t choice = next_u8();
    size_t len;
    const uint8_t *octets = next_octets(&len, 400);
    qcd_traffic got;

    if (octets == NULL) {
        return;
    }
    kernel_noise(octets, len, (choice & 1) != 0, choice >> 1);
    for (size_t i = 0; i < len / 20 + 2 && qcd_watch_read(watch, &got); i++) {
        DEMAND((choice & 1) != 0); /* from the kernel */
        DEMAND(got.len > 0 && got.child_spi.protocol != 0);
    }
    DEMAND(!qcd_watch_read(watch, &got));
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    static void (*const steps[])(void) = {step_add,     step_remove, step_lose,
                                          step_packets, step_noise,  step_add};
    qcd_watch_settings settings;

    kernel_start(in, in_len);
    memset(is_in, 0, sizeof(is_in));
    settings.rate = next_u8();
    settings.nat_port = next_u8() % 2 == 0 ? 0 : 4500;
    qcd_watch_close(NULL);
    kernel_choose();
    enum qcd_watch_err err = qcd_watch_open(&watch, &report, &settings);
    DEMAND((err == QCD_WATCH_OK) == (watch != NULL));
    DEMAND((err == QCD_WATCH_OK) == (report.text[0] == '\0'));
    DEMAND(watch == NULL || qcd_watch_fd(watch) == KERNEL_LOG_FD);
    while (watch != NULL && kernel.r.len > 0) {
        steps[next_u8() % (sizeof(steps) / sizeof(steps[0]))]();
    }
    if (watch != NULL) {
        kernel_obey();
        check(qcd_watch_add(watch, &report, NULL, 0));
        qcd_watch_close(watch);
        /* Whatever it said before, it obeyed when it was told to remove the
         * table. */
        kernel.has_lied = false;
    }
    kernel_stop();
    return 0;
}
