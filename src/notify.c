/* SPDX-License-Identifier: Apache-2.0 */
/* notify.c: notify payloads and the QCD_TOKEN in them, RFC 7296 section 3.10
 * and RFC 6290 section 4.1. */
#include "ike.h"

void notify_read(notify *out, rd *r)
{
    memset(out, 0, sizeof(*out));
    (void)rd_u8(r); /* Protocol ID: RFC 7296 section 3.10, ignored */
    out->spi_len = rd_u8(r);
    out->type = rd_be16(r);
    (void)rd_bytes(r, out->spi_len);
    out->data_len = r->len;
    out->data = rd_bytes(r, r->len);
}

enum qcd_err qcd_token_read(qcd_token *out, const uint8_t *in, size_t in_len)
{
    memset(out, 0, sizeof(*out));
    /* RFC 6290 section 5: at least 16, at most 128 octets. */
    if (in_len < QCD_TOKEN_MIN || in_len > QCD_TOKEN_MAX) {
        return QCD_ERR_RANGE;
    }
    memcpy(out->octets, in, in_len);
    out->len = (uint8_t)in_len;
    return QCD_OK;
}

enum qcd_err notify_token(qcd_token *out, const notify *in)
{
    memset(out, 0, sizeof(*out));
    /* RFC 6290 section 4.1: the SPI size MUST be zero. */
    if (in->type != QCD_NOTIFY_QUICK_CRASH_DETECTION || in->spi_len != 0) {
        return QCD_ERR_MALFORMED;
    }
    return qcd_token_read(out, in->data, in->data_len) == QCD_OK
               ? QCD_OK
               : QCD_ERR_MALFORMED;
}
