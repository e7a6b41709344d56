/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_control.c: what clients send to the plugin's socket.
 *
 * The thread of the socket is run by the target itself: poll() is played, and
 * each call of it is a step of the input, in which clients connect, send any
 * octets, read, leave, and time passes.
 *
 *   - a client gets an answer only after a whole command, in lines of JSON, and
 *     {"ok":true} only after one that there is;
 *   - a client that sends no whole command is disconnected after its time;
 *   - whatever happened, all clients are disconnected in the end. */
#include "fuzz_control.h"

#include <poll.h>
#include <setjmp.h>
#include <sys/socket.h>

enum { NUM_CLIENTS = 20, SENT_MAX = 64, TIMEOUT_MS = 5000 };

/* A client: what it has sent and what it got back. */
typedef struct client {
    int fd; /* 0 if it has not connected */
    size_t num_sent;
    char sent[SENT_MAX];
    uint64_t since;
    size_t num_got;
    char got[65536];
} client;

/* What goes wrong at the start. */
enum { STARTS, NO_THREAD, LONG_PATH, NO_SOCKET };

static int starts;
static rd r;
static client clients[NUM_CLIENTS];
static int accepted = -1; /* the gateway's end of a client that connects */
static qcd_events_t *events;
static void *(*run)(void *);
static void *run_data;

static uint8_t next_u8(void)
{
    return rd_u8(&r);
}

/* ---- What is played ---------------------------------------------------- */

static thread_t thread;

static void *join(thread_t *this)
{
    return NULL;
}

/* A charon without IKE_SAs; it has no connections either. */
static enumerator_t *no_sas(ike_sa_manager_t *this, bool wait)
{
    return enumerator_create_empty();
}

static ike_sa_manager_t manager = {.create_enumerator = no_sas};

/* What send() does instead, so many times. */
static int send_error;
static int send_errors;

ssize_t __wrap_send(int fd, const void *in, size_t len, int flags);
ssize_t __real_send(int fd, const void *in, size_t len, int flags);

ssize_t __wrap_send(int fd, const void *in, size_t len, int flags)
{
    DEMAND(flags == (MSG_DONTWAIT | MSG_NOSIGNAL));
    if (send_errors > 0) {
        send_errors--;
        errno = send_error;
        return -1;
    }
    return __real_send(fd, in, len, flags);
}

static void step_full(void)
{
    static const int errors[] = {EAGAIN, EINTR, EPIPE, EAGAIN};

    send_error = errors[next_u8() % 4];
    send_errors = next_u8();
}

thread_t *__wrap_thread_create(void *(*main)(void *), void *data);
int __wrap_accept4(int fd, struct sockaddr *from, socklen_t *len, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout);

thread_t *__wrap_thread_create(void *(*main)(void *), void *data)
{
    if (starts == NO_THREAD) {
        return NULL;
    }
    run = main;
    run_data = data;
    thread.join = join;
    return &thread;
}

int __wrap_accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
    int out = accepted;

    DEMAND(flags == (SOCK_CLOEXEC | SOCK_NONBLOCK));
    accepted = -1;
    errno = EAGAIN;
    return out;
}

/* ---- Clients ----------------------------------------------------------- */

static client *next_client(void)
{
    return &clients[next_u8() % NUM_CLIENTS];
}

static bool is_whole(const client *c)
{
    return memchr(c->sent, '\n', c->num_sent < 32 ? c->num_sent : 32) != NULL;
}

static bool is_command(const client *c, const char *command)
{
    size_t len = strlen(command);
    return c->num_sent > len && memcmp(c->sent, command, len) == 0 &&
           (c->sent[len] == '\n' || c->sent[len] == '\0');
}

/* check_got checks what a client has got so far. */
static void check_got(client *c)
{
    bool is_known = is_command(c, "status") || is_command(c, "events") ||
                    is_command(c, "rotate") || is_command(c, "secret-show");

    if (c->num_got == 0) {
        return;
    }
    DEMAND(is_whole(c));
    for (size_t i = 0; i < c->num_got; i++) {
        DEMAND(c->got[i] == '\n' || (uint8_t)c->got[i] >= ' ');
        DEMAND(i == 0 || c->got[i - 1] != '\n' || c->got[i] == '{');
    }
    DEMAND(strncmp(c->got, "{\"ok\":", 6) == 0);
    bool is_good = strncmp(c->got, "{\"ok\":true}\n", 12) == 0;
    DEMAND(!is_good || is_command(c, "status") || is_command(c, "events"));
    DEMAND(is_known || strstr(c->got, "no such command") != NULL);
}

/* take reads what a client gets.  It returns false after the end. */
static bool take(client *c)
{
    ssize_t len;

    while ((len = recv(c->fd, c->got + c->num_got,
                       sizeof(c->got) - 1 - c->num_got, MSG_DONTWAIT)) > 0) {
        c->num_got += (size_t)len;
        c->got[c->num_got] = '\0';
        check_got(c);
        if (c->num_got == sizeof(c->got) - 1) {
            c->num_got = 12; /* a long stream of events: forget it */
        }
    }
    return len < 0 && errno == EAGAIN;
}

static void leave(client *c)
{
    if (c->fd != 0) {
        close(c->fd);
        c->fd = 0;
    }
}

static void step_connect(void)
{
    client *c = next_client();
    int ends[2];

    if (c->fd == 0 && accepted < 0) {
        memset(c, 0, offsetof(client, got));
        DEMAND(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        c->fd = ends[0];
        c->since = box_now;
        accepted = ends[1];
    }
}

static void step_send(void)
{
    static const char *const commands[] = {
        "status\n", "events\n", "rotate\n", "secret-show\n", "sta", "tus\n"};
    client *c = next_client();
    uint8_t choice = next_u8();
    size_t len = choice % 48;
    const uint8_t *octets = NULL;

    if (choice >= 0xf0) {
        octets = (const uint8_t *)commands[choice % 6];
        len = strlen(commands[choice % 6]);
    } else {
        len = len < r.len ? len : r.len;
        octets = rd_bytes(&r, len);
    }
    if (c->fd == 0 || octets == NULL || c->num_sent + len > SENT_MAX) {
        return;
    }
    if (__real_send(c->fd, octets, len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
        (ssize_t)len) {
        memcpy(c->sent + c->num_sent, octets, len);
        c->num_sent += len;
    }
}

static void step_leave(void)
{
    client *c = next_client();

    if (next_u8() % 2 == 0) {
        leave(c);
    } else if (c->fd != 0) {
        shutdown(c->fd, SHUT_WR);
    }
}

static void step_take(void)
{
    client *c = next_client();

    if (c->fd != 0 && !take(c)) {
        leave(c);
    }
}

static void step_event(void)
{
    char detail[8] = {(char)next_u8(), (char)next_u8(), 'x'};

    for (int i = next_u8(); i > 0; i--) {
        events->raise(events, next_u8() % QCD_EVENT_MAX, NULL, NULL, detail,
                      detail);
    }
    box_forget_log();
}

/* A client that was to be disconnected is. */
static void step_time(void)
{
    box_now += next_u8() * 50u;
}

/* ---- The gateway ------------------------------------------------------- */

/* ready tells what a real poll() would. */
static void ready(struct pollfd *fds, nfds_t num)
{
    struct pollfd copy[NUM_CLIENTS];

    DEMAND(num <= NUM_CLIENTS);
    memcpy(copy, fds, sizeof(*fds) * num);
    copy[num - 1].fd = -1; /* nobody connects to the real one */
    DEMAND(__real_poll(copy, num, 0) >= 0);
    for (nfds_t i = 0; i < num; i++) {
        fds[i].revents = copy[i].revents;
    }
    fds[num - 1].revents = accepted >= 0 ? POLLIN : 0;
    /* A socket may turn out not to be ready after all. */
    uint8_t spurious = next_u8();
    if (spurious < num && fds[spurious].fd >= 0) {
        fds[spurious].revents |= POLLIN;
    }
}

static void check_time(const struct pollfd *fds, nfds_t num, int timeout)
{
    DEMAND(timeout >= -1 && timeout <= TIMEOUT_MS);
    for (size_t i = 0; i < NUM_CLIENTS; i++) {
        client *c = &clients[i];
        /* Its end may wait for accept4(). */
        if (c->fd != 0 && accepted < 0 && !is_whole(c) &&
            box_now - c->since >= TIMEOUT_MS) {
            DEMAND(!take(c));
            DEMAND(c->num_got == 0);
            leave(c);
        }
    }
}

/* Where the thread of the socket ends.  It holds nothing while it waits. */
static jmp_buf over;

int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout)
{
    static void (*const steps[])(void) = {step_connect, step_send,  step_leave,
                                          step_take,    step_event, step_time,
                                          step_send,    step_full};

    check_time(fds, num, timeout);
    if (r.len == 0) {
        longjmp(over, 1);
    }
    steps[next_u8() % 8]();
    ready(fds, num);
    return 1;
}

/* play runs the thread of the socket until the input is used up. */
static void play(void)
{
    if (setjmp(over) == 0) {
        run(run_data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    static char path[64], long_path[200];

    if (path[0] == '\0') {
        DEMAND(box_open(NULL) == 0);
        charon->ike_sa_manager = &manager;
        memset(long_path, 'a', sizeof(long_path) - 1);
        snprintf(path, sizeof(path), "/tmp/qcd-fuzz-%d.ctl", (int)getpid());
    }
    box_now = BOX_NOW;
    send_errors = 0;
    rd_init(&r, in, in_len);
    events = qcd_events_create();
    const qcd_control_t control = {.events = events};
    starts = r.len > 0 && in[0] >= 0xf0 ? in[0] % 4 : STARTS;
    const char *at = starts == LONG_PATH   ? long_path
                     : starts == NO_SOCKET ? "/dev/null"
                                           : path;
    qcd_socket_t *s = qcd_socket_create((char *)at, &control);
    DEMAND((s != NULL) == (starts == STARTS));
    if (s != NULL) {
        play();
        s->destroy(s);
    }
    if (accepted >= 0) {
        close(accepted);
        accepted = -1;
    }
    for (size_t i = 0; i < NUM_CLIENTS; i++) {
        if (clients[i].fd != 0) {
            DEMAND(!take(&clients[i]));
        }
        leave(&clients[i]);
    }
    events->destroy(events);
    box_forget_log();
    return 0;
}
