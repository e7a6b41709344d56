/* SPDX-License-Identifier: Apache-2.0 */
/* ike.h: the numbers of RFC 7296 and RFC 5723 that the core uses, and the
 * functions that its files share. */
#ifndef QCD_IKE_H
#define QCD_IKE_H

#include <qcd/qcd.h>

#include "rd.h"
#include "wr.h"

enum {
    IKE_MAJOR_VERSION = 2,

    /* Exchange types, RFC 7296 section 3.1 and RFC 5723 section 8 */
    IKE_SA_INIT = 34,
    INFORMATIONAL = 37,
    IKE_SESSION_RESUME = 38,

    /* Payloads, RFC 7296 section 3.2 and RFC 7383 section 2.5 */
    PAYLOAD_NONE = 0,
    PAYLOAD_NOTIFY = 41,
    PAYLOAD_SK = 46,
    PAYLOAD_SKF = 53,
    PAYLOAD_HEADER_LEN = 4,
    PAYLOAD_CRITICAL = 0x80,
    /* After the headers of an Encrypted payload come at least an IV of 8
     * octets, a Pad Length and an integrity check value of 8 octets.  That is
     * AES-GCM or AES-CCM with the shortest tag, RFC 5282 sections 3 and 4.  All
     * other transforms for IKE need more. */
    ENCRYPTED_LEN_MIN = 8 + 1 + 8,
    NOTIFY_HEADER_LEN = 4, /* Protocol ID to Notify Message Type */
};

/* header_read reads an IKE header; the caller checks `r->bad`. */
void header_read(qcd_header *out, rd *r);

/* header_write appends `header`, including its length field. */
void header_write(wr *w, const qcd_header *header);

/* header_exchange_is_clear tells whether messages of this exchange are in the
 * clear by design.  Before there are keys, nothing can be said about an SA. */
bool header_exchange_is_clear(const qcd_header *header);

/* spi_is_zero tells whether `spi` is zero, which stands for no SPI. */
bool spi_is_zero(const qcd_spi *spi);

/* address_is_valid tells whether the length of `a` is valid for an address. */
bool address_is_valid(const qcd_address *a);

/* address_equals tells whether two addresses are equal.  Either may be
 * empty. */
bool address_equals(const qcd_address *a, const qcd_address *b);

/* notify is the body of a notify payload, split into its parts.  `data` is
 * borrowed from the input. */
typedef struct notify {
    uint16_t type;
    size_t spi_len;
    size_t data_len;
    const uint8_t *data;
} notify;

/* notify_read splits the rest of `r`; the caller checks `r->bad`. */
void notify_read(notify *out, rd *r);

/* notify_token extracts the token of a QCD_TOKEN notify. */
enum qcd_err notify_token(qcd_token *out, const notify *in);

#define HMAC_LEN 32

/* mac_set_key and mac_digest are HMAC-SHA-256.  mac_digest returns the first
 * `out_len` octets, 32 at most, and leaves `hmac` unchanged. */
void mac_set_key(qcd_hmac *out, const uint8_t *key, size_t key_len);
void mac_digest(uint8_t *out, size_t out_len, const qcd_hmac *hmac,
                const uint8_t *in, size_t in_len);

/* mac_derive makes `out` the key of one purpose, which `label` names. */
void mac_derive(qcd_hmac *out, const uint8_t key[HMAC_LEN], const char *label);

#endif
