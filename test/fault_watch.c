/* SPDX-License-Identifier: Apache-2.0 */
/* fault_watch.c: libqcd-watch when the n-th call fails, for every n: memory,
 * also that of libmnl and libnftnl, and everything that talks to the kernel.
 * The kernel is the real one, in a network namespace of the test's own. */
#include "test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <libmnl/libmnl.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <qcd/watch.h>

#include "fault_calls.h"

/* More than any call makes. */
#define CALLS_MAX 2000

static const qcd_watch_settings settings = {.rate = 100, .nat_port = 4500};

/* What an error may say, by the kind of the call that failed. */
#define NO_MEMORY "memory"
#define FAILED "failed: "

static const struct kind {
    const char *name;
    uint32_t kind;
    const char *text;
    bool is_optional; /* we can do without */
} kinds[] = {
#ifdef QCD_FAULT_ALLOC
    {"alloc", FAULT_ALLOC, NO_MEMORY, false},
#endif
    {"socket", FAULT_SOCKET, FAILED, false},
    {"bind", FAULT_BIND, FAILED, false},
    {"setsockopt", FAULT_OPTION, "", true},
    {"send", FAULT_SEND, "", false},
    {"receive", FAULT_RECEIVE, "", false},
};

static qcd_child_spi spi_of(uint32_t number)
{
    const uint32_t value = htonl(number);
    qcd_child_spi out;

    memcpy(out.octets, &value, sizeof(out.octets));
    return out;
}

static enum qcd_watch_err add_one(qcd_watch *watch, qcd_watch_report *report,
                                  uint32_t number)
{
    const qcd_child_spi spi = spi_of(number);
    return qcd_watch_add(watch, report, &spi, 1);
}

static enum qcd_watch_err remove_one(qcd_watch *watch, qcd_watch_report *report,
                                     uint32_t number)
{
    const qcd_child_spi spi = spi_of(number);
    return qcd_watch_remove(watch, report, &spi, 1);
}

/* ---- What the kernel has ----------------------------------------------- */

static int count_elements(const struct nlmsghdr *header, void *user)
{
    struct nftnl_set *set = nftnl_set_alloc();
    size_t *count = user;

    assert_non_null(set);
    assert_int_equal(nftnl_set_elems_nlmsg_parse(header, set), 0);
    struct nftnl_set_elems_iter *iter = nftnl_set_elems_iter_create(set);
    while (nftnl_set_elems_iter_next(iter) != NULL) {
        (*count)++;
    }
    nftnl_set_elems_iter_destroy(iter);
    nftnl_set_free(set);
    return MNL_CB_OK;
}

/* num_watched counts the SPIs in the kernel's set, 0 without a table. */
static size_t num_watched(void)
{
    char buffer[16384] __attribute__((aligned(8)));
    struct mnl_socket *nl = mnl_socket_open(NETLINK_NETFILTER);
    struct nlmsghdr *h = nftnl_nlmsg_build_hdr(
        buffer, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP | NLM_F_ACK, 7);
    size_t count = 0;
    int more = 1;

    assert_non_null(nl);
    assert_int_equal(mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID), 0);
    mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, "qcd");
    mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, "dead");
    assert_true(mnl_socket_sendto(nl, h, h->nlmsg_len) > 0);
    while (more > 0) {
        ssize_t len = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));
        assert_true(len > 0);
        more = mnl_cb_run(buffer, (size_t)len, 7, mnl_socket_get_portid(nl),
                          count_elements, &count);
    }
    mnl_socket_close(nl);
    return count;
}

/* ---- Faults ------------------------------------------------------------ */

static void start_fault(uint32_t kind, uint32_t n, enum fault_how how)
{
    fault_calls->seen = 0;
    fault_calls->failed = 0;
    fault_calls->kinds = kind;
    fault_calls->n = n;
    fault_calls->how = how;
}

/* stop_fault tells whether a call has failed. */
static bool stop_fault(void)
{
    fault_calls->how = FAULT_NONE;
    return fault_calls->failed > 0;
}

static size_t num_fds(void)
{
    size_t num = 0;
    DIR *dir = opendir("/proc/self/fd");

    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        num++;
    }
    closedir(dir);
    return num;
}

/* A step of a watch's life: what it does, and the SPIs before and after it. */
enum step { OPEN, ADD_FIRST, ADD_MORE, REMOVE_ONE, REMOVE_LAST, NUM_STEPS };

static const struct {
    const char *name;
    size_t before;
    size_t after;
} steps[NUM_STEPS] = {
    [OPEN] = {"open", 0, 0},
    [ADD_FIRST] = {"add the first", 0, 1},
    [ADD_MORE] = {"add another", 1, 2},
    [REMOVE_ONE] = {"remove one", 2, 1},
    [REMOVE_LAST] = {"remove the last", 1, 0},
};

static enum qcd_watch_err take(enum step step, qcd_watch **watch,
                               qcd_watch_report *report)
{
    switch (step) {
    case OPEN:
        return qcd_watch_open(watch, report, &settings);
    case ADD_FIRST:
        return add_one(*watch, report, 1);
    case ADD_MORE:
        return add_one(*watch, report, 2);
    case REMOVE_ONE:
        return remove_one(*watch, report, 2);
    case REMOVE_LAST:
    case NUM_STEPS:
        break;
    }
    return remove_one(*watch, report, 1);
}

/* prepare takes all steps before `step`. */
static qcd_watch *prepare(enum step step)
{
    qcd_watch *watch = NULL;
    qcd_watch_report report;

    for (enum step s = OPEN; s < step; s++) {
        CHECK_INT(report.text, take(s, &watch, &report), QCD_WATCH_OK);
    }
    return watch;
}

/* check_failed checks what every error guarantees. */
static void check_failed(const char *row, const struct kind *kind,
                         enum step step, const qcd_watch *watch,
                         enum qcd_watch_err err, const qcd_watch_report *report)
{
    bool is_removal = step == REMOVE_ONE || step == REMOVE_LAST;

    if (err == QCD_WATCH_OK) {
        CHECK_INT(row, report->text[0], '\0');
        return;
    }
    CHECK_INT(row, err, QCD_WATCH_ERR_SYSTEM);
    if (strstr(report->text, kind->text) == NULL ||
        strstr(report->text, "ESP of lost SAs is not seen") == NULL) {
        fail_msg("row '%s': the error says: %s", row, report->text);
    }
    if (step == OPEN) {
        CHECK(row, watch == NULL);
    } else {
        CHECK_INT(row, qcd_watch_count(watch),
                  is_removal ? steps[step].after : steps[step].before);
    }
}

/* undo brings a watch from after a step to before it. */
static void undo(const char *row, enum step step, qcd_watch **watch)
{
    static const enum step opposite[NUM_STEPS] = {
        [ADD_FIRST] = REMOVE_LAST,
        [ADD_MORE] = REMOVE_ONE,
        [REMOVE_ONE] = ADD_MORE,
        [REMOVE_LAST] = ADD_FIRST,
    };
    qcd_watch_report report;

    if (step == OPEN) {
        qcd_watch_close(*watch);
        *watch = NULL;
    } else {
        CHECK_INT(row, take(opposite[step], watch, &report), QCD_WATCH_OK);
    }
}

/* fail_one fails the n-th call of a kind in a step, and tells whether there was
 * such a call.  The watch is before that step again when it returns. */
static bool fail_one(const char *row, const struct kind *kind, enum step step,
                     qcd_watch **watch)
{
    qcd_watch_report report;
    enum qcd_watch_err err = take(step, watch, &report);
    bool has_failed = stop_fault();

    CHECK(row, err == QCD_WATCH_OK || has_failed);
    CHECK(row, err == QCD_WATCH_OK || !kind->is_optional);
    check_failed(row, kind, step, *watch, err, &report);
    if (err != QCD_WATCH_OK) { /* the same call works when that is over */
        err = take(step, watch, &report);
        if (err != QCD_WATCH_OK) {
            fail_msg("row '%s', again: %s", row, report.text);
        }
    }
    CHECK_INT(row, qcd_watch_count(*watch), steps[step].after);
    CHECK_INT(row, num_watched(), steps[step].after);
    undo(row, step, watch);
    return has_failed;
}

static void fail_step(const struct kind *kind, enum step step,
                      enum fault_how how)
{
    bool has_failed = true;
    size_t fds = num_fds();
    int64_t used = fault_calls->held;
    qcd_watch *watch = prepare(step);

    for (uint32_t n = 1; has_failed; n++) {
        char row[96];
        size_t open_fds = num_fds();
        (void)snprintf(row, sizeof(row), "%s, %s %u%s", steps[step].name,
                       kind->name, n,
                       how == FAULT_NTH_ON ? " and all others" : "");
        assert_true(n < CALLS_MAX);
        start_fault(kind->kind, n, how);
        has_failed = fail_one(row, kind, step, &watch);
        CHECK_INT(row, num_fds(), open_fds);
        CHECK(row, step != OPEN || fault_calls->held == used);
        /* A step without such calls would test nothing. */
        CHECK(row, has_failed || n > 1 || step != OPEN);
    }
    qcd_watch_close(watch);
    CHECK_INT(kind->name, num_watched(), 0);
    CHECK_INT(kind->name, num_fds(), fds);
    CHECK_INT(kind->name, fault_calls->held, used);
}

static void fail_each(enum fault_how how)
{
    for (size_t k = 0; k < NUM_ROWS(kinds); k++) {
        for (enum step step = OPEN; step < NUM_STEPS; step++) {
            fail_step(&kinds[k], step, how);
        }
    }
}

static void test_one_call_fails(void **state)
{
    (void)state;
    fail_each(FAULT_NTH);
}

static void test_all_calls_fail_from_one_on(void **state)
{
    (void)state;
    fail_each(FAULT_NTH_ON);
}

/* Reading packets: an error is like no packet, and the next read works. */
static void test_read_fails(void **state)
{
    qcd_watch *watch = prepare(REMOVE_LAST);
    qcd_traffic packet;

    (void)state;
    start_fault(FAULT_RECEIVE, 1, FAULT_NTH_ON);
    assert_false(qcd_watch_read(watch, &packet));
    assert_true(stop_fault());
    assert_false(qcd_watch_read(watch, &packet));
    qcd_watch_close(watch);
}

/* What closes a watch fails: nothing is kept. */
static void test_close_fails(void **state)
{
    (void)state;
    for (size_t k = 0; k < NUM_ROWS(kinds); k++) {
        size_t fds = num_fds();
        int64_t used = fault_calls->held;
        qcd_watch *watch = prepare(REMOVE_LAST);
        start_fault(kinds[k].kind, 1, FAULT_NTH_ON);
        qcd_watch_close(watch);
        (void)stop_fault();
        CHECK_INT(kinds[k].name, num_fds(), fds);
        CHECK_INT(kinds[k].name, fault_calls->held, used);
        /* The kernel removes a table with the socket of its owner, soon. */
        for (int i = 0; i < 1000 && num_watched() > 0; i++) {
            usleep(1000);
        }
        CHECK_INT(kinds[k].name, num_watched(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_call_fails),
        cmocka_unit_test(test_all_calls_fail_from_one_on),
        cmocka_unit_test(test_read_fails),
        cmocka_unit_test(test_close_fails),
    };

    if (unshare(CLONE_NEWNET) != 0 &&
        unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        printf("1..0 # SKIP no network namespace of its own: run it as root\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
