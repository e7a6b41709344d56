/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_peers.c: a gateway with live, lost and buried IKE SAs, the peer that
 * holds its tokens, and an attacker, over any sequence of steps.
 *
 * The input is the settings, and then steps: one octet that chooses it, and
 * what it reads.  The model is the list of SAs.  It knows which of them are
 * live, why the others are not, and which tokens the peer was given. */
#include "fuzz_peers.h"

peers world;

const qcd_address addresses[NUM_ADDRESSES] = {
    {4, {192, 0, 2, 1}},
    {4, {198, 51, 100, 2}},
    {16, {0x20, 1, 0xd, 0xb8, [15] = 1}},
    {16, {0x20, 1, 0xd, 0xb8, [15] = 2}},
    {7, {1}}};

uint8_t next_u8(void)
{
    return rd_u8(&world.r);
}

sa *next_sa(void)
{
    return &world.sas[next_u8() % NUM_SAS];
}

/* An address that a packet can come from, or any that a map may have. */
qcd_address next_address(bool may_be_invalid)
{
    return addresses[next_u8() % (NUM_ADDRESSES - (may_be_invalid ? 0 : 1))];
}

/* ---- The gateway ------------------------------------------------------- */

static void start_maker(void)
{
    enum qcd_err err =
        qcd_maker_init(&world.maker, &world.settings, &world.state);
    DEMAND(err == QCD_OK);
    world.num_answers = 0;
    world.started_ms = world.now_ms;
}

static void start_world(void)
{
    qcd_maker_settings *s = &world.settings;
    uint8_t choice = next_u8();

    memset(&world.settings, 0, sizeof(world.settings));
    memset(&world.state, 0, sizeof(world.state));
    memset(world.sas, 0, sizeof(world.sas));
    world.now_ms = 1000000;
    s->node = NODE;
    s->token_len = (uint8_t)(QCD_TOKEN_MIN + choice % 17);
    s->is_bound = (choice & 0x20) != 0;
    s->reply_rate = (choice & 0x40) != 0 ? 3 : 1000;
    s->reply_burst = (choice & 0x40) != 0 ? 2 : 2000;
    s->source_rate = next_u8();
    if ((choice & 0x80) != 0) {
        qcd_takeover_add(&s->takeover, PARTNER);
        s->takeover.address = addresses[1];
    }
    world.state.num_secrets = 1 + next_u8() % QCD_GENERATIONS_MAX;
    world.state.run = 10;
    for (size_t i = 0; i < sizeof(world.state.secrets); i++) {
        world.state.secrets[i / QCD_SECRET_LEN].octets[i % QCD_SECRET_LEN] =
            (uint8_t)(i * 7);
    }
    start_maker();
    DEMAND(qcd_taker_init(&world.taker, next_u8(), world.state.random) ==
           QCD_OK);
    uint8_t window = next_u8();
    qcd_pace_init(&world.pace, window % 32, window);
    qcd_retry_init(&world.retry, world.now_ms);
}

/* A new SA takes the place of one that nobody asks for any more. */
static void step_mint(void)
{
    sa *s = next_sa();
    enum qcd_role role = next_u8() % 2 == 0 ? QCD_INITIATOR : QCD_RESPONDER;
    qcd_spi ours;
    qcd_spi theirs = {{0x33, next_u8()}};

    enum qcd_err err = qcd_maker_mint(&world.maker, &ours);
    if (err != QCD_OK) {
        DEMAND(err == QCD_ERR_EXHAUSTED && fuzz_is_zero(&ours, sizeof(ours)));
        DEMAND(world.maker.mint.counter == QCD_COUNTER_END);
        return;
    }
    for (size_t i = 0; i < NUM_SAS; i++) {
        const qcd_spi *other = qcd_ike_sa_local(&world.sas[i].ike);
        DEMAND(memcmp(other, &ours, sizeof(ours)) != 0);
    }
    memset(s, 0, sizeof(*s));
    s->fate = LIVE;
    s->ike.role = role;
    s->ike.spis = role == QCD_INITIATOR ? (qcd_spis){ours, theirs}
                                        : (qcd_spis){theirs, ours};
    DEMAND(qcd_maker_knows(&world.maker, &ours));
    DEMAND(qcd_maker_owns(&world.maker, &s->ike));
}

/* keep is what qcd_taker_store must do. */
static void keep(sa *s, const qcd_token *token)
{
    for (size_t i = 0; i < s->num_tokens; i++) {
        if (memcmp(&s->tokens[i], token, sizeof(*token)) == 0) {
            return;
        }
    }
    if (s->num_tokens == QCD_HELD_MAX) {
        memmove(s->tokens, s->tokens + 1, sizeof(*token) * (QCD_HELD_MAX - 1));
        s->num_tokens--;
    }
    s->tokens[s->num_tokens++] = *token;
}

static void step_offer(void)
{
    sa *s = next_sa();
    uint8_t choice = next_u8();
    const qcd_offer offer = {.taker = next_address(false),
                             .is_request = (choice & 1) != 0,
                             .message_id = choice >> 4};
    qcd_token token;
    qcd_token newest;

    if (s->fate != LIVE) {
        return;
    }
    bool is_due =
        qcd_maker_is_due(&world.maker, &s->promise, &s->ike, &offer.taker);
    bool is_offered =
        qcd_maker_offer(&world.maker, &s->promise, &token, &s->ike, &offer);
    DEMAND(is_offered == is_due);
    if (!is_offered) {
        DEMAND(fuzz_is_zero(&token, sizeof(token)));
        return;
    }
    DEMAND(token_make(&world.maker, &newest, &s->ike, 0, &offer.taker) ==
           QCD_OK);
    DEMAND(memcmp(&token, &newest, sizeof(token)) == 0);
    if ((choice & 2) == 0) { /* or it is lost on the way */
        qcd_taker_store(&world.taker, &s->held, &token);
        keep(s, &token);
    }
    if (!offer.is_request) {
        DEMAND(qcd_maker_age(&world.maker, &s->promise) == 0);
        DEMAND(!qcd_maker_is_last(&world.maker, &s->promise));
    }
}

static void step_answered(void)
{
    sa *s = next_sa();
    uint32_t message_id = next_u8();
    bool had_token = s->promise.is_sent && s->promise.message_id == message_id;

    DEMAND(qcd_promise_answered(&s->promise, message_id) == had_token);
}

/* The daemon is killed and starts again.  Its SAs are lost. */
static void step_crash(void)
{
    bool is_afresh = world.state.run == UINT16_MAX;

    /* An SPI of an earlier run is evidence, however its SA ended.  After the
     * last run there is a new seal, which says nothing of earlier SPIs. */
    for (size_t i = 0; i < NUM_SAS; i++) {
        sa *s = &world.sas[i];
        s->is_foreign = s->is_foreign || is_afresh;
        s->told_ms = 0;
        if (s->fate != NONE) {
            s->fate = s->is_foreign ? GONE : LOST;
        }
    }
    world.state.seal_key[0] = (uint8_t)(world.state.seal_key[0] + is_afresh);
    world.state.run = is_afresh ? 1 : (uint16_t)(world.state.run + 1);
    start_maker();
}

static void step_next_run(void)
{
    uint16_t run = (uint16_t)(world.state.run + next_u8() * next_u8());
    bool is_above = run > world.state.run;

    DEMAND(qcd_maker_next_run(&world.maker, run) ==
           (is_above ? QCD_OK : QCD_ERR_RANGE));
    world.state.run = is_above ? run : world.state.run;
    DEMAND(qcd_maker_run(&world.maker) == world.state.run);
}

static void step_use_up(void)
{
    uint32_t counter = QCD_COUNTER_END - next_u8() % 3;

    /* No SPI is minted twice. */
    if (counter > world.maker.mint.counter) {
        world.maker.mint.counter = counter;
    }
}

static void step_rotate(void)
{
    qcd_maker_state *state = &world.state;
    qcd_secret newest = {{next_u8(), next_u8(), 0xee}};

    memmove(state->secrets + 1, state->secrets,
            sizeof(newest) * (QCD_GENERATIONS_MAX - 1));
    state->secrets[0] = newest;
    if (state->num_secrets < QCD_GENERATIONS_MAX) {
        state->num_secrets++;
    }
    qcd_maker_rotate(&world.maker, &newest);
}

/* The SA is closed.  Only a peer that was given a token is remembered. */
static void step_close(void)
{
    sa *s = next_sa();
    bool is_burial = next_u8() % 2 == 0;
    bool has_token = s->promise.is_given || s->promise.is_sent;

    if (s->fate != LIVE) {
        return;
    }
    s->fate = GONE;
    if (is_burial) {
        qcd_maker_bury(&world.maker, &s->ike, &s->promise);
        s->fate = has_token ? BURIED : GONE;
    }
}

/* ---- The rest ------------------------------------------------------------ */

static void step_time(void)
{
    uint64_t passed = next_u8();

    world.now_ms += passed < 0xf0 ? passed : (passed - 0xef) * 100000;
}

/* Invalid values are refused, and leave nothing behind. */
static void step_invalid(void)
{
    static qcd_maker maker;
    static qcd_taker taker;
    const qcd_origin origin = {.run = 1, .counter = QCD_COUNTER_END};
    qcd_maker_settings settings = world.settings;
    qcd_maker_state state = world.state;
    qcd_spi spi;
    uint8_t choice = next_u8();

    settings.token_len = choice % 4 == 0 ? choice % 16 : settings.token_len;
    settings.reply_rate = choice % 4 == 1 ? QCD_RATE_MAX + 1 : choice;
    state.num_secrets = choice % 4 == 2 ? choice % 2 * 5 : state.num_secrets;
    state.run = choice % 4 == 3 ? 0 : state.run;
    DEMAND(qcd_maker_init(&maker, &settings, &state) == QCD_ERR_RANGE);
    DEMAND(fuzz_is_zero(&maker.settings, sizeof(maker.settings)));
    DEMAND(fuzz_is_zero(&maker.keys, sizeof(maker.keys)));
    DEMAND(qcd_maker_mint(&maker, &spi) == QCD_ERR_EXHAUSTED);
    DEMAND(qcd_taker_init(&taker, QCD_RATE_MAX + 1, state.random) ==
           QCD_ERR_RANGE);
    DEMAND(spi_seal(&spi, &world.maker.seal, &origin) == QCD_ERR_RANGE);
    qcd_wipe(NULL, 0);
}

static void check_always(void)
{
    for (size_t i = 0; i < NUM_SAS; i++) {
        const sa *s = &world.sas[i];
        if (s->fate == LIVE) {
            DEMAND(!qcd_maker_is_lost(&world.maker, &s->ike));
        }
        if (s->fate == LIVE || s->fate == LOST) {
            DEMAND(qcd_maker_owns(&world.maker, &s->ike) == (s->fate == LIVE));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    static void (*const steps[])(void) = {
        step_mint,   step_offer,  step_answered, step_crash,   step_next_run,
        step_use_up, step_rotate, step_close,    step_request, step_lost,
        step_forge,  step_time,   step_pace,     step_retry,   step_invalid};

    rd_init(&world.r, in, in_len);
    start_world();
    while (world.r.len > 0) {
        steps[next_u8() % (sizeof(steps) / sizeof(steps[0]))]();
        check_always();
    }
    qcd_maker_wipe(&world.maker);
    qcd_taker_wipe(&world.taker);
    return 0;
}
