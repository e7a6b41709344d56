/* SPDX-License-Identifier: Apache-2.0 */
/* store_box.h: shared by the tests of the store: a folder for each test,
 * created in $TMPDIR and removed afterwards, and functions that inspect it. */
#ifndef QCD_STORE_BOX_H
#define QCD_STORE_BOX_H

#include "test.h"

#include <sys/types.h>

#include "store/secrets.h"

#define BOX_PATH_MAX 512
#define BOX_NOW 1700000000u
#define BOX_NODE 3

/* A user who is not root. */
#define OTHER_USER 54321

/* What box_holds finds in an ordinary folder, and in one whose files were set
 * aside. */
#define ALL_FILES "lock run secrets "
#define WITH_OLD "lock run run.old secrets secrets.old "

extern const qcd_store_identity box_machine;
extern const qcd_store_identity box_other_machine;
extern const qcd_store_identity box_no_machine;

/* box_machine and box_no_machine if the product has a UUID as well. */
extern const qcd_store_identity box_product;
extern const qcd_store_identity box_other_product;
extern const qcd_store_identity box_hidden_product;
extern const qcd_store_identity box_product_alone;

/* box_pair is a former and a current identity, and whether both are the same
 * machine. */
typedef struct box_pair {
    const char *name;
    const qcd_store_identity *then;
    const qcd_store_identity *now;
    bool is_same;
} box_pair;

#define BOX_NUM_PAIRS 14
extern const box_pair box_pairs[BOX_NUM_PAIRS];

/* box is the state of a test.  `root` exists, 0700 and ours.  `folder` in it,
 * for the store, does not exist yet. */
typedef struct box {
    char root[BOX_PATH_MAX];
    char folder[BOX_PATH_MAX];
} box;

/* box_image is the content of a file, or of no file if `is_there` is false. */
typedef struct box_image {
    bool is_there;
    size_t len;
    uint8_t octets[KEYFILE_MAX + 16];
} box_image;

/* BOX_TEST is a test with its own box. */
#define BOX_TEST(test)                                                         \
    cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int box_setup(void **state);
int box_teardown(void **state);

/* box_test_if is a test in its own box if `can_run`.  Otherwise it is a test
 * that does nothing and has the name `skipped`, "test_x # SKIP why": cmocka's
 * own skip() gives no reason, and prints "not ok" in TAP. */
struct CMUnitTest box_test_if(bool can_run, const char *name,
                              const char *skipped, CMUnitTestFunction test);

/* box_clear removes `folder` and everything in it. */
void box_clear(const box *b);

/* box_path writes the path of `name` in `folder`. */
void box_path(char out[BOX_PATH_MAX], const box *b, const char *name);

/* box_save and box_restore read and write a whole file in `folder`.  A new file
 * has the mode 0600. */
void box_save(box_image *out, const box *b, const char *name);
void box_restore(const box *b, const char *name, const box_image *image);

/* box_remove removes a file in `folder`, if it exists. */
void box_remove(const box *b, const char *name);

/* box_is_same tells whether the file has the content of `image`. */
bool box_is_same(const box *b, const char *name, const box_image *image);

/* box_holds tells whether `folder` has exactly the files `names`, in
 * alphabetical order and with a space after each. */
bool box_holds(const box *b, const char *names);

/* box_mode returns the mode of `path`, with the bits of its type. */
mode_t box_mode(const char *path);

/* box_put_run writes another run into the run file in `folder`. */
void box_put_run(const box *b, uint16_t run);

/* box_copy replaces the file by a copy with the same octets. */
void box_copy(const box *b, const char *name);

/* box_make_old writes both files as the version before births did, on that
 * machine. */
void box_make_old(const box *b, const qcd_store_identity *machine);

/* box_open_as opens the store as any node of any machine. */
enum qcd_store_err box_open_as(qcd_store **out, qcd_store_report *report,
                               const box *b, const qcd_store_identity *identity,
                               uint8_t node);

/* box_try opens the store as BOX_NODE of box_machine. */
enum qcd_store_err box_try(qcd_store **out, qcd_store_report *report,
                           const box *b);

/* box_start opens the store as any node of any machine, and closes it. */
enum qcd_store_err box_start(qcd_store_report *report, const box *b,
                             const qcd_store_identity *identity, uint8_t node);

/* box_open is a box_try that must succeed. */
qcd_store *box_open(const box *b, const char *row);

/* box_secrets reads the secrets in `folder`. */
void box_secrets(qcd_secrets *out, const box *b);

/* box_run reads the run file in `folder`. */
void box_run(run_record *out, const box *b);

/* box_kill kills the process after this many nanoseconds, less than a second.
 * The process must not have ended before, which it does on an error. */
void box_kill(pid_t pid, uint64_t after_ns);

/* box_num_fds counts the descriptors of this process. */
size_t box_num_fds(void);

#endif
