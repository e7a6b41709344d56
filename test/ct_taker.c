/* SPDX-License-Identifier: Apache-2.0 */
/* ct_taker.c: checks that src/taker.c compares in constant time.  What is held
 * and what is shown are marked as undefined for valgrind, which then reports
 * each branch and each address that depends on them. */
#include <stdio.h>
#include <string.h>

#include <qcd/qcd.h>

#include "ct.h"

static qcd_taker taker;

static void fill(qcd_token *out, uint8_t n)
{
    memset(out, 0, sizeof(*out));
    out->len = 32;
    memset(out->octets, n, out->len);
}

static int verify(uint8_t shown, enum qcd_verdict want)
{
    qcd_held held = {0};
    qcd_message m = {.num_tokens = 3};
    qcd_token token;

    for (uint8_t n = 1; n <= QCD_HELD_MAX; n++) {
        fill(&token, n);
        qcd_taker_store(&taker, &held, &token);
    }
    for (size_t i = 0; i < m.num_tokens; i++) {
        fill(&m.tokens[i], (uint8_t)(100 + i));
    }
    fill(&m.tokens[1], shown);
    for (size_t i = 0; i < m.num_tokens; i++) {
        SECRET(m.tokens[i].octets, 32);
    }
    SECRET(held.digests, sizeof(held.digests));

    enum qcd_verdict got = qcd_taker_check(&taker, &held, &m);
    PUBLIC(&got, sizeof(got)); /* the SA is dropped or not */
    return got == want ? 0 : 1;
}

int main(void)
{
    uint8_t octets[QCD_RANDOM_KEY_LEN] = {1};
    int num_wrong = 0;

    if (qcd_taker_init(&taker, 10, octets) != QCD_OK) {
        return 1;
    }
    for (uint8_t n = 1; n <= QCD_HELD_MAX; n++) {
        num_wrong += verify(n, QCD_MATCH);
    }
    num_wrong += verify(99, QCD_NO_MATCH);
    if (num_wrong != 0) {
        fprintf(stderr, "%d wrong verdicts\n", num_wrong);
    }
    return num_wrong != 0 ? 1 : 0;
}
