/* SPDX-License-Identifier: Apache-2.0 */
/* decode_text.c: what qcd decode prints. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "decode.h"
#include "table.h"
#include "text.h"

#define ROWS_MAX 1000     /* of the table; --json has all */
#define SENTENCES_MAX 100 /* about leaks and suspicions */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const verdicts[] = {[TRACE_NO_LEAK] = "",
                                       [TRACE_SUSPECTED] = "suspected",
                                       [TRACE_LEAK] = "leak"};

static const char *const reasons[] = {
    [TRACE_NOTHING] = "",        [TRACE_MESSAGE] = "message",
    [TRACE_OLD] = "old_message", [TRACE_ELSEWHERE] = "elsewhere",
    [TRACE_CHILD] = "child",
};

static const char *const notifies[] = {
    [QCD_CAUSE_NONE] = "",
    [QCD_CAUSE_INVALID_IKE_SPI] = "INVALID_IKE_SPI",
    [QCD_CAUSE_INVALID_SPI] = "INVALID_SPI",
};

static const char *const causes[] = {
    [TRACE_UNASKED] = "announcement",
    [TRACE_REQUEST] = "request",
    [TRACE_CHILD_PACKET] = "child",
};

void decode_address(char out[DECODE_TEXT_MAX], const qcd_address *address)
{
    int family = address->len == 16 ? AF_INET6 : AF_INET;
    if (inet_ntop(family, address->octets, out, DECODE_TEXT_MAX) == NULL) {
        out[0] = '\0';
    }
}

void decode_spi(char out[DECODE_TEXT_MAX], const qcd_spi *spi)
{
    text_hex(out, spi->octets, sizeof(spi->octets));
}

static const char *exchange_name(uint8_t type)
{
    switch (type) {
    case 35:
        return "IKE_AUTH";
    case 36:
        return "CREATE_CHILD_SA";
    case 37:
        return "INFORMATIONAL";
    default:
        return "IKE";
    }
}

void decode_cause(char out[DECODE_TEXT_MAX], const trace_token *token)
{
    char spi[2 * QCD_CHILD_SPI_LEN + 1] = "";
    text_hex(spi, token->child_spi.octets, QCD_CHILD_SPI_LEN);
    if (token->cause == TRACE_REQUEST) {
        (void)snprintf(out, DECODE_TEXT_MAX, "%s request",
                       exchange_name(token->exchange));
    } else if (token->cause == TRACE_CHILD_PACKET) {
        (void)snprintf(out, DECODE_TEXT_MAX, "%s %s",
                       token->child_spi.protocol == QCD_AH ? "AH" : "ESP", spi);
    } else {
        (void)snprintf(out, DECODE_TEXT_MAX, "none: announcement");
    }
}

static void put_duration(char out[DECODE_TEXT_MAX], int64_t us)
{
    if (us < 0) {
        out[0] = '\0';
    } else if (us < 1000000) {
        (void)snprintf(out, DECODE_TEXT_MAX, "%.1f ms", (double)us / 1e3);
    } else {
        (void)snprintf(out, DECODE_TEXT_MAX, "%.3f s", (double)us / 1e6);
    }
}

decode_cursor decode_first(void)
{
    return (decode_cursor){.verdict = TRACE_LEAK};
}

const trace_token *decode_next(const decoded *d, decode_cursor *cursor)
{
    for (; cursor->verdict >= 0; cursor->verdict--, cursor->number = 0) {
        while (cursor->number < trace_num_tokens(&d->trace)) {
            const trace_token *token =
                trace_token_at(&d->trace, cursor->number++);
            if ((int)token->verdict == cursor->verdict) {
                return token;
            }
        }
    }
    return NULL;
}

/* ---- For people -------------------------------------------------------- */

/* count is a row of the summary. */
typedef struct count {
    const char *name; /* of JSON; a row for people has blanks */
    uint64_t number;
    bool is_always; /* shown even if it is 0 */
} count;

#define COUNTS_MAX 11

static void get_counts(count out[COUNTS_MAX], const decoded *d)
{
    const trace_counts *c = &d->trace.counts;
    const count all[COUNTS_MAX] = {
        {"packets", d->num_packets, true},
        {"ike_messages", c->ike, true},
        {"esp_and_ah", c->child, true},
        {"token_messages", c->shown, true},
        {"invalid_spi_without_token", c->bare, false},
        {"without_ip", d->num_no_ip, false},
        {"cut_by_the_capture", d->num_cut, false},
        {"later_fragments", c->fragments, false},
        {"malformed", c->malformed, false},
        {"unreadable_messages", c->unreadable, false},
        {"forgotten", trace_num_forgotten(&d->trace), false},
    };
    for (size_t i = 0; i < COUNTS_MAX; i++) {
        out[i] = all[i];
    }
}

static void add_row(table *t, const char *name, const char *value)
{
    char words[DECODE_TEXT_MAX];
    (void)snprintf(words, sizeof(words), "%s", name);
    for (char *c = words; *c != '\0'; c++) {
        if (*c == '_') {
            *c = ' ';
        }
    }
    table_add(t, words);
    table_add(t, value);
}

static void print_summary(const decoded *d)
{
    table t;
    char text[TEXT_TIME_MAX];
    count counts[COUNTS_MAX];
    table_init(&t, NULL, 2);
    add_row(&t, "link type", d->link);
    if (d->num_packets > 0) {
        text_time(text, d->begin / 1000, true);
        add_row(&t, "first packet", text);
        text_time(text, d->end / 1000, true);
        add_row(&t, "last packet", text);
    }
    get_counts(counts, d);
    for (size_t i = 0; i < COUNTS_MAX; i++) {
        if (counts[i].is_always || counts[i].number > 0) {
            (void)snprintf(text, sizeof(text), "%" PRIu64, counts[i].number);
            add_row(&t, counts[i].name, text);
        }
    }
    (void)puts("capture");
    table_print(&t, "  ");
    table_free(&t);
}

static const char *const headings[] = {
    "VERDICT", "TIME",     "FROM",    "TO",    "TIMES",
    "CAUSE",   "RECOVERY", "TRAFFIC", "SPI_I", "SPI_R"};

static void add_token(table *t, const trace_token *token)
{
    char text[DECODE_TEXT_MAX];
    table_add(t, verdicts[token->verdict]);
    text_time(text, token->time / 1000, true);
    table_add(t, text);
    decode_address(text, &token->shower);
    table_add(t, text);
    decode_address(text, &token->receiver);
    table_add(t, text);
    (void)snprintf(text, sizeof(text), "%" PRIu32, token->num_times);
    table_add(t, text);
    decode_cause(text, token);
    table_add(t, text);
    put_duration(text, trace_recovery(token));
    table_add(t, text);
    put_duration(text, trace_traffic(token));
    table_add(t, text);
    decode_spi(text, &token->spis.initiator);
    table_add(t, text);
    decode_spi(text, &token->spis.responder);
    table_add(t, text);
}

static void print_tokens(const decoded *d)
{
    table t;
    size_t num = 0;
    const trace_token *token;
    decode_cursor cursor = decode_first();
    table_init(&t, headings, COUNT(headings));
    while (num < ROWS_MAX && (token = decode_next(d, &cursor)) != NULL) {
        add_token(&t, token);
        num++;
    }
    if (num > 0) {
        (void)putchar('\n');
        table_print(&t, "");
    }
    if (trace_num_tokens(&d->trace) > num) {
        (void)printf("and %zu more; see --json\n",
                     trace_num_tokens(&d->trace) - num);
    }
    if (t.bad) {
        output_note("out of memory: the table is not complete. Use --json");
    }
    table_free(&t);
}

static void print_verdict(const trace_token *token)
{
    char shower[DECODE_TEXT_MAX];
    char after[DECODE_TEXT_MAX];
    decode_address(shower, &token->shower);
    int64_t late = token->leak - token->time;
    put_duration(after, late < 0 ? 0 : late);
    (void)printf("\n%s: %s showed a token", verdicts[token->verdict], shower);
    switch (token->reason) {
    case TRACE_MESSAGE:
        (void)printf(", and sent a protected message of the same IKE SA %s "
                     "later (Message ID %" PRIu32 "): the SA was alive.\n",
                     after, token->message_id);
        break;
    case TRACE_OLD:
        (void)printf(", and a protected message of the same IKE SA came from "
                     "it %s later (Message ID %" PRIu32 "). It may be a copy "
                     "of an earlier message.\n",
                     after, token->message_id);
        break;
    case TRACE_ELSEWHERE:
        (void)printf(" of an IKE SA of another address, which went on with it "
                     "%s later. Either that gateway shares secrets with a "
                     "live one, or the token is forged.\n",
                     after);
        break;
    case TRACE_CHILD:
        (void)printf(", and went on with ESP or AH of an older child SA, at "
                     "least %s. Its kernel may have kept the child SA.\n",
                     after);
        break;
    case TRACE_NOTHING:
        break;
    }
}

static void print_verdicts(const decoded *d)
{
    size_t num = 0;
    const trace_token *token;
    decode_cursor cursor = decode_first();
    while ((token = decode_next(d, &cursor)) != NULL &&
           token->verdict != TRACE_NO_LEAK) {
        if (num++ < SENTENCES_MAX) {
            print_verdict(token);
        }
    }
    if (num > SENTENCES_MAX) {
        (void)printf("\nand %zu more; see --json\n", num - SENTENCES_MAX);
    }
    if (num == 0) {
        (void)printf("\n%s.\n", trace_num_tokens(&d->trace) > 0
                                    ? "No leak was found"
                                : d->trace.counts.unreadable > 0
                                    ? "No whole message with a token was found"
                                    : "No token was shown");
    }
}

void decode_print(const decoded *d)
{
    print_summary(d);
    print_tokens(d);
    print_verdicts(d);
}

/* ---- JSON -------------------------------------------------------------- */

static void set_text(json_t *object, const char *key, const char *value)
{
    (void)json_object_set_new(
        object, key, *value != '\0' ? json_string(value) : json_null());
}

/* set_ms sets milliseconds, with their fraction, or null. */
static void set_ms(json_t *object, const char *key, int64_t us)
{
    (void)json_object_set_new(
        object, key, us < 0 ? json_null() : json_real((double)us / 1000));
}

static void set_time(json_t *object, const char *key, int64_t us)
{
    (void)json_object_set_new(object, key,
                              us < 0 ? json_null() : json_integer(us / 1000));
}

static void print_summary_json(const decoded *d)
{
    count counts[COUNTS_MAX];
    json_t *object =
        json_pack("{s:s, s:s}", "type", "capture", "link_type", d->link);
    set_time(object, "begin_ms", d->begin);
    set_time(object, "end_ms", d->end);
    get_counts(counts, d);
    for (size_t i = 0; i < COUNTS_MAX; i++) {
        (void)json_object_set_new(object, counts[i].name,
                                  json_integer((json_int_t)counts[i].number));
    }
    output_object(object);
    json_decref(object);
}

static void set_child_spi(json_t *object, const trace_token *token)
{
    char spi[2 * QCD_CHILD_SPI_LEN + 1] = "";
    if (token->notify == QCD_CAUSE_INVALID_SPI) {
        text_hex(spi, token->child_spi.octets, QCD_CHILD_SPI_LEN);
    }
    set_text(object, "child_spi", spi);
}

static void set_ends(json_t *object, const trace_token *token)
{
    char text[DECODE_TEXT_MAX];
    decode_spi(text, &token->spis.initiator);
    set_text(object, "spi_i", text);
    decode_spi(text, &token->spis.responder);
    set_text(object, "spi_r", text);
    decode_address(text, &token->shower);
    set_text(object, "from", text);
    decode_address(text, &token->receiver);
    set_text(object, "to", text);
}

static void print_token_json(const trace_token *token)
{
    json_t *object = json_pack("{s:s}", "type", "token");
    set_time(object, "time_ms", token->time);
    set_ends(object, token);
    (void)json_object_set_new(object, "times", json_integer(token->num_times));
    (void)json_object_set_new(object, "times_elsewhere",
                              json_integer(token->num_elsewhere));
    (void)json_object_set_new(object, "tokens",
                              json_integer(token->num_tokens));
    set_text(object, "notify", notifies[token->notify]);
    set_child_spi(object, token);
    set_text(object, "cause", causes[token->cause]);
    set_text(object, "exchange",
             token->cause == TRACE_REQUEST ? exchange_name(token->exchange)
                                           : "");
    set_ms(object, "cause_to_token_ms", token->time - token->begin);
    set_ms(object, "recovery_ms", trace_recovery(token));
    set_ms(object, "traffic_ms", trace_traffic(token));
    set_text(object, "verdict",
             token->verdict == TRACE_NO_LEAK ? "none"
                                             : verdicts[token->verdict]);
    set_text(object, "reason", reasons[token->reason]);
    set_time(object, "alive_ms", token->leak);
    (void)json_object_set_new(object, "messages_after",
                              json_integer(token->num_after));
    output_object(object);
    json_decref(object);
}

void decode_print_json(const decoded *d)
{
    print_summary_json(d);
    for (size_t i = 0; i < trace_num_tokens(&d->trace); i++) {
        print_token_json(trace_token_at(&d->trace, i));
    }
}
