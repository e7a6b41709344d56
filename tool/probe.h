/* SPDX-License-Identifier: Apache-2.0 */
/* probe.h: what qcd probe asks a gateway, reads in its answers, and concludes.
 * These functions do no I/O: probe_net.h sends, receives and waits. */
#ifndef QCD_TOOL_PROBE_H
#define QCD_TOOL_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <qcd/qcd.h>

#define PROBE_NUM_RATE 10 /* requests of a second */

/* probe_ask names a message to the gateway, in the order of sending. */
enum probe_ask {
    PROBE_VERSION,      /* of another major version: is there a gateway? */
    PROBE_INIT,         /* IKE_SA_INIT: begins an IKE SA of our own */
    PROBE_INIT_GROUP,   /* the same with the group that the gateway wants */
    PROBE_LIVE,         /* a forged request about that IKE SA */
    PROBE_LIVE_FLIPPED, /* the same with the I flag clear */
    PROBE_INIT_AGAIN,   /* IKE_SA_INIT repeated: is that IKE SA still there? */
    PROBE_TOKEN,        /* a notify on that IKE SA, which shows a token */
    PROBE_CONTROL,      /* the same notify of another type */
    PROBE_FIRST,        /* a protected request for an unknown IKE SA */
    PROBE_REPEAT,       /* another one for the same IKE SA */
    PROBE_RESPONSE,     /* a protected response */
    PROBE_SHOWN,        /* an unprotected response that shows a token */
    PROBE_UNPROTECTED,  /* an unprotected request */
    PROBE_SA_INIT,      /* IKE_SA_INIT with an Encrypted payload */
    PROBE_ZERO_I,       /* a protected request without the initiator's SPI */
    PROBE_ZERO_R,       /* and without the responder's */
    PROBE_RATE,         /* the first of PROBE_NUM_RATE protected requests */
    PROBE_NUM = PROBE_RATE + PROBE_NUM_RATE
};

#define PROBE_MESSAGE_MAX 1024

/* probe_datagram is a message to the gateway, without a non-ESP marker. */
typedef struct probe_datagram {
    size_t len;
    uint8_t octets[PROBE_MESSAGE_MAX];
} probe_datagram;

/* probe_answer is what one message of the gateway says in the clear. */
typedef struct probe_answer {
    size_t len;
    qcd_header header;
    bool is_malformed; /* cannot be read to its end */
    bool is_protected; /* has an Encrypted payload, which is not read */
    bool has_sa;       /* has an SA payload: IKE_SA_INIT is accepted */
    bool has_invalid_ike_spi;
    bool has_cookie;
    uint16_t group;     /* of INVALID_KE_PAYLOAD, or 0 */
    uint16_t error;     /* type of its first error notify, or 0 */
    size_t num_tokens;  /* valid or not */
    size_t num_invalid; /* with an SPI, or of a length out of range */
    size_t len_min;     /* shortest and longest token, in octets */
    size_t len_max;
    uint8_t protocol; /* Protocol ID of the last token */
    size_t num_kept;  /* valid tokens in `tokens` */
    qcd_token tokens[QCD_TOKENS_READ_MAX];
} probe_answer;

/* probe_read reads `in_len` octets at `in`, without a non-ESP marker.  It
 * returns false if they are no IKE header; then `out` is all zero. */
bool probe_read(probe_answer *out, const uint8_t *in, size_t in_len);

/* probe_seen is one message to the gateway and what came back for it. */
typedef struct probe_seen {
    size_t sent_len; /* 0: not sent */
    qcd_spis spis;
    uint32_t message_id;
    size_t num_answers;
    size_t octets;       /* of all answers */
    size_t num_tokens;   /* likewise */
    bool is_id_changed;  /* an answer had another Message ID */
    probe_answer answer; /* the first one */
} probe_seen;

/* probe_random is what the messages are made of.  The caller draws it. */
typedef struct probe_random {
    qcd_spis spis[PROBE_NUM];
    uint8_t body[512];
} probe_random;

/* probe is the state of one address and port.  The caller sets `random`, and
 * `spis` with `has_spis` if the IKE SA to ask about is known.  It clears
 * `may_init` to leave out IKE_SA_INIT and what depends on it. */
typedef struct probe {
    probe_random random;
    bool has_spis;
    qcd_spis spis;
    bool may_init;
    probe_seen seen[PROBE_NUM];
    size_t num_strays; /* messages that answer nothing that was sent */
    size_t num_stray_tokens;
    size_t num_foreign; /* messages that are not IKEv2, and not looked at */
    bool is_flooded;    /* there were too many messages: the rest was not read,
                         * and no more was asked */
} probe;

/* probe_is_due tells whether `ask` makes sense after the answers so far. */
bool probe_is_due(const probe *p, enum probe_ask ask);

/* probe_build writes the message `ask`, and records it as sent. */
void probe_build(probe *p, probe_datagram *out, enum probe_ask ask);

/* probe_take records a message of the gateway: `in_len` octets at `in`. */
void probe_take(probe *p, const uint8_t *in, size_t in_len);

/* probe_wipe forgets everything: tokens may be those of a live IKE SA. */
void probe_wipe(probe *p);

/* probe_accepted returns the SPIs of the IKE SA that the gateway began with us,
 * or NULL. */
const qcd_spis *probe_accepted(const probe *p);

/* probe_shown returns the first answer with tokens to a protected request for
 * an unknown IKE SA, or NULL. */
const probe_answer *probe_shown(const probe *p);

/* ---- Verdicts ---------------------------------------------------------- */

/* probe_state is what the gateway is, as a token maker. */
enum probe_state {
    PROBE_DOWN,   /* answers nothing */
    PROBE_SILENT, /* answers, but not to requests for unknown IKE SAs */
    PROBE_BARE,   /* answers those with INVALID_IKE_SPI alone */
    PROBE_SHOWS   /* shows tokens */
};

enum probe_result {
    PROBE_NONE,    /* there was nothing to check */
    PROBE_UNKNOWN, /* could not be checked */
    PROBE_OK,
    PROBE_NOTE, /* permitted, but worth to know */
    PROBE_FAIL  /* breaks a rule */
};

#define PROBE_FOUND_MAX 96 /* what a cell of a table holds */

/* probe_check is a row of the verdict.  A row with PROBE_NONE is left out. */
typedef struct probe_check {
    const char *name;
    const char *clause;
    enum probe_result result;
    char found[PROBE_FOUND_MAX + 1];
} probe_check;

#define PROBE_NUM_CHECKS 14

/* probe_verdict is what a probe concludes. */
typedef struct probe_verdict {
    enum probe_state state;
    bool is_failed; /* at least one check is PROBE_FAIL */
    size_t num_checks;
    probe_check checks[PROBE_NUM_CHECKS];
} probe_verdict;

/* probe_judge concludes from all answers. */
void probe_judge(probe_verdict *out, const probe *p);

/* probe_state_name returns the word of a state, probe_result_name that of a
 * result. */
const char *probe_state_name(enum probe_state state);
const char *probe_result_name(enum probe_result result);

#endif
