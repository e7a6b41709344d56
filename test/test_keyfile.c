/* SPDX-License-Identifier: Apache-2.0 */
/* test_keyfile.c: src/store/keyfile.c and, below it, src/store/file.c. */
#include "test.h"

#include <nettle/sha2.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/keyfile.h"
#include "store_box.h"

static const keyfile_kind kind = {
    .file = {.name = "thing",
             .tmp_name = "thing.tmp",
             .exposure = "looked at it",
             .remedy = "move it away"},
    .magic = "QCDtest\n",
    .version = 3,
};

static void body_of(keyfile_body *out, size_t len)
{
    memset(out, 0, sizeof(*out));
    out->version = kind.version;
    out->len = len;
    count_up(out->octets, 1, len);
}

/* sign makes the checksum at the end of a frame valid again. */
static void sign(uint8_t *frame, size_t len)
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, len - SHA256_DIGEST_SIZE, frame);
    sha256_digest(&sha, SHA256_DIGEST_SIZE, frame + len - SHA256_DIGEST_SIZE);
}

static void test_frame_there_and_back(void **state)
{
    static const size_t lens[] = {1, 2, 57, 4095, KEYFILE_BODY_MAX};
    static const uint8_t head[] = {'Q',  'C', 'D', 't', 'e', 's', 't',
                                   '\n', 0,   3,   0,   0,   0,   2};
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(lens); i++) {
        keyfile_body body;
        keyfile_body again;
        uint8_t frame[KEYFILE_MAX];
        body_of(&body, lens[i]);
        size_t len = keyfile_encode(frame, &kind, &body);
        assert_int_equal(len, KEYFILE_FRAME_LEN + lens[i]);
        if (lens[i] == 2) {
            assert_memory_equal(frame, head, sizeof(head));
        }
        dirty(&again, sizeof(again));
        assert_int_equal(keyfile_decode(&again, &kind, frame, len),
                         QCD_STORE_OK);
        assert_memory_equal(&again, &body, sizeof(body));
    }
}

/* Frames with one error and a valid checksum. */
static const struct {
    const char *name;
    size_t offset;
    uint8_t value;
    size_t len; /* of the frame around a body of 4 octets */
    enum qcd_store_err want;
} rows[] = {
    {"nothing wrong", 0, 'Q', 50, QCD_STORE_OK},
    {"magic of another file", 3, 'r', 50, QCD_STORE_ERR_DAMAGED},
    {"version 0", 9, 0, 50, QCD_STORE_ERR_DAMAGED},
    {"version 1, an older one", 9, 1, 50, QCD_STORE_OK},
    {"version 4, a newer one", 9, 4, 50, QCD_STORE_ERR_VERSION},
    {"version 259, a newer one", 8, 1, 50, QCD_STORE_ERR_VERSION},
    {"length one less", 13, 3, 50, QCD_STORE_ERR_DAMAGED},
    {"length one more", 13, 5, 50, QCD_STORE_ERR_DAMAGED},
    {"length 0", 13, 0, 50, QCD_STORE_ERR_DAMAGED},
    {"length of 16 million", 10, 1, 50, QCD_STORE_ERR_DAMAGED},
    {"length of 4 thousand million", 10, 255, 50, QCD_STORE_ERR_DAMAGED},
    {"an octet left over", 0, 'Q', 51, QCD_STORE_ERR_DAMAGED},
    {"an octet short", 0, 'Q', 49, QCD_STORE_ERR_DAMAGED},
    {"no body", 13, 0, 46, QCD_STORE_ERR_DAMAGED},
    {"shorter than any", 13, 0, 45, QCD_STORE_ERR_DAMAGED},
};

static void test_frame_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        keyfile_body body;
        uint8_t frame[KEYFILE_MAX];
        body_of(&body, 4);
        (void)keyfile_encode(frame, &kind, &body);
        frame[rows[i].offset] = rows[i].value;
        sign(frame, rows[i].len);
        uint8_t *copy = copy_exact(frame, rows[i].len);
        dirty(&body, sizeof(body));
        CHECK_INT(rows[i].name, keyfile_decode(&body, &kind, copy, rows[i].len),
                  rows[i].want);
        free(copy);
        if (rows[i].want != QCD_STORE_OK) {
            CHECK_ZERO(rows[i].name, body);
        }
    }
}

static void test_body_beyond_the_maximum(void **state)
{
    (void)state;
    keyfile_body body;
    body_of(&body, KEYFILE_BODY_MAX);
    uint8_t frame[KEYFILE_MAX + 1];
    size_t len = keyfile_encode(frame, &kind, &body) + 1;
    frame[13] = 1; /* 4097 */
    sign(frame, len);
    assert_int_equal(keyfile_decode(&body, &kind, frame, len),
                     QCD_STORE_ERR_DAMAGED);
}

static void test_every_cut_and_every_bit(void **state)
{
    (void)state;
    keyfile_body body;
    uint8_t frame[KEYFILE_MAX];
    body_of(&body, 57);
    size_t len = keyfile_encode(frame, &kind, &body);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = copy_exact(frame, cut);
        assert_int_equal(keyfile_decode(&body, &kind, copy, cut),
                         QCD_STORE_ERR_DAMAGED);
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(keyfile_decode(&body, &kind, frame, len),
                         QCD_STORE_ERR_DAMAGED);
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* open_folder creates and opens the folder of the box. */
static void open_folder(folder *dir, const box *b)
{
    qcd_store_report report;
    assert_int_equal(folder_open(dir, &report, b->folder, NULL, true),
                     QCD_STORE_OK);
}

static void test_missing_replaced_read(void **state)
{
    const box *b = *state;
    static const size_t lens[] = {57, 1, KEYFILE_BODY_MAX, 2};
    folder dir;
    keyfile_body body;
    keyfile_body want;
    qcd_store_report report;
    open_folder(&dir, b);
    dirty(&body, sizeof(body));
    assert_int_equal(keyfile_read(&body, &report, &dir, &kind), QCD_STORE_OK);
    assert_true(is_zero(&body, sizeof(body)));
    for (size_t i = 0; i < NUM_ROWS(lens); i++) {
        body_of(&want, lens[i]);
        assert_int_equal(keyfile_replace(&report, &dir, &kind, &want),
                         QCD_STORE_OK);
        assert_int_equal(keyfile_read(&body, &report, &dir, &kind),
                         QCD_STORE_OK);
        assert_memory_equal(&body, &want, sizeof(want));
        assert_true(box_holds(b, "thing "));
    }
    folder_close(&dir);
}

static void test_leftover_does_not_hinder(void **state)
{
    const box *b = *state;
    static const char *const names[] = {"written over", "cleaned away"};
    box_image leftover = {.is_there = true, .len = 3};
    folder dir;
    keyfile_body body;
    qcd_store_report report;
    open_folder(&dir, b);
    for (size_t i = 0; i < NUM_ROWS(names); i++) {
        box_restore(b, "thing.tmp", &leftover);
        body_of(&body, 4);
        enum qcd_store_err err =
            i == 0 ? keyfile_replace(&report, &dir, &kind, &body)
                   : file_clean(&report, &dir, &kind.file);
        CHECK_INT(names[i], err, QCD_STORE_OK);
        CHECK(names[i], box_holds(b, "thing "));
    }
    folder_close(&dir);
}

/* A name may belong to anything but a regular file. */
enum thing { LINK, FOLDER, FIFO, SOCKET };

static void make_socket(const box *b)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "thing"};
    char back[BOX_PATH_MAX];
    assert_non_null(getcwd(back, sizeof(back)));
    assert_int_equal(chdir(b->folder), 0); /* sun_path is short */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(chdir(back), 0);
}

static void make_thing(const box *b, enum thing what)
{
    char path[BOX_PATH_MAX];
    box_path(path, b, "thing");
    switch (what) {
    case LINK:
        assert_int_equal(symlink("elsewhere", path), 0);
        break;
    case FOLDER:
        assert_int_equal(mkdir(path, 0700), 0);
        break;
    case FIFO:
        assert_int_equal(mkfifo(path, 0600), 0);
        break;
    case SOCKET:
        make_socket(b);
        break;
    }
}

static void test_no_regular_file(void **state)
{
    const box *b = *state;
    static const struct {
        const char *name;
        enum thing what;
    } things[] = {
        {"symbolic link", LINK},
        {"folder", FOLDER},
        {"FIFO", FIFO},
        {"socket", SOCKET},
    };
    for (size_t i = 0; i < NUM_ROWS(things); i++) {
        folder dir;
        keyfile_body body;
        qcd_store_report report;
        open_folder(&dir, b);
        box_image elsewhere = {.is_there = true, .len = 50};
        box_restore(b, "elsewhere", &elsewhere);
        make_thing(b, things[i].what);
        dirty(&body, sizeof(body));
        CHECK_INT(things[i].name, keyfile_read(&body, &report, &dir, &kind),
                  QCD_STORE_ERR_UNSAFE);
        CHECK_ZERO(things[i].name, body);
        CHECK(things[i].name, strstr(report.text, "/thing is not a regular"));
        folder_close(&dir);
        box_clear(b);
    }
}

static void test_size_bounds(void **state)
{
    const box *b = *state;
    static const size_t lens[] = {0,
                                  1,
                                  KEYFILE_FRAME_LEN - 1,
                                  KEYFILE_FRAME_LEN,
                                  KEYFILE_MAX,
                                  KEYFILE_MAX + 1};
    folder dir;
    open_folder(&dir, b);
    for (size_t i = 0; i < NUM_ROWS(lens); i++) {
        box_image image = {.is_there = true, .len = lens[i]};
        keyfile_body body;
        qcd_store_report report;
        box_restore(b, "thing", &image);
        assert_int_equal(keyfile_read(&body, &report, &dir, &kind),
                         QCD_STORE_ERR_DAMAGED);
        assert_non_null(strstr(report.text, "/thing is damaged"));
        assert_true(box_is_same(b, "thing", &image));
    }
    folder_close(&dir);
}

/* The longest body, and one octet behind its frame. */
static void test_an_octet_too_many(void **state)
{
    const box *b = *state;
    folder dir;
    keyfile_body body;
    qcd_store_report report;
    box_image image = {.is_there = true};
    open_folder(&dir, b);
    body_of(&body, KEYFILE_BODY_MAX);
    image.len = keyfile_encode(image.octets, &kind, &body) + 1;
    box_restore(b, "thing", &image);
    assert_int_equal(keyfile_read(&body, &report, &dir, &kind),
                     QCD_STORE_ERR_DAMAGED);
    assert_true(is_zero(&body, sizeof(body)));
    folder_close(&dir);
}

/* What a file says of its birth, and what is made of it: octet `at` is changed
 * by `change`, after `has_time` was written if that is not 1. */
static const struct {
    const char *name;
    uint8_t has_time;
    uint8_t at;
    uint8_t change;
    enum qcd_store_err err;
    enum keyfile_origin origin;
} births[] = {
    {"its own", 1, 0, 0, QCD_STORE_OK, KEYFILE_OWN},
    {"another inode", 1, 7, 1, QCD_STORE_OK, KEYFILE_COPY},
    {"another high inode", 1, 0, 1, QCD_STORE_OK, KEYFILE_COPY},
    {"another second", 1, 16, 1, QCD_STORE_OK, KEYFILE_COPY},
    {"another nanosecond", 1, 20, 1, QCD_STORE_OK, KEYFILE_COPY},
    {"no time was known", 0, 20, 1, QCD_STORE_OK, KEYFILE_OWN},
    {"no time, and another inode", 0, 7, 1, QCD_STORE_OK, KEYFILE_COPY},
    {"not its birth", 1, 21, 1, QCD_STORE_OK, KEYFILE_OWN},
    {"an invalid flag", 2, 0, 0, QCD_STORE_ERR_DAMAGED, KEYFILE_UNTOLD},
};

static void test_births(void **state)
{
    const box *b = *state;
    keyfile_kind born = kind;
    folder dir;
    qcd_store_report report;
    born.birth_version = 1;
    open_folder(&dir, b);
    for (size_t i = 0; i < NUM_ROWS(births); i++) {
        box_image image;
        keyfile_body body;
        body_of(&body, KEYFILE_BIRTH_LEN + 4);
        assert_int_equal(keyfile_replace(&report, &dir, &born, &body),
                         QCD_STORE_OK);
        box_save(&image, b, "thing");
        assert_int_equal(keyfile_decode(&body, &born, image.octets, image.len),
                         QCD_STORE_OK);
        if (body.octets[8] == 0) { /* the file system keeps no time */
            folder_close(&dir);
            skip();
        }
        body.octets[8] = births[i].has_time;
        body.octets[births[i].at] ^= births[i].change;
        image.len = keyfile_encode(image.octets, &born, &body);
        box_restore(b, "thing", &image); /* into the same file */
        CHECK_INT(births[i].name, keyfile_read(&body, &report, &dir, &born),
                  births[i].err);
        CHECK_INT(births[i].name, body.origin, births[i].origin);
    }
    folder_close(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_there_and_back),
        cmocka_unit_test(test_frame_rows),
        cmocka_unit_test(test_body_beyond_the_maximum),
        cmocka_unit_test(test_every_cut_and_every_bit),
        BOX_TEST(test_missing_replaced_read),
        BOX_TEST(test_leftover_does_not_hinder),
        BOX_TEST(test_no_regular_file),
        BOX_TEST(test_size_bounds),
        BOX_TEST(test_an_octet_too_many),
        BOX_TEST(test_births),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
