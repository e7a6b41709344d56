/* SPDX-License-Identifier: Apache-2.0 */
/* bundle.h: the secrets as text for the other gateway of a group, encrypted
 * with a passphrase.  Only tools use it: it needs libsodium, which neither the
 * library nor the plugin needs.
 *
 *   the text  a first line, base64 in lines of 64 characters, a last line; text
 *             before and after them, and blanks, do not matter
 *   in it     the frame of keyfile.h, against damage on the way
 *   in that   4 passes, 4 mebibytes, 16 salt, 24 nonce, n + 16 encrypted
 *   in that   2 version of the secrets, the octets of secrets.h
 *
 * Argon2id derives the key from the passphrase.  The encryption is
 * XChaCha20-Poly1305; all octets of the body before the encrypted part are
 * associated data. */
#ifndef QCD_TOOL_BUNDLE_H
#define QCD_TOOL_BUNDLE_H

#include <qcd/store.h>

#define BUNDLE_TEXT_MAX 2048
#define BUNDLE_LAST_LINE "-----END QCD SECRETS-----"

/* bundle_cost is the cost of each guess at the passphrase. */
typedef struct bundle_cost {
    uint32_t passes;
    uint32_t mebibytes;
} bundle_cost;

extern const bundle_cost bundle_cost_default;

/* bundle_seal encrypts `secrets` and writes the text, terminated.
 *
 *   QCD_STORE_ERR_SYSTEM  no memory for the key, or no random octets */
QCD_NODISCARD enum qcd_store_err
bundle_seal(char out[BUNDLE_TEXT_MAX], qcd_store_report *report,
            const qcd_secrets *secrets, const char *passphrase,
            size_t passphrase_len, const bundle_cost *cost);

/* bundle_open undoes bundle_seal.  On error `out` is all zero.
 *
 *   QCD_STORE_ERR_DAMAGED     the text is not an export, or it was changed
 *   QCD_STORE_ERR_VERSION     undamaged, but of a newer version
 *   QCD_STORE_ERR_PASSPHRASE  wrong passphrase, or somebody forged the text
 *   QCD_STORE_ERR_SYSTEM      no memory for the key */
QCD_NODISCARD enum qcd_store_err
bundle_open(qcd_secrets *out, qcd_store_report *report, const char *text,
            const char *passphrase, size_t passphrase_len);

#endif
