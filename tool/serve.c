/* SPDX-License-Identifier: Apache-2.0 */
/* serve.c: serves one text at /metrics by HTTP, on loopback. */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "exposition.h"
#include "options.h"

#define CONNECTIONS_MAX 16
#define IDLE_SECONDS 10U
#define REQUEST_MAX ((size_t)8192)

/* Longer than two answers of the gateway: a request may come while it prepares
 * one. */
#define LIFETIME_MS 20000

/* place is an open connection: a client that sends its request octet by octet
 * is never idle. */
typedef struct place {
    int fd; /* -1 if free */
    int64_t deadline_ms;
} place;

/* server is what the threads of the connections share. */
typedef struct server {
    serve_text *text;
    void *user;
    pthread_mutex_t last_mutex;
    struct MHD_Response *last; /* with the text that was prepared last */
    int64_t last_ms;
    pthread_mutex_t places_mutex;
    place places[CONNECTIONS_MAX];
} server;

/* ---- Address ----------------------------------------------------------- */

/* read_host reads an address of `len` octets; only IPv6 stands in brackets. */
static bool read_host(serve_address *out, const char *text, size_t len,
                      uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->socket;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->socket;
    char host[INET6_ADDRSTRLEN];
    bool has_brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
    if (has_brackets) {
        text++;
        len -= 2;
    }
    if (len >= sizeof(host)) {
        return false;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    if (has_brackets) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        out->len = sizeof(*v6);
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out->len = sizeof(*v4);
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

static bool is_loopback(const serve_address *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->socket;
    const struct sockaddr_in6 *v6 =
        (const struct sockaddr_in6 *)&address->socket;
    return address->socket.ss_family == AF_INET6
               ? IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr)
               : ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

bool serve_read(serve_address *out, const char *text, sentence *why)
{
    memset(out, 0, sizeof(*out));
    out->text = text;
    const char *colon = strrchr(text, ':');
    uint16_t port = colon != NULL ? options_port(colon + 1) : 0;
    if (port == 0 || !read_host(out, text, (size_t)(colon - text), port)) {
        sentence_set(why,
                     "--listen takes an IP address and a port, 127.0.0.1:9814 "
                     "or [::1]:9814, not: %s",
                     text);
        return false;
    }
    if (!is_loopback(out)) {
        sentence_set(why,
                     "--listen takes addresses of loopback only, 127.0.0.1 or "
                     "[::1], not: %s. For other hosts, put a reverse proxy "
                     "with TLS and a password in front",
                     text);
        return false;
    }
    return true;
}

/* listen_at returns a socket that listens, or -1 with errno. */
static int listen_at(const serve_address *address)
{
    int one = 1;
    int fd = socket(address->socket.ss_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (const struct sockaddr *)&address->socket, address->len) !=
            0 ||
        listen(fd, CONNECTIONS_MAX) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* ---- Connections ------------------------------------------------------- */

/* note_connection keeps the places of the open connections.  The socket is
 * closed after it was told so. */
static void note_connection(void *user, struct MHD_Connection *connection,
                            void **context,
                            enum MHD_ConnectionNotificationCode code)
{
    server *s = user;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    place *found = code == MHD_CONNECTION_NOTIFY_CLOSED ? *context : NULL;
    (void)pthread_mutex_lock(&s->places_mutex);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (found != NULL) {
            found->fd = -1;
        }
    } else {
        for (size_t i = 0; i < CONNECTIONS_MAX && found == NULL; i++) {
            found = s->places[i].fd < 0 ? &s->places[i] : NULL;
        }
        if (found != NULL && info != NULL) {
            *found =
                (place){.fd = info->connect_fd,
                        .deadline_ms = clock_ms(CLOCK_MONOTONIC) + LIFETIME_MS};
        }
        *context = found;
    }
    (void)pthread_mutex_unlock(&s->places_mutex);
}

/* end_overdue ends the connections that are open for too long. */
static void end_overdue(server *s)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    (void)pthread_mutex_lock(&s->places_mutex);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (s->places[i].fd >= 0 && s->places[i].deadline_ms <= now) {
            (void)shutdown(s->places[i].fd, SHUT_RDWR);
        }
    }
    (void)pthread_mutex_unlock(&s->places_mutex);
}

/* ---- Responses --------------------------------------------------------- */

static void forget(server *s)
{
    if (s->last != NULL) {
        MHD_destroy_response(s->last);
    }
    s->last = NULL;
}

/* make_response takes `text`, which may be NULL.  It returns NULL if there is
 * no memory. */
static struct MHD_Response *make_response(char *text, const char *type)
{
    struct MHD_Response *made =
        text != NULL ? MHD_create_response_from_buffer(strlen(text), text,
                                                       MHD_RESPMEM_MUST_FREE)
                     : NULL;
    if (made == NULL) {
        free(text);
        return NULL;
    }
    if (MHD_add_response_header(made, "Content-Type", type) == MHD_NO ||
        MHD_add_response_header(made, "Connection", "close") == MHD_NO) {
        MHD_destroy_response(made);
        return NULL;
    }
    return made;
}

static enum MHD_Result refuse(struct MHD_Connection *connection,
                              unsigned int status, const char *text)
{
    struct MHD_Response *response = make_response(strdup(text), "text/plain");
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result = MHD_NO;
    if (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
        MHD_add_response_header(response, "Allow", "GET, HEAD") == MHD_YES) {
        result = MHD_queue_response(connection, status, response);
    }
    MHD_destroy_response(response);
    return result;
}

/* respond responds with the text, and prepares it unless that was done since
 * the request came.  So the gateway answers one request at a time, and requests
 * that wait share the next answer. */
static enum MHD_Result respond(server *s, struct MHD_Connection *connection)
{
    int64_t came_ms = clock_ms(CLOCK_MONOTONIC);
    (void)pthread_mutex_lock(&s->last_mutex);
    if (s->last == NULL || s->last_ms <= came_ms) {
        forget(s);
        s->last = make_response(s->text(s->user), EXPOSITION_TYPE);
        s->last_ms = clock_ms(CLOCK_MONOTONIC);
    }
    enum MHD_Result result =
        s->last != NULL ? MHD_queue_response(connection, MHD_HTTP_OK, s->last)
                        : refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR,
                                 "out of memory\n");
    (void)pthread_mutex_unlock(&s->last_mutex);
    return result;
}

static enum MHD_Result
answer(void *user, struct MHD_Connection *connection, const char *url,
       const char *method, const char *version, const char *body,
       /* NOLINTNEXTLINE(readability-non-const-parameter) */
       size_t *body_len, void **request)
{
    (void)version;
    (void)body;
    (void)body_len;
    (void)request;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                      "only GET and HEAD\n");
    }
    if (strcmp(url, "/metrics") != 0) {
        return refuse(connection, MHD_HTTP_NOT_FOUND, "only /metrics\n");
    }
    return respond(user, connection);
}

/* ---- Running ----------------------------------------------------------- */

static void init(server *s, serve_text *text, void *user)
{
    *s = (server){.text = text,
                  .user = user,
                  .last_mutex = PTHREAD_MUTEX_INITIALIZER,
                  .places_mutex = PTHREAD_MUTEX_INITIALIZER};
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        s->places[i].fd = -1;
    }
}

static struct MHD_Daemon *start(server *s, int fd)
{
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
            MHD_USE_POLL | MHD_USE_ITC,
        0, NULL, NULL, answer, s, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MAX,
        MHD_OPTION_NOTIFY_CONNECTION, note_connection, s, MHD_OPTION_END);
}

/* block_signals blocks those that end us, in all threads to come. */
static void block_signals(sigset_t *ends)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(ends);
    (void)sigaddset(ends, SIGINT);
    (void)sigaddset(ends, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, ends, NULL);
}

bool serve_run(const serve_address *address, serve_text *text, void *user,
               sentence *why)
{
    server s;
    sigset_t ends;
    int fd = listen_at(address);
    if (fd < 0) {
        sentence_set(why,
                     "cannot listen at %s: %s. Choose another port with "
                     "--listen",
                     address->text, describe_error(errno));
        return false;
    }
    init(&s, text, user);
    block_signals(&ends);
    struct MHD_Daemon *daemon = start(&s, fd);
    if (daemon == NULL) {
        sentence_set(why, "cannot start the HTTP server: %s",
                     describe_error(errno));
        (void)close(fd);
        return false;
    }
    output_note("serving http://%s/metrics", address->text);
    const struct timespec second = {.tv_sec = 1};
    while (sigtimedwait(&ends, NULL, &second) < 0) {
        end_overdue(&s);
    }
    MHD_stop_daemon(daemon);
    forget(&s);
    return true;
}
