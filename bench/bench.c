/* SPDX-License-Identifier: Apache-2.0 */
/* bench.c: the cost of the core and the SA map, in time and memory.  Each
 * figure is the median of its rounds.  The rounds of all figures take turns, so
 * a disturbance of the machine affects all of them.  Ratios compare figures of
 * the same run.
 *
 *     qcd-bench [--json] */
#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "bench_samap.h"
#include "parts.h"

enum { NUM_ROUNDS = 31, ROUND_NS = 4000000, REQUEST_LEN = 80 };
enum { ESP_LEN = 100, ESP_CUT = 20 + 8 + 8 }; /* in UDP, as logged */

static struct {
    qcd_maker maker;
    qcd_lost lost;
    qcd_lost living;
    qcd_taker taker;
    qcd_taker strict;
    qcd_held held;
    qcd_ike_sa sa;
    EVP_MAC_CTX *evp;
    uint8_t secret[QCD_SECRET_LEN];
    uint8_t dead[REQUEST_LEN];
    uint8_t foreign[REQUEST_LEN];
    uint8_t esp[ESP_CUT];
    qcd_datagram reply;
    uint64_t now_ms;
    uint32_t num;
} b;

/* Results are added here, so that the compiler omits none of the work. */
static volatile uint64_t sink;

static void demand(bool is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "qcd-bench: not so: %s\n", what);
        exit(1);
    }
}

#define DEMAND(cond) demand((cond), #cond)

static uint64_t now_ns(void)
{
    struct timespec t;

    DEMAND(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- What is measured -------------------------------------------------- */

/* A token for another SA each time. */
static void next_spis(void)
{
    b.num++;
    memcpy(b.sa.spis.initiator.octets, &b.num, sizeof(b.num));
}

static void make_token(void)
{
    qcd_token token;

    next_spis();
    DEMAND(token_make(&b.maker, &token, &b.sa, 0, NULL) == QCD_OK);
    sink += token.octets[0];
}

/* The same input through OpenSSL: role and SPIs. */
static void openssl_input(uint8_t out[17])
{
    next_spis();
    out[0] = QCD_RESPONDER;
    memcpy(out + 1, &b.sa.spis, sizeof(b.sa.spis));
}

static void openssl_hmac(void)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    uint8_t in[17];
    unsigned out_len;

    openssl_input(in);
    DEMAND(HMAC(EVP_sha256(), b.secret, sizeof(b.secret), in, sizeof(in), out,
                &out_len) != NULL);
    sink += out[0];
}

static void openssl_evp_mac(void)
{
    uint8_t out[32];
    uint8_t in[17];
    size_t out_len;

    openssl_input(in);
    DEMAND(EVP_MAC_init(b.evp, NULL, 0, NULL) == 1);
    DEMAND(EVP_MAC_update(b.evp, in, sizeof(in)) == 1);
    DEMAND(EVP_MAC_final(b.evp, out, &out_len, sizeof(out)) == 1);
    sink += out[0];
}

static void message_decode(void)
{
    qcd_message m;

    DEMAND(qcd_message_decode(&m, b.reply.octets, b.reply.len) == QCD_OK);
    sink += m.num_tokens;
}

static void message_decode_verify(void)
{
    qcd_message m;

    DEMAND(qcd_message_decode(&m, b.reply.octets, b.reply.len) == QCD_OK);
    DEMAND(qcd_taker_check(&b.taker, &b.held, &m) == QCD_MATCHED);
}

/* The cost to a taker of a message about an SA that it has, with 10,000 of them
 * a second: all are checked. */
static void verify_in_limit(void)
{
    const qcd_address source = {.len = 4};
    qcd_message m;

    b.num++;
    b.now_ms += b.num % 10 == 0;
    DEMAND(qcd_message_decode(&m, b.reply.octets, b.reply.len) == QCD_OK);
    DEMAND(qcd_taker_may_check(&b.taker, &source, &m.header.spis, b.now_ms));
    DEMAND(qcd_taker_check(&b.taker, &b.held, &m) == QCD_MATCHED);
}

/* The cost of one that is over the limit. */
static void verify_over_limit(void)
{
    const qcd_address source = {.len = 4};
    qcd_message m;

    DEMAND(qcd_message_decode(&m, b.reply.octets, b.reply.len) == QCD_OK);
    sink += qcd_taker_may_check(&b.strict, &source, &m.header.spis, 0);
}

static void candidate_no(void)
{
    sink += qcd_message_is_candidate(b.foreign, REQUEST_LEN);
}

static void spi_mint(void)
{
    qcd_spi spi;

    b.maker.mint.counter &= 0xffff;
    DEMAND(qcd_maker_mint(&b.maker, &spi) == QCD_OK);
    sink += spi.octets[0];
}

static enum qcd_judgement judge(qcd_header *out, const uint8_t *in)
{
    qcd_packet packet = {
        .octets = in, .len = REQUEST_LEN, .source = {.len = 4}};

    memcpy(packet.source.octets, &b.num, sizeof(b.num));
    return qcd_maker_judge(&b.maker, out, &packet, b.now_ms);
}

/* The cost of a scanner's packet. */
static void judge_foreign(void)
{
    qcd_header h;

    b.num++;
    memcpy(b.foreign + QCD_SPI_LEN, &b.num, sizeof(b.num));
    sink += (uint64_t)judge(&h, b.foreign);
}

/* The cost of a packet that names a dead SA, from another source each time,
 * with 20,000 of them a second, which is beyond the limits. */
static void judge_flood(void)
{
    qcd_header h;

    b.num++;
    b.now_ms += b.num % 20 == 0;
    sink += (uint64_t)judge(&h, b.dead);
}

static void judge_answer(void)
{
    const qcd_address taker = {.len = 4};
    qcd_datagram reply;
    qcd_header h;

    b.num++;
    b.now_ms += 10;
    DEMAND(judge(&h, b.dead) == QCD_ANSWER);
    DEMAND(qcd_maker_reply(&b.maker, &reply, &h, &taker, b.now_ms) == QCD_OK);
    sink += reply.octets[reply.len - 1];
}

static void esp_decode(void)
{
    qcd_traffic esp;

    b.num++;
    memcpy(b.esp + 26, &b.num, 2); /* a checksum, ignored */
    DEMAND(qcd_traffic_decode(&esp, b.esp, sizeof(b.esp)) == QCD_OK);
    sink += esp.child_spi.octets[0];
}

static enum qcd_judgement judge_lost(const qcd_lost *lost)
{
    const qcd_traffic packet = {.source = lost->peer, .len = 100};

    return qcd_maker_judge_lost(&b.maker, lost, &packet, b.now_ms);
}

/* The cost of a packet whose SA is lost according to the map, but lives. */
static void judge_lost_living(void)
{
    sink += (uint64_t)judge_lost(&b.living);
}

/* The cost of a packet from a peer that was told within the second. */
static void judge_lost_told(void)
{
    sink += (uint64_t)judge_lost(&b.lost);
}

/* The same a second later, from another peer each time. */
static void judge_lost_answer(void)
{
    b.num++;
    b.now_ms += 1000;
    memcpy(b.lost.peer.octets, &b.num, sizeof(b.num));
    DEMAND(judge_lost(&b.lost) == QCD_ANSWER);
}

static void maker_tell(void)
{
    const qcd_traffic packet = {.source = b.lost.peer, .len = ESP_LEN};
    qcd_datagram message;

    b.num++;
    memcpy(b.lost.sa.spis.initiator.octets, &b.num, sizeof(b.num));
    DEMAND(qcd_maker_tell(&b.maker, &message, &b.lost, &packet, b.now_ms) ==
           QCD_OK);
    sink += message.octets[message.len - 1];
}

static struct row {
    const char *name;
    void (*run)(void);
    const char *than; /* the row to compare it with */
    double ns;
    double rounds[NUM_ROUNDS];
    uint64_t num; /* runs in a round */
} rows[] = {
    {"token, token_make", make_token, NULL, 0, {0}, 0},
    {"token, OpenSSL EVP_MAC again",
     openssl_evp_mac,
     "token, token_make",
     0,
     {0},
     0},
    {"token, OpenSSL HMAC()", openssl_hmac, "token, token_make", 0, {0}, 0},
    {"SPI, minted", spi_mint, NULL, 0, {0}, 0},
    {"packet that is no candidate", candidate_no, NULL, 0, {0}, 0},
    {"message of 4 tokens, decoded", message_decode, NULL, 0, {0}, 0},
    {"message of 4 tokens, verified", message_decode_verify, NULL, 0, {0}, 0},
    {"message of 4 tokens, limit and all",
     verify_in_limit,
     "message of 4 tokens, verified",
     0,
     {0},
     0},
    {"message of 4 tokens, over the limit",
     verify_over_limit,
     "message of 4 tokens, verified",
     0,
     {0},
     0},
    {"request for a random SPI, silence", judge_foreign, NULL, 0, {0}, 0},
    {"request for a dead SA, flood",
     judge_flood,
     "request for a random SPI, silence",
     0,
     {0},
     0},
    {"request for a dead SA, answered",
     judge_answer,
     "request for a random SPI, silence",
     0,
     {0},
     0},
    {"ESP in UDP, decoded", esp_decode, NULL, 0, {0}, 0},
    {"ESP of a living SA, silence", judge_lost_living, NULL, 0, {0}, 0},
    {"ESP of a lost SA, told just now",
     judge_lost_told,
     "ESP of a living SA, silence",
     0,
     {0},
     0},
    {"ESP of a lost SA, to be answered",
     judge_lost_answer,
     "ESP of a living SA, silence",
     0,
     {0},
     0},
    {"message of 4 tokens for ESP, built", maker_tell, NULL, 0, {0}, 0},
};

#define NUM_ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct {
    const char *name;
    size_t octets;
} sizes[] = {
    {"each IKE SA of a taker, qcd_held", sizeof(qcd_held)},
    {"each IKE SA of a maker, qcd_promise", sizeof(qcd_promise)},
    {"qcd_keys", sizeof(qcd_keys)},
    {"qcd_seal", sizeof(qcd_seal)},
    {"qcd_message", sizeof(qcd_message)},
    {"qcd_graveyard", sizeof(qcd_graveyard)},
    {"qcd_reply_limit", sizeof(qcd_reply_limit)},
    {"qcd_source_limit", sizeof(qcd_source_limit)},
};

#define NUM_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* ---- Setting up -------------------------------------------------------- */

static void fill(void *out, size_t len, uint8_t first)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)out)[i] = (uint8_t)(first + i);
    }
}

static void make_request(uint8_t out[REQUEST_LEN], const qcd_spi *local)
{
    static const uint8_t rest[] = {
        46, 0x20, 37, 8,           0, 0, 0, 7,
        0,  0,    0,  REQUEST_LEN, 0, 0, 0, REQUEST_LEN - QCD_HEADER_LEN};

    fill(out, REQUEST_LEN, 0x21);
    memcpy(out + QCD_SPI_LEN, local, QCD_SPI_LEN);
    memcpy(out + 2 * (size_t)QCD_SPI_LEN, rest, sizeof(rest));
}

static void set_up_maker(void)
{
    const qcd_maker_settings settings = {.node = 7,
                                         .token_len = QCD_TOKEN_MADE_MAX,
                                         .reply_rate = 1000,
                                         .reply_burst = 2000,
                                         .source_rate = 10};
    const qcd_address taker = {.len = 4};
    const qcd_origin origin = {7, 9, 3};
    const qcd_spi foreign = {{9, 9, 9, 9, 9, 9, 9, 9}};
    qcd_maker_state state = {.num_secrets = QCD_GENERATIONS_MAX, .run = 10};
    qcd_header h;
    qcd_spi dead;

    fill(state.secrets, sizeof(state.secrets), 1);
    fill(state.seal_key, sizeof(state.seal_key), 2);
    fill(state.random, sizeof(state.random), 2);
    memcpy(b.secret, state.secrets, sizeof(b.secret));
    DEMAND(qcd_maker_init(&b.maker, &settings, &state) == QCD_OK);
    DEMAND(spi_seal(&dead, &b.maker.seal, &origin) == QCD_OK);
    make_request(b.dead, &dead);
    make_request(b.foreign, &foreign);
    b.sa.role = QCD_RESPONDER;
    fill(&b.sa.spis, sizeof(b.sa.spis), 3);
    DEMAND(judge(&h, b.dead) == QCD_ANSWER);
    DEMAND(qcd_maker_reply(&b.maker, &b.reply, &h, &taker, b.now_ms) == QCD_OK);
}

static void set_up_lost(void)
{
    static const uint8_t ip[] = {0x45, 0,          0,    20 + 8 + ESP_LEN,
                                 0,    1,          0,    0,
                                 64,   17,         0,    0,
                                 192,  0,          2,    1,
                                 192,  0,          2,    2,
                                 0x11, 0x94,       0x11, 0x94,
                                 0,    8 + ESP_LEN};
    const qcd_origin dead = {7, 9, 3};
    const qcd_origin living = {7, 10, 3};

    fill(b.esp, sizeof(b.esp), 0xc1);
    memcpy(b.esp, ip, sizeof(ip));
    b.lost = (qcd_lost){.sa.role = QCD_RESPONDER,
                        .child_spi = {{0xc1, 0xc2, 0xc3, 0xc4}, QCD_ESP},
                        .peer = {.len = 4}};
    fill(&b.lost.sa.spis.initiator, QCD_SPI_LEN, 0x21);
    b.living = b.lost;
    DEMAND(spi_seal(&b.lost.sa.spis.responder, &b.maker.seal, &dead) == QCD_OK);
    DEMAND(spi_seal(&b.living.sa.spis.responder, &b.maker.seal, &living) ==
           QCD_OK);
}

static void set_up_taker(void)
{
    uint8_t random[QCD_RANDOM_KEY_LEN];
    qcd_message m;

    fill(random, sizeof(random), 4);
    DEMAND(qcd_taker_init(&b.taker, 100, random) == QCD_OK);
    DEMAND(qcd_taker_init(&b.strict, 1, random) == QCD_OK);
    pool_init(&b.strict.common, 0, 0);
    DEMAND(qcd_message_decode(&m, b.reply.octets, b.reply.len) == QCD_OK);
    DEMAND(m.num_tokens == 4);
    qcd_taker_store(&b.taker, &b.held, &m.tokens[3]);
    DEMAND(qcd_taker_check(&b.taker, &b.held, &m) == QCD_MATCH);
}

static void set_up_openssl(void)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    DEMAND(mac != NULL);
    b.evp = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    DEMAND(b.evp != NULL);
    DEMAND(EVP_MAC_init(b.evp, b.secret, sizeof(b.secret), params) == 1);
}

/* ---- Measuring --------------------------------------------------------- */

static uint64_t time_of(const struct row *row, uint64_t num)
{
    uint64_t start = now_ns();

    for (uint64_t i = 0; i < num; i++) {
        row->run();
    }
    return now_ns() - start;
}

/* Enough runs to make a round long compared with the cost of the clock. */
static void calibrate(struct row *row)
{
    row->num = 16;
    while (time_of(row, row->num) < ROUND_NS) {
        row->num *= 2;
    }
}

static int compare(const void *a, const void *c)
{
    double x = *(const double *)a;
    double y = *(const double *)c;

    return (x > y) - (x < y);
}

static void measure(void)
{
    for (size_t i = 0; i < NUM_ROWS; i++) {
        calibrate(&rows[i]);
    }
    for (size_t round = 0; round < NUM_ROUNDS; round++) {
        for (size_t i = 0; i < NUM_ROWS; i++) {
            rows[i].rounds[round] =
                (double)time_of(&rows[i], rows[i].num) / (double)rows[i].num;
        }
    }
    for (size_t i = 0; i < NUM_ROWS; i++) {
        qsort(rows[i].rounds, NUM_ROUNDS, sizeof(double), compare);
        rows[i].ns = rows[i].rounds[NUM_ROUNDS / 2];
    }
}

static double ratio_of(const struct row *row)
{
    for (size_t i = 0; row->than != NULL && i < NUM_ROWS; i++) {
        if (strcmp(rows[i].name, row->than) == 0) {
            return row->ns / rows[i].ns;
        }
    }
    return 0;
}

static void print_table(const bench_figure *map, size_t num_map)
{
    printf("%-38s %10s  %s\n", "", "ns", "ratio");
    for (size_t i = 0; i < NUM_ROWS; i++) {
        printf("%-38s %10.1f", rows[i].name, rows[i].ns);
        if (rows[i].than != NULL) {
            printf("  %.1f x '%s'", ratio_of(&rows[i]), rows[i].than);
        }
        printf("\n");
    }
    for (size_t i = 0; i < num_map; i++) {
        printf("%-38s %10.1f\n", map[i].name, map[i].ns);
    }
    printf("\n%-38s %10s\n", "", "octets");
    for (size_t i = 0; i < NUM_SIZES; i++) {
        printf("%-38s %10zu\n", sizes[i].name, sizes[i].octets);
    }
}

static void print_json(const bench_figure *map, size_t num_map)
{
    printf("{\n  \"ns\": {");
    for (size_t i = 0; i < NUM_ROWS; i++) {
        printf("%s\n    \"%s\": %.1f", i > 0 ? "," : "", rows[i].name,
               rows[i].ns);
    }
    for (size_t i = 0; i < num_map; i++) {
        printf(",\n    \"%s\": %.1f", map[i].name, map[i].ns);
    }
    printf("\n  },\n  \"ratio\": {");
    const char *comma = "";
    for (size_t i = 0; i < NUM_ROWS; i++) {
        if (rows[i].than != NULL) {
            printf("%s\n    \"%s / %s\": %.2f", comma, rows[i].name,
                   rows[i].than, ratio_of(&rows[i]));
            comma = ",";
        }
    }
    printf("\n  },\n  \"octets\": {");
    for (size_t i = 0; i < NUM_SIZES; i++) {
        printf("%s\n    \"%s\": %zu", i > 0 ? "," : "", sizes[i].name,
               sizes[i].octets);
    }
    printf("\n  }\n}\n");
}

int main(int argc, char **argv)
{
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;

    if (argc > 1 && !json) {
        fprintf(stderr, "usage: qcd-bench [--json]\n");
        return 2;
    }
    set_up_maker();
    set_up_lost();
    set_up_taker();
    set_up_openssl();
    measure();
    size_t num_map;
    const bench_figure *map = bench_samap(&num_map);
    if (json) {
        print_json(map, num_map);
    } else {
        print_table(map, num_map);
    }
    EVP_MAC_CTX_free(b.evp);
    return 0;
}
