/* SPDX-License-Identifier: Apache-2.0 */
/* limit.c: rate limits in fixed memory, RFC 6290 sections 8.1 and 8.2, RFC 7296
 * sections 2.4 and 2.21.4.
 *
 * A bucket is one number: the time until which it is busy if each event takes
 * `interval`.  An event conforms if that time is at most `tolerance` ahead.
 * Sources share a sketch of such buckets.  A source is held back only if the
 * least busy of its cells holds it back, and it moves no cell further than that
 * one.  So a loud neighbour in some of its cells costs it nothing. */
#include "parts.h"

#include <assert.h>

enum {
    NS_PER_MS = 1000000,
    HEARD_AGE_MS = 30000,
    HEARD_BITS = QCD_HEARD_WORDS * 64,
    /* At four bits an item a filter is then at most 40 % full, and mistakes one
     * new item in forty for one that it has heard.  The two filters together
     * mistake one in twenty. */
    HEARD_ITEMS = HEARD_BITS / 8,
    HEARD_HASHES = 4,
    SOURCE_LEN_MAX = 8 /* octets of an address that identify a source */
};

_Static_assert(QCD_SKETCH_ROWS == 4 && HEARD_HASHES == 4,
               "one digest gives four indices for each");

typedef struct indices {
    uint32_t sketch[QCD_SKETCH_ROWS];
    uint32_t heard[HEARD_HASHES];
} indices;

static void find_indices(indices *out, const qcd_hmac *key, const uint8_t *in,
                         size_t in_len)
{
    uint8_t digest[HMAC_LEN];
    rd r;

    mac_digest(digest, sizeof(digest), key, in, in_len);
    rd_init(&r, digest, sizeof(digest));
    for (size_t i = 0; i < QCD_SKETCH_ROWS; i++) {
        out->sketch[i] = rd_be32(&r) % QCD_SKETCH_CELLS;
    }
    for (size_t i = 0; i < HEARD_HASHES; i++) {
        out->heard[i] = rd_be32(&r) % HEARD_BITS;
    }
}

static size_t source_len(const qcd_address *source)
{
    assert(address_is_valid(source));
    /* A host that has one address of an IPv6 /64 has them all. */
    return source->len == 16 ? SOURCE_LEN_MAX : source->len;
}

/* An SA's SPIs are counted for each source that names them. */
static void find_at_source(indices *out, const qcd_hmac *key,
                           const qcd_address *source, const qcd_spis *spis)
{
    uint8_t input[SOURCE_LEN_MAX + sizeof(*spis)];
    wr w;

    /* The length distinguishes IPv4 from IPv6, and both from a lone SPI. */
    wr_init(&w, input, sizeof(input));
    wr_bytes(&w, source->octets, source_len(source));
    wr_bytes(&w, spis, sizeof(*spis));
    find_indices(out, key, input, w.len);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The interval is rounded up, so that no limit is exceeded by a fraction. */
static uint64_t interval_of(uint32_t rate)
{
    const uint64_t second = (uint64_t)1000 * NS_PER_MS;

    return rate == 0 ? 0 : (second + rate - 1) / rate;
}

void source_limit_init(qcd_source_limit *out, uint32_t rate,
                       const uint8_t key[QCD_RANDOM_KEY_LEN])
{
    memset(out, 0, sizeof(*out));
    mac_set_key(&out->key, key, QCD_RANDOM_KEY_LEN);
    out->interval = interval_of(rate);
    out->tolerance = rate == 0 ? 0 : (rate - 1) * out->interval;
}

/* A source is busy for as long as its least busy cell. */
static uint64_t sketch_busy(const qcd_source_limit *limit, const indices *at,
                            uint64_t now)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < QCD_SKETCH_ROWS; i++) {
        uint64_t cell = limit->cells[i][at->sketch[i]];
        least = cell < least ? cell : least;
    }
    return later(least, now);
}

static bool sketch_conforms(const qcd_source_limit *limit, const indices *at,
                            uint64_t now)
{
    return limit->interval != 0 &&
           sketch_busy(limit, at, now) - now <= limit->tolerance;
}

static void sketch_charge(qcd_source_limit *limit, const indices *at,
                          uint64_t now)
{
    uint64_t busy = sketch_busy(limit, at, now) + limit->interval;

    for (size_t i = 0; i < QCD_SKETCH_ROWS; i++) {
        uint64_t *cell = &limit->cells[i][at->sketch[i]];
        *cell = later(*cell, busy);
    }
}

void pool_init(qcd_pool *out, uint32_t rate, uint32_t burst)
{
    memset(out, 0, sizeof(*out));
    if (burst == 0) {
        return;
    }
    out->interval = interval_of(rate);
    out->tolerance = (burst - 1) * out->interval;
}

static bool pool_pass(qcd_pool *pool, uint64_t now)
{
    uint64_t busy = later(pool->busy_until, now);

    if (pool->interval == 0 || busy - now > pool->tolerance) {
        return false;
    }
    pool->busy_until = busy + pool->interval;
    return true;
}

bool qcd_taker_may_check(qcd_taker *taker, const qcd_address *source,
                         const qcd_spis *spis, uint64_t now_ms)
{
    uint64_t now = now_ms * NS_PER_MS;
    indices at;

    if (taker->sas.interval == 0) {
        return false;
    }
    /* RFC 6290 section 8.1: the limit is for each source.  It is also for each
     * SA, since a source can be forged.  Otherwise an attacker who forges a
     * gateway's address and knows one of its SAs would hold back the tokens of
     * all its other SAs. */
    find_at_source(&at, &taker->sas.key, source, spis);
    if (sketch_conforms(&taker->sas, &at, now)) {
        sketch_charge(&taker->sas, &at, now);
        return true;
    }
    /* That SA's own token arrives among the forged ones.  To check some more
     * messages costs next to nothing, so its token is found among them. */
    return pool_pass(&taker->common, now);
}

static void heard_turn(qcd_heard *heard, uint64_t now_ms)
{
    heard->current ^= 1;
    memset(heard->bits[heard->current], 0, sizeof(heard->bits[0]));
    heard->num_items = 0;
    heard->since_ms = now_ms;
}

static void heard_age(qcd_heard *heard, uint64_t now_ms)
{
    /* Threads that waited for each other may pass an earlier time. */
    uint64_t age = later(now_ms, heard->since_ms) - heard->since_ms;

    if (heard->num_items >= HEARD_ITEMS || age >= HEARD_AGE_MS) {
        heard_turn(heard, now_ms);
    }
    /* Items heard before a long silence are forgotten as well. */
    if (age >= (uint64_t)2 * HEARD_AGE_MS) {
        heard_turn(heard, now_ms);
    }
}

static bool bits_set(const uint64_t *bits, const indices *at)
{
    bool all = true;

    for (size_t i = 0; i < HEARD_HASHES; i++) {
        all &= (bits[at->heard[i] / 64] >> (at->heard[i] % 64) & 1) != 0;
    }
    return all;
}

/* Tells whether the item is new, and records it. */
static bool heard_first(qcd_heard *heard, const indices *at, uint64_t now_ms)
{
    heard_age(heard, now_ms);
    uint64_t *bits = heard->bits[heard->current];
    bool in_current = bits_set(bits, at);
    bool in_previous = bits_set(heard->bits[heard->current ^ 1], at);

    if (!in_current) {
        for (size_t i = 0; i < HEARD_HASHES; i++) {
            bits[at->heard[i] / 64] |= (uint64_t)1 << (at->heard[i] % 64);
        }
        heard->num_items++;
    }
    return !in_current && !in_previous;
}

enum qcd_err reply_limit_init(qcd_reply_limit *out, uint32_t rate,
                              uint32_t burst, uint32_t rate_source,
                              const uint8_t key[QCD_RANDOM_KEY_LEN])
{
    memset(out, 0, sizeof(*out));
    if (rate > QCD_RATE_MAX || burst > QCD_RATE_MAX ||
        rate_source > QCD_RATE_MAX) {
        return QCD_ERR_RANGE;
    }
    source_limit_init(&out->sources, rate_source, key);
    /* If a quarter would be zero, nothing is reserved. */
    bool is_split = rate >= 4 && burst >= 4;
    uint32_t new_rate = is_split ? rate / 4 : 0;
    uint32_t new_burst = is_split ? burst / 4 : 0;
    pool_init(&out->new_sources, new_rate, new_burst);
    pool_init(&out->new_sas, new_rate, new_burst);
    pool_init(&out->common, rate - new_rate * 2, burst - new_burst * 2);
    return QCD_OK;
}

/* A request counts as heard even if it gets no reply, so a flood makes itself
 * known.  There is no end of forged sources, but of dead SAs there is.  Each
 * kind has its own memory, or one would drive out the other. */
static bool reply_conforms(qcd_reply_limit *limit, const indices *from,
                           const indices *sa, uint64_t now_ms)
{
    uint64_t now = now_ms * NS_PER_MS;

    bool new_sa = heard_first(&limit->heard_sas, sa, now_ms);
    bool new_source = heard_first(&limit->heard_sources, from, now_ms);

    return (new_sa && pool_pass(&limit->new_sas, now)) ||
           (new_source && pool_pass(&limit->new_sources, now)) ||
           pool_pass(&limit->common, now);
}

/* Many peers may share one address, behind a NAT or as tunnels between two
 * gateways.  If the peer of an SA is known to be at the source, the SA has a
 * turn of its own, which nobody else uses up.  A stranger can't, by repeating
 * SPIs that he has seen or by asking for them from elsewhere.  A stranger who
 * forges the peer's address gains nothing: the reply goes to the peer, is the
 * one that the peer needs, and counts against the rate that all sources
 * share. */
bool reply_limit_pass(qcd_reply_limit *limit, const qcd_address *source,
                      const qcd_spi *local, bool is_home, uint64_t now_ms)
{
    uint64_t now = now_ms * NS_PER_MS;
    const qcd_hmac *key = &limit->sources.key;
    const qcd_spis named = {.responder = *local};
    indices from;
    indices sa;
    indices turn;

    find_indices(&from, key, source->octets, source_len(source));
    find_indices(&sa, key, local->octets, QCD_SPI_LEN);
    find_at_source(&turn, key, source, &named);
    bool has_turn = is_home && limit->sources.interval != 0 &&
                    !bits_set(limit->heard_sas.bits[0], &turn) &&
                    !bits_set(limit->heard_sas.bits[1], &turn);
    /* A source is charged only for the replies that it gets.  If it were
     * charged for its requests, a flood of forged ones would fill the sketch
     * and hold back everybody. */
    if ((!has_turn && !sketch_conforms(&limit->sources, &from, now)) ||
        !reply_conforms(limit, &from, &sa, now_ms)) {
        return false;
    }
    if (has_turn) {
        (void)heard_first(&limit->heard_sas, &turn, now_ms);
    } else {
        sketch_charge(&limit->sources, &from, now);
    }
    return true;
}

bool reply_limit_pass_unasked(const qcd_reply_limit *limit)
{
    /* The source is our own memory, which nobody can forge.  The daemon paces
     * announcements by the handshakes that follow. */
    return limit->common.interval != 0;
}

bool lost_limit_conforms(const qcd_source_limit *limit, const qcd_spi *local,
                         bool is_known, uint64_t now_ms)
{
    uint64_t now = now_ms * NS_PER_MS;
    indices at;

    find_indices(&at, &limit->key, local->octets, QCD_SPI_LEN);
    uint64_t busy = sketch_busy(limit, &at, 0);
    return limit->interval != 0 &&
           now >= (is_known || busy == 0 ? busy : busy + limit->interval);
}

void lost_limit_charge(qcd_source_limit *limit, const qcd_spi *local,
                       uint64_t now_ms)
{
    indices at;

    find_indices(&at, &limit->key, local->octets, QCD_SPI_LEN);
    sketch_charge(limit, &at, now_ms * NS_PER_MS);
}
