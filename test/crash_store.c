/* SPDX-License-Identifier: Apache-2.0 */
/* crash_store.c: the store with damaged files, and with a process that is
 * killed at random times. */
#include "test.h"

#include <unistd.h>

#include "store_box.h"
#include <qcd/store.h>

#define NUM_KILLS 100
#define KILL_WITHIN_NS 4000000 /* several writes on a fast disk */

/* check_afresh checks that a start with a damaged file makes new secrets and
 * reports why, and that the next start is an ordinary one. */
static void check_afresh(const box *b, const char *name, const char *told,
                         const box_image *bad, const char *aside)
{
    qcd_store *store;
    qcd_store_report report;
    qcd_secrets now;
    CHECK_INT(name, box_try(&store, &report, b), QCD_STORE_OK);
    CHECK_INT(name, qcd_store_run(store), 1);
    CHECK(name, strstr(report.text, told));
    CHECK(name, box_is_same(b, aside, bad));
    now = *qcd_store_secrets(store);
    qcd_store_close(store);
    CHECK_INT(name, box_try(&store, &report, b), QCD_STORE_OK);
    CHECK_INT(name, qcd_store_run(store), 2);
    CHECK(name, report.text[0] == '\0');
    CHECK_OCTETS(name, qcd_store_secrets(store), &now, sizeof(now));
    qcd_store_close(store);
}

/* damage tries one invalid content in place of the former, valid files. */
static void damage(const box *b, const char *name, const char *told,
                   const char *aside, const box_image *bad)
{
    qcd_secrets before;
    qcd_secrets after;
    box_secrets(&before, b);
    box_restore(b, name, bad);
    check_afresh(b, name, told, bad, aside);
    box_secrets(&after, b);
    CHECK(name, memcmp(before.seal_key, after.seal_key, QCD_SEAL_KEY_LEN) != 0);
    CHECK(name,
          memcmp(before.generations, after.generations, QCD_SECRET_LEN) != 0);
}

static void damage_each(const box *b, const char *name, const char *told,
                        const char *aside)
{
    box_image good;
    qcd_store_close(box_open(b, name));
    box_save(&good, b, name);
    for (size_t len = 0; len <= good.len + 1; len++) {
        box_image bad;
        box_save(&bad, b, name);
        bad.len = len;
        if (len != good.len) {
            damage(b, name, told, aside, &bad);
        }
    }
    for (size_t bit = 0; bit < 8 * good.len; bit++) {
        box_image bad;
        box_save(&bad, b, name);
        bad.octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
        damage(b, name, told, aside, &bad);
    }
}

static void test_damaged_secrets(void **state)
{
    damage_each(*state, "secrets", "/secrets is damaged: it is now secrets.d",
                "secrets.damaged");
}

static void test_damaged_run(void **state)
{
    damage_each(*state, "run", "/run is damaged: the gateway starts",
                "run.old");
}

/* A damaged run file is not reported if there are no secrets. */
static void test_damaged_run_without_secrets(void **state)
{
    static const box_image none = {.is_there = false};
    const box *b = *state;
    box_image run;
    qcd_store_close(box_open(b, "first"));
    box_save(&run, b, "run");
    run.octets[20] ^= 1;
    box_restore(b, "run", &run);
    box_remove(b, "secrets");
    check_afresh(b, "run", "made new secrets in ", &none, "run.old");
}

/* use is what a process reports once a run is durable, before it would mint
 * SPIs of that run. */
typedef struct use {
    uint8_t seal_key[QCD_SEAL_KEY_LEN];
    uint16_t run;
} use;

static void tell(int fd, const qcd_store *store)
{
    use now = {.run = qcd_store_run(store)};
    memcpy(now.seal_key, qcd_store_secrets(store)->seal_key, QCD_SEAL_KEY_LEN);
    if (write(fd, &now, sizeof(now)) != (ssize_t)sizeof(now)) {
        _exit(1);
    }
}

/* start_runs opens, starts runs and closes until it is killed. */
static void start_runs(const box *b, int fd)
{
    for (;;) {
        qcd_store *store;
        qcd_store_report report;
        if (box_try(&store, &report, b) != 0) {
            _exit(1);
        }
        tell(fd, store);
        for (int i = 0; i < 3; i++) {
            if (qcd_store_next_run(store, &report) != QCD_STORE_OK) {
                _exit(1);
            }
            tell(fd, store);
        }
        qcd_store_close(store);
    }
}

static void check_use(const use *now, const use *before)
{
    if (before->run == 0) {
        return; /* the first one ever */
    }
    assert_memory_equal(now->seal_key, before->seal_key, QCD_SEAL_KEY_LEN);
    assert_true(now->run > before->run);
}

/* kill_once lets a process start runs until it is killed, and then opens the
 * folder: `last` is what was last in use. */
static void kill_once(const box *b, use *last, uint64_t *seed)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        start_runs(b, ends[1]);
    }
    (void)close(ends[1]);
    box_kill(pid, random64(seed) % KILL_WITHIN_NS);

    use now;
    while (read(ends[0], &now, sizeof(now)) == (ssize_t)sizeof(now)) {
        check_use(&now, last);
        *last = now;
    }
    (void)close(ends[0]);
    qcd_store *store = box_open(b, "after a kill");
    memcpy(now.seal_key, qcd_store_secrets(store)->seal_key, QCD_SEAL_KEY_LEN);
    now.run = qcd_store_run(store);
    qcd_store_close(store);
    check_use(&now, last);
    *last = now;
}

static void test_killed_at_random(void **state)
{
    const box *b = *state;
    uint64_t seed = 6290;
    use last = {.run = 0};
    for (int i = 0; i < NUM_KILLS; i++) {
        kill_once(b, &last, &seed);
        assert_true(box_holds(b, "lock run secrets "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(test_damaged_secrets),
        BOX_TEST(test_damaged_run),
        BOX_TEST(test_damaged_run_without_secrets),
        BOX_TEST(test_killed_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
