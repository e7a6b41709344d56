/* SPDX-License-Identifier: Apache-2.0 */
/* prove_message.c: IKE messages of 0 to 65,535 octets, read, and messages that
 * the caller may have filled in with anything, written. */
#include "ike.h"
#include "proof.h"

static uint8_t octets[PROOF_MAX];

/*@ requires \initialized((char *)p + (0 .. len - 1));
    assigns \nothing; */
void proof_output(const void *p, size_t len);

static void read_message(void)
{
    /* At the end of the octets if there are none: not one may be read. */
    size_t len = any_size(1, PROOF_MAX);
    bool is_empty = any_bool();
    const uint8_t *in = is_empty ? octets + PROOF_MAX : octets;
    qcd_message message;
    qcd_header header;

    //@ split is_empty;
    len = is_empty ? 0 : len;
    (void)qcd_message_is_candidate(in, len);
    (void)!qcd_header_decode(&header, in, len);
    proof_output(&header, sizeof(header));
    (void)qcd_header_local_role(&header);
    (void)!qcd_message_decode(&message, in, len);
    proof_output(&message, sizeof(message));
    //@ assert message.num_tokens <= QCD_TOKENS_READ_MAX;
    //@ assert message.cause <= QCD_CAUSE_INVALID_SPI;
}

static void read_token(void)
{
    size_t len = any_size(QCD_TOKEN_MIN, QCD_TOKEN_MAX);
    qcd_token token;

    //@ split len;
    (void)!qcd_token_read(&token, octets + (PROOF_MAX - len), len);
    proof_output(&token, sizeof(token));
    /* Others are refused before an octet is read. */
    (void)!qcd_token_read(&token, octets + PROOF_MAX,
                          any_size(0, QCD_TOKEN_MIN - 1));
    (void)!qcd_token_read(&token, octets + PROOF_MAX,
                          any_size(QCD_TOKEN_MAX + 1, PROOF_MAX));
}

static void write_message(void)
{
    qcd_datagram datagram;
    qcd_message message;

    unknown(&message, sizeof(message));
    (void)!qcd_message_encode(&datagram, &message, any_u64());
    proof_output(&datagram, sizeof(datagram));
    qcd_wipe(NULL, 0);
    //@ assert datagram.len <= QCD_MESSAGE_MAX;
}

int main(void)
{
    unknown(octets, sizeof(octets));
    unknown(model_octets, sizeof(model_octets));
    switch (Frama_C_interval(0, 2)) {
    case 0:
        read_message();
        break;
    case 1:
        read_token();
        break;
    default:
        write_message();
    }
    return 0;
}
