/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_probe.c: any octets as a gateway's answers to qcd probe.  What libqcd
 * reads is read the same here, and any answers have a verdict. */
#include "fuzz.h"

#include "../tool/probe.h"

enum { ANSWER_HEAD = 3, COPIES_MAX = 4 };

static void check_read(const uint8_t *in, size_t in_len)
{
    probe_answer a;
    qcd_message m;

    if (!probe_read(&a, in, in_len)) {
        DEMAND(in_len < QCD_HEADER_LEN);
        DEMAND(fuzz_is_zero(&a, sizeof(a)));
        return;
    }
    DEMAND(a.num_kept <= QCD_TOKENS_READ_MAX);
    DEMAND(a.num_kept + a.num_invalid <= a.num_tokens);
    DEMAND(a.len_min <= a.len_max && a.len_max < in_len);
    if (qcd_message_decode(&m, in, in_len) == QCD_OK) {
        DEMAND(!a.is_malformed && !a.is_protected && a.num_invalid == 0);
        DEMAND(a.num_tokens == m.num_tokens + m.num_skipped);
        DEMAND(a.num_kept == m.num_tokens);
        DEMAND(memcmp(a.tokens, m.tokens, sizeof(m.tokens)) == 0);
    }
}

/* What an answer repeats of its request. */
enum { REPEATS, DIFFERS, ACCEPTS, ACCEPTS_AGAIN, OTHER_ID };

/* take_one gives the probe an answer of `len` octets: with the SPIs and the
 * Message ID of its request, or as it is, or with a responder's SPI of its own,
 * which may be always the same one. */
static void take_one(probe *p, const uint8_t *in, size_t len,
                     const probe_seen *seen, int how)
{
    uint8_t octets[UINT8_MAX];

    memcpy(octets, in, len);
    if (how != DIFFERS && len >= QCD_HEADER_LEN) {
        memcpy(octets, &seen->spis,
               how == REPEATS || how == OTHER_ID ? sizeof(seen->spis)
                                                 : QCD_SPI_LEN);
        if (how == ACCEPTS_AGAIN) {
            memset(octets + QCD_SPI_LEN, 9, QCD_SPI_LEN);
        }
        memset(octets + 20, 0, 3);
        octets[23] = (uint8_t)(seen->message_id + (how == OTHER_ID ? 1 : 0));
    }
    probe_take(p, octets, len);
}

/* play reads the input as answers: a length, whether they echo the request,
 * how many copies, and the octets. */
static void play(probe *p, const uint8_t *in, size_t in_len)
{
    probe_datagram out;

    /* Somebody may interrupt it. */
    int end = in_len % 13 == 12 ? (int)(in_len / 13) : PROBE_NUM;

    for (int ask = 0; ask < end && ask < PROBE_NUM; ask++) {
        if (!probe_is_due(p, (enum probe_ask)ask)) {
            continue;
        }
        probe_build(p, &out, (enum probe_ask)ask);
        DEMAND(out.len >= QCD_HEADER_LEN && out.len <= sizeof(out.octets));
        if (in_len < ANSWER_HEAD) {
            continue;
        }
        size_t len =
            in[0] < in_len - ANSWER_HEAD ? in[0] : in_len - ANSWER_HEAD;
        for (int i = in[2] % COPIES_MAX; i > 0; i--) {
            take_one(p, in + ANSWER_HEAD, len, &p->seen[ask], in[1] % 5);
        }
        in += ANSWER_HEAD + len;
        in_len -= ANSWER_HEAD + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t in_len)
{
    static probe p;
    static probe_verdict v;

    check_read(in, in_len);
    memset(&p, 0, sizeof(p));
    for (size_t i = 0; i < sizeof(p.random); i++) {
        ((uint8_t *)&p.random)[i] = (uint8_t)(i * 37 + i / 16 + 1);
    }
    p.may_init = in_len % 2 == 0;
    p.has_spis = in_len % 3 == 0;
    p.is_flooded = in_len % 11 == 10;
    memset(&p.spis, 5, sizeof(p.spis));
    play(&p, in, in_len);
    probe_judge(&v, &p);
    DEMAND(v.num_checks >= 1 && v.num_checks <= PROBE_NUM_CHECKS);
    for (size_t i = 0; i < v.num_checks; i++) {
        DEMAND(v.checks[i].result != PROBE_NONE);
        DEMAND(v.checks[i].result != PROBE_FAIL || v.is_failed);
        DEMAND(v.checks[i].found[0] != '\0');
        DEMAND(probe_result_name(v.checks[i].result) != NULL);
    }
    DEMAND(probe_state_name(v.state) != NULL);
    probe_wipe(&p);
    DEMAND(fuzz_is_zero(&p, sizeof(p)));
    return 0;
}
