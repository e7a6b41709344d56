/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_message.c: any octets as an unprotected message.  A decoded message
 * keeps the promises of the header, and is the same after it is encoded and
 * decoded again.  Encoded once more, it has the same octets. */
#include "fuzz.h"

static void check_decoded(const qcd_message *m, size_t in_len)
{
    DEMAND(m->header.length == in_len);
    DEMAND(m->header.version >> 4 == 2);
    DEMAND(m->cause <= QCD_CAUSE_INVALID_SPI);
    DEMAND(m->num_tokens <= QCD_TOKENS_READ_MAX);
    DEMAND(m->num_skipped == 0 || m->num_tokens == QCD_TOKENS_READ_MAX);
    for (size_t i = 0; i < QCD_TOKENS_READ_MAX; i++) {
        const qcd_token *t = &m->tokens[i];

        DEMAND(i < m->num_tokens
                   ? t->len >= QCD_TOKEN_MIN && t->len <= QCD_TOKEN_MAX
                   : t->len == 0);
        DEMAND(fuzz_is_zero(t->octets + t->len, QCD_TOKEN_MAX - t->len));
    }
}

/* What was encoded and decoded is encoded to the same octets. */
static void check_octets(const qcd_message *m, const qcd_datagram *want)
{
    qcd_datagram out;

    DEMAND(qcd_message_encode(&out, m, want->len) == QCD_OK);
    DEMAND(out.len == want->len);
    DEMAND(memcmp(out.octets, want->octets, out.len) == 0);
    /* One octet less is not enough, and nothing is left behind. */
    DEMAND(qcd_message_encode(&out, m, want->len - 1) == QCD_ERR_NOBUF);
    DEMAND(fuzz_is_zero(&out, sizeof(out)));
}

/* A message with an invalid token or cause is not encoded. */
static void check_refused(const qcd_message *m)
{
    qcd_message bad = *m;
    qcd_datagram out;

    bad.num_tokens = 1;
    bad.tokens[0].len =
        m->header.message_id % 2 == 0 ? QCD_TOKEN_MIN - 1 : QCD_TOKEN_MAX + 1;
    DEMAND(qcd_message_encode(&out, &bad, QCD_MESSAGE_MAX) == QCD_ERR_RANGE);
    bad.num_tokens = 0;
    bad.cause = (enum qcd_cause)(QCD_CAUSE_INVALID_SPI + 1);
    DEMAND(qcd_message_encode(&out, &bad, QCD_MESSAGE_MAX) == QCD_ERR_RANGE);
    DEMAND(fuzz_is_zero(&out, sizeof(out)));
}

static void check_round_trip(const qcd_message *m)
{
    qcd_message again;
    qcd_datagram out;

    enum qcd_err err = qcd_message_encode(&out, m, QCD_MESSAGE_MAX);
    if (m->num_tokens > QCD_TOKENS_SENT_MAX ||
        (m->num_tokens == 0 && m->cause == QCD_CAUSE_NONE)) {
        DEMAND(err == QCD_ERR_RANGE && out.len == 0);
        return;
    }
    DEMAND(err == QCD_OK);
    DEMAND(qcd_message_decode(&again, out.octets, out.len) == QCD_OK);
    DEMAND(memcmp(&again.header.spis, &m->header.spis, sizeof(qcd_spis)) == 0);
    DEMAND(again.header.message_id == m->header.message_id);
    DEMAND(again.header.flags == m->header.flags);
    DEMAND(again.cause == m->cause);
    DEMAND(m->cause != QCD_CAUSE_INVALID_SPI ||
           memcmp(&again.child_spi, &m->child_spi, sizeof(m->child_spi)) == 0);
    DEMAND(again.num_tokens == m->num_tokens);
    DEMAND(memcmp(again.tokens, m->tokens, sizeof(m->tokens)) == 0);
    check_octets(&again, &out);
}

static void check(const uint8_t *in, size_t in_len)
{
    qcd_message m;

    memset(&m, 0xa5, sizeof(m));
    enum qcd_err err = qcd_message_decode(&m, in, in_len);
    if (err != QCD_OK) {
        DEMAND(err == QCD_ERR_TRUNCATED || err == QCD_ERR_MALFORMED);
        DEMAND(fuzz_is_zero(&m, sizeof(m)));
        return;
    }
    DEMAND(qcd_message_is_candidate(in, in_len));
    check_decoded(&m, in_len);
    check_round_trip(&m);
    check_refused(&m);
}

/* The length in the header would reject nearly every change of the fuzzer, so
 * the message is also read with the right one. */
static void check_with_length(const uint8_t *in, size_t in_len)
{
    uint8_t *copy = malloc(in_len);

    DEMAND(copy != NULL);
    memcpy(copy, in, in_len);
    for (size_t i = 0; i < 4; i++) {
        copy[QCD_HEADER_LEN - 1 - i] = (uint8_t)(in_len >> 8 * i);
    }
    check(copy, in_len);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    check(in, in_len);
    if (in_len >= QCD_HEADER_LEN) {
        check_with_length(in, in_len);
    }
    return 0;
}
