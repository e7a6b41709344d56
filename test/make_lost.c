/* SPDX-License-Identifier: Apache-2.0 */
/* make_lost.c: fills a gateway's folder as a daemon leaves it that had many
 * child SAs and was killed.  It does what the daemon does: starts a run, mints
 * the IKE SPIs, puts the rows.  The gateway must be down.
 *
 *   make_lost FOLDER NODE LOCAL PEER COUNT SAME
 *
 * LOCAL is the gateway's address; the first SAME peers have PEER, and the
 * others those that follow it, each an IKE SA of which the gateway was the
 * responder. A line for each of them: the child's SPI, both IKE SPIs, the
 * peer's address. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <qcd/store.h>

enum { PORT = 4500, LIFETIME_S = 3600, FIRST_SPI = 0x0a000001 };

static void demand(bool is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "make_lost: %s\n", what);
        exit(1);
    }
}

static void set_address(qcd_address *out, uint32_t address)
{
    address = htonl(address);
    out->len = sizeof(address);
    memcpy(out->octets, &address, sizeof(address));
}

static void make_row(qcd_samap_row *out, uint32_t n, uint32_t local,
                     uint32_t peer, qcd_maker *maker)
{
    uint32_t spi = htonl(FIRST_SPI + n);

    memset(out, 0, sizeof(*out));
    memcpy(out->child_spi.octets, &spi, sizeof(spi));
    out->child_spi.protocol = QCD_ESP;
    out->encap = true;
    out->sa.role = QCD_RESPONDER;
    memcpy(out->sa.spis.initiator.octets, &spi, sizeof(spi));
    demand(qcd_maker_mint(maker, &out->sa.spis.responder) == QCD_OK,
           "no SPI can be minted");
    set_address(&out->local, local);
    set_address(&out->peer, peer);
    out->local_port = PORT;
    out->peer_port = PORT;
    out->expires = (uint64_t)time(NULL) + LIFETIME_S;
}

static void print_octets(const uint8_t *octets, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        printf("%02x", octets[i]);
    }
    printf(" ");
}

static void print_row(const qcd_samap_row *row)
{
    char text[INET_ADDRSTRLEN];

    print_octets(row->child_spi.octets, QCD_CHILD_SPI_LEN);
    print_octets(row->sa.spis.initiator.octets, QCD_SPI_LEN);
    print_octets(row->sa.spis.responder.octets, QCD_SPI_LEN);
    printf("%s\n", inet_ntop(AF_INET, row->peer.octets, text, sizeof(text)));
}

/* The daemon's order: first the store, whose lock excludes others. */
static qcd_store *start_run(const char *folder, uint8_t node, qcd_maker *maker)
{
    const qcd_maker_settings maker_settings = {.node = node,
                                               .token_len = QCD_TOKEN_MIN};
    qcd_maker_state state;
    qcd_store *store;
    qcd_store_report report;
    qcd_store_settings settings = {.path = folder, .node = node};

    demand(qcd_store_open(&store, &report, &settings, (uint64_t)time(NULL)) ==
               QCD_STORE_OK,
           report.text);
    demand(qcd_store_state(store, &report, &state) == QCD_STORE_OK,
           report.text);
    demand(qcd_maker_init(maker, &maker_settings, &state) == QCD_OK,
           "no maker");
    return store;
}

static uint32_t read_address(const char *text)
{
    struct in_addr address;

    demand(inet_pton(AF_INET, text, &address) == 1, "no IPv4 address");
    return ntohl(address.s_addr);
}

int main(int argc, char **argv)
{
    qcd_store_report report;
    qcd_samap *map;
    static qcd_maker maker;

    if (argc != 7) {
        fprintf(stderr, "usage: make_lost FOLDER NODE LOCAL PEER COUNT SAME\n");
        return 2;
    }
    uint8_t node = (uint8_t)strtoul(argv[2], NULL, 10);
    uint32_t local = read_address(argv[3]);
    uint32_t peer = read_address(argv[4]);
    uint32_t count = (uint32_t)strtoul(argv[5], NULL, 10);
    uint32_t same = (uint32_t)strtoul(argv[6], NULL, 10);
    qcd_store *store = start_run(argv[1], node, &maker);
    demand(qcd_samap_open(&map, &report, argv[1]) == QCD_STORE_OK, report.text);
    for (uint32_t n = 0; n < count; n++) {
        qcd_samap_row row;
        make_row(&row, n, local, n < same ? peer : peer + n, &maker);
        row.node = node;
        row.run = qcd_store_run(store);
        demand(qcd_samap_put(map, &report, &row) == QCD_STORE_OK, report.text);
        print_row(&row);
    }
    qcd_samap_close(map);
    qcd_store_close(store);
    return 0;
}
