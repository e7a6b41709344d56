/* SPDX-License-Identifier: Apache-2.0 */
/* bundle.c: the secrets as encrypted text. */
#include "bundle.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "../src/rd.h"
#include "../src/store/report.h"
#include "../src/store/secrets.h"
#include "../src/wr.h"

#define FIRST_LINE "-----BEGIN QCD SECRETS-----"
#define LINE_LEN 64
#define SALT_LEN crypto_pwhash_SALTBYTES
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define KEY_LEN crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD_LEN (4 + 4 + SALT_LEN + NONCE_LEN)
#define FRAME_MAX 1024 /* no bundle is longer */

/* A text that claims a higher cost wants to use up our memory. */
#define PASSES_MAX 16
#define MEBIBYTES_MAX 1024

/* libsodium's own "moderate": 0.7 s on a machine of 2020. */
const bundle_cost bundle_cost_default = {.passes = 3, .mebibytes = 256};

static const keyfile_kind bundle_kind = {
    .magic = "QCDshar\n",
    .version = 1,
};

/* ---- Encryption -------------------------------------------------------- */

static enum qcd_store_err
derive_key(uint8_t out[KEY_LEN], qcd_store_report *report,
           const bundle_cost *cost, const uint8_t salt[SALT_LEN],
           const char *passphrase, size_t passphrase_len)
{
    if (crypto_pwhash(out, KEY_LEN, passphrase, passphrase_len, salt,
                      cost->passes, (size_t)cost->mebibytes << 20,
                      crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return report_say(report, QCD_STORE_ERR_SYSTEM,
                          "no memory to derive a key from the passphrase, "
                          "which takes %u MiB. Free some and try again",
                          (unsigned int)cost->mebibytes);
    }
    return QCD_STORE_OK;
}

/* make_plain writes the octets to encrypt and returns their length. */
static size_t make_plain(uint8_t out[KEYFILE_BODY_MAX],
                         const qcd_secrets *secrets)
{
    keyfile_body body;
    secrets_encode(&body, secrets);
    wr w;
    wr_init(&w, out, KEYFILE_BODY_MAX);
    wr_be16(&w, body.version);
    wr_bytes(&w, body.octets, body.len);
    qcd_wipe(&body, sizeof(body));
    assert(!w.bad);
    return w.len;
}

/* read_plain undoes make_plain. */
static enum qcd_store_err read_plain(qcd_secrets *out, const uint8_t *in,
                                     size_t in_len)
{
    keyfile_body body = {0};
    rd r;
    rd_init(&r, in, in_len);
    body.version = rd_be16(&r);
    body.len = r.len;
    const uint8_t *octets = rd_bytes(&r, body.len);
    if (octets == NULL || body.len > sizeof(body.octets) || body.version == 0) {
        return QCD_STORE_ERR_DAMAGED;
    }
    if (body.version > SECRETS_VERSION) {
        return QCD_STORE_ERR_VERSION;
    }
    memcpy(body.octets, octets, body.len);
    enum qcd_store_err err = secrets_decode(out, &body);
    qcd_wipe(&body, sizeof(body));
    return err;
}

/* encrypt_body builds the body of the frame. */
static enum qcd_store_err
encrypt_body(keyfile_body *out, qcd_store_report *report,
             const qcd_secrets *secrets, const char *passphrase,
             size_t passphrase_len, const bundle_cost *cost)
{
    uint8_t salt[SALT_LEN];
    uint8_t nonce[NONCE_LEN];
    uint8_t key[KEY_LEN];
    uint8_t plain[KEYFILE_BODY_MAX];
    randombytes_buf(salt, sizeof(salt));
    randombytes_buf(nonce, sizeof(nonce));
    enum qcd_store_err err =
        derive_key(key, report, cost, salt, passphrase, passphrase_len);
    if (err != QCD_STORE_OK) {
        return err;
    }
    wr w;
    wr_init(&w, out->octets, sizeof(out->octets));
    wr_be32(&w, cost->passes);
    wr_be32(&w, cost->mebibytes);
    wr_bytes(&w, salt, sizeof(salt));
    wr_bytes(&w, nonce, sizeof(nonce));
    assert(!w.bad && w.len == HEAD_LEN);
    size_t plain_len = make_plain(plain, secrets);
    assert(HEAD_LEN + plain_len + TAG_LEN <= sizeof(out->octets));
    unsigned long long len;
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
        out->octets + HEAD_LEN, &len, plain, plain_len, out->octets, HEAD_LEN,
        NULL, nonce, key);
    out->version = bundle_kind.version;
    out->len = HEAD_LEN + (size_t)len;
    qcd_wipe(plain, sizeof(plain));
    qcd_wipe(key, sizeof(key));
    return QCD_STORE_OK;
}

static enum qcd_store_err no_bundle(qcd_store_report *report)
{
    return report_say(report, QCD_STORE_ERR_DAMAGED,
                      "this is not an export of secrets, or it was damaged on "
                      "the way. Copy it again, with its first and last line");
}

static enum qcd_store_err newer_bundle(qcd_store_report *report)
{
    return report_say(report, QCD_STORE_ERR_VERSION,
                      "this export was made by a newer version of this "
                      "program. Install that version here too");
}

/* decrypt_body undoes encrypt_body. */
static enum qcd_store_err decrypt_body(qcd_secrets *out,
                                       qcd_store_report *report,
                                       const keyfile_body *body,
                                       const char *passphrase,
                                       size_t passphrase_len)
{
    rd r;
    rd_init(&r, body->octets, body->len);
    bundle_cost cost = {.passes = rd_be32(&r), .mebibytes = rd_be32(&r)};
    const uint8_t *salt = rd_bytes(&r, SALT_LEN);
    const uint8_t *nonce = rd_bytes(&r, NONCE_LEN);
    if (r.bad || r.len < TAG_LEN || cost.passes == 0 ||
        cost.passes > PASSES_MAX || cost.mebibytes == 0 ||
        cost.mebibytes > MEBIBYTES_MAX) {
        return no_bundle(report);
    }
    uint8_t key[KEY_LEN];
    enum qcd_store_err err =
        derive_key(key, report, &cost, salt, passphrase, passphrase_len);
    if (err != QCD_STORE_OK) {
        return err;
    }
    uint8_t plain[KEYFILE_BODY_MAX];
    unsigned long long len;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            plain, &len, NULL, body->octets + HEAD_LEN, r.len, body->octets,
            HEAD_LEN, nonce, key) != 0) {
        err = report_say(
            report, QCD_STORE_ERR_PASSPHRASE,
            "wrong passphrase: this export was made with another one");
    } else {
        err = read_plain(out, plain, (size_t)len);
    }
    qcd_wipe(plain, sizeof(plain));
    qcd_wipe(key, sizeof(key));
    if (err == QCD_STORE_ERR_DAMAGED) {
        return no_bundle(report);
    }
    return err == QCD_STORE_ERR_VERSION ? newer_bundle(report) : err;
}

/* ---- The text ---------------------------------------------------------- */

static void write_text(char out[BUNDLE_TEXT_MAX], const uint8_t *frame,
                       size_t frame_len)
{
    char digits[sodium_base64_ENCODED_LEN(FRAME_MAX,
                                          sodium_base64_VARIANT_ORIGINAL)];
    assert(frame_len <= FRAME_MAX);
    (void)sodium_bin2base64(digits, sizeof(digits), frame, frame_len,
                            sodium_base64_VARIANT_ORIGINAL);
    size_t len = (size_t)snprintf(out, BUNDLE_TEXT_MAX, FIRST_LINE "\n");
    for (const char *rest = digits; *rest != '\0';) {
        int n = snprintf(out + len, BUNDLE_TEXT_MAX - len, "%.*s\n", LINE_LEN,
                         rest);
        len += (size_t)n;
        rest += n - 1;
    }
    int n = snprintf(out + len, BUNDLE_TEXT_MAX - len, BUNDLE_LAST_LINE "\n");
    assert(len + (size_t)n < BUNDLE_TEXT_MAX);
    (void)n;
}

/* read_text finds the frame in the text and returns its length, or 0 if there
 * is none. */
static size_t read_text(uint8_t out[FRAME_MAX], const char *text)
{
    const char *first = strstr(text, FIRST_LINE);
    if (first == NULL) {
        return 0;
    }
    first += strlen(FIRST_LINE);
    const char *last = strstr(first, BUNDLE_LAST_LINE);
    size_t len;
    if (last == NULL ||
        sodium_base642bin(out, FRAME_MAX, first, (size_t)(last - first),
                          " \t\r\n", &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return 0;
    }
    return len;
}

/* ---- The whole --------------------------------------------------------- */

static enum qcd_store_err start_sodium(qcd_store_report *report)
{
    report->text[0] = '\0';
    if (sodium_init() < 0) {
        return report_say(report, QCD_STORE_ERR_SYSTEM,
                          "libsodium does not start: there are no random "
                          "octets");
    }
    return QCD_STORE_OK;
}

enum qcd_store_err bundle_seal(char out[BUNDLE_TEXT_MAX],
                               qcd_store_report *report,
                               const qcd_secrets *secrets,
                               const char *passphrase, size_t passphrase_len,
                               const bundle_cost *cost)
{
    memset(out, 0, BUNDLE_TEXT_MAX);
    enum qcd_store_err err = start_sodium(report);
    if (err != QCD_STORE_OK) {
        return err;
    }
    keyfile_body body = {0};
    err =
        encrypt_body(&body, report, secrets, passphrase, passphrase_len, cost);
    if (err != QCD_STORE_OK) {
        return err;
    }
    uint8_t frame[KEYFILE_MAX];
    size_t len = keyfile_encode(frame, &bundle_kind, &body);
    write_text(out, frame, len);
    return QCD_STORE_OK;
}

enum qcd_store_err bundle_open(qcd_secrets *out, qcd_store_report *report,
                               const char *text, const char *passphrase,
                               size_t passphrase_len)
{
    memset(out, 0, sizeof(*out));
    enum qcd_store_err err = start_sodium(report);
    if (err != QCD_STORE_OK) {
        return err;
    }
    uint8_t frame[FRAME_MAX];
    keyfile_body body;
    size_t len = read_text(frame, text);
    err = keyfile_decode(&body, &bundle_kind, frame, len);
    if (err == QCD_STORE_ERR_VERSION) {
        return newer_bundle(report);
    }
    if (err != QCD_STORE_OK) {
        return no_bundle(report);
    }
    return decrypt_body(out, report, &body, passphrase, passphrase_len);
}
