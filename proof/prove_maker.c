/* SPDX-License-Identifier: Apache-2.0 */
/* prove_maker.c: a maker with any valid settings or of all zero, and any
 * sequence of calls with any arguments: packets of 0 to 65,535 octets, SAs and
 * addresses as an unchecked disk may have them. */
#include "ike.h"
#include "proof.h"

static uint8_t octets[PROOF_MAX];
static qcd_maker maker;

static void any_address(qcd_address *out, uint8_t len)
{
    unknown(out, sizeof(*out));
    out->len = len;
}

/* 0 is no address. */
static uint8_t any_len(void)
{
    return any_bool() ? 0 : any_bool() ? 4 : 16;
}

/* Its members may have any value, but a bool has two. */
static void any_promise(qcd_promise *out)
{
    unknown(out, sizeof(*out));
    out->is_given = any_bool();
    out->is_sent = any_bool();
    out->given.taker.len = any_len();
    out->sent.taker.len = any_len();
}

static void start(void)
{
    qcd_maker_settings settings;
    qcd_maker_state state;

    unknown(&settings, sizeof(settings));
    unknown(&state, sizeof(state));
    settings.is_bound = any_bool();
    settings.takeover.address.len = any_len();
    qcd_takeover_add(&settings.takeover, (uint8_t)any_u32());
    (void)!qcd_maker_init(&maker, &settings, &state);
}

static void any_traffic(qcd_traffic *out, uint8_t len)
{
    unknown(out, sizeof(*out));
    out->encap = any_bool();
    any_address(&out->source, len);
    any_address(&out->destination, len);
}

static void request(uint64_t now_ms, uint8_t len)
{
    qcd_packet packet;
    qcd_header header;
    qcd_address taker;
    qcd_datagram reply;

    packet.octets = octets;
    packet.len = any_size(1, PROOF_MAX);
    if (any_bool()) {
        packet.octets = octets + PROOF_MAX;
        packet.len = 0;
    }
    packet.is_home = any_bool();
    any_address(&packet.source, len);
    any_address(&packet.destination, len);
    any_address(&taker, len);
    (void)!qcd_maker_judge(&maker, &header, &packet, now_ms);
    if (any_bool()) {
        unknown(&header, sizeof(header));
    }
    (void)!qcd_maker_reply(&maker, &reply, &header, &taker, now_ms);
    //@ assert reply.len <= QCD_MESSAGE_MAX;
}

static void esp(uint64_t now_ms, uint8_t len)
{
    qcd_lost lost;
    qcd_traffic packet;
    qcd_datagram message;
    const qcd_traffic *arrived = any_bool() ? &packet : NULL;

    unknown(&lost, sizeof(lost));
    any_traffic(&packet, len);
    (void)!qcd_maker_judge_lost(&maker, &lost, arrived, now_ms);
    any_address(&lost.peer, len);
    (void)!qcd_maker_tell(&maker, &message, &lost, arrived, now_ms);
    //@ assert message.len <= QCD_MESSAGE_MAX;
}

static void live_sa(uint8_t len)
{
    qcd_promise promise;
    qcd_ike_sa sa;
    qcd_offer offer;
    qcd_token token;

    any_promise(&promise);
    unknown(&sa, sizeof(sa));
    any_address(&offer.taker, len);
    offer.is_request = any_bool();
    offer.message_id = any_u32();
    (void)!qcd_maker_offer(&maker, &promise, &token, &sa, &offer);
    (void)qcd_maker_is_due(&maker, &promise, &sa, &offer.taker);
    (void)qcd_promise_answered(&promise, any_u32());
    (void)qcd_maker_is_last(&maker, &promise);
    (void)qcd_maker_age(&maker, &promise);
    (void)!qcd_maker_owns(&maker, &sa);
    (void)!qcd_maker_is_lost(&maker, &sa);
    (void)qcd_ike_sa_remote(&sa);
    qcd_maker_bury(&maker, &sa, &promise);
}

static void mint(void)
{
    qcd_secret secret;
    qcd_spi spi;

    unknown(&secret, sizeof(secret));
    switch (Frama_C_interval(0, 3)) {
    case 0:
        (void)!qcd_maker_mint(&maker, &spi);
        break;
    case 1:
        (void)!qcd_maker_next_run(&maker, (uint16_t)any_u32());
        (void)qcd_maker_run(&maker);
        break;
    case 2:
        qcd_maker_rotate(&maker, &secret);
        break;
    default:
        unknown(&spi, sizeof(spi));
        (void)!qcd_maker_knows(&maker, &spi);
    }
}

static void call(uint8_t len)
{
    uint64_t now_ms = any_u64();

    switch (Frama_C_interval(0, 5)) {
    case 0:
        start();
        break;
    case 1:
        request(now_ms, len);
        break;
    case 2:
        esp(now_ms, len);
        break;
    case 3:
        live_sa(len);
        break;
    case 4:
        mint();
        break;
    default:
        qcd_maker_wipe(&maker);
    }
}

int main(void)
{
    unknown(octets, sizeof(octets));
    unknown(model_octets, sizeof(model_octets));
    /* EVA tries these bounds before it takes a counter as unbounded. */
    //@ loop widen_hints "all", 3, 4;
    while (any_bool()) {
        if (any_bool()) {
            call(4);
        } else {
            call(16);
        }
    }
    return 0;
}
