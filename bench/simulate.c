/* SPDX-License-Identifier: Apache-2.0 */
/* simulate.c: storms of 100,000 and a million peers, in simulated time, with
 * the pace of the library.
 *
 *     simulate            checks all cases, as a test
 *     simulate --json     prints them as well
 *
 * A maker announces to all peers, as the plugin does: as many as the pace
 * allows are under way, and what does not come in time makes room.  Its
 * handshakes go through one queue.  Each peer is at its own distance.  A taker
 * has many of the tunnels, and a pace of its own.  What is lost is repeated. */
#include <qcd/qcd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    US = 1000,             /* in a millisecond */
    RING = 16384,          /* milliseconds; the longest delay is shorter */
    FAR_MS = 30,           /* qcd_turns.c */
    LONG_MS = 300,         /* qcd_turns.c */
    HANDSHAKE_MS = 2000,   /* after that it has failed: qcd_turns.c */
    REPEAT_INIT_MS = 500,  /* qcd_tries.h */
    REPEAT_AUTH_MS = 4000, /* charon */
    ROUND_PAUSE_MS = 2000, /* qcd_announcer.c */
    WINDOW = 23,           /* qcd_turns.c, for charon's cookie_threshold */
    NONE = -1
};

typedef struct setup {
    const char *name;
    int num_peers;
    int num_takers;
    unsigned rate;     /* handshakes a second that the maker can do */
    unsigned slow;     /* the same from the tenth second on, or 0 */
    unsigned pause_ms; /* in the tenth second it does nothing for so long */
    unsigned near_ms;  /* round trips, from and */
    unsigned far_ms;   /* to */
    unsigned lost;     /* messages in a thousand */
    unsigned auth_ms;  /* a handshake takes so much longer, as with EAP */
    unsigned away;     /* peers in a thousand, which never come */
    unsigned first;    /* and so many thousand at first, or 0 */
    unsigned limit;    /* of handshakes at a time, or 0 */
    unsigned calm_ms;  /* then changes are over */
    unsigned queue_ms; /* after that at most */
    double ratio;      /* at most, to the floor */
} setup;

enum state {
    UNTOLD,
    TOLD,      /* the announcement is on its way, or was lost */
    HEARD,     /* waits for its turn at the taker */
    INITIATED, /* IKE_SA_INIT is on its way */
    INIT_DONE, /* its response is on its way */
    AUTH,      /* IKE_AUTH is on its way */
    BACK       /* the response is on its way, or there */
};

typedef struct peer {
    int next; /* in a list of the ring, or of its taker's queue */
    uint32_t told_ms;
    uint32_t begun_ms;
    uint16_t rtt_ms;
    uint8_t state;
    bool is_away;
    bool has_turn; /* with the maker */
    bool has_handshake;
    bool is_late; /* its handshake takes too long */
    bool is_up;
} peer;

typedef struct taker {
    qcd_pace pace;
    int first;
    int last;
    unsigned num_underway;
} taker;

typedef struct list {
    int first;
    int last;
} list;

typedef struct world {
    const setup *s;
    uint64_t random;
    peer *peers;
    taker *takers;
    list ring[RING];
    int *told_queue; /* ring buffers: told, and with a handshake */
    int *begun_queue;
    unsigned told_head, told_tail, begun_head, begun_tail;
    qcd_pace pace;
    unsigned num_underway;
    uint64_t busy_us; /* until then the maker's queue is busy */
    uint32_t now;
    bool is_too_late; /* for this simulation */
    int next_untold;
    int num_up;
    unsigned most_underway, most_queue_ms, num_repeated, worst_ms;
} world;

static uint64_t draw(world *w)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool is_lost(world *w)
{
    return draw(w) % 1000 < w->s->lost;
}

static void append(peer *peers, list *l, int p)
{
    peers[p].next = NONE;
    if (l->first == NONE) {
        l->first = p;
    } else {
        peers[l->last].next = p;
    }
    l->last = p;
}

/* Something happens to a peer after so many milliseconds. */
static void after(world *w, int p, unsigned ms)
{
    unsigned delay = ms < 1 ? 1 : ms >= RING ? RING - 1 : ms;

    w->is_too_late |= ms >= RING;
    append(w->peers, &w->ring[(w->now + delay) % RING], p);
}

/* A message that is lost is sent again after a while. */
static void send_message(world *w, int p, unsigned repeat_ms)
{
    unsigned ms = w->peers[p].rtt_ms / 2u;

    while (is_lost(w)) {
        ms += repeat_ms;
        w->num_repeated++;
    }
    after(w, p, ms);
}

/* The maker's queue: half of a handshake's work for each of its messages. */
static unsigned work(world *w)
{
    uint64_t now_us = (uint64_t)w->now * US;
    unsigned rate = w->s->rate;

    if (w->s->slow > 0 && w->now >= 10000) {
        rate = w->s->slow;
    }
    if (w->busy_us < now_us) {
        w->busy_us = now_us;
    }
    if (w->now >= 10000 &&
        w->busy_us < (10000 + w->s->pause_ms) * (uint64_t)US) {
        w->busy_us = (10000 + w->s->pause_ms) * (uint64_t)US;
    }
    w->busy_us += 500000u / rate;
    unsigned wait_ms = (unsigned)((w->busy_us - now_us) / US);
    if (wait_ms > w->most_queue_ms && w->now >= w->s->calm_ms) {
        w->most_queue_ms = wait_ms;
    }
    return wait_ms;
}

static bool is_idle(const world *w)
{
    return w->busy_us <= (uint64_t)w->now * US;
}

/* ---- The maker ---- */

static void release(world *w, peer *p)
{
    if (p->has_turn || p->has_handshake) {
        w->num_underway--;
    }
    p->has_turn = false;
    p->has_handshake = false;
}

static void expire(world *w)
{
    unsigned mask = (1u << 20) - 1;

    while (w->told_head != w->told_tail) {
        peer *p = &w->peers[w->told_queue[w->told_head & mask]];
        if (p->has_turn && w->now - p->told_ms < qcd_pace_patience(&w->pace)) {
            break;
        }
        if (p->has_turn) {
            release(w, p);
            qcd_pace_absent(&w->pace);
        }
        w->told_head++;
    }
    while (w->begun_head != w->begun_tail) {
        peer *p = &w->peers[w->begun_queue[w->begun_head & mask]];
        if (p->has_handshake && w->now - p->begun_ms < HANDSHAKE_MS) {
            break;
        }
        if (p->has_handshake) {
            release(w, p);
            p->is_late = true;
            qcd_pace_failed(&w->pace, w->now);
        }
        w->begun_head++;
    }
}

static void tell(world *w, int number)
{
    peer *p = &w->peers[number];

    p->told_ms = w->now;
    p->has_turn = true;
    w->told_queue[w->told_tail++ & ((1u << 20) - 1)] = number;
    w->num_underway++;
    p->state = TOLD;
    if (!p->is_away && !is_lost(w)) {
        after(w, number, p->rtt_ms / 2u);
    }
}

static void tell_more(world *w)
{
    uint32_t due = qcd_pace_due(&w->pace, w->num_underway);

    while (due > 0 && w->next_untold < w->s->num_peers) {
        tell(w, w->next_untold++);
        due--;
    }
    if (w->num_underway > w->most_underway) {
        w->most_underway = w->num_underway;
    }
}

/* Those that did not hear it are told again. */
static void tell_again(world *w)
{
    for (int n = 0; n < w->s->num_peers; n++) {
        peer *p = &w->peers[n];
        if (p->state == TOLD && !p->is_away && !p->has_turn) {
            w->next_untold = n; /* simulated one by one: they are few */
            while (qcd_pace_due(&w->pace, w->num_underway) == 0) {
                return;
            }
            tell(w, n);
        }
    }
    w->next_untold = w->s->num_peers;
}

/* ---- The takers ---- */

static taker *taker_of(world *w, int p)
{
    /* Neighbours in the map are seldom of the same taker. */
    return &w->takers[p % w->s->num_takers];
}

static void initiate_more(world *w, taker *t)
{
    while (t->first != NONE && qcd_pace_due(&t->pace, t->num_underway) > 0) {
        int p = t->first;

        t->first = w->peers[p].next;
        t->num_underway++;
        w->peers[p].state = INITIATED;
        send_message(w, p, REPEAT_INIT_MS);
    }
}

static void hear(world *w, int p)
{
    taker *t = taker_of(w, p);
    list queue = {t->first, t->last};

    w->peers[p].state = HEARD;
    append(w->peers, &queue, p);
    t->first = queue.first;
    t->last = queue.last;
    initiate_more(w, t);
}

/* ---- What happens ---- */

static void begin(world *w, int number)
{
    peer *p = &w->peers[number];

    p->begun_ms = w->now;
    qcd_pace_present(&w->pace);
    w->num_underway += !p->has_turn; /* it comes late */
    p->has_turn = false;
    p->has_handshake = true;
    w->begun_queue[w->begun_tail++ & ((1u << 20) - 1)] = number;
    p->state = INIT_DONE;
    after(w, number, work(w) + p->rtt_ms / 2u + w->s->auth_ms);
}

static void complete(world *w, int number)
{
    peer *p = &w->peers[number];

    bool has_waited =
        p->begun_ms - p->told_ms >= FAR_MS || w->now - p->begun_ms >= LONG_MS;

    qcd_pace_began(&w->pace, (uint32_t)(p->begun_ms - p->told_ms));
    if (p->is_late) {
        qcd_pace_late(&w->pace);
    }
    qcd_pace_completed(&w->pace, w->num_underway, has_waited && is_idle(w));
    release(w, p);
    p->state = BACK;
    after(w, number, work(w) + p->rtt_ms / 2u);
}

static void settle(world *w, int number)
{
    peer *p = &w->peers[number];
    taker *t = taker_of(w, number);

    qcd_pace_completed(&t->pace, t->num_underway, true);
    t->num_underway--;
    p->is_up = true;
    w->num_up++;
    if (w->now - p->told_ms > w->worst_ms) {
        w->worst_ms = w->now - p->told_ms;
    }
    initiate_more(w, t);
}

static void happen(world *w, int p)
{
    switch ((enum state)w->peers[p].state) {
    case TOLD:
        hear(w, p);
        break;
    case INITIATED:
        begin(w, p);
        break;
    case INIT_DONE:
        w->peers[p].state = AUTH;
        send_message(w, p, REPEAT_AUTH_MS);
        break;
    case AUTH:
        complete(w, p);
        break;
    case BACK:
        settle(w, p);
        break;
    case UNTOLD:
    case HEARD:
        abort();
    }
}

static void *get(size_t num, size_t size)
{
    void *p = calloc(num, size);

    if (p == NULL) {
        abort();
    }
    return p;
}

static uint32_t limit_of(const setup *s)
{
    return s->limit > 0 ? s->limit : QCD_PACE_MAX;
}

static void open_world(world *w, const setup *s)
{
    memset(w, 0, sizeof(*w));
    w->s = s;
    w->random = 1;
    w->peers = get((size_t)s->num_peers, sizeof(peer));
    w->takers = get((size_t)s->num_takers, sizeof(taker));
    w->told_queue = get(1u << 20, sizeof(int));
    w->begun_queue = get(1u << 20, sizeof(int));
    qcd_pace_init(&w->pace, WINDOW, limit_of(s));
    for (int n = 0; n < RING; n++) {
        w->ring[n] = (list){NONE, NONE};
    }
    for (int n = 0; n < s->num_takers; n++) {
        qcd_pace_init(&w->takers[n].pace, QCD_PACE_FIRST, QCD_PACE_MAX);
        w->takers[n].first = NONE;
    }
    for (int n = 0; n < s->num_peers; n++) {
        w->peers[n].rtt_ms =
            (uint16_t)(s->near_ms + draw(w) % (s->far_ms - s->near_ms + 1));
        w->peers[n].is_away =
            draw(w) % 1000 < s->away || n < (int)s->first * 1000;
    }
}

static void close_world(world *w)
{
    free(w->peers);
    free(w->takers);
    free(w->told_queue);
    free(w->begun_queue);
}

static void step(world *w, uint32_t *round_over)
{
    list *due = &w->ring[w->now % RING];
    int p = due->first;

    *due = (list){NONE, NONE};
    while (p != NONE) {
        int next = w->peers[p].next;

        happen(w, p);
        p = next;
    }
    expire(w);
    if (w->next_untold < w->s->num_peers && *round_over == 0) {
        tell_more(w);
    } else if (*round_over == 0) {
        *round_over = w->now;
    } else if (w->now >= *round_over + ROUND_PAUSE_MS && w->now % 100 == 0) {
        tell_again(w);
    }
}

static bool run(const setup *s, bool is_shown)
{
    world w;
    uint32_t round_over = 0;
    int want = 0;

    open_world(&w, s);
    for (int n = 0; n < s->num_peers; n++) {
        want += !w.peers[n].is_away;
    }
    while (w.num_up < want && w.now < 10000000) {
        step(&w, &round_over);
        w.now++;
    }
    double floor_s = (double)want / s->rate;
    if (s->slow > 0 && floor_s > 10) {
        floor_s = 10 + (want - 10.0 * s->rate) / s->slow;
    }
    double took_s = w.now / 1000.0;
    bool ok = w.num_up == want && took_s <= s->ratio * floor_s &&
              w.most_underway <= limit_of(s) &&
              w.most_queue_ms <= s->queue_ms && !w.is_too_late;
    if (is_shown || !ok) {
        printf(
            "{\"case\": \"%s\", \"peers\": %d, \"takers\": %d, \"rate\": %u, "
            "\"floor_s\": %.2f, \"took_s\": %.2f, \"ratio\": %.3f, "
            "\"worst_s\": %.2f, \"underway\": %u, \"queue_s\": %.3f, "
            "\"repeated\": %u, \"ok\": %s}\n",
            s->name, s->num_peers, s->num_takers, s->rate, floor_s, took_s,
            took_s / floor_s, w.worst_ms / 1000.0, w.most_underway,
            w.most_queue_ms / 1000.0, w.num_repeated, ok ? "true" : "false");
    }
    close_world(&w);
    return ok;
}

static const setup setups[] = {
    {.name = "near", .rate = 1000, .near_ms = 1, .far_ms = 20},
    {.name = "not so near", .rate = 1000, .near_ms = 20, .far_ms = 40},
    {.name = "far", .rate = 1000, .near_ms = 20, .far_ms = 300},
    {.name = "far, 1 % lost",
     .rate = 1000,
     .near_ms = 20,
     .far_ms = 300,
     .lost = 10},
    {.name = "far, 1 % lost, a fifth away",
     .rate = 1000,
     .near_ms = 20,
     .far_ms = 300,
     .lost = 10,
     .away = 200},
    {.name = "far, most are away",
     .rate = 1000,
     .near_ms = 20,
     .far_ms = 300,
     .away = 900,
     .ratio = 20},
    {.name = "near, most are away",
     .rate = 1000,
     .near_ms = 1,
     .far_ms = 20,
     .away = 900,
     .ratio = 40},
    /* a burst of those that come after many that don't, and what follows it */
    {.name = "near, the first 5,000 are away",
     .rate = 1000,
     .near_ms = 1,
     .far_ms = 20,
     .first = 5},
    {.name = "near, after the first 5,000 are away",
     .rate = 1000,
     .near_ms = 1,
     .far_ms = 20,
     .first = 5,
     .calm_ms = 30000,
     .queue_ms = 40},
    {.name = "very far", .rate = 500, .near_ms = 500, .far_ms = 900},
    {.name = "very far, slow",
     .rate = 50,
     .near_ms = 500,
     .far_ms = 900,
     .queue_ms = 1500},
    {.name = "one tunnel a taker",
     .num_takers = 100000,
     .rate = 1000,
     .near_ms = 20,
     .far_ms = 300,
     .lost = 10},
    {.name = "it gets slow",
     .rate = 1000,
     .slow = 50,
     .near_ms = 20,
     .far_ms = 300,
     .lost = 10,
     .calm_ms = 60000,
     .queue_ms = 2500},
    {.name = "it stops for 4 s",
     .rate = 1000,
     .pause_ms = 4000,
     .near_ms = 20,
     .far_ms = 300,
     .calm_ms = 60000},
    {.name = "slow", .rate = 100, .near_ms = 20, .far_ms = 300, .lost = 10},
    {.name = "fast", .rate = 3000, .near_ms = 20, .far_ms = 300},
    {.name = "near, handshakes of 0.5 s",
     .num_peers = 5000,
     .rate = 1000,
     .near_ms = 1,
     .far_ms = 20,
     .auth_ms = 500,
     .ratio = 3},
    {.name = "near, handshakes of 1.5 s",
     .num_peers = 5000,
     .rate = 1000,
     .near_ms = 1,
     .far_ms = 20,
     .auth_ms = 1500,
     .ratio = 10},
    {.name = "handshakes of 2.5 s",
     .num_peers = 3000,
     .rate = 1000,
     .near_ms = 1,
     .far_ms = 20,
     .auth_ms = 2500,
     .ratio = 30},
    {.name = "near, at most 20 at a time",
     .rate = 1000,
     .near_ms = 1,
     .far_ms = 10,
     .limit = 20},
    {.name = "near, a million",
     .num_peers = 1000000,
     .num_takers = 10000,
     .rate = 1000,
     .near_ms = 1,
     .far_ms = 20},
    {.name = "far, a million",
     .num_peers = 1000000,
     .num_takers = 10000,
     .rate = 1000,
     .near_ms = 20,
     .far_ms = 300,
     .lost = 10,
     .away = 100},
};

/* with_defaults sets what most cases have in common. */
static setup with_defaults(const setup *s)
{
    setup out = *s;

    out.num_peers = s->num_peers > 0 ? s->num_peers : 100000;
    out.num_takers = s->num_takers > 0 ? s->num_takers : 1000;
    out.queue_ms = s->queue_ms > 0 ? s->queue_ms : 250;
    out.ratio = s->ratio > 0 ? s->ratio : 1.2;
    return out;
}

int main(int argc, char **argv)
{
    bool is_shown = argc > 1 && strcmp(argv[1], "--json") == 0;
    bool ok = true;

    for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
        setup s = with_defaults(&setups[i]);
        ok &= run(&s, is_shown);
    }
    return ok ? 0 : 1;
}
