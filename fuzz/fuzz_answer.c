/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_answer.c: any octets as a gateway's answer to the qcd command.
 *
 * The first octet chooses how it is read: into a sample for qcd top, into the
 * text of qcd metrics, as the lines of --json, or as a stream of events.  The
 * second is the size of the screen.  What is shown has no control character,
 * and no line is longer than the screen is wide. */
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "../tool/exposition.h"
#include "../tool/text.h"
#include "../tool/view.h"

enum { SAMPLE, METRICS, JSON, EVENTS, NUM_MODES };

/* ---- The socket -------------------------------------------------------- */

static const uint8_t *octets;
static size_t num_octets;
static int far_end;

int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);

/* What is left of a long answer than fits into the socket is cut off. */
int __wrap_socket(int domain, int type, int protocol)
{
    int ends[2];

    DEMAND(domain == AF_UNIX && protocol == 0);
    DEMAND(socketpair(AF_UNIX, type, 0, ends) == 0);
    far_end = ends[1];
    if (num_octets > 0) {
        (void)!send(far_end, octets, num_octets, MSG_DONTWAIT);
    }
    DEMAND(shutdown(far_end, SHUT_WR) == 0);
    return ends[0];
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    DEMAND(fd >= 0 && address->sa_family == AF_UNIX && len > 0);
    return 0;
}

/* check_asked checks the line that the gateway was sent. */
static void check_asked(const char *want)
{
    char got[80] = "";
    ssize_t len = recv(far_end, got, sizeof(got) - 1, MSG_DONTWAIT);

    DEMAND(len == (ssize_t)strlen(want) + 1);
    DEMAND(memcmp(got, want, strlen(want)) == 0 && got[len - 1] == '\n');
    (void)close(far_end);
}

/* ---- What is shown ----------------------------------------------------- */

static void check_printable(const char *text, size_t width)
{
    DEMAND(strlen(text) <= width);
    for (const char *c = text; *c != '\0'; c++) {
        DEMAND(*c >= ' ' && *c <= '~');
    }
}

static void check_screen(const sample *now, uint8_t size)
{
    view v = {.now = now,
              .before = (size & 1) != 0 ? now : NULL,
              .trouble = (size & 2) != 0 ? "a\x1b[b" : NULL,
              .width = size * 2u,
              .height = size / 4u,
              .top = size};
    char line[VIEW_LINE_MAX];

    view_lay(&v);
    for (size_t y = 0; y < v.height; y++) {
        (void)view_line(&v, y, line);
        check_printable(line,
                        v.width < VIEW_LINE_MAX ? v.width : VIEW_LINE_MAX - 1);
    }
}

static void read_sample(const options *opts, uint8_t size)
{
    sample told;
    sentence why = {.text = ""};

    if (sample_ask(&told, opts, &why)) {
        DEMAND(told.failure == SAMPLE_GOOD);
        check_screen(&told, size);
    } else {
        DEMAND(why.text[0] != '\0');
    }
    sample_free(&told);
    check_asked("status");
}

/* A name is quoted: an end of line is escaped in it, and no other control
 * character is left. */
static void check_metrics(const char *text)
{
    size_t len = strlen(text);

    DEMAND(len >= 6 && strcmp(text + len - 6, "# EOF\n") == 0);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        DEMAND(c == '\n' || (c >= ' ' && c != 0x7f));
        DEMAND(c != 0xc2 || (uint8_t)text[i + 1] >= 0xa0);
        bool is_start = i == 0 || text[i - 1] == '\n';
        DEMAND(!is_start || c == '#' || (c >= 'a' && c <= 'z'));
    }
}

static void read_metrics(const options *opts)
{
    exposition e;
    sentence why = {.text = ""};

    exposition_init(&e);
    enum client_result result =
        answer_run(opts, &why, "status", exposition_take, &e);
    DEMAND(result == CLIENT_END || result == CLIENT_FAILED);
    DEMAND((result == CLIENT_END) == (why.text[0] == '\0'));
    char *text = exposition_text(&e);
    DEMAND(text != NULL);
    check_metrics(text);
    free(text);
    exposition_free(&e);
    check_asked("status");
}

/* --json prints each object as a line of ASCII. */
static void read_json(options *opts)
{
    FILE *out = stdout;
    sentence why = {.text = ""};
    char *printed = NULL;
    size_t len;

    opts->given |= OPTION_JSON;
    stdout = open_memstream(&printed, &len);
    DEMAND(stdout != NULL);
    (void)answer_run(opts, &why, "status", NULL, NULL);
    DEMAND(fclose(stdout) == 0);
    stdout = out;
    for (size_t i = 0; i < len; i++) {
        DEMAND(printed[i] == '\n' || (printed[i] >= ' ' && printed[i] <= '~'));
    }
    free(printed);
    check_asked("status");
}

static void read_events(const options *opts)
{
    client c;
    sentence why = {.text = ""};
    json_t *event;
    table t;
    char safe[TABLE_CELL_MAX + 1];

    enum client_result result =
        client_ask(&c, &why, opts->socket, "events", true);
    while (result == CLIENT_OK &&
           (result = client_next(&c, &event, &why)) == CLIENT_OK) {
        const char *name = json_string_value(json_object_get(event, "event"));
        text_safe(safe, sizeof(safe), name != NULL ? name : "-");
        check_printable(safe, sizeof(safe));
        DEMAND(answer_ms(event) >= -1 || json_object_get(event, "time_ms"));
        table_init(&t, answer_recovery_headings, ANSWER_RECOVERY_COLUMNS);
        answer_recovery(&t, event);
        table_free(&t);
        json_decref(event);
    }
    /* A gateway never ends a stream. */
    DEMAND(result == CLIENT_FAILED && why.text[0] != '\0');
    client_close(&c);
    check_asked("events");
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    options opts = {.socket = "unix:///played"};

    if (in_len < 2) {
        return 0;
    }
    octets = in + 2;
    num_octets = in_len - 2;
    switch (in[0] % NUM_MODES) {
    case SAMPLE:
        read_sample(&opts, in[1]);
        break;
    case METRICS:
        read_metrics(&opts);
        break;
    case JSON:
        read_json(&opts);
        break;
    default:
        read_events(&opts);
    }
    return 0;
}
