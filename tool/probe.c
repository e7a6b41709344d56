/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c: qcd probe, asks a gateway from outside. */
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "options.h"
#include "probe.h"
#include "probe_net.h"
#include "table.h"
#include "text.h"

/* Exit codes beyond those of all commands. */
enum { PROBE_EXIT_FAILS = 3, PROBE_EXIT_DOWN = 4 };

enum {
    IKE_PORT = 500,
    NAT_PORT = 4500, /* RFC 7296 section 2.23 */
    TARGETS_MAX = 4  /* two families, two ports */
};

/* job is all of one call. */
typedef struct job {
    const options *opts;
    const char *host;
    bool has_spis;
    qcd_spis spis; /* of the IKE SA to ask about */
    size_t num_targets;
    probe_target targets[TARGETS_MAX];
    probe_pace pace;
    bool is_up;      /* somebody has answered */
    bool is_failed;  /* a check failed somewhere */
    int init_family; /* of the address that was sent IKE_SA_INIT, or 0 */
    bool has_begun;  /* `begun` is valid */
    qcd_spis begun;  /* an IKE SA that a gateway began with us */
} job;

/* ---- What to ask ------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_spi(qcd_spi *out, const char *text)
{
    uint8_t any = 0;
    for (size_t i = 0; i < QCD_SPI_LEN; i++) {
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        out->octets[i] = (uint8_t)(high << 4 | low);
        any |= out->octets[i];
    }
    return any != 0;
}

/* read_spis reads two SPIs, neither of them zero: "<16 digits>_<16 digits>". */
static bool read_spis(qcd_spis *out, const char *text)
{
    const size_t digits = 2 * (size_t)QCD_SPI_LEN;
    return strlen(text) == 2 * digits + 1 && text[digits] == '_' &&
           read_spi(&out->initiator, text) &&
           read_spi(&out->responder, text + digits + 1);
}

static bool read_words(job *j, const options *opts)
{
    if (opts->num_arguments == 0) {
        output_misuse("\"qcd probe\" needs a host. See: qcd help probe");
        return false;
    }
    j->host = opts->arguments[0];
    j->has_spis = opts->num_arguments == 2;
    if (j->has_spis && !read_spis(&j->spis, opts->arguments[1])) {
        output_misuse("\"%s\" is not a pair of IKE SPIs. Give both in "
                      "hexadecimal, initiator's first: "
                      "0011223344556677_8899aabbccddeeff",
                      opts->arguments[1]);
        return false;
    }
    if (opts->port != NULL && options_port(opts->port) == 0) {
        output_misuse("\"%s\" is not a port. Give a number from 1 to 65535",
                      opts->port);
        return false;
    }
    return true;
}

static bool is_one_ipv4(in_addr_t address)
{
    return !IN_MULTICAST(ntohl(address)) && address != htonl(INADDR_BROADCAST);
}

/* is_one_host tells whether an address is that of a single host. */
static bool is_one_host(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof(six));
        if (!IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
            return !IN6_IS_ADDR_MULTICAST(&six.sin6_addr);
        }
        in_addr_t inner; /* what the kernel sends to */
        memcpy(&inner, &six.sin6_addr.s6_addr[12], sizeof(inner));
        return is_one_ipv4(inner);
    }
    struct sockaddr_in four;
    memcpy(&four, address, sizeof(four));
    return is_one_ipv4(four.sin_addr.s_addr);
}

static void add_target(job *j, const struct addrinfo *address, in_port_t port)
{
    probe_target *t = &j->targets[j->num_targets++];
    memcpy(&t->address, address->ai_addr, address->ai_addrlen);
    t->address_len = address->ai_addrlen;
    t->has_marker = port != IKE_PORT;
    if (address->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)&t->address)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)&t->address)->sin_port = htons(port);
    }
}

static void add_targets(job *j, const struct addrinfo *address)
{
    if (j->opts->port != NULL) {
        add_target(j, address, options_port(j->opts->port));
    } else {
        add_target(j, address, IKE_PORT);
        add_target(j, address, NAT_PORT);
    }
}

/* resolve finds the first address of each family. */
static bool resolve(job *j, sentence *why)
{
    static const int families[] = {AF_INET, AF_INET6};
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *found;
    int error = getaddrinfo(j->host, NULL, &hints, &found);
    if (error != 0) {
        sentence_set(why, "cannot find the address of \"%s\": %s", j->host,
                     gai_strerror(error));
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        const struct addrinfo *a = found;
        while (a != NULL &&
               (a->ai_family != families[i] || !is_one_host(a->ai_addr))) {
            a = a->ai_next;
        }
        if (a != NULL) {
            add_targets(j, a);
        }
    }
    freeaddrinfo(found);
    if (j->num_targets == 0) {
        sentence_set(why, "\"%s\" has no address of a single host", j->host);
    }
    return j->num_targets > 0;
}

static bool draw(probe *p, sentence *why)
{
    uint8_t *out = (uint8_t *)&p->random;
    size_t len = 0;
    while (len < sizeof(p->random)) {
        ssize_t got = getrandom(out + len, sizeof(p->random) - len, 0);
        if (got < 0 && errno != EINTR) {
            sentence_set(why, "no random octets: %s", describe_error(errno));
            return false;
        }
        len += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* ---- What to show ------------------------------------------------------ */

/* place is a target as text. */
typedef struct place {
    char address[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    in_port_t port;
} place;

static place place_of(const probe_target *t)
{
    place out;
    char port[8];
    if (getnameinfo((const struct sockaddr *)&t->address, t->address_len,
                    out.address, sizeof(out.address), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return (place){.address = "?"};
    }
    out.port = options_port(port);
    return out;
}

#define SPI_TEXT (2 * QCD_SPI_LEN + 1)

static void spi_text(char out[SPI_TEXT], const qcd_spi *spi)
{
    text_hex(out, spi->octets, sizeof(spi->octets));
}

/* state_name is the plain verdict: how the target was reached, or what it is
 * as a token maker. */
static const char *state_name(enum probe_reach reach, const probe_verdict *v)
{
    if (reach == PROBE_CLOSED) {
        return "closed";
    }
    return reach == PROBE_UNREACHABLE ? "unreachable"
                                      : probe_state_name(v->state);
}

static void add_number(json_t *object, const char *key, size_t number)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)number));
}

static void add_spi(json_t *object, const char *key, const qcd_spi *spi)
{
    char text[SPI_TEXT];
    spi_text(text, spi);
    (void)json_object_set_new(object, key, json_string(text));
}

/* show_target prints the verdict as JSON.  It takes the reference. */
static void show_target(json_t *object, const probe *p)
{
    const probe_answer *a = probe_shown(p);
    const qcd_spis *spis = probe_accepted(p);
    if (a != NULL) {
        add_number(object, "tokens", a->num_tokens);
        add_number(object, "octets_min", a->len_min);
        add_number(object, "octets_max", a->len_max);
        add_number(object, "protocol_id", a->protocol);
    }
    if (spis != NULL) {
        add_spi(object, "spi_i", &spis->initiator);
        add_spi(object, "spi_r", &spis->responder);
    }
    output_object(object);
    json_decref(object);
}

static void show_json(const probe *p, const probe_verdict *v, const place *at,
                      const char *state)
{
    show_target(json_pack("{s:s, s:s, s:i, s:s, s:b}", "type", "target",
                          "address", at->address, "port", (int)at->port,
                          "state", state, "failed", v->is_failed ? 1 : 0),
                p);
    for (size_t i = 0; i < v->num_checks; i++) {
        const probe_check *c = &v->checks[i];
        json_t *object =
            json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s}", "type", "check",
                      "address", at->address, "port", (int)at->port, "check",
                      c->name, "result", probe_result_name(c->result), "clause",
                      c->clause, "found", c->found);
        output_object(object);
        json_decref(object);
    }
}

/* show_text returns false if there is no memory. */
static bool show_text(const probe_verdict *v, const place *at,
                      const char *state)
{
    static const char *const headings[] = {"CHECK", "RESULT", "CLAUSE",
                                           "FOUND"};
    table t;
    table_init(&t, v->num_checks > 0 ? headings : NULL, 4);
    for (size_t i = 0; i < v->num_checks; i++) {
        table_add(&t, v->checks[i].name);
        table_add(&t, probe_result_name(v->checks[i].result));
        table_add(&t, v->checks[i].clause);
        table_add(&t, v->checks[i].found);
    }
    (void)printf("%s port %d: %s\n", at->address, (int)at->port, state);
    table_print(&t, "  ");
    bool is_good = !t.bad;
    table_free(&t);
    (void)fflush(stdout);
    return is_good;
}

/* show_next tells how to find out what random SPIs cannot tell. */
static void show_next(const job *j)
{
    char spi_i[SPI_TEXT];
    char spi_r[SPI_TEXT];
    char host[NI_MAXHOST];
    text_safe(host, sizeof(host), j->host);
    spi_text(spi_i, &j->begun.initiator);
    spi_text(spi_r, &j->begun.responder);
    const char *port = j->opts->port;
    (void)printf("To see whether the gateway shows tokens for SPIs of its own, "
                 "restart it, and then\nrun: qcd probe %s%s%s%s %s_%s\n",
                 port != NULL ? "--port " : "", port != NULL ? port : "",
                 port != NULL ? " " : "", host, spi_i, spi_r);
}

/* ---- The run ----------------------------------------------------------- */

/* conclude shows the verdict about one target, and remembers what concerns the
 * whole run. */
static bool conclude(job *j, sentence *why, const probe *p,
                     const probe_target *t, enum probe_reach reach)
{
    probe_verdict verdict = {0};
    place at = place_of(t);
    if (reach == PROBE_REACHED) {
        probe_judge(&verdict, p);
    }
    bool is_up = reach == PROBE_REACHED && verdict.state != PROBE_DOWN;
    j->is_up = j->is_up || is_up;
    j->is_failed = j->is_failed || verdict.is_failed;
    if (p->seen[PROBE_INIT].num_answers > 0) {
        j->init_family = t->address.ss_family;
    }
    if (!j->has_begun && verdict.state != PROBE_SHOWS &&
        probe_accepted(p) != NULL) {
        j->has_begun = true;
        j->begun = *probe_accepted(p);
    }
    if (is_json(j->opts)) {
        show_json(p, &verdict, &at, state_name(reach, &verdict));
    } else if (!show_text(&verdict, &at, state_name(reach, &verdict))) {
        sentence_set(why, "out of memory");
        return false;
    }
    return true;
}

static bool probe_target_run(job *j, sentence *why, const probe_target *t)
{
    /* One IKE SA is enough for an address: a gateway has few places for those
     * that are half open. */
    bool may_init = !j->has_spis && j->init_family != t->address.ss_family;
    probe p = {.has_spis = j->has_spis, .spis = j->spis, .may_init = may_init};
    bool is_done = false;
    if (draw(&p, why)) {
        enum probe_reach reach = probe_run(&p, why, &j->pace, t);
        is_done = reach != PROBE_BROKEN && conclude(j, why, &p, t, reach);
    }
    probe_wipe(&p);
    return is_done;
}

static int exit_code(const job *j)
{
    if (j->is_failed) {
        return PROBE_EXIT_FAILS;
    }
    return j->is_up ? TOOL_OK : PROBE_EXIT_DOWN;
}

int probe_main(const options *opts)
{
    job j = {.opts = opts};
    sentence why;
    if (!read_words(&j, opts)) {
        return TOOL_MISUSE;
    }
    if (!resolve(&j, &why)) {
        return output_fail(opts, &why);
    }
    output_ok(opts);
    for (size_t i = 0; i < j.num_targets; i++) {
        if (!probe_target_run(&j, &why, &j.targets[i])) {
            return output_fail(opts, &why);
        }
    }
    if (j.has_begun && !is_json(opts)) {
        show_next(&j);
    }
    return exit_code(&j);
}
