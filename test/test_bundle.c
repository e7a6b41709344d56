/* SPDX-License-Identifier: Apache-2.0 */
/* test_bundle.c: tool/bundle.c. */
#include "test.h"

#include <stdio.h>

#include "bundle.h"
#include "store/keyfile.h"
#include "store/secrets.h"

#include <sodium.h>

#define PHRASE "correct horse battery staple"
#define FIRST_LINE "-----BEGIN QCD SECRETS-----\n"

static const bundle_cost cheap = {.passes = 1, .mebibytes = 1};

static const keyfile_kind kind = {.magic = "QCDshar\n", .version = 1};

static void secrets_of(qcd_secrets *out, size_t num)
{
    memset(out, 0, sizeof(*out));
    count_up(out->seal_key, 1, sizeof(out->seal_key));
    out->taken[3] = 5;
    out->num_generations = num;
    for (size_t i = 0; i < num; i++) {
        count_up(&out->generations[i], (uint8_t)(40 * i), QCD_SECRET_LEN);
        out->made_at[i] = 1700000000 - i;
    }
}

static void seal(char out[BUNDLE_TEXT_MAX], const qcd_secrets *secrets)
{
    qcd_store_report report;
    assert_int_equal(
        bundle_seal(out, &report, secrets, PHRASE, strlen(PHRASE), &cheap),
        QCD_STORE_OK);
    assert_string_equal(report.text, "");
}

static enum qcd_store_err try_open(qcd_secrets *out, qcd_store_report *report,
                                   const char *text)
{
    dirty(out, sizeof(*out));
    return bundle_open(out, report, text, PHRASE, strlen(PHRASE));
}

/* unwrap removes the frame of a text, and wrap makes a text of it again. */
static size_t unwrap(keyfile_body *out, const char *text)
{
    uint8_t frame[KEYFILE_MAX];
    size_t len;
    const char *first = text + strlen(FIRST_LINE);
    const char *last = strstr(text, BUNDLE_LAST_LINE);
    assert_int_equal(sodium_base642bin(frame, sizeof(frame), first,
                                       (size_t)(last - first), "\n", &len, NULL,
                                       sodium_base64_VARIANT_ORIGINAL),
                     0);
    assert_int_equal(keyfile_decode(out, &kind, frame, len), QCD_STORE_OK);
    return len;
}

static void wrap(char out[BUNDLE_TEXT_MAX], const keyfile_body *body)
{
    uint8_t frame[KEYFILE_MAX];
    char digits[BUNDLE_TEXT_MAX];
    size_t len = keyfile_encode(frame, &kind, body);
    (void)sodium_bin2base64(digits, sizeof(digits), frame, len,
                            sodium_base64_VARIANT_ORIGINAL);
    (void)snprintf(out, BUNDLE_TEXT_MAX, FIRST_LINE "%.1500s\n%s\n", digits,
                   BUNDLE_LAST_LINE);
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t num = 1; num <= QCD_GENERATIONS_MAX; num++) {
        qcd_secrets secrets;
        qcd_secrets again;
        qcd_store_report report;
        char text[BUNDLE_TEXT_MAX];
        char other[BUNDLE_TEXT_MAX];
        secrets_of(&secrets, num);
        seal(text, &secrets);
        assert_int_equal(try_open(&again, &report, text), QCD_STORE_OK);
        assert_memory_equal(&again, &secrets, sizeof(secrets));
        seal(other, &secrets); /* salt and nonce always differ */
        assert_string_not_equal(text, other);
    }
}

static void test_lines_of_the_text(void **state)
{
    (void)state;
    qcd_secrets secrets;
    char text[BUNDLE_TEXT_MAX];
    secrets_of(&secrets, 4);
    seal(text, &secrets);
    assert_int_equal(strncmp(text, FIRST_LINE, strlen(FIRST_LINE)), 0);
    assert_non_null(strstr(text, "\n" BUNDLE_LAST_LINE "\n"));
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        assert_true(len >= 1 && len <= 64);
        line += len + 1;
    }
    keyfile_body body;
    (void)unwrap(&body, text);
    for (size_t i = 0; i + QCD_SECRET_LEN <= body.len; i++) {
        assert_memory_not_equal(body.octets + i, &secrets.generations[0], 8);
    }
}

static void test_wrong_passphrase(void **state)
{
    (void)state;
    static const char *const phrases[] = {"", "correct horse battery stapl",
                                          "correct horse battery staples",
                                          "Correct horse battery staple"};
    qcd_secrets secrets;
    qcd_store_report report;
    char text[BUNDLE_TEXT_MAX];
    secrets_of(&secrets, 1);
    seal(text, &secrets);
    for (size_t i = 0; i < NUM_ROWS(phrases); i++) {
        dirty(&secrets, sizeof(secrets));
        CHECK_INT(phrases[i],
                  bundle_open(&secrets, &report, text, phrases[i],
                              strlen(phrases[i])),
                  QCD_STORE_ERR_PASSPHRASE);
        CHECK_ZERO(phrases[i], secrets);
        CHECK(phrases[i], strstr(report.text, "wrong passphrase"));
    }
}

static void test_pasted(void **state)
{
    (void)state;
    qcd_secrets secrets;
    qcd_secrets again;
    qcd_store_report report;
    char text[BUNDLE_TEXT_MAX];
    char pasted[3 * BUNDLE_TEXT_MAX] = "Hello,\nhere they are:\r\n\r\n";
    secrets_of(&secrets, 2);
    seal(text, &secrets);
    size_t len = strlen(pasted);
    for (const char *c = text; *c != '\0'; c++) {
        pasted[len++] = *c;
        if (*c == '\n') { /* as mail programs do */
            memcpy(pasted + len - 1, "\r\n\t  ", 5);
            len += 4;
        }
    }
    (void)snprintf(pasted + len, 100, "\nBye\n");
    assert_int_equal(try_open(&again, &report, pasted), QCD_STORE_OK);
    assert_memory_equal(&again, &secrets, sizeof(secrets));
}

/* Every change of a character is reported differently from a wrong
 * passphrase. */
static void test_damaged(void **state)
{
    (void)state;
    qcd_secrets secrets;
    qcd_store_report report;
    char text[BUNDLE_TEXT_MAX];
    char bad[BUNDLE_TEXT_MAX];
    secrets_of(&secrets, 2);
    seal(text, &secrets);
    size_t len = strlen(text);
    for (size_t cut = 0; cut + 1 < len; cut++) {
        (void)snprintf(bad, sizeof(bad), "%.*s", (int)cut, text);
        assert_int_equal(try_open(&secrets, &report, bad),
                         QCD_STORE_ERR_DAMAGED);
        assert_true(is_zero(&secrets, sizeof(secrets)));
    }
    for (size_t i = 0; i + 1 < len; i++) {
        static const char others[] = "A/ +-=z";
        for (size_t j = 0; j < sizeof(others); j++) {
            memcpy(bad, text, sizeof(bad));
            bool is_blank = others[j] == ' ' && text[i] == '\n';
            if (bad[i] == others[j] || is_blank) {
                continue;
            }
            bad[i] = others[j];
            assert_int_equal(try_open(&secrets, &report, bad),
                             QCD_STORE_ERR_DAMAGED);
        }
    }
    assert_non_null(strstr(report.text, "not an export of secrets, or it "));
}

static void test_no_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "hello",
        FIRST_LINE,
        BUNDLE_LAST_LINE,
        FIRST_LINE BUNDLE_LAST_LINE,
        BUNDLE_LAST_LINE "\n" FIRST_LINE,
        FIRST_LINE "AAAA\n" BUNDLE_LAST_LINE,
    };
    for (size_t i = 0; i < NUM_ROWS(texts); i++) {
        qcd_secrets secrets;
        qcd_store_report report;
        CHECK_INT(texts[i], try_open(&secrets, &report, texts[i]),
                  QCD_STORE_ERR_DAMAGED);
    }
    char *big = malloc(1 << 20);
    assert_non_null(big);
    memset(big, 'A', 1 << 20);
    memcpy(big, FIRST_LINE, strlen(FIRST_LINE));
    (void)sprintf(big + (1 << 20) - 40, "%s", BUNDLE_LAST_LINE);
    qcd_secrets secrets;
    qcd_store_report report;
    assert_int_equal(try_open(&secrets, &report, big), QCD_STORE_ERR_DAMAGED);
    free(big);
}

/* An intact frame with a body that somebody changed. */
static const struct {
    const char *name;
    size_t offset;
    uint8_t value;
    size_t cut; /* octets of the end left out */
    enum qcd_store_err want;
} forged[] = {
    {"nothing", 3, 1, 0, QCD_STORE_OK},
    {"no passes", 3, 0, 0, QCD_STORE_ERR_DAMAGED},
    {"17 passes", 3, 17, 0, QCD_STORE_ERR_DAMAGED},
    {"16 million passes", 0, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"other passes", 3, 2, 0, QCD_STORE_ERR_PASSPHRASE},
    {"no memory", 7, 0, 0, QCD_STORE_ERR_DAMAGED},
    {"16 thousand million mebibytes", 4, 1, 0, QCD_STORE_ERR_DAMAGED},
    {"more than a gibibyte", 6, 4, 0, QCD_STORE_ERR_DAMAGED},
    {"other salt", 8, 0xff, 0, QCD_STORE_ERR_PASSPHRASE},
    {"other nonce", 24, 0xff, 0, QCD_STORE_ERR_PASSPHRASE},
    {"other secrets", 60, 0xff, 0, QCD_STORE_ERR_PASSPHRASE},
    {"an octet short", 3, 1, 1, QCD_STORE_ERR_PASSPHRASE},
    {"nothing encrypted", 3, 1, 123, QCD_STORE_ERR_PASSPHRASE},
    {"no tag", 3, 1, 124, QCD_STORE_ERR_DAMAGED},
    {"no nonce", 3, 1, 140, QCD_STORE_ERR_DAMAGED},
};

static void test_forged(void **state)
{
    (void)state;
    qcd_secrets secrets;
    qcd_store_report report;
    char text[BUNDLE_TEXT_MAX];
    char bad[BUNDLE_TEXT_MAX];
    keyfile_body good;
    secrets_of(&secrets, 1);
    seal(text, &secrets);
    (void)unwrap(&good, text);
    assert_int_equal(good.len, 48 + 123 + 16);
    for (size_t i = 0; i < NUM_ROWS(forged); i++) {
        const char *name = forged[i].name;
        keyfile_body body = good;
        body.octets[forged[i].offset] = forged[i].value;
        if (forged[i].value == 0xff) {
            body.octets[forged[i].offset] =
                (uint8_t)~good.octets[forged[i].offset];
        }
        body.len -= forged[i].cut;
        wrap(bad, &body);
        CHECK_INT(name, try_open(&secrets, &report, bad), forged[i].want);
        if (forged[i].want != QCD_STORE_OK) {
            CHECK_ZERO(name, secrets);
            CHECK(name, report.text[0] != '\0');
        }
    }
}

/* seal_plain makes a text of any octets, by the rules. */
static void seal_plain(char out[BUNDLE_TEXT_MAX], const uint8_t *plain,
                       size_t len)
{
    keyfile_body body = {.version = 1, .len = 48 + len + 16};
    uint8_t key[32];
    body.octets[3] = 1;
    body.octets[7] = 1;
    assert_int_equal(crypto_pwhash(key, sizeof(key), PHRASE, strlen(PHRASE),
                                   body.octets + 8, 1, 1 << 20,
                                   crypto_pwhash_ALG_ARGON2ID13),
                     0);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
        body.octets + 48, NULL, plain, len, body.octets, 48, NULL,
        body.octets + 24, key);
    wrap(out, &body);
}

static void test_content(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t len;
        uint8_t version;
        uint8_t num;
        enum qcd_store_err want;
    } rows[] = {
        {"good", 123, 2, 1, QCD_STORE_OK},
        {"a newer version", 123, 3, 1, QCD_STORE_ERR_VERSION},
        {"version 0", 123, 0, 1, QCD_STORE_ERR_DAMAGED},
        {"no generations", 123, 2, 0, QCD_STORE_ERR_DAMAGED},
        {"an octet short", 122, 2, 1, QCD_STORE_ERR_DAMAGED},
        {"an octet left over", 124, 2, 1, QCD_STORE_ERR_DAMAGED},
        {"a version alone", 2, 2, 0, QCD_STORE_ERR_DAMAGED},
        {"half a version", 1, 0, 0, QCD_STORE_ERR_DAMAGED},
        {"nothing", 0, 0, 0, QCD_STORE_ERR_DAMAGED},
    };
    for (size_t i = 0; i < NUM_ROWS(rows); i++) {
        qcd_secrets secrets;
        qcd_store_report report;
        uint8_t plain[200] = {0};
        char text[BUNDLE_TEXT_MAX];
        plain[1] = rows[i].version;
        plain[2 + 80] = rows[i].num;
        seal_plain(text, plain, rows[i].len);
        CHECK_INT(rows[i].name, try_open(&secrets, &report, text),
                  rows[i].want);
        if (rows[i].want != QCD_STORE_OK) {
            CHECK_ZERO(rows[i].name, secrets);
            CHECK(rows[i].name, report.text[0] != '\0');
        }
    }
}

static void test_newer_frame(void **state)
{
    (void)state;
    qcd_secrets secrets;
    qcd_store_report report;
    char text[BUNDLE_TEXT_MAX];
    keyfile_body body = {.version = 2, .len = 5};
    wrap(text, &body);
    assert_int_equal(try_open(&secrets, &report, text), QCD_STORE_ERR_VERSION);
    assert_non_null(strstr(report.text, "newer version"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_lines_of_the_text),
        cmocka_unit_test(test_wrong_passphrase),
        cmocka_unit_test(test_pasted),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_no_text),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_newer_frame),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
