/* SPDX-License-Identifier: Apache-2.0 */
/* esp.c: a token maker replies to ESP of SAs that it lost (RFC 6290 section
 * 8.2).
 *
 *     esp FOLDER
 *
 * FOLDER was left by a daemon that was killed: its secrets, its run and its SA
 * map.  If a packet has the SPI of a child SA in that map, its sender is told
 * that the SA is lost, from UDP port 500 or 4500.  The program needs
 * CAP_NET_ADMIN. */
#include <arpa/inet.h>
#include <poll.h>
#include <qcd/store.h>
#include <qcd/watch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MARKER_LEN = 4, BATCH = 64 };

static qcd_maker maker;
static qcd_watch *watch;

/* The SPIs of a walk, added to the watch some at a time. */
static qcd_child_spi spis[BATCH];
static size_t num_spis;

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void must(bool ok, const char *text)
{
    if (!ok) {
        (void)fprintf(stderr, "esp: %s\n", text);
        exit(1);
    }
}

static void watch_for_spis(void)
{
    qcd_watch_report report;

    must(qcd_watch_add(watch, &report, spis, num_spis) == QCD_WATCH_OK,
         report.text);
    num_spis = 0;
}

static enum qcd_samap_fate visit(void *user, qcd_samap_row *row)
{
    (void)user;
    if (!qcd_maker_is_lost(&maker, &row->sa)) {
        return qcd_maker_owns(&maker, &row->sa) ? QCD_SAMAP_KEEP
                                                : QCD_SAMAP_DROP;
    }
    spis[num_spis++] = row->child_spi;
    if (num_spis == BATCH) {
        watch_for_spis();
    }
    return QCD_SAMAP_KEEP;
}

/* A daemon has its sockets; the example makes one for each reply. */
static void transmit(const qcd_datagram *message, const qcd_traffic *packet,
                     const qcd_samap_row *row)
{
    struct sockaddr_in us = {.sin_family = AF_INET}, peer = us;
    uint8_t octets[MARKER_LEN + QCD_MESSAGE_MAX] = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    memcpy(&us.sin_addr, packet->destination.octets, sizeof(us.sin_addr));
    memcpy(&peer.sin_addr, packet->source.octets, sizeof(peer.sin_addr));
    us.sin_port =
        htons(packet->encap ? packet->destination_port : row->local_port);
    peer.sin_port = htons(packet->encap ? packet->source_port : row->peer_port);
    size_t skip = us.sin_port == htons(500) ? MARKER_LEN : 0;
    memcpy(octets + MARKER_LEN, message->octets, message->len);
    if (fd < 0 || bind(fd, (struct sockaddr *)&us, sizeof(us)) != 0 ||
        sendto(fd, octets + skip, MARKER_LEN + message->len - skip, 0,
               (struct sockaddr *)&peer, sizeof(peer)) < 0) {
        perror("esp: an answer can't be sent");
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void answer(qcd_samap *map, const qcd_traffic *packet)
{
    qcd_samap_row row;
    qcd_datagram message;

    if (packet->source.len != 4 || packet->destination.len != 4 ||
        !qcd_samap_find(map, &row, &packet->child_spi)) {
        return; /* IPv4 is enough for an example */
    }
    const qcd_lost lost = {row.sa, row.child_spi, row.peer, row.peer_port};
    if (qcd_maker_judge_lost(&maker, &lost, packet, now_ms()) == QCD_ANSWER &&
        qcd_maker_tell(&maker, &message, &lost, packet, now_ms()) == QCD_OK) {
        transmit(&message, packet, &row);
    }
}

int main(int argc, char **argv)
{
    const qcd_maker_settings settings = {.token_len = 32,
                                         .reply_rate = 1000,
                                         .reply_burst = 1000,
                                         .source_rate = 10};
    const qcd_watch_settings what = {.rate = 1000, .nat_port = 4500};
    const qcd_store_settings files = {.path = argv[1]};
    qcd_store_report report;
    qcd_watch_report said;
    qcd_maker_state state;
    qcd_traffic packet;
    qcd_store *store;
    qcd_samap *map = NULL;

    must(argc == 2, "usage: esp FOLDER");
    must(qcd_store_open(&store, &report, &files, (uint64_t)time(NULL)) ==
                 QCD_STORE_OK &&
             qcd_store_state(store, &report, &state) == QCD_STORE_OK,
         report.text);
    if (report.text[0] != '\0') { /* for the log: what was done, and why */
        (void)fprintf(stderr, "esp: %s\n", report.text);
    }
    must(qcd_samap_open(&map, &report, argv[1]) == QCD_STORE_OK, report.text);
    must(qcd_maker_init(&maker, &settings, &state) == QCD_OK, "settings");
    qcd_wipe(&state, sizeof(state));
    must(qcd_watch_open(&watch, &said, &what) == QCD_WATCH_OK, said.text);
    must(qcd_samap_walk(map, &report, visit, NULL) == QCD_STORE_OK,
         report.text);
    watch_for_spis();
    (void)printf("watching for %zu\n", qcd_watch_count(watch));
    (void)fflush(stdout);
    for (;;) {
        struct pollfd in = {qcd_watch_fd(watch), POLLIN, 0};

        must(poll(&in, 1, -1) == 1, "poll");
        while (qcd_watch_read(watch, &packet)) {
            answer(map, &packet);
        }
    }
}
