/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_peers.h: the model of fuzz_peers.c, and its steps in other files. */
#ifndef QCD_FUZZ_PEERS_H
#define QCD_FUZZ_PEERS_H

#include "fuzz.h"
#include "parts.h"

enum {
    NODE = 7,
    PARTNER, /* a node whose place ours may take */
    STRANGER,
    NUM_SAS = 6,
    NUM_ADDRESSES = 5,
    REQUEST_MAX = QCD_HEADER_LEN + 4 * 256
};

/* fate is what the gateway knows of an SA: it has it, lost it in a crash,
 * remembers that it was closed, or remembers nothing. */
enum fate { NONE, LIVE, LOST, BURIED, GONE };

typedef struct sa {
    enum fate fate;
    bool is_foreign; /* its SPI was sealed with an earlier key */
    qcd_ike_sa ike;
    qcd_promise promise; /* the gateway's */
    qcd_held held;       /* the peer's */
    bool is_shown;
    size_t num_tokens; /* that the peer was given, the latest last */
    qcd_token tokens[QCD_HELD_MAX];
    uint64_t told_ms;
} sa;

typedef struct peers {
    qcd_maker maker;
    qcd_maker_settings settings;
    qcd_maker_state state; /* durable */
    qcd_taker taker;
    qcd_pace pace;
    qcd_retry retry;
    sa sas[NUM_SAS];
    uint64_t now_ms;
    uint64_t started_ms;
    uint64_t num_answers; /* since the start */
    rd r;                 /* the rest of the input */
} peers;

extern peers world;

/* The last one is invalid. */
extern const qcd_address addresses[NUM_ADDRESSES];

/* What a step reads: an octet, an SA, an address that a packet can come from or
 * any that a map may have. */
uint8_t next_u8(void);
sa *next_sa(void);
qcd_address next_address(bool may_be_invalid);

void step_request(void);
void step_lost(void);
void step_forge(void);
void step_pace(void);
void step_retry(void);

#endif
