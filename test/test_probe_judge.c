/* SPDX-License-Identifier: Apache-2.0 */
/* test_probe_judge.c: what qcd probe concludes from a gateway's answers. */
#include "probe_box.h"

#include "table.h"

/* A gateway is a letter for each message: how it answers.
 *
 *   .  not at all             v  INVALID_MAJOR_VERSION
 *   a  accepts IKE_SA_INIT    A  with another SPI
 *   r  refuses it             c  asks for a cookie
 *   b  INVALID_IKE_SPI        p  a protected response
 *   t  and a token made from the SPIs
 *   T  and four of 128 octets     q  and two, of which the second is that of t
 *   k  and a token that is the same for all SPIs
 *   s  and one of 15 octets   l  and one of 129 octets
 *   5  and five tokens        i  and a token, with another Message ID
 *   n  a token alone          d  the same as t, three times
 *   m  as t, but a request    x  a message about other SPIs
 *   y  likewise with a token  z  as t, and cut off
 */
#define UP "va...a.."  /* up to PROBE_FIRST */
#define QUIET "......" /* from PROBE_RESPONSE on, up to PROBE_RATE */
#define LIMITED "tttttt..tt"
#define FREE "tttttttttt"

static size_t answer_init(uint8_t *out, const probe_seen *seen, char kind)
{
    switch (kind) {
    case 'v':
        return box_error(out, seen, INFORMATIONAL, 5, 0);
    case 'a':
        return box_accept(out, seen, 7);
    case 'A':
        return box_accept(out, seen, 8);
    case 'r':
        return box_error(out, seen, IKE_SA_INIT, 14, 0);
    case 'c':
        return box_error(out, seen, IKE_SA_INIT, 16390, 1);
    default:
        return 0;
    }
}

static size_t answer_more(uint8_t *out, const probe_seen *seen, char kind)
{
    size_t len = box_tokens(out, seen, 1, 32, seen->spis.responder.octets[0]);
    wr w;
    switch (kind) {
    case 'p':
        box_header(&w, out, seen, INFORMATIONAL, PAYLOAD_SK);
        box_payload(&w, PAYLOAD_NONE, out, 24);
        return box_end(&w, out);
    case 'i':
        out[23]++;
        return len;
    case 'm':
        out[19] = 0;
        return len;
    case 'x':
        len = box_tokens(out, seen, 0, 0, 0);
        out[0]++;
        return len;
    case 'y':
        out[0]++;
        return len;
    case 'z':
        return len - 1;
    case 'n':
        box_header(&w, out, seen, INFORMATIONAL, PAYLOAD_NOTIFY);
        box_notify(&w, PAYLOAD_NONE, QCD_NOTIFY_QUICK_CRASH_DETECTION, out, 32);
        return box_end(&w, out);
    default:
        return len;
    }
}

static size_t answer(uint8_t *out, const probe_seen *seen, char kind)
{
    uint8_t fill = seen->spis.responder.octets[0];
    switch (kind) {
    case 'b':
        return box_tokens(out, seen, 0, 0, 0);
    case 'T':
        return box_tokens(out, seen, 4, 128, fill);
    case 'q':
        return box_tokens(out, seen, 2, 32, (uint8_t)(fill - 1));
    case 'k':
        return box_tokens(out, seen, 1, 32, 9);
    case 's':
        return box_tokens(out, seen, 1, 15, fill);
    case 'l':
        return box_tokens(out, seen, 1, 129, fill);
    case '5':
        return box_tokens(out, seen, 5, 16, fill);
    default:
        return strchr("vaArc", kind) != NULL ? answer_init(out, seen, kind)
                                             : answer_more(out, seen, kind);
    }
}

/* play asks a gateway everything, and judges it. */
static void play(probe *p, probe_verdict *out, const char *gateway)
{
    probe_datagram datagram;
    uint8_t octets[BOX_MAX];
    assert_int_equal(strlen(gateway), PROBE_NUM);
    for (int ask = 0; ask < PROBE_NUM; ask++) {
        if (!probe_is_due(p, (enum probe_ask)ask)) {
            continue;
        }
        probe_build(p, &datagram, (enum probe_ask)ask);
        char kind = gateway[ask];
        for (int i = 0; i < (kind == 'd' ? 3 : kind != '.'); i++) {
            size_t len = answer(octets, &p->seen[ask], kind);
            uint8_t *copy = copy_exact(octets, len);
            probe_take(p, copy, len);
            free(copy);
        }
    }
    probe_judge(out, p);
}

static const probe_check *find(const probe_verdict *v, const char *name)
{
    static const probe_check none;
    for (size_t i = 0; i < v->num_checks; i++) {
        if (strcmp(v->checks[i].name, name) == 0) {
            return &v->checks[i];
        }
    }
    return &none;
}

static const struct {
    const char *name;
    const char *gateway;
    enum probe_state state;
    const char *check;
    enum probe_result result;
    const char *found;
} verdicts[] = {
    {"down",
     "........"
     ".." QUIET "..........",
     PROBE_DOWN, "maker", PROBE_UNKNOWN, "no answer to anything"},
    {"only a version",
     "v......."
     ".." QUIET "..........",
     PROBE_SILENT, "maker", PROBE_OK, "silent"},
    {"only IKE_SA_INIT",
     ".r......"
     ".." QUIET "..........",
     PROBE_SILENT, "live SA", PROBE_UNKNOWN, "refuses"},
    {"no IKE_SA_INIT",
     "v......."
     ".." QUIET "..........",
     PROBE_SILENT, "live SA", PROBE_UNKNOWN, "no answer"},
    {"cookie",
     "vc......"
     ".." QUIET "..........",
     PROBE_SILENT, "live SA", PROBE_UNKNOWN, "cookie"},
    {"silent", UP ".." QUIET "..........", PROBE_SILENT, "live SA", PROBE_OK,
     "no token"},
    {"silent has no size", UP ".." QUIET "..........", PROBE_SILENT, "size",
     PROBE_NONE, ""},
    {"silent has no rate", UP ".." QUIET "..........", PROBE_SILENT,
     "rate limit", PROBE_NONE, ""},
    {"bare", UP "bb" QUIET "bbbbbbbbbb", PROBE_BARE, "reply", PROBE_OK,
     "INVALID_IKE_SPI"},
    {"bare has no tokens", UP "bb" QUIET "bbbbbbbbbb", PROBE_BARE, "tokens",
     PROBE_NONE, ""},
    {"bare once", UP ".b" QUIET "..........", PROBE_BARE, "rate limit",
     PROBE_OK, "limited: 0 of 10"},
    {"tokens", UP "tt" QUIET LIMITED, PROBE_SHOWS, "tokens", PROBE_OK,
     "1 token of 32 octets, Protocol ID 0"},
    {"tokens at last", UP "bb" QUIET "bbbbbbbbbt", PROBE_SHOWS, "stable",
     PROBE_UNKNOWN, "only one"},

    {"taker",
     "va...a.p"
     ".." QUIET "..........",
     PROBE_SILENT, "taker", PROBE_OK, "yes"},
    {"no taker",
     "va...ap."
     ".." QUIET "..........",
     PROBE_SILENT, "taker", PROBE_OK, "no"},
    {"no idea", UP ".." QUIET "..........", PROBE_SILENT, "taker",
     PROBE_UNKNOWN, "neither"},
    {"no IKE SA",
     "vr......"
     ".." QUIET "..........",
     PROBE_SILENT, "taker", PROBE_NONE, ""},

    {"live token",
     "va.t.a.."
     "tt" QUIET LIMITED,
     PROBE_SHOWS, "live SA", PROBE_FAIL, "shows a token"},
    {"live token, flipped",
     "va..ta.."
     ".." QUIET "..........",
     PROBE_SILENT, "live SA", PROBE_FAIL, "I flag"},
    {"bare for a live SA",
     "va.bba.."
     "bb" QUIET "..........",
     PROBE_BARE, "live SA", PROBE_OK, "no token"},
    {"it was dropped",
     "va.t.A.."
     "tt" QUIET LIMITED,
     PROBE_SHOWS, "live SA", PROBE_UNKNOWN, "dropped"},
    {"it may be dropped",
     "va.t...."
     "tt" QUIET LIMITED,
     PROBE_SHOWS, "live SA", PROBE_UNKNOWN, "dropped"},

    {"ID", UP "ti" QUIET LIMITED, PROBE_SHOWS, "reply", PROBE_FAIL,
     "Message ID"},
    {"no response", UP "tm" QUIET LIMITED, PROBE_SHOWS, "reply", PROBE_FAIL,
     "not marked"},
    {"protected", UP "tp" QUIET LIMITED, PROBE_SHOWS, "reply", PROBE_FAIL,
     "protected"},
    {"cut off", UP "zt" QUIET LIMITED, PROBE_SHOWS, "reply", PROBE_FAIL,
     "cannot be read"},
    {"token alone", UP "nt" QUIET LIMITED, PROBE_SHOWS, "reply", PROBE_FAIL,
     "no INVALID_IKE_SPI"},
    {"other SPIs", UP "xt" QUIET LIMITED, PROBE_SHOWS, "reply", PROBE_NOTE,
     "1 message without"},
    {"tokens of other SPIs", UP "yt" QUIET "y.........", PROBE_SHOWS, "reply",
     PROBE_FAIL, "2 messages without"},

    {"short", UP "ss" QUIET LIMITED, PROBE_SHOWS, "tokens", PROBE_FAIL,
     "16 to 128"},
    {"long", UP "ll" QUIET LIMITED, PROBE_SHOWS, "tokens", PROBE_FAIL,
     "16 to 128"},
    {"four", UP "TT" QUIET LIMITED, PROBE_SHOWS, "tokens", PROBE_OK,
     "4 tokens of 128"},
    {"five", UP "55" QUIET LIMITED, PROBE_SHOWS, "tokens", PROBE_FAIL,
     "at most four"},

    {"stable", UP "tt" QUIET LIMITED, PROBE_SHOWS, "stable", PROBE_OK,
     "the same"},
    {"stable, two secrets", UP "tq" QUIET LIMITED, PROBE_SHOWS, "stable",
     PROBE_OK, "the same"},
    {"not stable", UP "tk" QUIET LIMITED, PROBE_SHOWS, "stable", PROBE_FAIL,
     "another"},
    {"distinct", UP "tt" QUIET LIMITED, PROBE_SHOWS, "distinct", PROBE_OK,
     "another"},
    {"not distinct", UP "kk" QUIET "tttttttt.k", PROBE_SHOWS, "distinct",
     PROBE_FAIL, "the same"},

    {"response",
     UP ".."
        "b....."
        "..........",
     PROBE_SILENT, "response", PROBE_FAIL, "answers"},
    {"response, token",
     UP ".."
        "t....."
        "..........",
     PROBE_SILENT, "response", PROBE_FAIL, "shows a token"},
    {"shown",
     UP ".."
        ".b...."
        "..........",
     PROBE_SILENT, "shown token", PROBE_FAIL, "answers"},
    {"unprotected",
     UP ".."
        "..b..."
        "..........",
     PROBE_SILENT, "unprotected", PROBE_OK, "without a token"},
    {"unprotected, token",
     UP ".."
        "..t..."
        "..........",
     PROBE_SILENT, "unprotected", PROBE_FAIL, "shows a token"},
    {"IKE_SA_INIT",
     UP ".."
        "...r.."
        "..........",
     PROBE_SILENT, "IKE_SA_INIT", PROBE_OK, "without a token"},
    {"IKE_SA_INIT, token",
     UP ".."
        "...t.."
        "..........",
     PROBE_SILENT, "IKE_SA_INIT", PROBE_FAIL, "shows a token"},
    {"zero I",
     UP ".."
        "....t."
        "..........",
     PROBE_SILENT, "zero SPI", PROBE_FAIL, "shows a token"},
    {"zero R",
     UP ".."
        ".....t"
        "..........",
     PROBE_SILENT, "zero SPI", PROBE_FAIL, "shows a token"},
    {"zero, bare",
     UP ".."
        "....bb"
        "..........",
     PROBE_SILENT, "zero SPI", PROBE_OK, "without a token"},

    {"size", UP "tt" QUIET LIMITED, PROBE_SHOWS, "size", PROBE_OK,
     "at most 76 octets in 1 message for a request of 80"},
    {"five of 16", UP "55" QUIET LIMITED, PROBE_SHOWS, "size", PROBE_OK, "156"},
    {"four of 128", UP "tT" QUIET LIMITED, PROBE_SHOWS, "size", PROBE_FAIL,
     "580 octets"},
    {"three replies", UP "td" QUIET LIMITED, PROBE_SHOWS, "size", PROBE_OK,
     "228 octets in 3 messages"},
    {"size of others",
     UP ".."
        "..T..."
        "..........",
     PROBE_SILENT, "size", PROBE_FAIL, "for a request of 68"},

    {"limit", UP "tt" QUIET LIMITED, PROBE_SHOWS, "rate limit", PROBE_OK,
     "limited: 8 of 10"},
    {"no limit", UP "tt" QUIET FREE, PROBE_SHOWS, "rate limit", PROBE_NOTE,
     "10 of 10"},
};

static void test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(verdicts); i++) {
        const char *row = verdicts[i].name;
        probe_verdict v;
        probe p;
        box_init(&p, 1);
        play(&p, &v, verdicts[i].gateway);
        const probe_check *c = find(&v, verdicts[i].check);
        CHECK_INT(row, v.state, verdicts[i].state);
        CHECK_INT(row, c->result, verdicts[i].result);
        CHECK(row, strstr(c->found, verdicts[i].found) != NULL);
        CHECK(row, c->result != PROBE_FAIL || v.is_failed);
        assert_int_equal(PROBE_FOUND_MAX, TABLE_CELL_MAX);
        for (size_t j = 0; j < v.num_checks; j++) {
            CHECK(row, v.checks[j].result != PROBE_NONE);
            CHECK(row, v.checks[j].clause != NULL);
            CHECK(row, strlen(v.checks[j].found) < PROBE_FOUND_MAX);
        }
    }
}

/* All of it at once: nothing fails that should not. */
static void test_faultless(void **state)
{
    (void)state;
    static const char *const gateways[] = {
        UP ".." QUIET "..........",
        UP "bb" QUIET "bbbbbbbbbb",
        UP "tt" QUIET LIMITED,
        UP "tt" QUIET FREE,
        "va...a.p"
        "tt"
        "..brbb" LIMITED,
    };
    for (size_t i = 0; i < NUM_ROWS(gateways); i++) {
        probe_verdict v;
        probe p;
        box_init(&p, 2);
        play(&p, &v, gateways[i]);
        CHECK(gateways[i], !v.is_failed);
    }
}

/* After a restart, all messages have the SPIs of one IKE SA. */
static void test_known_spis(void **state)
{
    (void)state;
    probe_verdict v;
    probe p;
    box_init(&p, 3);
    p.may_init = false;
    p.has_spis = true;
    count_up(&p.spis, 1, sizeof(p.spis));
    play(&p, &v,
         "v......."
         "t." QUIET "........t.");
    assert_int_equal(v.state, PROBE_SHOWS);
    assert_false(v.is_failed);
    assert_int_equal(find(&v, "stable")->result, PROBE_OK);
    assert_int_equal(find(&v, "distinct")->result, PROBE_NONE);
    assert_int_equal(find(&v, "live SA")->result, PROBE_NONE);

    box_init(&p, 3);
    p.may_init = false;
    p.has_spis = true;
    count_up(&p.spis, 1, sizeof(p.spis));
    play(&p, &v,
         "v......."
         ".." QUIET "..........");
    assert_non_null(strstr(find(&v, "maker")->found, "no restart"));
}

/* What was never sent is not called silent. */
static void test_broken_off(void **state)
{
    (void)state;
    uint8_t octets[BOX_MAX];
    probe_datagram out;
    probe_verdict v;
    probe p;
    box_init(&p, 4);
    probe_build(&p, &out, PROBE_FIRST);
    probe_take(&p, octets, box_tokens(octets, &p.seen[PROBE_FIRST], 1, 32, 1));
    probe_judge(&v, &p);
    assert_int_equal(v.state, PROBE_SHOWS);
    assert_int_equal(find(&v, "response")->result, PROBE_NONE);
    assert_int_equal(find(&v, "zero SPI")->result, PROBE_NONE);
}

static void test_protocol_id(void **state)
{
    (void)state;
    uint8_t octets[BOX_MAX];
    probe_datagram out;
    probe_verdict v;
    probe p;
    box_init(&p, 5);
    probe_build(&p, &out, PROBE_FIRST);
    size_t len = box_tokens(octets, &p.seen[PROBE_FIRST], 1, 32, 1);
    octets[QCD_HEADER_LEN + 8 + 4] = 1;
    probe_take(&p, octets, len);
    probe_judge(&v, &p);
    assert_int_equal(find(&v, "tokens")->result, PROBE_NOTE);
    assert_string_equal(probe_result_name(PROBE_NOTE), "note");
    assert_string_equal(probe_state_name(v.state), "tokens");

    octets[QCD_HEADER_LEN + 8 + 5] = 4; /* SPI Size */
    box_init(&p, 5);
    probe_build(&p, &out, PROBE_FIRST);
    probe_take(&p, octets, len);
    probe_judge(&v, &p);
    assert_int_equal(find(&v, "tokens")->result, PROBE_FAIL);
    assert_string_equal(find(&v, "tokens")->clause, "RFC 6290 section 4.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),    cmocka_unit_test(test_faultless),
        cmocka_unit_test(test_known_spis),  cmocka_unit_test(test_broken_off),
        cmocka_unit_test(test_protocol_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
