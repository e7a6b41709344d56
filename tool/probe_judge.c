/* SPDX-License-Identifier: Apache-2.0 */
/* probe_judge.c: concludes from the answers to qcd probe. */
#include "probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *plural(size_t number)
{
    return number == 1 ? "" : "s";
}

/* is_asked tells whether `ask` was sent. */
static bool is_asked(const probe *p, enum probe_ask ask)
{
    return p->seen[ask].sent_len > 0;
}

static bool is_answered(const probe *p, enum probe_ask ask)
{
    return p->seen[ask].num_answers > 0;
}

/* is_for_unknown tells whether `ask` is a protected request for an unknown IKE
 * SA.  Tokens are due for these only. */
static bool is_for_unknown(size_t ask)
{
    return ask == PROBE_FIRST || ask == PROBE_REPEAT || ask >= PROBE_RATE;
}

const probe_answer *probe_shown(const probe *p)
{
    for (size_t i = PROBE_FIRST; i < PROBE_NUM; i++) {
        if (is_for_unknown(i) && p->seen[i].answer.num_tokens > 0) {
            return &p->seen[i].answer;
        }
    }
    return NULL;
}

/* say sets what a check has found. */
__attribute__((format(printf, 2, 3))) static void say(probe_check *c,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->found, sizeof(c->found), format, args);
    va_end(args);
}

static void set_unknown(probe_check *c, const char *why)
{
    c->result = PROBE_UNKNOWN;
    say(c, "%s", why);
}

/* ---- What the gateway is ----------------------------------------------- */

static enum probe_state judge_state(const probe *p)
{
    if (probe_shown(p) != NULL) {
        return PROBE_SHOWS;
    }
    bool is_up = p->num_strays > 0;
    for (size_t i = 0; i < PROBE_NUM; i++) {
        const probe_seen *seen = &p->seen[i];
        if (is_for_unknown(i) && seen->answer.has_invalid_ike_spi) {
            return PROBE_BARE;
        }
        is_up = is_up || seen->num_answers > 0;
    }
    return is_up ? PROBE_SILENT : PROBE_DOWN;
}

static void check_maker(probe_check *c, const probe *p)
{
    const char *down = p->num_foreign > 0
                           ? "answers, but not in IKEv2"
                           : "no answer to anything: down, filtered, or no "
                             "IKEv2";
    const char *const random[] = {
        [PROBE_DOWN] = down,
        [PROBE_SILENT] = "silent about random SPIs: no token maker, or one "
                         "that knows its own SPIs, as qcd",
        [PROBE_BARE] = "INVALID_IKE_SPI alone: no token maker, or one that "
                       "knows its own SPIs",
        [PROBE_SHOWS] = "yes: shows tokens, even for random SPIs",
    };
    const char *const known[] = {
        [PROBE_DOWN] = down,
        [PROBE_SILENT] = "silent about this IKE SA: no token maker, no "
                         "restart, or no connection for this host",
        [PROBE_BARE] = "INVALID_IKE_SPI alone, also for this IKE SA: no token "
                       "maker",
        [PROBE_SHOWS] = "yes: shows a token for this IKE SA",
    };
    enum probe_state state = judge_state(p);
    c->result = state == PROBE_DOWN ? PROBE_UNKNOWN : PROBE_OK;
    say(c, "%s", (p->has_spis ? known : random)[state]);
}

/* A shown token that does not match must not be answered.  A gateway that does
 * answer is no taker; one that answers the same notify of another type looks at
 * tokens before all else. */
static void check_taker(probe_check *c, const probe *p)
{
    if (!is_asked(p, PROBE_TOKEN)) {
        return;
    }
    c->result = PROBE_OK;
    if (is_answered(p, PROBE_TOKEN)) {
        say(c, "no: treats a token like any other notify");
    } else if (is_answered(p, PROBE_CONTROL)) {
        say(c, "yes: drops a shown token, but answers the "
               "same notify of another type");
    } else {
        set_unknown(c, "answers neither a shown token nor another notify");
    }
}

/* ---- A live IKE SA ----------------------------------------------------- */

/* is_alive tells whether the gateway still has the IKE SA that it began: it
 * answers the same IKE_SA_INIT with the same SPI. */
static bool is_alive(const probe *p)
{
    const qcd_spis *accepted = probe_accepted(p);
    const probe_answer *again = &p->seen[PROBE_INIT_AGAIN].answer;
    return accepted != NULL && is_answered(p, PROBE_INIT_AGAIN) &&
           memcmp(&again->header.spis, accepted, sizeof(*accepted)) == 0;
}

static const char *why_not_live(const probe *p)
{
    if (!is_answered(p, PROBE_INIT)) {
        return "no answer to IKE_SA_INIT";
    }
    if (p->seen[PROBE_INIT].answer.has_cookie) {
        return "the gateway asks for a cookie: too many handshakes. Try later";
    }
    if (probe_accepted(p) == NULL) {
        return "the gateway refuses IKE_SA_INIT from this host";
    }
    return "the gateway dropped its IKE SA";
}

static void check_live(probe_check *c, const probe *p)
{
    size_t num_tokens =
        p->seen[PROBE_LIVE].num_tokens + p->seen[PROBE_LIVE_FLIPPED].num_tokens;
    if (!is_asked(p, PROBE_INIT)) {
        return;
    }
    if (!is_alive(p)) {
        set_unknown(c, why_not_live(p));
    } else if (num_tokens > 0) {
        c->result = PROBE_FAIL;
        say(c, "shows a token for an IKE SA that it has%s",
            p->seen[PROBE_LIVE].num_tokens > 0 ? ""
                                               : ", if the I flag is clear");
    } else {
        c->result = PROBE_OK;
        say(c, "no token for an IKE SA that it has");
    }
}

/* ---- The tokens -------------------------------------------------------- */

/* form is what is wrong with shown tokens. */
typedef struct form {
    enum probe_result result;
    const char *clause;
    const char *words;
} form;

static form form_of(const probe_answer *a)
{
    if (a->len_min < QCD_TOKEN_MIN || a->len_max > QCD_TOKEN_MAX) {
        return (form){PROBE_FAIL, "RFC 6290 section 5",
                      ": a token has 16 to 128 octets"};
    }
    if (a->num_invalid > 0) {
        return (form){PROBE_FAIL, "RFC 6290 section 4.1",
                      ": the SPI Size is not 0"};
    }
    if (a->num_tokens > QCD_TOKENS_SENT_MAX) {
        return (form){PROBE_FAIL, "RFC 6290 section 4.5", ": at most four"};
    }
    if (a->protocol != 0) {
        return (form){PROBE_NOTE, "RFC 6290 section 4.1",
                      ": erratum 3449 says 0"};
    }
    return (form){PROBE_OK, "RFC 6290 sections 4.1, 5", ""};
}

static void check_form(probe_check *c, const probe *p)
{
    const probe_answer *a = probe_shown(p);
    if (a == NULL) {
        return;
    }
    form f = form_of(a);
    c->result = f.result;
    c->clause = f.clause;
    char lens[48] = "";
    if (a->len_min == a->len_max) {
        (void)snprintf(lens, sizeof(lens), "%zu", a->len_min);
    } else {
        (void)snprintf(lens, sizeof(lens), "%zu to %zu", a->len_min,
                       a->len_max);
    }
    say(c, "%zu token%s of %s octets, Protocol ID %u%s", a->num_tokens,
        plural(a->num_tokens), lens, a->protocol, f.words);
}

/* wrong_header tells what an answer lacks of RFC 7296 section 2.21.4, or
 * returns NULL. */
static const char *wrong_header(const probe_seen *seen)
{
    const probe_answer *a = &seen->answer;
    if (a->is_malformed) {
        return "cannot be read to its end";
    }
    if (seen->is_id_changed) {
        return "does not have the Message ID of the request";
    }
    if ((a->header.flags & QCD_FLAG_RESPONSE) == 0) {
        return "is not marked as a response";
    }
    if (a->is_protected) {
        return "is protected";
    }
    return a->has_invalid_ike_spi ? NULL : "has no INVALID_IKE_SPI";
}

static void check_reply(probe_check *c, const probe *p)
{
    for (size_t i = PROBE_FIRST; i < PROBE_NUM; i++) {
        if (!is_for_unknown(i) || p->seen[i].num_answers == 0) {
            continue;
        }
        const char *wrong = wrong_header(&p->seen[i]);
        c->result = wrong == NULL ? PROBE_OK : PROBE_FAIL;
        if (wrong != NULL) {
            say(c, "the reply %s", wrong);
            return;
        }
        say(c, "INVALID_IKE_SPI with the SPIs and the Message "
               "ID of the request");
    }
    if (p->num_strays > 0) {
        c->result = p->num_stray_tokens > 0 ? PROBE_FAIL : PROBE_NOTE;
        say(c, "%zu message%s without the SPIs of a request", p->num_strays,
            plural(p->num_strays));
    }
}

/* is_common tells whether two answers have a token in common.  If secrets are
 * rotated, their number and order may differ. */
static bool is_common(const probe_answer *a, const probe_answer *b)
{
    for (size_t i = 0; i < a->num_kept; i++) {
        for (size_t j = 0; j < b->num_kept; j++) {
            const qcd_token *x = &a->tokens[i];
            const qcd_token *y = &b->tokens[j];
            if (x->len == y->len && memcmp(x->octets, y->octets, x->len) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* next_shown returns the first message from `from` on, for an unknown IKE SA,
 * whose answer has a valid token.  It returns PROBE_NUM if there is none. */
static size_t next_shown(const probe *p, size_t from)
{
    while (from < PROBE_NUM &&
           !(is_for_unknown(from) && p->seen[from].answer.num_kept > 0)) {
        from++;
    }
    return from;
}

/* check_pairs compares the tokens of the first answer with those of all others
 * for the same IKE SA, or for another one. */
static void check_pairs(probe_check *c, const probe *p, bool is_same)
{
    size_t first = next_shown(p, PROBE_FIRST);
    for (size_t i = next_shown(p, first + 1); i < PROBE_NUM;
         i = next_shown(p, i + 1)) {
        const probe_seen *a = &p->seen[first];
        const probe_seen *b = &p->seen[i];
        if ((memcmp(&a->spis, &b->spis, sizeof(a->spis)) == 0) != is_same) {
            continue;
        }
        bool is_right = is_common(&a->answer, &b->answer) == is_same;
        if (c->result != PROBE_FAIL) {
            c->result = is_right ? PROBE_OK : PROBE_FAIL;
        }
    }
}

static void check_stable(probe_check *c, const probe *p)
{
    check_pairs(c, p, true);
    if (c->result == PROBE_NONE && probe_shown(p) != NULL) {
        set_unknown(c, "only one reply with tokens");
    } else {
        say(c, "%s token for the same SPIs",
            c->result == PROBE_FAIL ? "another" : "the same");
    }
}

static void check_distinct(probe_check *c, const probe *p)
{
    check_pairs(c, p, false);
    say(c, "%s token for other SPIs",
        c->result == PROBE_FAIL ? "the same" : "another");
}

/* ---- What must get no token, or no answer ------------------------------ */

/* check_silence checks a message that must get no answer (`is_strict`), or no
 * token. */
static void check_silence(probe_check *c, const probe *p, enum probe_ask ask,
                          bool is_strict)
{
    const probe_seen *seen = &p->seen[ask];
    if (!is_asked(p, ask)) {
        return;
    }
    c->result = PROBE_OK;
    if (seen->num_tokens > 0) {
        c->result = PROBE_FAIL;
        say(c, "shows a token");
    } else if (seen->num_answers > 0 && is_strict) {
        c->result = PROBE_FAIL;
        say(c, "answers");
    } else {
        say(c, "%s",
            seen->num_answers > 0 ? "answers without a token" : "silent");
    }
}

static void check_zero(probe_check *c, const probe *p)
{
    bool is_worse = p->seen[PROBE_ZERO_I].num_tokens > 0;
    check_silence(c, p, is_worse ? PROBE_ZERO_I : PROBE_ZERO_R, false);
}

/* ---- How much ---------------------------------------------------------- */

static void check_size(probe_check *c, const probe *p)
{
    const probe_seen *worst = NULL;
    if (p->is_flooded) {
        c->result = PROBE_FAIL;
        say(c, "messages without end: no more was asked, and the rest was not "
               "read");
        return;
    }
    for (size_t i = PROBE_LIVE; i < PROBE_NUM; i++) {
        const probe_seen *seen = &p->seen[i];
        bool is_setup =
            i == PROBE_INIT_AGAIN || i == PROBE_TOKEN || i == PROBE_CONTROL;
        if (!is_setup && seen->num_answers > 0 &&
            (worst == NULL ||
             seen->octets * worst->sent_len > worst->octets * seen->sent_len)) {
            worst = seen;
        }
    }
    if (worst == NULL) {
        return;
    }
    bool is_amplified = worst->octets > QCD_AMPLIFICATION_MAX * worst->sent_len;
    c->result = is_amplified ? PROBE_FAIL : PROBE_OK;
    say(c, "at most %zu octets in %zu message%s for a request of %zu",
        worst->octets, worst->num_answers, plural(worst->num_answers),
        worst->sent_len);
}

static void check_rate(probe_check *c, const probe *p)
{
    size_t num_asked = 0;
    size_t num_answered = 0;
    for (size_t i = PROBE_RATE; i < PROBE_NUM; i++) {
        num_asked += p->seen[i].sent_len > 0 ? 1 : 0;
        num_answered += p->seen[i].num_answers > 0 ? 1 : 0;
    }
    if (num_asked == 0) {
        return;
    }
    bool is_limited = num_answered < num_asked;
    c->result = is_limited ? PROBE_OK : PROBE_NOTE;
    say(c, "%s %zu of %zu requests in a second answered",
        is_limited ? "limited:" : "no limit seen at ten a second:",
        num_answered, num_asked);
}

/* ---- All of it --------------------------------------------------------- */

static void check_responses(probe_check *c, const probe *p)
{
    check_silence(c, p, PROBE_RESPONSE, true);
}

static void check_shown(probe_check *c, const probe *p)
{
    check_silence(c, p, PROBE_SHOWN, true);
}

static void check_unprotected(probe_check *c, const probe *p)
{
    check_silence(c, p, PROBE_UNPROTECTED, false);
}

static void check_sa_init(probe_check *c, const probe *p)
{
    check_silence(c, p, PROBE_SA_INIT, false);
}

static const struct {
    const char *name;
    const char *clause;
    void (*check)(probe_check *, const probe *);
} rows[] = {
    {"maker", "RFC 6290 section 4.5", check_maker},
    {"taker", "RFC 6290 section 4.5", check_taker},
    {"live SA", "RFC 6290 section 9.2", check_live},
    {"reply", "RFC 7296 section 2.21.4", check_reply},
    {"tokens", "RFC 6290 sections 4.1, 5", check_form},
    {"stable", "RFC 6290 section 5", check_stable},
    {"distinct", "RFC 6290 section 5", check_distinct},
    {"response", "RFC 7296 section 2.21.4", check_responses},
    {"shown token", "RFC 6290 section 4.5", check_shown},
    {"unprotected", "RFC 6290 section 4.5", check_unprotected},
    {"IKE_SA_INIT", "RFC 6290 section 4.5", check_sa_init},
    {"zero SPI", "RFC 6290 section 5", check_zero},
    {"size", "three times the request", check_size},
    {"rate limit", "RFC 6290 section 8.1", check_rate},
};

_Static_assert(COUNT(rows) == PROBE_NUM_CHECKS, "a check for each row");

void probe_judge(probe_verdict *out, const probe *p)
{
    *out = (probe_verdict){.state = judge_state(p)};
    /* Silence proves nothing about a gateway that is not there. */
    bool is_down = out->state == PROBE_DOWN && !p->is_flooded;
    size_t num_rows = is_down ? 1 : COUNT(rows);
    for (size_t i = 0; i < num_rows; i++) {
        probe_check *c = &out->checks[out->num_checks];
        *c = (probe_check){.name = rows[i].name, .clause = rows[i].clause};
        rows[i].check(c, p);
        out->num_checks += c->result != PROBE_NONE ? 1 : 0;
        out->is_failed = out->is_failed || c->result == PROBE_FAIL;
    }
}

const char *probe_state_name(enum probe_state state)
{
    static const char *const names[] = {[PROBE_DOWN] = "down",
                                        [PROBE_SILENT] = "silent",
                                        [PROBE_BARE] = "bare",
                                        [PROBE_SHOWS] = "tokens"};
    return names[state];
}

const char *probe_result_name(enum probe_result result)
{
    static const char *const names[] = {[PROBE_NONE] = "none",
                                        [PROBE_UNKNOWN] = "unknown",
                                        [PROBE_OK] = "ok",
                                        [PROBE_NOTE] = "note",
                                        [PROBE_FAIL] = "fail"};
    return names[result];
}
