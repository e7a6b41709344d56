/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_answer.c: any octets as a gateway's answer to the qcd command.
 *
 * The first octet chooses how it is read: into a sample for qcd top, into the
 * text of qcd metrics, as the lines of --json, or as a stream of events, and
 * what goes wrong meanwhile.  The second is the size of the screen.  What is
 * shown has no control character, and no line is longer than the screen is
 * wide. */
#include "fuzz.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../tool/exposition.h"
#include "../tool/text.h"
#include "../tool/view.h"

enum { SAMPLE, METRICS, JSON, EVENTS, NUM_MODES };

/* ---- The socket -------------------------------------------------------- */

/* What goes wrong. */
enum {
    NOTHING,
    NO_SOCKET,
    NO_GATEWAY,
    NO_RIGHT,
    NO_ROOM,
    NO_STREAM,
    NO_SEND,
    NO_TIME,
    NO_POLL,
    NO_READ,
    INTERRUPTED,
    NO_READER,
    LONG_PATH,
    NUM_FAULTS
};

static const uint8_t *octets;
static size_t num_octets;
static int far_end = -1;
static int fault;

int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout);
int __real_poll(struct pollfd *fds, nfds_t num, int timeout);
ssize_t __wrap_recv(int fd, void *out, size_t cap, int flags);
ssize_t __real_recv(int fd, void *out, size_t cap, int flags);

int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout)
{
    if (fault == INTERRUPTED && num_octets % 2 == 0) {
        fault = NOTHING;
        errno = EINTR;
        return -1;
    }
    if (fault == NO_POLL) {
        errno = ENOMEM;
        return -1;
    }
    if (fault == NO_TIME) {
        return 0;
    }
    if (fault == NO_READER && fds[1].fd >= 0) {
        fds[0].revents = 0;
        fds[1].revents = POLLERR;
        return 1;
    }
    return __real_poll(fds, num, timeout);
}

ssize_t __wrap_recv(int fd, void *out, size_t cap, int flags)
{
    if (fault == INTERRUPTED || fault == NO_READ) {
        errno = fault == NO_READ ? ECONNRESET : EINTR;
        fault = NOTHING;
        return -1;
    }
    return __real_recv(fd, out, cap, flags);
}

/* What is left of a long answer than fits into the socket is cut off. */
int __wrap_socket(int domain, int type, int protocol)
{
    int ends[2];

    DEMAND(domain == AF_UNIX && protocol == 0);
    if (fault == NO_SOCKET) {
        errno = EMFILE;
        return -1;
    }
    DEMAND(socketpair(AF_UNIX, type, 0, ends) == 0);
    far_end = ends[1];
    if (num_octets > 0) {
        (void)!send(far_end, octets, num_octets, MSG_DONTWAIT);
    }
    DEMAND(shutdown(far_end, SHUT_WR) == 0);
    if (fault == NO_SEND) {
        (void)close(far_end);
        far_end = -1;
    }
    return ends[0];
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    static const int whys[] = {[NO_GATEWAY] = ENOENT,
                               [NO_RIGHT] = EACCES,
                               [NO_ROOM] = EAGAIN,
                               [NO_STREAM] = EPROTOTYPE};

    DEMAND(fd >= 0 && address->sa_family == AF_UNIX && len > 0);
    errno = fault >= NO_GATEWAY && fault <= NO_STREAM ? whys[fault] : 0;
    return errno != 0 ? -1 : 0;
}

/* check_asked checks the line that the gateway was sent. */
static void check_asked(const char *want)
{
    char got[80] = "";

    if (far_end < 0) {
        return;
    }
    ssize_t len = __real_recv(far_end, got, sizeof(got) - 1, MSG_DONTWAIT);
    if (len > 0) {
        DEMAND(len == (ssize_t)strlen(want) + 1);
        DEMAND(memcmp(got, want, strlen(want)) == 0 && got[len - 1] == '\n');
    }
    (void)close(far_end);
    far_end = -1;
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
    sample before = *now;
    view v = {.now = now,
              .before = (size & 1) != 0 ? &before : NULL,
              .age_ms = size * 100000,
              .trouble = (size & 2) != 0 ? "a\x1b[b" : NULL,
              .width = size * 2u,
              .height = size / 4u,
              .top = size};
    char line[VIEW_LINE_MAX];

    before.at_ms -= 1000;
    view_lay(&v);
    for (size_t y = 0; y < v.height; y++) {
        (void)view_line(&v, y, line);
        check_printable(line,
                        v.width < VIEW_LINE_MAX ? v.width : VIEW_LINE_MAX - 1);
    }
}

/* capture collects what is printed to standard output. */
typedef struct capture {
    FILE *before;
    char *text;
    size_t len;
} capture;

static void capture_begin(capture *c)
{
    c->before = stdout;
    stdout = open_memstream(&c->text, &c->len);
    DEMAND(stdout != NULL);
}

/* capture_end demands that it has no control character but ends of lines. */
static void capture_end(capture *c)
{
    DEMAND(fclose(stdout) == 0);
    stdout = c->before;
    for (size_t i = 0; i < c->len; i++) {
        DEMAND(c->text[i] == '\n' || (c->text[i] >= ' ' && c->text[i] <= '~'));
    }
    free(c->text);
}

static void check_tables(const sample *now)
{
    capture c;

    char hex[2 * sizeof(now->at_ms) + 1];

    text_hex(hex, (const uint8_t *)&now->at_ms, sizeof(now->at_ms));
    DEMAND(strlen(hex) == sizeof(hex) - 1);
    DEMAND(strspn(hex, "0123456789abcdef") == sizeof(hex) - 1);
    capture_begin(&c);
    table_print(&now->connections, "");
    table_print(&now->recoveries, "  ");
    capture_end(&c);
}

static void read_sample(const options *opts, uint8_t size)
{
    sample told;
    sentence why = {.text = ""};

    if (sample_ask(&told, opts, &why)) {
        DEMAND(told.failure == SAMPLE_GOOD);
        check_screen(&told, size);
        check_tables(&told);
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
    DEMAND(result != CLIENT_OK);
    DEMAND((result == CLIENT_ABSENT) == (fault == NO_GATEWAY));
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
    sentence why = {.text = ""};
    capture c;

    opts->given |= OPTION_JSON;
    capture_begin(&c);
    (void)answer_run(opts, &why, "status", NULL, NULL);
    capture_end(&c);
    check_asked("status");
}

static void read_events(const options *opts)
{
    client c;
    sentence why = {.text = ""};
    json_t *event;
    table t;
    char safe[TABLE_CELL_MAX + 1];
    char when[TEXT_TIME_MAX];

    enum client_result result =
        client_ask(&c, &why, opts->socket, "events", true);
    while (result == CLIENT_OK &&
           (result = client_next(&c, &event, &why)) == CLIENT_OK) {
        const char *name = json_string_value(json_object_get(event, "event"));
        text_safe(safe, sizeof(safe), name != NULL ? name : "-");
        check_printable(safe, sizeof(safe));
        text_time(when, answer_ms(event), true);
        check_printable(when, sizeof(when));
        DEMAND(answer_ms(event) >= -1 || json_object_get(event, "time_ms"));
        table_init(&t, answer_recovery_headings, ANSWER_RECOVERY_COLUMNS);
        answer_recovery(&t, event);
        answer_yes(&t, event, "waiting");
        table_free(&t);
        json_decref(event);
    }
    /* A gateway never ends a stream. */
    DEMAND(result != CLIENT_OK);
    DEMAND(result != CLIENT_END || fault == NO_READER);
    DEMAND((result == CLIENT_END) == (why.text[0] == '\0'));
    client_close(&c);
    check_asked("events");
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    options opts = {.socket = "unix:///played"};
    char path[200];

    if (in_len < 2) {
        return 0;
    }
    fault = in[0] / NUM_MODES % NUM_FAULTS;
    if (fault == LONG_PATH) {
        memset(path, 'a', sizeof(path) - 1);
        path[sizeof(path) - 1] = '\0';
        opts.socket = path;
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
