/* SPDX-License-Identifier: Apache-2.0 */
/* prove_taker.c: a taker, the digests of an IKE SA, the pace of announcements
 * and the tries of a recovery, and any sequence of calls with any arguments. */
#include "ike.h"
#include "proof.h"

static qcd_taker taker;
static qcd_held held;
static qcd_pace pace;
static qcd_retry retry;

static void any_token(qcd_token *out)
{
    unknown(out, sizeof(*out));
    out->len = Frama_C_unsigned_char_interval(0, QCD_TOKEN_MAX);
}

static void take(uint64_t now_ms, uint8_t len)
{
    uint8_t random[QCD_RANDOM_KEY_LEN];
    qcd_address source;
    qcd_spis spis;
    qcd_token token;

    unknown(random, sizeof(random));
    unknown(&source, sizeof(source));
    unknown(&spis, sizeof(spis));
    source.len = len;
    any_token(&token);
    switch (Frama_C_interval(0, 3)) {
    case 0:
        (void)!qcd_taker_init(&taker, any_u32(), random);
        break;
    case 1:
        qcd_taker_store(&taker, &held, &token);
        break;
    case 2:
        (void)!qcd_taker_may_check(&taker, &source, &spis, now_ms);
        break;
    default:
        qcd_taker_wipe(&taker);
    }
}

static void check(void)
{
    qcd_message message;

    unknown(&message, sizeof(message));
    message.num_tokens = any_size(0, QCD_TOKENS_READ_MAX);
    for (size_t i = 0; i < QCD_TOKENS_READ_MAX; i++) {
        any_token(&message.tokens[i]);
    }
    enum qcd_verdict verdict = qcd_taker_check(&taker, &held, &message);
    //@ assert verdict <= QCD_MATCHED;
}

static void set_pace(uint64_t now_ms)
{
    switch (Frama_C_interval(0, 8)) {
    case 0:
        qcd_pace_init(&pace, any_u32(), any_u32());
        break;
    case 1:
        (void)!qcd_pace_due(&pace, any_u32());
        break;
    case 2:
        qcd_pace_began(&pace, any_u32());
        break;
    case 3:
        (void)!qcd_pace_patience(&pace);
        break;
    case 4:
        qcd_pace_completed(&pace, any_u32(), any_bool());
        break;
    case 5:
        qcd_pace_absent(&pace);
        break;
    case 6:
        qcd_pace_late(&pace);
        break;
    case 7:
        qcd_pace_present(&pace);
        break;
    default:
        qcd_pace_failed(&pace, now_ms);
    }
}

static void wait(uint64_t now_ms)
{
    switch (Frama_C_interval(0, 4)) {
    case 0:
        qcd_retry_init(&retry, now_ms);
        break;
    case 1:
        qcd_retry_try(&retry, now_ms);
        break;
    case 2:
        qcd_retry_fail(&retry, (enum qcd_failure)any_u32(), now_ms);
        break;
    case 3:
        qcd_retry_hasten(&retry, now_ms);
        break;
    default:
        (void)qcd_retry_due(&retry, any_u32());
    }
}

int main(void)
{
    /* EVA tries these bounds before it takes a counter as unbounded. */
    //@ loop widen_hints "all", 4, 6;
    while (any_bool()) {
        uint64_t now_ms = any_u64();
        switch (Frama_C_interval(0, 4)) {
        case 0:
            take(now_ms, 4);
            break;
        case 1:
            take(now_ms, 16);
            break;
        case 2:
            check();
            break;
        case 3:
            set_pace(now_ms);
            break;
        default:
            wait(now_ms);
        }
    }
    return 0;
}
