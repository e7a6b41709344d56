/* SPDX-License-Identifier: Apache-2.0 */
/* maker_box.c: shared by the tests of src/maker.c. */
#include "maker_box.h"

qcd_maker maker;
const qcd_address peer = {4, {192, 0, 2, 1}};
const qcd_address stranger = {4, {198, 51, 100, 1}};

int maker_set_up(void **state)
{
    const qcd_maker_settings settings = {.node = NODE,
                                         .token_len = TOKEN_LEN,
                                         .reply_rate = QCD_RATE_MAX,
                                         .reply_burst = QCD_RATE_MAX,
                                         .source_rate = QCD_RATE_MAX};
    qcd_maker_state begin = {.num_secrets = QCD_GENERATIONS_MAX,
                             .run = FIRST_RUN};

    (void)state;
    count_up(begin.seal_key, 1, sizeof(begin.seal_key));
    count_up(begin.secrets, 0, sizeof(begin.secrets));
    count_up(begin.random, 1, sizeof(begin.random));
    assert_int_equal(qcd_maker_init(&maker, &settings, &begin), QCD_OK);
    assert_int_equal(qcd_maker_next_run(&maker, RUN), QCD_OK);
    maker.mint.counter = 1000;
    return 0;
}

void set_limits(uint32_t rate, uint32_t burst, uint32_t rate_source)
{
    uint8_t key[QCD_RANDOM_KEY_LEN];

    count_up(key, 1, sizeof(key));
    assert_int_equal(
        reply_limit_init(&maker.replies, rate, burst, rate_source, key),
        QCD_OK);
    source_limit_init(&maker.lost, 1, key);
}

void set_generations(size_t num)
{
    qcd_secret secrets[QCD_GENERATIONS_MAX];

    count_up(secrets, 0, sizeof(secrets));
    assert_int_equal(keys_init(&maker.keys, secrets, num), QCD_OK);
}

/* ---- SPIs and tokens ---- */

const char *const which_names[NUM_SPIS] = {"peer",   "zero",       "dead",
                                           "live",   "older live", "buried",
                                           "future", "other node"};

qcd_spi sealed(uint8_t node, uint16_t run, uint32_t counter)
{
    const qcd_origin origin = {node, run, counter};
    qcd_spi spi;

    assert_int_equal(spi_seal(&spi, &maker.seal, &origin), QCD_OK);
    return spi;
}

qcd_spi dead_spi(uint32_t n)
{
    return sealed(NODE, FIRST_RUN - 1, n);
}

qcd_spi spi_which(enum which which)
{
    qcd_spi spi = {{0}};

    switch (which) {
    case ZERO:
        return spi;
    case DEAD:
        return dead_spi(3);
    case LIVE:
        return sealed(NODE, RUN, 3);
    case OLDER_LIVE:
        return sealed(NODE, FIRST_RUN, 3);
    case BURIED:
        return sealed(NODE, RUN, 4);
    case FUTURE:
        return sealed(NODE, RUN + 1, 3);
    case OTHER_NODE:
        return sealed(NODE + 1, FIRST_RUN - 1, 3);
    case PEER:
    case NUM_SPIS:
    default:
        count_up(&spi, 0x21, sizeof(spi));
        return spi;
    }
}

qcd_spis spis_of(enum qcd_role role, qcd_spi local, qcd_spi remote)
{
    return role == QCD_INITIATOR ? (qcd_spis){local, remote}
                                 : (qcd_spis){remote, local};
}

qcd_token token_of(const qcd_address *taker, size_t len, size_t generation,
                   const qcd_ike_sa *sa)
{
    qcd_token token;

    const qcd_maker_settings before = maker.settings;

    maker.settings.token_len = (uint8_t)len;
    maker.settings.is_bound = taker != NULL;
    assert_int_equal(token_make(&maker, &token, sa, generation, taker), QCD_OK);
    maker.settings = before;
    return token;
}

/* ---- Requests and replies ---- */

qcd_header dead_request(void)
{
    const qcd_header h = {.spis = {spi_which(PEER), spi_which(DEAD)},
                          .next_payload = PAYLOAD_SK,
                          .version = 0x20,
                          .exchange_type = 37,
                          .flags = QCD_FLAG_INITIATOR,
                          .message_id = 0x81828384};

    return h;
}

uint8_t *datagram(const qcd_header *h, const void *body, size_t body_len,
                  size_t len)
{
    const uint8_t filling[] = {0, 0, (uint8_t)((len - QCD_HEADER_LEN) >> 8),
                               (uint8_t)(len - QCD_HEADER_LEN)};
    uint8_t *out = calloc(1, len > 0 ? len : 1);
    static uint8_t whole[70000];
    qcd_header sent = *h;
    wr w;

    assert_non_null(out);
    assert_true(len <= sizeof(whole));
    sent.length = (uint32_t)len;
    memset(whole, 0, len > 40 ? len : 40);
    wr_init(&w, whole, sizeof(whole));
    header_write(&w, &sent);
    wr_bytes(&w, body != NULL ? body : filling,
             body != NULL ? body_len : sizeof(filling));
    memcpy(out, whole, len);
    return out;
}

enum qcd_judgement judge_request(qcd_header *out, const uint8_t *in,
                                 size_t in_len)
{
    const qcd_packet packet = {.octets = in, .len = in_len, .source = peer};

    dirty(out, sizeof(*out));
    return qcd_maker_judge(&maker, out, &packet, START_MS);
}

enum qcd_judgement judge_header(qcd_header *out, const qcd_header *h,
                                size_t len)
{
    uint8_t *in = datagram(h, NULL, 0, len);
    enum qcd_judgement judgement = judge_request(out, in, len);

    free(in);
    return judgement;
}

enum qcd_err reply(qcd_datagram *out, const qcd_header *request,
                   const qcd_address *taker, uint8_t token_len, uint64_t now_ms)
{
    maker.settings.token_len = token_len;
    maker.settings.is_bound = taker != NULL;
    dirty(out, sizeof(*out));
    return qcd_maker_reply(&maker, out, request, taker != NULL ? taker : &peer,
                           now_ms);
}

/* ---- Lost SAs ---- */

qcd_lost lost_in(enum qcd_role role)
{
    const qcd_lost lost = {
        .sa = {spis_of(role, spi_which(DEAD), spi_which(PEER)), role},
        .child_spi = {{0xc1, 0xc2, 0xc3, 0xc4}, QCD_ESP},
        .peer = peer,
        .peer_port = PEER_PORT};

    return lost;
}

enum qcd_err tell(qcd_datagram *out, const qcd_lost *lost,
                  const qcd_address *taker, uint8_t token_len,
                  size_t packet_len)
{
    qcd_lost at_taker = *lost;
    qcd_traffic packet = {.len = packet_len, .source = peer};

    maker.settings.token_len = token_len;
    maker.settings.is_bound = taker != NULL;
    if (taker != NULL) {
        at_taker.peer = *taker;
        packet.source = *taker;
    }
    dirty(out, sizeof(*out));
    return qcd_maker_tell(&maker, out, &at_taker,
                          packet_len == NOT_ASKED ? NULL : &packet, 0);
}

/* ---- What a message shows ---- */

bool shows(const qcd_datagram *out, const qcd_token *token)
{
    for (size_t i = 0; i + token->len <= out->len; i++) {
        if (memcmp(out->octets + i, token->octets, token->len) == 0) {
            return true;
        }
    }
    return false;
}

/* The generation of `token`. */
static size_t generation_of(const qcd_token *token, const qcd_ike_sa *sa)
{
    for (size_t g = 0; g < maker.keys.num_generations; g++) {
        qcd_token made = token_of(NULL, token->len, g, sa);

        if (memcmp(&made, token, sizeof(made)) == 0) {
            return g;
        }
    }
    fail_msg("a token of no generation");
    return SIZE_MAX;
}

size_t shown_first(const qcd_message *m, enum qcd_role role)
{
    const qcd_ike_sa sa = {m->header.spis, role};
    size_t first = generation_of(&m->tokens[0], &sa);
    size_t next = 0;

    for (size_t i = 1; i < m->num_tokens; i++) {
        next += next == first;
        assert_int_equal(generation_of(&m->tokens[i], &sa), next);
        next++;
    }
    return first;
}

/* ---- Arguments with which no message can be made ---- */

static const message_row common_rows[] = {
    {"token of 15", 15, 0xff, 80, QCD_ERR_RANGE},
    {"token of 16", 16, 0xff, 80, QCD_OK},
    {"token of 32", 32, 0xff, 80, QCD_OK},
    {"token of 33", 33, 0xff, 80, QCD_ERR_RANGE},
    {"address of 4", 32, 4, 80, QCD_OK},
    {"address of 5", 32, 5, 80, QCD_ERR_RANGE},
    {"address of 16", 32, 16, 80, QCD_OK},
};

static void check_message(make_message *make, const message_row *row)
{
    const qcd_address address = {.len = row->address_len};
    qcd_datagram out;

    CHECK_INT(row->name,
              make(&out, address.len == 0xff ? NULL : &address, row->token_len,
                   row->asked_len),
              row->want);
    CHECK(row->name, (out.len > 0) == (row->want == QCD_OK));
    CHECK(row->name,
          is_zero(out.octets + out.len, sizeof(out.octets) - out.len));
}

void check_messages(make_message *make, const message_row *rows, size_t num)
{
    for (size_t i = 0; i < NUM_ROWS(common_rows); i++) {
        check_message(make, &common_rows[i]);
    }
    for (size_t i = 0; i < num; i++) {
        check_message(make, &rows[i]);
    }
}
