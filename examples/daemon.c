/* SPDX-License-Identifier: Apache-2.0 */
/* daemon.c: both roles of RFC 6290 in a toy IKE daemon.
 *
 *     daemon FOLDER
 *
 * East keeps its secrets in FOLDER, an absolute path, and west in FOLDER.west.
 * They set up an IKE SA.  East crashes and restarts, and west learns of the
 * crash with its next request.  There is no network and no cryptography.
 * doc/embedding.md tells when a real daemon makes each call, and which other
 * calls there are. */
#include <qcd/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* What belongs to an IKE SA.  The toy has one at each end. */
struct ike_sa {
    bool is_there;
    qcd_ike_sa id;
    qcd_promise promise; /* what the peer holds of us */
    qcd_held held;       /* what we hold of the peer */
};

struct gateway {
    qcd_store *store;
    qcd_maker maker;
    qcd_taker taker;
    qcd_address address;
    struct ike_sa sa;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void must(bool ok, const char *text)
{
    if (!ok) {
        (void)fprintf(stderr, "daemon: %s\n", text);
        exit(1);
    }
}

/* Each start of the daemon: it has the secrets from before, and its run is
 * durable. */
static void start(struct gateway *g, const char *folder)
{
    const qcd_store_settings files = {.path = folder};
    const qcd_maker_settings settings = {.token_len = 32,
                                         .reply_rate = 1000,
                                         .reply_burst = 1000,
                                         .source_rate = 10};
    qcd_store_report report;
    qcd_maker_state state;
    uint8_t random[QCD_RANDOM_KEY_LEN];

    must(qcd_store_open(&g->store, &report, &files, (uint64_t)time(NULL)) ==
                 QCD_STORE_OK &&
             qcd_store_state(g->store, &report, &state) == QCD_STORE_OK,
         report.text);
    if (report.text[0] != '\0') { /* for the log: what was done, and why */
        (void)fprintf(stderr, "daemon: %s\n", report.text);
    }
    must(qcd_maker_init(&g->maker, &settings, &state) == QCD_OK &&
             getrandom(random, sizeof(random), 0) == sizeof(random) &&
             qcd_taker_init(&g->taker, 50, random) == QCD_OK,
         "settings out of their range, or no random octets");
    qcd_wipe(&state, sizeof(state));
}

static void stop(struct gateway *g)
{
    qcd_maker_wipe(&g->maker);
    qcd_taker_wipe(&g->taker);
    qcd_store_close(g->store);
}

/* `from` puts its token into message 1, IKE_AUTH; `to` keeps a digest of it. */
static void give(struct gateway *from, struct gateway *to, bool is_request)
{
    const qcd_offer offer = {to->address, is_request, 1};
    qcd_token token;

    if (qcd_maker_offer(&from->maker, &from->sa.promise, &token, &from->sa.id,
                        &offer)) {
        qcd_taker_store(&to->taker, &to->sa.held, &token);
    }
    qcd_wipe(&token, sizeof(token));
}

static void connect_to(struct gateway *initiator, struct gateway *responder)
{
    qcd_spis spis;

    must(qcd_maker_mint(&initiator->maker, &spis.initiator) == QCD_OK &&
             qcd_maker_mint(&responder->maker, &spis.responder) == QCD_OK,
         "no SPIs left in this run");
    initiator->sa = (struct ike_sa){true, .id = {spis, QCD_INITIATOR}};
    responder->sa = (struct ike_sa){true, .id = {spis, QCD_RESPONDER}};
    give(initiator, responder, true);
    give(responder, initiator, false);
    (void)qcd_promise_answered(&initiator->sa.promise, 1);
    puts("established");
}

/* The maker gets a request for an IKE SA that it doesn't have.  Its reply is in
 * `out`; without a reply `out` has no octets. */
static void judge(struct gateway *g, const qcd_packet *in, qcd_datagram *out)
{
    qcd_header request;

    if (g->sa.is_there ||
        qcd_maker_judge(&g->maker, &request, in, now_ms()) != QCD_ANSWER ||
        qcd_maker_reply(&g->maker, out, &request, &in->source, now_ms()) !=
            QCD_OK) {
        *out = (qcd_datagram){0};
    }
}

/* The taker gets an unprotected message.  Tells whether it proves that our SA
 * is dead. */
static bool verify(struct gateway *g, const qcd_datagram *in,
                   const qcd_address *source)
{
    struct ike_sa *sa = &g->sa;
    qcd_message m;

    if (!qcd_message_is_candidate(in->octets, in->len) ||
        qcd_message_decode(&m, in->octets, in->len) != QCD_OK ||
        !sa->is_there || sa->held.num == 0 ||
        memcmp(&m.header.spis, &sa->id.spis, sizeof(qcd_spis)) != 0 ||
        !qcd_taker_may_check(&g->taker, source, &sa->id.spis, now_ms()) ||
        qcd_taker_check(&g->taker, &sa->held, &m) != QCD_MATCH) {
        return false;
    }
    qcd_maker_bury(&g->maker, &sa->id, &sa->promise);
    *sa = (struct ike_sa){0}; /* no DELETE: the peer does not know the SA */
    return true;
}

int main(int argc, char **argv)
{
    static struct gateway east = {.address = {4, {192, 0, 2, 1}}};
    static struct gateway west = {.address = {4, {192, 0, 2, 2}}};
    /* INFORMATIONAL, with an Encrypted payload of 52 octets */
    uint8_t request[80] = {[16] = 46, 0x20,      37,       QCD_FLAG_INITIATOR,
                           [23] = 2,  [27] = 80, [31] = 52};
    const qcd_packet packet = {request, sizeof(request), west.address,
                               east.address, false};
    qcd_datagram reply;
    char folder[4096];

    must(argc == 2, "usage: daemon FOLDER");
    (void)snprintf(folder, sizeof(folder), "%s.west", argv[1]);
    start(&east, argv[1]);
    start(&west, folder);
    connect_to(&west, &east);
    memcpy(request, &west.sa.id.spis, sizeof(qcd_spis));

    judge(&east, &packet, &reply);
    must(reply.len == 0, "a token of a live IKE SA was shown");
    qcd_store_close(east.store); /* the crash: its memory is gone */
    east.sa = (struct ike_sa){0};
    start(&east, argv[1]);
    puts("crashed");
    judge(&east, &packet, &reply);
    must(reply.len > 0, "the dead IKE SA was not answered for");
    reply.octets[reply.len - 1] ^= 1;
    must(!verify(&west, &reply, &east.address), "a forged token was taken");
    reply.octets[reply.len - 1] ^= 1;
    must(verify(&west, &reply, &east.address), "the token was not known");
    puts("lost");
    connect_to(&west, &east);
    stop(&east);
    stop(&west);
}
