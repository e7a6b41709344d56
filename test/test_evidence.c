/* SPDX-License-Identifier: Apache-2.0 */
/* test_evidence.c: src/evidence.c.  RFC 6290 section 9.2 depends on it. */
#include "test.h"

#include "parts.h"

enum { NODE = 7, FIRST_RUN = 10, RUN = 12 };

/* What an SPI can be to a process of node 7 that began with run 10 and is in
 * run 12, and what follows for an SA with that local SPI. */
enum kind { SEALED, SEALED_BY_OTHER_KEY, RANDOM, ZERO };

static const struct spi_row {
    const char *name;
    enum kind kind;
    qcd_origin origin;
    bool want;
    bool want_buried;
} spi_rows[] = {
    {"earlier run", SEALED, {7, 9, 3}, true, true},
    {"run 1", SEALED, {7, 1, 0}, true, true},
    {"earlier run, last counter", SEALED, {7, 9, 0xffffff}, true, true},
    {"first run of this process", SEALED, {7, 10, 3}, false, true},
    {"second run of this process", SEALED, {7, 11, 3}, false, true},
    {"this run", SEALED, {7, 12, 3}, false, true},
    {"future run", SEALED, {7, 13, 3}, false, false},
    {"last run", SEALED, {7, 65535, 3}, false, false},
    {"run 0", SEALED, {7, 0, 3}, false, false},
    {"earlier run of node 6", SEALED, {6, 9, 3}, false, false},
    {"earlier run of node 8", SEALED, {8, 9, 3}, false, false},
    {"this run of node 8", SEALED, {8, 12, 3}, false, false},
    {"earlier run, other key", SEALED_BY_OTHER_KEY, {7, 9, 3}, false, false},
    {"random", RANDOM, {0}, false, false},
    {"zero", ZERO, {0}, false, false},
};

static qcd_maker maker;

static qcd_seal make_seal(uint8_t first)
{
    uint8_t key[QCD_SEAL_KEY_LEN];
    qcd_seal seal;

    count_up(key, first, sizeof(key));
    seal_init(&seal, key);
    return seal;
}

static int make_maker(void **state)
{
    (void)state;
    memset(&maker, 0, sizeof(maker));
    maker.seal = make_seal(1);
    maker.mint = (qcd_mint){NODE, FIRST_RUN, RUN, 1000};
    return 0;
}

static qcd_spi make_spi(const struct spi_row *row)
{
    qcd_seal seal = make_seal(row->kind == SEALED ? 1 : 2);
    qcd_spi spi = {{0}};

    if (row->kind == RANDOM) {
        count_up(&spi, 0xd0, sizeof(spi));
    } else if (row->kind != ZERO) {
        assert_int_equal(spi_seal(&spi, &seal, &row->origin), QCD_OK);
    }
    return spi;
}

static void bury(qcd_spis spis, enum qcd_role role)
{
    qcd_maker_bury(&maker, &(qcd_ike_sa){spis, role},
                   &(qcd_promise){.is_given = true});
}

static bool weigh(const qcd_header *h)
{
    return evidence_weigh(&maker,
                          &(qcd_ike_sa){h->spis, qcd_header_local_role(h)},
                          &(qcd_address){0});
}

static void check_weigh(const struct spi_row *i, const struct spi_row *r,
                        uint8_t flags)
{
    const struct spi_row *local = (flags & QCD_FLAG_INITIATOR) != 0 ? r : i;
    const qcd_header h = {.spis = {make_spi(i), make_spi(r)}, .flags = flags};
    /* An SA without both SPIs is never buried. */
    bool is_whole = i->kind != ZERO && r->kind != ZERO;

    memset(&maker.graveyard, 0, sizeof(maker.graveyard));
    CHECK_INT(local->name, weigh(&h), local->want);
    bury(h.spis, qcd_header_local_role(&h));
    CHECK_INT(local->name, weigh(&h),
              is_whole ? local->want_buried : local->want);
}

/* Each kind of SPI with each other one, with every relevant value of the flags.
 * The SPI that the I flag calls ours decides, whatever the other one is. */
static void test_every_pair_in_every_role(void **state)
{
    static const uint8_t flags[] = {0x00, 0x08, 0xf7, 0xff, 0x20, 0x28};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(spi_rows); i++) {
        for (size_t r = 0; r < NUM_ROWS(spi_rows); r++) {
            for (size_t f = 0; f < NUM_ROWS(flags); f++) {
                check_weigh(&spi_rows[i], &spi_rows[r], flags[f]);
            }
        }
    }
}

/* Around the bounds of the runs, each run separately. */
static void test_every_run(void **state)
{

    (void)state;
    for (uint32_t run = 0; run <= UINT16_MAX; run++) {
        const qcd_origin origin = {NODE, (uint16_t)run, 5};
        qcd_header h = {.flags = QCD_FLAG_INITIATOR};
        bool want = run >= 1 && run < FIRST_RUN ? true : false;

        assert_int_equal(spi_seal(&h.spis.responder, &maker.seal, &origin),
                         QCD_OK);
        assert_int_equal(weigh(&h), want);
    }
}

/* RFC 6290 section 9.2, in numbers: whatever is done to the header of a live
 * SA, with the graveyard in use, there is no evidence against that SA. */
static void test_random_headers_are_no_evidence(void **state)
{
    const qcd_origin live = {NODE, RUN, 77};
    uint64_t random = 1;
    int num_earlier = 0;
    qcd_spi spi;

    (void)state;
    assert_int_equal(spi_seal(&spi, &maker.seal, &live), QCD_OK);
    for (int i = 0; i < 100000; i++) {
        qcd_header h;

        random_octets(&random, &h, sizeof(h));
        if (weigh(&h)) {
            num_earlier++; /* a guess with a chance of one in 2^27 */
        }
        h.flags |= QCD_FLAG_INITIATOR;
        h.spis.responder = spi;
        assert_int_equal(weigh(&h), false);
        h.spis.initiator = spi;
        random_octets(&random, &h.spis.responder, sizeof(spi));
        h.flags &= (uint8_t)~QCD_FLAG_INITIATOR;
        assert_int_equal(weigh(&h), false);
    }
    assert_int_equal(num_earlier, 0);
}

/* A state that was never initialized proves nothing. */
static void test_zero_state_is_no_evidence(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(spi_rows); i++) {
        qcd_header h = {.flags = QCD_FLAG_INITIATOR};

        make_maker(NULL);
        maker.mint = (qcd_mint){0};
        count_up(&h.spis.initiator, 1, QCD_SPI_LEN);
        h.spis.responder = make_spi(&spi_rows[i]);
        CHECK_INT(spi_rows[i].name, weigh(&h), false);
        make_maker(NULL);
        maker.seal = (qcd_seal){{0}};
        bury(h.spis, QCD_RESPONDER);
        CHECK_INT(spi_rows[i].name, weigh(&h), false);
    }
}

/* ---- What a map names as lost, RFC 6290 section 8.2 ---- */

/* Each kind of SPI with each other one, in each role and with invalid roles.
 * Evidence needs an earlier run of ours, and a valid SPI of the peer. */
static void test_lost_of_every_pair(void **state)
{
    static const unsigned roles[] = {0, 1, 2, 3, 255, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(spi_rows); i++) {
        for (size_t r = 0; r < NUM_ROWS(spi_rows); r++) {
            const qcd_spis spis = {make_spi(&spi_rows[i]),
                                   make_spi(&spi_rows[r])};

            for (size_t n = 0; n < NUM_ROWS(roles); n++) {
                const struct spi_row *local = &spi_rows[roles[n] == 1 ? i : r];
                const struct spi_row *remote = &spi_rows[roles[n] == 1 ? r : i];
                bool is_role = roles[n] == 1 || roles[n] == 2;

                CHECK_INT(
                    local->name,
                    qcd_maker_is_lost(&maker, &(qcd_ike_sa){spis, roles[n]}),
                    is_role && remote->kind != ZERO && local->want);
            }
        }
    }
}

static void test_lost_of_every_run(void **state)
{
    static qcd_maker no_mint;
    static qcd_maker no_seal;

    (void)state;
    no_mint.seal = maker.seal;
    no_seal.mint = maker.mint;
    for (uint32_t run = 0; run <= UINT16_MAX; run++) {
        const qcd_origin origin = {NODE, (uint16_t)run, 5};
        qcd_ike_sa sa = {.role = QCD_RESPONDER};

        count_up(&sa.spis.initiator, 1, QCD_SPI_LEN);
        assert_int_equal(spi_seal(&sa.spis.responder, &maker.seal, &origin),
                         QCD_OK);
        assert_int_equal(qcd_maker_is_lost(&maker, &sa),
                         run >= 1 && run < FIRST_RUN);
        assert_false(qcd_maker_is_lost(&no_mint, &sa));
        assert_false(qcd_maker_is_lost(&no_seal, &sa));
    }
}

/* ---- The graveyard ---- */

static qcd_spis sa(uint8_t set, uint8_t n)
{
    qcd_spis spis = {{{set, 0, 1, n, 5, 6, 7, 8}}, {{set, 0, 2, n, 5, 6, 7}}};

    return spis;
}

static bool holds(qcd_spis spis, enum qcd_role role)
{
    return graveyard_holds(&maker.graveyard, &(qcd_ike_sa){spis, role});
}

static const struct {
    const char *name;
    size_t flip; /* octet of the pair to change; 16: none */
    bool swap;
    enum qcd_role role;
    bool want;
} graves[] = {
    {"that very SA", 16, false, QCD_RESPONDER, true},
    {"in the other role", 16, false, QCD_INITIATOR, false},
    {"SPIs swapped", 16, true, QCD_RESPONDER, false},
    {"SPIs swapped, in the other role", 16, true, QCD_INITIATOR, false},
    {"other SPI of the initiator, first octet", 0, false, QCD_RESPONDER, false},
    {"other SPI of the initiator, last octet", 7, false, QCD_RESPONDER, false},
    {"other SPI of the responder, first octet", 8, false, QCD_RESPONDER, false},
    {"other SPI of the responder, last octet", 15, false, QCD_RESPONDER, false},
};

static void test_holds_just_that_sa(void **state)
{
    (void)state;
    const qcd_spis buried = sa(1, 1);

    bury(buried, QCD_RESPONDER);
    for (size_t i = 0; i < NUM_ROWS(graves); i++) {
        qcd_spis asked = buried;

        if (graves[i].flip < sizeof(asked)) {
            ((uint8_t *)&asked)[graves[i].flip] ^= 1;
        }
        if (graves[i].swap) {
            asked = (qcd_spis){buried.responder, buried.initiator};
        }
        CHECK_INT(graves[i].name, holds(asked, graves[i].role), graves[i].want);
    }
}

static void test_empty_graveyard_holds_nothing(void **state)
{
    const qcd_spis zero = {{{0}}, {{0}}};
    const qcd_spis some = sa(1, 1);

    (void)state;
    assert_false(holds(zero, QCD_INITIATOR));
    assert_false(holds(zero, QCD_RESPONDER));
    assert_false(holds(some, QCD_INITIATOR));
}

/* An SA that never had both SPIs never had a token. */
static void test_half_an_sa_is_not_buried(void **state)
{
    static const enum qcd_role roles[] = {QCD_INITIATOR, QCD_RESPONDER};

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(roles); i++) {
        qcd_spis no_initiator = sa(1, 1);
        qcd_spis no_responder = sa(1, 1);

        memset(&no_initiator.initiator, 0, QCD_SPI_LEN);
        memset(&no_responder.responder, 0, QCD_SPI_LEN);
        bury(no_initiator, roles[i]);
        bury(no_responder, roles[i]);
    }
    assert_true(is_zero(&maker.graveyard, sizeof(maker.graveyard)));
}

static void test_fifth_grave_of_a_set_replaces_the_first(void **state)
{
    (void)state;
    for (uint8_t n = 1; n <= 5; n++) {
        const qcd_spis spis = sa(3, n);

        bury(spis, QCD_INITIATOR);
    }
    for (uint8_t n = 1; n <= 5; n++) {
        const qcd_spis spis = sa(3, n);

        assert_int_equal(holds(spis, QCD_INITIATOR), n != 1);
    }
}

/* An SA buried twice uses one grave: repetition displaces nobody. */
static void test_buried_twice(void **state)
{
    (void)state;
    for (uint8_t n = 1; n <= 4; n++) {
        const qcd_spis spis = sa(3, n);

        for (int i = 0; i < 10; i++) {
            bury(spis, QCD_INITIATOR);
        }
    }
    for (uint8_t n = 1; n <= 4; n++) {
        const qcd_spis spis = sa(3, n);

        assert_true(holds(spis, QCD_INITIATOR));
    }
}

/* The SPI of the peer does not influence where an SA is buried.  A peer with
 * one dead SA of ours fills one set with it, however many SPIs it invents. */
static void test_remote_spi_does_not_steer(void **state)
{
    const qcd_spis victim = sa(9, 1);
    uint64_t random = 1;

    (void)state;
    bury(victim, QCD_INITIATOR);
    for (int i = 0; i < 20000; i++) {
        qcd_spis spis = sa(3, 1);

        random_octets(&random, &spis.responder, sizeof(spis.responder));
        bury(spis, QCD_INITIATOR);
    }
    assert_true(holds(victim, QCD_INITIATOR));
}

/* RFC 6290 section 6: a standby replies for the nodes that it takes over, and
 * only at the address that the active gateway holds. */
static const struct takeover_row {
    const char *name;
    uint8_t node; /* that minted the SPI */
    bool nodes_known;
    qcd_address configured;
    qcd_address destination;
    bool want;
} takeover_rows[] = {
    {"taken over, shared address",
     8,
     true,
     {4, {10, 0, 0, 1}},
     {4, {10, 0, 0, 1}},
     true},
    {"taken over, own address",
     8,
     true,
     {4, {10, 0, 0, 1}},
     {4, {10, 0, 0, 2}},
     false},
    {"taken over, IPv6 that begins alike",
     8,
     true,
     {4, {10, 0, 0, 1}},
     {16, {10, 0, 0, 1}},
     false},
    {"taken over, no address set, none known",
     8,
     true,
     {0, {0}},
     {0, {0}},
     false},
    {"highest node", 255, true, {4, {10, 0, 0, 1}}, {4, {10, 0, 0, 1}}, true},
    {"another node", 9, true, {4, {10, 0, 0, 1}}, {4, {10, 0, 0, 1}}, false},
    {"node 64 is not node 0",
     64,
     true,
     {4, {10, 0, 0, 1}},
     {4, {10, 0, 0, 1}},
     false},
    {"nobody taken over",
     8,
     false,
     {4, {10, 0, 0, 1}},
     {4, {10, 0, 0, 1}},
     false},
    {"own node, this run",
     NODE,
     true,
     {4, {10, 0, 0, 1}},
     {4, {10, 0, 0, 1}},
     false},
};

static void test_takeover(void **state)
{

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(takeover_rows); i++) {
        const struct takeover_row *row = &takeover_rows[i];
        const qcd_origin origin = {.node = row->node, .run = RUN, .counter = 5};
        qcd_header h = {.flags = QCD_FLAG_INITIATOR};
        qcd_takeover takeover = {.address = row->configured};

        if (row->nodes_known) {
            qcd_takeover_add(&takeover, 0);
            qcd_takeover_add(&takeover, 8);
            qcd_takeover_add(&takeover, 255);
            qcd_takeover_add(&takeover, NODE);
        }
        count_up(&h.spis.initiator, 1, QCD_SPI_LEN);
        assert_int_equal(spi_seal(&h.spis.responder, &maker.seal, &origin),
                         QCD_OK);
        const qcd_ike_sa asked = {h.spis, QCD_RESPONDER};

        maker.settings.takeover = takeover;
        CHECK_INT(row->name, evidence_weigh(&maker, &asked, &row->destination),
                  row->want);
        maker.settings.takeover = (qcd_takeover){0};
        CHECK_INT(row->name, evidence_weigh(&maker, &asked, &row->destination),
                  false);
    }
}

/* With sealed SPIs, most of the last thousand dead ones are found. */
static void test_keeps_the_recently_dead(void **state)
{
    qcd_spis spis[8000];
    int num_found = 0;

    (void)state;
    for (size_t i = 0; i < NUM_ROWS(spis); i++) {
        count_up(&spis[i].initiator, 1, QCD_SPI_LEN);
        assert_int_equal(qcd_maker_mint(&maker, &spis[i].responder), QCD_OK);
        bury(spis[i], QCD_RESPONDER);
        assert_true(holds(spis[i], QCD_RESPONDER));
    }
    for (size_t i = NUM_ROWS(spis) - 1000; i < NUM_ROWS(spis); i++) {
        num_found += holds(spis[i], QCD_RESPONDER);
    }
    assert_in_range(num_found, 950, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_pair_in_every_role, make_maker),
        cmocka_unit_test_setup(test_every_run, make_maker),
        cmocka_unit_test_setup(test_random_headers_are_no_evidence, make_maker),
        cmocka_unit_test_setup(test_zero_state_is_no_evidence, make_maker),
        cmocka_unit_test_setup(test_takeover, make_maker),
        cmocka_unit_test_setup(test_lost_of_every_pair, make_maker),
        cmocka_unit_test_setup(test_lost_of_every_run, make_maker),
        cmocka_unit_test_setup(test_holds_just_that_sa, make_maker),
        cmocka_unit_test_setup(test_empty_graveyard_holds_nothing, make_maker),
        cmocka_unit_test_setup(test_half_an_sa_is_not_buried, make_maker),
        cmocka_unit_test_setup(test_fifth_grave_of_a_set_replaces_the_first,
                               make_maker),
        cmocka_unit_test_setup(test_buried_twice, make_maker),
        cmocka_unit_test_setup(test_remote_spi_does_not_steer, make_maker),
        cmocka_unit_test_setup(test_keeps_the_recently_dead, make_maker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
