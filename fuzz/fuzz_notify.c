/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_notify.c: any octets as the body of a notify payload, as the data of a
 * QCD_TOKEN notify, and as the start of an IKE message.  What is read is
 * written as the same octets. */
#include "fuzz.h"

#include "ike.h"

/* A message with one token and nothing else has this before the notify. */
enum { BODY_AT = QCD_HEADER_LEN + PAYLOAD_HEADER_LEN };

/* check_written writes the token alone, and compares the notify with the one
 * that was read. */
static void check_written(const qcd_token *token, const uint8_t *in,
                          size_t in_len)
{
    qcd_message m = {.num_tokens = 1, .tokens = {*token}};
    qcd_datagram out;

    DEMAND(qcd_message_encode(&out, &m, QCD_MESSAGE_MAX) == QCD_OK);
    DEMAND(out.len == BODY_AT + in_len);
    /* The Protocol ID is ignored, and written as 0. */
    DEMAND(out.octets[BODY_AT] == 0);
    DEMAND(memcmp(out.octets + BODY_AT + 1, in + 1, in_len - 1) == 0);
}

static void check_token(const qcd_token *token, const uint8_t *data, size_t len)
{
    DEMAND(token->len == len);
    DEMAND(len >= QCD_TOKEN_MIN && len <= QCD_TOKEN_MAX);
    DEMAND(memcmp(token->octets, data, len) == 0);
    DEMAND(fuzz_is_zero(token->octets + len, QCD_TOKEN_MAX - len));
}

static void check_notify(const uint8_t *in, size_t in_len)
{
    rd r;
    notify n;
    qcd_token token;

    rd_init(&r, in, in_len);
    notify_read(&n, &r);
    if (r.bad) {
        DEMAND(in_len < NOTIFY_HEADER_LEN || in_len < 4u + in[1]);
        return;
    }
    DEMAND(n.data_len + n.spi_len + NOTIFY_HEADER_LEN == in_len);
    DEMAND(n.data == in + in_len - n.data_len);
    enum qcd_err err = notify_token(&token, &n);
    if (err == QCD_OK) {
        DEMAND(n.type == QCD_NOTIFY_QUICK_CRASH_DETECTION && n.spi_len == 0);
        check_token(&token, n.data, n.data_len);
        check_written(&token, in, in_len);
    } else {
        DEMAND(err == QCD_ERR_MALFORMED && fuzz_is_zero(&token, sizeof(token)));
    }
}

static void check_data(const uint8_t *in, size_t in_len)
{
    qcd_token token;
    bool is_valid = in_len >= QCD_TOKEN_MIN && in_len <= QCD_TOKEN_MAX;

    enum qcd_err err = qcd_token_read(&token, in, in_len);
    DEMAND(err == (is_valid ? QCD_OK : QCD_ERR_RANGE));
    if (is_valid) {
        check_token(&token, in, in_len);
    } else {
        DEMAND(fuzz_is_zero(&token, sizeof(token)));
    }
}

/* What is read as a header is written as the same octets. */
static void check_header(const uint8_t *in, size_t in_len)
{
    uint8_t out[QCD_HEADER_LEN];
    qcd_header h;
    rd r;
    wr w;

    rd_init(&r, in, in_len);
    header_read(&h, &r);
    DEMAND(r.bad == (in_len < QCD_HEADER_LEN));
    if (!r.bad) {
        wr_init(&w, out, sizeof(out));
        header_write(&w, &h);
        DEMAND(!w.bad && memcmp(out, in, sizeof(out)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    check_notify(in, in_len);
    check_data(in, in_len);
    check_header(in, in_len);
    return 0;
}
