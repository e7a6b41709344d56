/* SPDX-License-Identifier: Apache-2.0 */
/* watch_harness.c: libqcd-watch without a daemon, for lab/test_nft.py:
 *
 *   watch_harness RATE NAT-PORT
 *
 * It reads commands, one on each line, and writes lines:
 *
 *   ready | none                what qcd_watch_open gave
 *   add FIRST COUNT             -> done 1|0 COUNT-OF-ALL SECONDS
 *   remove FIRST COUNT          -> done 1|0 COUNT-OF-ALL SECONDS
 *   EOF                         closes it -> end
 *   packet HEX                  a packet that was delivered, unchanged
 *   log TEXT                    what was logged
 *
 * SPIs are FIRST, FIRST + 1, and so on. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "watch/watch.h"

static void write_report(const qcd_watch_report *report)
{
    if (report->text[0] != '\0') {
        printf("log %s\n", report->text);
    }
}

static void write_packets(qcd_watch *watch)
{
    const uint8_t *octets;
    size_t len;

    while ((octets = nflog_read(&watch->log, &len)) != NULL) {
        printf("packet ");
        for (size_t i = 0; i < len; i++) {
            printf("%02x", octets[i]);
        }
        printf("\n");
    }
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool execute(qcd_watch *watch, const char *line)
{
    qcd_watch_report report;
    uint32_t first;
    unsigned count;
    char verb[8];

    if (sscanf(line, "%7s %" SCNu32 " %u", verb, &first, &count) != 3) {
        return false;
    }
    qcd_child_spi *all = calloc(count + 1u, sizeof(*all));
    if (all == NULL) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        uint32_t spi = htonl(first + i);

        memcpy(all[i].octets, &spi, sizeof(spi));
    }
    double begin = now();
    enum qcd_watch_err err = strcmp(verb, "add") == 0
                                 ? qcd_watch_add(watch, &report, all, count)
                                 : qcd_watch_remove(watch, &report, all, count);
    double took = now() - begin;
    free(all);
    write_report(&report);
    printf("done %d %zu %.6f\n", err == QCD_WATCH_OK, qcd_watch_count(watch),
           took);
    return true;
}

/* Reads standard input without stdio's buffer, which poll doesn't see. */
static int read_line(char *line, size_t cap)
{
    size_t len = 0;
    char c;

    while (len + 1 < cap && read(STDIN_FILENO, &c, 1) == 1) {
        if (c == '\n') {
            line[len] = '\0';
            return 1;
        }
        line[len++] = c;
    }
    return 0;
}

static int serve(qcd_watch *watch)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = qcd_watch_fd(watch), .events = POLLIN}};
    char line[128];

    while (poll(fds, 2, -1) > 0) {
        write_packets(watch);
        if (fds[0].revents == 0) {
            continue;
        }
        if (read_line(line, sizeof(line)) == 0) {
            return 0;
        }
        if (!execute(watch, line)) {
            return 2;
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    qcd_watch_report report;
    qcd_watch *watch;
    int status = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: watch_harness RATE NAT-PORT\n");
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    const qcd_watch_settings settings = {
        .rate = (uint32_t)strtoul(argv[1], NULL, 10),
        .nat_port = (uint16_t)strtoul(argv[2], NULL, 10)};
    bool is_open = qcd_watch_open(&watch, &report, &settings) == QCD_WATCH_OK;
    write_report(&report);
    printf(is_open ? "ready\n" : "none\n");
    if (is_open) {
        status = serve(watch);
        qcd_watch_close(watch);
    }
    printf("end\n");
    return status;
}
