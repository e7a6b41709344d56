/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_bundle.c: any octets as an export of secrets.  They are read as text,
 * and as what is in the text of an export that a holder of the passphrase made:
 * the first octet is the cost and what is wrong with it, the rest the octets
 * that it encrypts.  Secrets that are read are the same after they are exported
 * again.
 *
 * The key is derived by a simple hash: Argon2id would take all the time. */
#include "fuzz.h"

#include <sodium.h>

#include "../tool/bundle.h"
#include "store/secrets.h"
#include "wr.h"

enum {
    SALT_LEN = crypto_pwhash_SALTBYTES,
    NONCE_LEN = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_LEN = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    HEAD_LEN = 4 + 4 + SALT_LEN + NONCE_LEN,
    FRAME_MAX = 1024,
    NO_MEMORY_PASSES = 13, /* with so many there is no memory for a key */
    PLAIN_MAX = FRAME_MAX - KEYFILE_FRAME_LEN - HEAD_LEN - TAG_LEN
};

static const char passphrase[] = "correct horse";

int __wrap_crypto_pwhash(unsigned char *out, unsigned long long out_len,
                         const char *in, unsigned long long in_len,
                         const unsigned char *salt, unsigned long long passes,
                         size_t memory, int algorithm);

int __wrap_crypto_pwhash(unsigned char *out, unsigned long long out_len,
                         const char *in, unsigned long long in_len,
                         const unsigned char *salt, unsigned long long passes,
                         size_t memory, int algorithm)
{
    DEMAND(algorithm == crypto_pwhash_ALG_ARGON2ID13);
    DEMAND(passes >= 1 && passes <= 16);
    DEMAND(memory >= 1 << 20 && memory <= (size_t)1 << 30);
    if (passes == NO_MEMORY_PASSES) {
        return -1;
    }
    return crypto_generichash(out, (size_t)out_len, (const uint8_t *)in, in_len,
                              salt, SALT_LEN);
}

static enum qcd_store_err open_text(qcd_secrets *out, const char *text)
{
    qcd_store_report report;

    memset(out, 0xa5, sizeof(*out));
    enum qcd_store_err err =
        bundle_open(out, &report, text, passphrase, strlen(passphrase));
    DEMAND((err == QCD_STORE_OK) == (report.text[0] == '\0'));
    DEMAND(err == QCD_STORE_OK || fuzz_is_zero(out, sizeof(*out)));
    return err;
}

static void check_again(const qcd_secrets *secrets)
{
    const bundle_cost cost = {1, 1};
    char text[BUNDLE_TEXT_MAX];
    qcd_store_report report;
    qcd_secrets again;

    DEMAND(bundle_seal(text, &report, secrets, passphrase, strlen(passphrase),
                       &cost) == QCD_STORE_OK);
    DEMAND(open_text(&again, text) == QCD_STORE_OK);
    DEMAND(memcmp(&again, secrets, sizeof(again)) == 0);
    const bundle_cost too_much = {NO_MEMORY_PASSES, 1};
    char none[BUNDLE_TEXT_MAX];
    DEMAND(bundle_seal(none, &report, secrets, passphrase, strlen(passphrase),
                       &too_much) == QCD_STORE_ERR_SYSTEM);
    DEMAND(fuzz_is_zero(none, sizeof(none)));
    /* Another passphrase opens nothing. */
    DEMAND(bundle_open(&again, &report, text, "battery", 7) ==
           QCD_STORE_ERR_PASSPHRASE);
}

static void check_text(const char *text)
{
    qcd_secrets secrets;

    if (open_text(&secrets, text) == QCD_STORE_OK) {
        check_again(&secrets);
    }
}

static void check_octets(const uint8_t *in, size_t in_len)
{
    char *text = malloc(in_len + 1);

    DEMAND(text != NULL);
    memcpy(text, in, in_len);
    text[in_len] = '\0';
    check_text(text);
    free(text);
}

/* write_text makes the text of an export with any frame. */
static void write_text(const uint8_t *frame, size_t len)
{
    char digits[sodium_base64_ENCODED_LEN(FRAME_MAX,
                                          sodium_base64_VARIANT_ORIGINAL)];
    char text[BUNDLE_TEXT_MAX];

    (void)sodium_bin2base64(digits, sizeof(digits), frame, len,
                            sodium_base64_VARIANT_ORIGINAL);
    (void)snprintf(text, sizeof(text),
                   "-----BEGIN QCD SECRETS-----\n%s\n" BUNDLE_LAST_LINE,
                   digits);
    check_text(text);
}

static void check_made(const uint8_t *in, size_t in_len)
{
    static const keyfile_kind kind = {.magic = "QCDshar\n", .version = 1};
    static const uint8_t salt[SALT_LEN] = {1};
    static const uint8_t nonce[NONCE_LEN] = {2};
    uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    static uint8_t frame[KEYFILE_MAX];
    keyfile_body body = {.version = (in[0] & 0x80) != 0 ? 2 : 1};
    size_t len = in_len - 1 < PLAIN_MAX ? in_len - 1 : PLAIN_MAX;
    unsigned long long sealed_len;
    wr w;

    wr_init(&w, body.octets, sizeof(body.octets));
    wr_be32(&w, in[0] & 0x1f);
    wr_be32(&w, (in[0] & 0x40) != 0 ? 2048 : 1);
    wr_bytes(&w, salt, sizeof(salt));
    wr_bytes(&w, nonce, sizeof(nonce));
    (void)crypto_generichash(key, sizeof(key), (const uint8_t *)passphrase,
                             strlen(passphrase), salt, sizeof(salt));
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
        body.octets + HEAD_LEN, &sealed_len, in + 1, len, body.octets, HEAD_LEN,
        NULL, nonce, key);
    body.len = HEAD_LEN + (size_t)sealed_len;
    if ((in[0] & 0x20) != 0) {
        body.len -= len < TAG_LEN ? len + 1 : TAG_LEN; /* cut off */
    }
    write_text(frame, keyfile_encode(frame, &kind, &body));
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    check_octets(in, in_len);
    if (in_len > 0) {
        DEMAND(sodium_init() >= 0);
        check_made(in, in_len);
    }
    return 0;
}
