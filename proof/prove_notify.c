/* SPDX-License-Identifier: Apache-2.0 */
/* prove_notify.c: the body of a notify of each length up to that of the longest
 * token and of all longer ones, with the reader of rd.h.  The octets end at the
 * end of an object, so that one octet more is an alarm. */
#include "ike.h"
#include "proof.h"

#define LONGEST (NOTIFY_HEADER_LEN + QCD_TOKEN_MAX)

static uint8_t octets[PROOF_MAX];

static void read_notify(size_t len)
{
    qcd_token token;
    notify body;
    rd r;

    rd_init(&r, octets + (PROOF_MAX - len), len);
    notify_read(&body, &r);
    if (!r.bad) {
        (void)!notify_token(&token, &body);
    }
}

int main(void)
{
    size_t len = any_size(0, LONGEST + 1);

    unknown(octets, sizeof(octets));
    //@ split len;
    /* With an SPI there is no token.  Without one its length is known. */
    if (len > 1) {
        octets[PROOF_MAX - len + 1] = 0;
    }
    read_notify(len);
    return 0;
}
