/* SPDX-License-Identifier: Apache-2.0 */
/* qcd.h: RFC 6290, quick crash detection for IKEv2, as a library without I/O.
 *
 * libqcd turns octets into values and verdicts.  It opens no socket, reads no
 * clock, allocates nothing, starts no thread and logs nothing: the daemon that
 * embeds it passes time (milliseconds of a monotonic clock), random octets and
 * packets in, and does with the answers what it does.
 *
 * Two roles (RFC 6290 section 1.1):
 *
 *   the token maker  mints its IKE SPIs with qcd_mint_spi, hands its peer
 *                    qcd_token_make's token inside IKE_AUTH, remembers SAs it
 *                    destroys with qcd_graveyard_bury and, when a request for
 *                    an IKE SA arrives that it does not have, asks
 *                    qcd_maker_judge and sends what qcd_maker_reply built;
 *   the token taker  keeps a digest of the peer's token with its IKE SA
 *                    (qcd_held_store) and, when an unprotected message shows
 *                    one, asks qcd_verify_limit_pass and qcd_held_verify.
 *
 * Every type is a value that the caller owns; members are visible for its size
 * and are the library's business alone, where a comment does not name them.
 * All-zero is a valid state of each.  No function keeps a pointer beyond its
 * return.  Functions on distinct objects may run in parallel; calls that share
 * an object which one of them changes (any parameter without const) are the
 * caller's to serialize.  API-CONVENTIONS.md has the rules in full. */
#ifndef QCD_QCD_H
#define QCD_QCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QCD_API __attribute__((visibility("default")))
#define QCD_NODISCARD __attribute__((warn_unused_result))
#else
#define QCD_API
#define QCD_NODISCARD
#endif

/* ---- Sizes ------------------------------------------------------------- */

#define QCD_SPI_LEN 8         /* octets of an IKE SPI */
#define QCD_HEADER_LEN 28     /* octets of an IKE header, RFC 7296 3.1 */
#define QCD_TOKEN_MIN 16      /* octets of a token, RFC 6290 section 5 */
#define QCD_TOKEN_MAX 128     /* likewise */
#define QCD_TOKEN_MADE_MAX 32 /* octets of a token that we make */
#define QCD_SECRET_LEN 32     /* octets of a QCD_SECRET, section 5.1 */
#define QCD_SEAL_KEY_LEN 16   /* octets of the key that seals SPIs */
#define QCD_RANDOM_KEY_LEN 32 /* octets of keys drawn anew by each process */
#define QCD_GENERATIONS_MAX 4 /* one secret in use, three earlier ones */
#define QCD_TOKENS_SENT_MAX 4 /* tokens in a message that we send */
#define QCD_TOKENS_READ_MAX 8 /* tokens of a message that are looked at */
#define QCD_HELD_MAX 4        /* tokens kept for one IKE SA, newest ones */

/* A reply is at most this times its request. */
#define QCD_AMPLIFICATION_MAX 3

/* Octets of the largest message that qcd_message_encode can make. */
#define QCD_MESSAGE_MAX                                                        \
    (QCD_HEADER_LEN + 12 + QCD_TOKENS_SENT_MAX * (8 + QCD_TOKEN_MAX))

/* ---- Errors ------------------------------------------------------------ */

/* Values are stable; new ones are appended.  On every error the outputs of the
 * call are all zero. */
enum qcd_err {
    QCD_OK = 0,
    QCD_ERR_TRUNCATED = -1, /* the octets end before the thing does */
    QCD_ERR_MALFORMED = -2, /* the octets break a rule of the format */
    QCD_ERR_NOBUF = -3,     /* the caller's buffer is too small */
    QCD_ERR_RANGE = -4,     /* a number is outside its documented range */
    QCD_ERR_EXHAUSTED = -5, /* this run has minted all its SPIs */
};

/* qcd_strerror returns a static English phrase for `err`, also for a value
 * that is none of the above; it never returns NULL. */
QCD_API const char *qcd_strerror(enum qcd_err err);

/* ---- Identities -------------------------------------------------------- */

/* qcd_spi is an IKE SPI as it stands in the header, in network order. */
typedef struct qcd_spi {
    uint8_t octets[QCD_SPI_LEN];
} qcd_spi;

/* qcd_spis names an IKE SA by the pair of its SPIs (RFC 6290 section 5.3). */
typedef struct qcd_spis {
    qcd_spi initiator;
    qcd_spi responder;
} qcd_spis;

/* qcd_role tells whose SPI of a pair is our own: that of the IKE SA's original
 * initiator or that of its original responder. */
enum qcd_role { QCD_INITIATOR = 1, QCD_RESPONDER = 2 };

/* qcd_address is an IP address without a port: `len` is 4 or 16, and octets
 * beyond `len` are not looked at.  Both members are the caller's to set. */
typedef struct qcd_address {
    uint8_t len;
    uint8_t octets[16];
} qcd_address;

/* qcd_token is a TOKEN_SECRET_DATA: `len` octets (RFC 6290 section 4.1).
 * It is a secret for as long as its IKE SA lives: wipe it after use. */
typedef struct qcd_token {
    uint8_t len;
    uint8_t octets[QCD_TOKEN_MAX];
} qcd_token;

/* qcd_wipe overwrites `len` octets at `p` in a way that a compiler does not
 * remove.  `p` may be NULL when `len` is 0. */
QCD_API void qcd_wipe(void *p, size_t len);

/* ---- The IKE header ---------------------------------------------------- */

enum {
    QCD_FLAG_INITIATOR = 0x08, /* sent by the SA's original initiator */
    QCD_FLAG_VERSION = 0x10,
    QCD_FLAG_RESPONSE = 0x20
};

/* qcd_header is an IKE header, RFC 7296 section 3.1, in host order. */
typedef struct qcd_header {
    qcd_spis spis;
    uint8_t next_payload;
    uint8_t version; /* major version in the upper four bits */
    uint8_t exchange_type;
    uint8_t flags;
    uint32_t message_id;
    uint32_t length; /* octets of the whole message, header included */
} qcd_header;

/* qcd_header_decode reads the header of the `in_len` octets of an IKE message
 * at `in`, which begin behind a non-ESP marker.
 *
 *   QCD_ERR_TRUNCATED  fewer than QCD_HEADER_LEN octets
 *   QCD_ERR_MALFORMED  the length field is not `in_len` */
QCD_API QCD_NODISCARD enum qcd_err
qcd_header_decode(qcd_header *out, const uint8_t *in, size_t in_len);

/* qcd_header_local_role tells which SPI of a received `header` is the
 * receiver's: that of the initiator where the sender says it is not. */
QCD_API enum qcd_role qcd_header_local_role(const qcd_header *header);

/* ---- The QCD_TOKEN notify ---------------------------------------------- */

#define QCD_NOTIFY_INVALID_IKE_SPI 4
#define QCD_NOTIFY_INVALID_SPI 11
#define QCD_NOTIFY_QUICK_CRASH_DETECTION 16419

/* qcd_notify_decode reads the body of one QCD_TOKEN notify payload: `in_len`
 * octets at `in` that begin at the Protocol ID.  Protocol ID is ignored
 * (RFC 7296 section 3.10; peers send 0 and 1).
 *
 *   QCD_ERR_TRUNCATED  the body ends before the token
 *   QCD_ERR_MALFORMED  another notify type, an SPI, a length that is not
 *                      QCD_TOKEN_MIN to QCD_TOKEN_MAX octets */
QCD_API QCD_NODISCARD enum qcd_err
qcd_notify_decode(qcd_token *out, const uint8_t *in, size_t in_len);

/* qcd_token_read takes the notification data of a QCD_TOKEN notify whose
 * headers the daemon has parsed already: `in_len` octets at `in`.
 *
 *   QCD_ERR_RANGE  not QCD_TOKEN_MIN to QCD_TOKEN_MAX octets */
QCD_API QCD_NODISCARD enum qcd_err
qcd_token_read(qcd_token *out, const uint8_t *in, size_t in_len);

/* ---- The unprotected messages, RFC 6290 section 4.5 --------------------- */

/* qcd_cause is the notify that comes with the tokens. */
enum qcd_cause {
    QCD_CAUSE_NONE = 0, /* tokens alone; accepted, never sent */
    QCD_CAUSE_INVALID_IKE_SPI = 1,
    QCD_CAUSE_INVALID_SPI = 2
};

/* qcd_message is an unprotected message with tokens.  All members are the
 * caller's to read, and to set for qcd_message_encode. */
typedef struct qcd_message {
    qcd_header header; /* next_payload and length are ignored when encoding */
    enum qcd_cause cause;
    uint8_t child_spi[4]; /* with QCD_CAUSE_INVALID_SPI: the ESP or AH SPI */
    size_t num_tokens;
    size_t num_skipped; /* tokens beyond QCD_TOKENS_READ_MAX, not looked at */
    qcd_token tokens[QCD_TOKENS_READ_MAX];
} qcd_message;

/* qcd_message_is_candidate tells whether the `in_len` octets at `in` can be an
 * unprotected message of RFC 6290 section 4.5: IKE major version 2, first
 * payload a notify in the clear, and no IKE_SA_INIT or IKE_SESSION_RESUME,
 * where notifies in the clear are ordinary.  It costs a few comparisons, so
 * that a daemon can put it in the path of every packet. */
QCD_API bool qcd_message_is_candidate(const uint8_t *in, size_t in_len);

/* qcd_message_decode reads an unprotected message.  Any number of tokens is
 * read: those beyond QCD_TOKENS_READ_MAX are counted and skipped.  A message
 * without a token is QCD_OK with num_tokens 0.  Unknown notifies and unknown
 * payloads without the critical bit are passed over.
 *
 *   QCD_ERR_TRUNCATED  a payload reaches beyond the message
 *   QCD_ERR_MALFORMED  qcd_message_is_candidate says no, a length field lies,
 *                      a payload is encrypted, an unknown one critical, or a
 *                      notify breaks its format */
QCD_API QCD_NODISCARD enum qcd_err
qcd_message_decode(qcd_message *out, const uint8_t *in, size_t in_len);

/* qcd_message_encode writes `message` with up to QCD_TOKENS_SENT_MAX tokens to
 * the `out_cap` octets at `out`: first the cause, then the tokens in their
 * order, each with Protocol ID 0 (erratum 3449) and SPI size 0.
 *
 *   QCD_ERR_NOBUF  more than `out_cap` octets
 *   QCD_ERR_RANGE  no such cause, QCD_CAUSE_NONE without a token, too many
 *                  tokens, or one with a length outside QCD_TOKEN_MIN to
 *                  QCD_TOKEN_MAX */
QCD_API QCD_NODISCARD enum qcd_err
qcd_message_encode(uint8_t *out, size_t *out_len, size_t out_cap,
                   const qcd_message *message);

/* ---- Secrets and tokens, RFC 6290 section 5 ------------------------------ */

/* qcd_secret is a QCD_SECRET: random octets that outlive a crash. */
typedef struct qcd_secret {
    uint8_t octets[QCD_SECRET_LEN];
} qcd_secret;

/* qcd_hmac is HMAC-SHA-256 with its key already taken in.  Opaque. */
typedef struct qcd_hmac {
    uint64_t opaque[42];
} qcd_hmac;

/* qcd_keys holds up to QCD_GENERATIONS_MAX generations of secrets, ready to
 * make tokens.  `newest` counts the rotations since qcd_keys_init. */
typedef struct qcd_keys {
    uint32_t newest;
    size_t num_generations;
    qcd_hmac generations[QCD_GENERATIONS_MAX]; /* newest first */
} qcd_keys;

/* qcd_keys_init prepares the `num_secrets` secrets at `secrets`, the newest
 * first.  The secrets are not kept; qcd_keys_wipe when done.
 *
 *   QCD_ERR_RANGE  not 1 to QCD_GENERATIONS_MAX secrets */
QCD_API QCD_NODISCARD enum qcd_err
qcd_keys_init(qcd_keys *out, const qcd_secret *secrets, size_t num_secrets);

/* qcd_keys_rotate puts `newest` before the other generations and lets go of
 * the oldest where there are QCD_GENERATIONS_MAX (RFC 6290 section 5.1).  Ask
 * qcd_promise_blocks_rotation first. */
QCD_API void qcd_keys_rotate(qcd_keys *keys, const qcd_secret *newest);

/* qcd_keys_wipe makes `keys` all zero. */
QCD_API void qcd_keys_wipe(qcd_keys *keys);

/* qcd_token_make derives the token of the IKE SA `spis`, in which `role` is
 * ours, from generation `generation` (0 is the newest), `token_len` octets of
 * it.  With `taker` NULL it is that of RFC 6290 section 5.1, else that of
 * section 5.2, bound to this address of the taker.
 *
 * Our role is part of what is hashed: whoever flips the I flag of a request,
 * and so the meaning of its SPIs, gets another token than the one that the SA's
 * peer holds.
 *
 *   QCD_ERR_RANGE  no such generation, `token_len` outside QCD_TOKEN_MIN to
 *                  QCD_TOKEN_MADE_MAX, an address whose len is not 4 or 16 */
QCD_API QCD_NODISCARD enum qcd_err
qcd_token_make(qcd_token *out, const qcd_keys *keys, size_t generation,
               const qcd_spis *spis, enum qcd_role role,
               const qcd_address *taker, size_t token_len);

/* qcd_promise is what a maker remembers, with a live IKE SA, of the token that
 * its peer holds: whether it holds one, from which generation and for which
 * address.  It is no secret. */
typedef struct qcd_promise {
    bool is_given;
    uint32_t generation;
    qcd_address taker; /* len 0: not bound to an address */
} qcd_promise;

/* qcd_promise_give notes that the peer now holds the token of the newest
 * generation for `taker`, which is NULL where tokens are not bound. */
QCD_API void qcd_promise_give(qcd_promise *promise, const qcd_keys *keys,
                              const qcd_address *taker);

/* qcd_promise_is_due tells whether the peer must be sent a token in
 * a protected message (RFC 6290 section 4.4): it holds none, or one for another
 * address, or one of a generation that is gone or the next to go.  Otherwise it
 * SHOULD NOT be sent any. */
QCD_API bool qcd_promise_is_due(const qcd_promise *promise,
                                const qcd_keys *keys, const qcd_address *taker);

/* qcd_promise_blocks_rotation tells whether one more rotation would leave the
 * peer with a token that can't be made any more. */
QCD_API bool qcd_promise_blocks_rotation(const qcd_promise *promise,
                                         const qcd_keys *keys);

/* ---- Sealed SPIs and the evidence rule, RFC 6290 9.2, 9.3 ------- */

/* qcd_seal is a keyed permutation of 64 bits (CAST-128), ready for use.
 * Opaque; constant once made. */
typedef struct qcd_seal {
    uint32_t opaque[24];
} qcd_seal;

/* qcd_origin is what a sealed SPI says of itself to whoever holds the key. */
typedef struct qcd_origin {
    uint8_t node;
    uint16_t run;
    uint32_t counter; /* 24 bits */
} qcd_origin;

#define QCD_COUNTER_END 0x1000000 /* SPIs that one run can mint */

/* qcd_seal_init prepares `key`, QCD_SEAL_KEY_LEN random octets which are not
 * rotated with the secrets: an SPI cannot change while its SA lives. */
QCD_API void qcd_seal_init(qcd_seal *out, const uint8_t key[QCD_SEAL_KEY_LEN]);

/* qcd_seal_wipe makes `seal` all zero. */
QCD_API void qcd_seal_wipe(qcd_seal *seal);

/* qcd_spi_seal makes the SPI of `origin`.
 *
 *   QCD_ERR_RANGE  the counter has more than 24 bits, or the result would be
 *                  the zero SPI, which no SA may have (take the next counter)
 */
QCD_API QCD_NODISCARD enum qcd_err
qcd_spi_seal(qcd_spi *out, const qcd_seal *seal, const qcd_origin *origin);

/* qcd_spi_open undoes qcd_spi_seal.  It returns false, with `out` all zero, for
 * an SPI that was not sealed with this key (one in 65536 random ones opens). */
QCD_API QCD_NODISCARD bool qcd_spi_open(qcd_origin *out, const qcd_seal *seal,
                                        const qcd_spi *spi);

/* qcd_mint mints the SPIs of one process.  A run is one start of the daemon on
 * its node; its number must be durable before the first SPI of it is minted. */
typedef struct qcd_mint {
    uint8_t node;
    uint16_t first_run; /* of this process */
    uint16_t run;       /* the current one */
    uint32_t counter;   /* of the next SPI */
} qcd_mint;

/* qcd_mint_init starts `run` (not 0) of `node`. */
QCD_API void qcd_mint_init(qcd_mint *out, uint8_t node, uint16_t run);

/* qcd_mint_next_run goes on with the run number `run`, made durable by the
 * caller after QCD_ERR_EXHAUSTED.
 *
 *   QCD_ERR_RANGE  `run` is not above the current one; nothing is changed */
QCD_API QCD_NODISCARD enum qcd_err qcd_mint_next_run(qcd_mint *mint,
                                                     uint16_t run);

/* qcd_mint_spi mints the next SPI: unpredictable to all who do not hold the
 * seal's key (section 9.3), and never the same twice.
 *
 *   QCD_ERR_EXHAUSTED  the run has minted QCD_COUNTER_END SPIs */
QCD_API QCD_NODISCARD enum qcd_err qcd_mint_spi(qcd_spi *out, qcd_mint *mint,
                                                const qcd_seal *seal);

/* qcd_mint_owns tells whether `spi` was minted by this process. */
QCD_API bool qcd_mint_owns(const qcd_mint *mint, const qcd_seal *seal,
                           const qcd_spi *spi);

#define QCD_GRAVEYARD_WAYS 4
#define QCD_GRAVEYARD_SETS 1024

/* qcd_graveyard remembers the last few thousand IKE SAs that this process has
 * destroyed, so that a peer that missed our DELETE is helped.  Its size is
 * fixed: an old grave gives way to a new one. */
typedef struct qcd_graveyard {
    qcd_spis graves[QCD_GRAVEYARD_SETS][QCD_GRAVEYARD_WAYS];
    uint8_t roles[QCD_GRAVEYARD_SETS][QCD_GRAVEYARD_WAYS];
    uint8_t next[QCD_GRAVEYARD_SETS];
} qcd_graveyard;

/* qcd_graveyard_bury notes that the IKE SA `spis`, in which `role` was ours,
 * is gone for good.  Call it only when no thread can use the SA any more, and
 * only for an SA whose local SPI will never be used again. */
QCD_API void qcd_graveyard_bury(qcd_graveyard *graveyard, const qcd_spis *spis,
                                enum qcd_role role);

/* qcd_graveyard_holds tells whether that very SA, in that role, is buried. */
QCD_API bool qcd_graveyard_holds(const qcd_graveyard *graveyard,
                                 const qcd_spis *spis, enum qcd_role role);

/* qcd_takeover is what makes a gateway the standby of others, with which it
 * shares secrets (RFC 6290 section 6): their node numbers, and the address that
 * only the active one of them all holds. */
typedef struct qcd_takeover {
    uint64_t nodes[4];
    qcd_address address; /* the caller's to set */
} qcd_takeover;

/* qcd_takeover_add adds `node` to those that are taken over. */
QCD_API void qcd_takeover_add(qcd_takeover *takeover, uint8_t node);

/* qcd_evidence is what is known of the IKE SA that a request names. */
enum qcd_evidence {
    QCD_EVIDENCE_NONE = 0,        /* none: it may live; silence */
    QCD_EVIDENCE_EARLIER_RUN = 1, /* minted by a process that has died */
    QCD_EVIDENCE_BURIED = 2,      /* destroyed by this process */
    QCD_EVIDENCE_TAKEN_OVER = 3   /* minted by a node whose place we took */
};

/* qcd_evidence_weigh is the evidence rule: a token is shown only on positive
 * evidence that its SA is dead (RFC 6290 section 9.2).  It looks at which SPI
 * of `request` is ours, opens it with `seal` and holds it against `mint`, which
 * tells our node and runs; `buried` is the graveyard's answer for that SA.
 *
 * `takeover` is NULL, or what makes us a standby; the SAs of the nodes in it
 * are dead if the request arrived at its address, which we then hold and they
 * do not.  `destination` is the address at which it arrived, and may be NULL
 * where `takeover` is. */
QCD_API enum qcd_evidence qcd_evidence_weigh(const qcd_header *request,
                                             const qcd_seal *seal,
                                             const qcd_mint *mint, bool buried,
                                             const qcd_takeover *takeover,
                                             const qcd_address *destination);

/* qcd_evidence_weigh_lost is the evidence rule for an IKE SA that no request
 * names but our own memory: a map of child SPIs that outlived a crash (RFC 6290
 * section 8.2).  `role` is ours in it.  What such a map says is a hint;
 * evidence is our SPI, and only that of an earlier run of this very node.  It
 * may come from a disk as it is: of another role, or with a zero SPI, it is no
 * evidence. */
QCD_API enum qcd_evidence qcd_evidence_weigh_lost(const qcd_spis *spis,
                                                  enum qcd_role role,
                                                  const qcd_seal *seal,
                                                  const qcd_mint *mint);

/* ---- Rate limits, RFC 6290 section 8.1 ----------------------------------- */

#define QCD_RATE_MAX 1000000 /* events a second */
#define QCD_SKETCH_ROWS 4
#define QCD_SKETCH_CELLS 4096
#define QCD_HEARD_WORDS 16384

/* qcd_source_limit is the part of a limit that is kept for each source, or each
 * SA.  Its memory is fixed, however many sources are forged.  A source shares
 * a cell of each row with others by chance, which differs with each process,
 * and is held back only where all its cells are busy.  Opaque. */
typedef struct qcd_source_limit {
    uint64_t interval; /* nanoseconds an event; 0: none passes */
    uint64_t tolerance;
    qcd_hmac key;
    uint64_t cells[QCD_SKETCH_ROWS][QCD_SKETCH_CELLS];
} qcd_source_limit;

/* qcd_pool is a token bucket.  Opaque. */
typedef struct qcd_pool {
    uint64_t interval;
    uint64_t tolerance;
    uint64_t busy_until;
} qcd_pool;

/* Checks a second for all messages together that are over the limit of their
 * source.  One of a message with four tokens takes less than 1 us, so that all
 * of them cost one percent of a processor (bench/bench.c measures it). */
#define QCD_VERIFY_RATE_COMMON 10000

/* qcd_verify_limit limits the messages whose tokens a taker checks (RFC 6290
 * sections 8.1 and 8.2, RFC 7296 section 2.4).  Each source (an IPv4 address,
 * an IPv6 /64) has a rate for each IKE SA.  What is over it shares another rate
 * with all else that is.  So messages that are forged in a peer's name about
 * one of its SAs hold back no token of the others, and hold back that SA's own
 * only where they are more than both rates together. */
typedef struct qcd_verify_limit {
    qcd_source_limit sas;
    qcd_pool common;
} qcd_verify_limit;

/* qcd_verify_limit_init: `rate_source` checks a second, and as many at once,
 * for each SA and source, 0 lets none pass at all; `rate_common` a second, and
 * as many at once, for all that is over that, QCD_VERIFY_RATE_COMMON where
 * nothing speaks against it.  `key` is QCD_RANDOM_KEY_LEN fresh random octets.
 *
 *   QCD_ERR_RANGE  a rate above QCD_RATE_MAX */
QCD_API QCD_NODISCARD enum qcd_err
qcd_verify_limit_init(qcd_verify_limit *out, uint32_t rate_source,
                      uint32_t rate_common,
                      const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* qcd_verify_limit_pass counts a message from `source`, received at `now_ms`,
 * that is about the IKE SA `spis`, and tells whether its tokens may be checked.
 * Call it only for an SA that there is and whose peer gave a token: messages
 * about others cost nothing and must not use the limit up. */
QCD_API QCD_NODISCARD bool qcd_verify_limit_pass(qcd_verify_limit *limit,
                                                 const qcd_address *source,
                                                 const qcd_spis *spis,
                                                 uint64_t now_ms);

/* qcd_heard remembers for half a minute to a minute what was heard, in fixed
 * memory; the more is heard the shorter.  Opaque. */
typedef struct qcd_heard {
    uint64_t since_ms;
    uint32_t num_items;
    uint32_t current;
    uint64_t bits[2][QCD_HEARD_WORDS];
} qcd_heard;

/* qcd_reply_limit limits the replies of a maker: so many to one source, so many
 * to all together.  Where an SA's peer is known to be, that SA is answered once
 * beyond what a source may have.  Half of the latter is kept for the first
 * requests of those who were not heard lately, a quarter for new sources and a
 * quarter for new SAs: who floods it, with one address or with many, uses up
 * what is left for repeaters, and a peer that asks for the first time is still
 * answered. */
typedef struct qcd_reply_limit {
    qcd_source_limit sources;
    qcd_pool common;
    qcd_pool new_sources;
    qcd_pool new_sas;
    qcd_heard heard_sources;
    qcd_heard heard_sas;
} qcd_reply_limit;

/* qcd_reply_limit_init: `rate` replies a second and `burst` at once to all,
 * `rate_source` a second to one source.  `key` as above.
 *
 *   QCD_ERR_RANGE  a value above QCD_RATE_MAX */
QCD_API QCD_NODISCARD enum qcd_err
qcd_reply_limit_init(qcd_reply_limit *out, uint32_t rate, uint32_t burst,
                     uint32_t rate_source,
                     const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* qcd_reply_limit_pass counts a request from `source` for the SA whose SPI
 * `local` is ours, and tells whether it may be answered.  `is_home` says that
 * the SA's peer is known to be at `source`: then it is answered once in half
 * a minute or more, whatever else that source asks for. */
QCD_API QCD_NODISCARD bool qcd_reply_limit_pass(qcd_reply_limit *limit,
                                                const qcd_address *source,
                                                const qcd_spi *local,
                                                bool is_home, uint64_t now_ms);

/* qcd_lost_limit lets one answer a second pass for each lost IKE SA.  Its
 * memory is fixed: SAs share cells as sources do in qcd_source_limit. */
typedef struct qcd_lost_limit {
    qcd_source_limit sas;
} qcd_lost_limit;

/* qcd_lost_limit_init: `key` as above. */
QCD_API void qcd_lost_limit_init(qcd_lost_limit *out,
                                 const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* qcd_lost_limit_pass counts an answer for the SA whose SPI `local` is ours,
 * and tells whether it may be sent.  `is_known` says that it goes to where the
 * SA's peer was: such an answer may be sent a second after the last one, others
 * not until two seconds after it, so that who repeats a peer's packets from
 * elsewhere can't hold back the answer to the peer. */
QCD_API QCD_NODISCARD bool qcd_lost_limit_pass(qcd_lost_limit *limit,
                                               const qcd_spi *local,
                                               bool is_known, uint64_t now_ms);

/* ---- The token maker ----------------------------------------------------- */

/* qcd_judgement is what the maker does with a message for an unknown SA. */
enum qcd_judgement {
    QCD_SILENT_NO_REQUEST = 0,  /* no protected request, or a copy of one */
    QCD_SILENT_NO_EVIDENCE = 1, /* nothing proves that the SA is dead */
    QCD_SILENT_LIMIT = 2,       /* dead, but over the rate limits */
    QCD_ANSWER = 3,
    QCD_SILENT_TOLD = 4 /* of qcd_maker_judge_lost: dead, and told just now */
};

/* qcd_packet is a received message: `len` octets of IKE at `octets`, behind
 * a non-ESP marker, and between which addresses. */
typedef struct qcd_packet {
    const uint8_t *octets;
    size_t len;
    qcd_address source;
    qcd_address destination;
    bool is_home; /* as for qcd_reply_limit_pass */
} qcd_packet;

/* qcd_maker_judge decides on `packet`, received at `now_ms`, for which the
 * daemon has found no IKE SA.  Only a protected request of RFC 6290 section 3
 * is answered: IKE major version 2, R clear, both SPIs set, no IKE_SA_INIT, no
 * IKE_SESSION_RESUME; the first payload is SK or SKF, reaches to the end of the
 * message, and is at least as long as the shortest that any cipher makes.  Of
 * a fragmented request the first fragment is answered, so there is one answer
 * for each Message ID.  `takeover` is as for qcd_evidence_weigh.  With
 * QCD_ANSWER `out` is the header for qcd_maker_reply, else all zero.  Before it
 * sends, the daemon looks once more whether it has such an SA, in either role.
 */
QCD_API QCD_NODISCARD enum qcd_judgement
qcd_maker_judge(qcd_header *out, qcd_reply_limit *limit,
                const qcd_graveyard *graveyard, const qcd_seal *seal,
                const qcd_mint *mint, const qcd_takeover *takeover,
                const qcd_packet *packet, uint64_t now_ms);

/* qcd_show is what the tokens of a message to a peer are made of.  All members
 * are the caller's to set. */
typedef struct qcd_show {
    const qcd_keys *keys;
    const qcd_address *taker; /* the peer's, or NULL, as for qcd_token_make */
    size_t token_len;         /* octets, as for qcd_token_make */
    uint64_t now_ms;          /* when the message is built */
} qcd_show;

/* qcd_maker_reply builds the reply to `request`, which qcd_maker_judge gave:
 * INVALID_IKE_SPI and a token of each generation (RFC 6290 section 4.5), as
 * many as fit under QCD_AMPLIFICATION_MAX times the request's size.
 *
 * A taker must read four tokens, but some read the first one alone.  So the
 * first is that of another generation from one millisecond to the next: the
 * newest in half of the replies, each older one equally often in the other
 * half.  The rest follow, newest first.
 *
 *   QCD_ERR_NOBUF  `out_cap` is too small, or not one token fits under the
 *                  bound: send nothing
 *   QCD_ERR_RANGE  as qcd_token_make */
QCD_API QCD_NODISCARD enum qcd_err
qcd_maker_reply(uint8_t *out, size_t *out_len, size_t out_cap,
                const qcd_header *request, const qcd_show *show);

/* ---- ESP of lost SAs, RFC 6290 section 8.2 ------------------------ */

/* qcd_esp is a packet of ESP, alone or in UDP (RFC 3948). */
typedef struct qcd_esp {
    uint8_t child_spi[4];
    bool encap; /* in UDP */
    qcd_address source;
    qcd_address destination;
    uint16_t source_port; /* of UDP, else 0 */
    uint16_t destination_port;
    size_t len; /* octets of ESP itself, all that came in this packet */
} qcd_esp;

/* qcd_esp_decode reads the first `in_len` octets of an IP packet at `in`, which
 * may have been cut behind the SPI.  IPv6 extension headers before ESP, eight
 * at most, are passed over.  A first fragment is read, and counts as long as it
 * is.  `len` is what the packet says of itself; that so many octets arrived is
 * what the kernel has made sure of.
 *
 *   QCD_ERR_TRUNCATED  the octets end before the SPI does
 *   QCD_ERR_MALFORMED  no ESP: another protocol, a later fragment, IKE or
 *                      a keepalive in UDP, the reserved SPIs 0 to 255, lengths
 *                      that can't be, IPv6 that is to be routed on, or from no
 *                      single host: multicast, broadcast, unspecified, IPv4 in
 *                      an IPv6 address */
QCD_API QCD_NODISCARD enum qcd_err
qcd_esp_decode(qcd_esp *out, const uint8_t *in, size_t in_len);

/* qcd_lost is a child SA that was lost in a crash, as the daemon's map has it.
 * All members are the caller's to set, to whatever the map says: what can't be
 * is judged QCD_SILENT_NO_EVIDENCE. */
typedef struct qcd_lost {
    qcd_spis spis; /* of its IKE SA, in which `role` was ours */
    enum qcd_role role;
    uint8_t child_spi[4]; /* the inbound one */
    qcd_address peer;     /* where the peer was */
    uint16_t peer_port;   /* and the port of its IKE and ESP in UDP */
} qcd_lost;

/* qcd_maker_judge_lost decides, at `now_ms`, whether somebody is to be told
 * that `lost` is lost: whoever sent the ESP packet `packet` with its child SPI
 * or, where `packet` is NULL, the peer, without being asked.  It needs the same
 * evidence as the answer to an IKE request.  `token_len` is as for
 * qcd_token_make.  The result is
 *
 *   QCD_SILENT_NO_REQUEST   the packet has no room for an answer with one token
 *
 *   QCD_SILENT_NO_EVIDENCE  nothing proves that the SA is dead, or where the
 *                           answer would go is no address
 *
 *   QCD_SILENT_TOLD         it was told just now, see qcd_lost_limit_pass
 *
 *   QCD_SILENT_LIMIT        over the rate limits; without being asked, that is
 *                           what all together have for those who ask again
 *
 *   QCD_ANSWER              only this counts against the limits; what nobody
 *                           asked for doesn't use up the SA's turn, as it may
 *                           go to where the peer is no more
 *
 * Before it sends, the daemon looks once more whether it has such an SA. */
QCD_API QCD_NODISCARD enum qcd_judgement
qcd_maker_judge_lost(qcd_reply_limit *limit, qcd_lost_limit *lost_limit,
                     const qcd_seal *seal, const qcd_mint *mint,
                     const qcd_lost *lost, const qcd_esp *packet,
                     size_t token_len, uint64_t now_ms);

/* qcd_maker_tell builds the message that tells of `lost`: INVALID_SPI with the
 * child SPI and a token of each generation, in the order of qcd_maker_reply,
 * with the IKE SA's SPIs in the header and no R flag.  `esp_len` is the length
 * in octets of the ESP packet that it answers, and bounds it as in
 * qcd_maker_reply; 0 where it answers none.
 *
 *   QCD_ERR_NOBUF, QCD_ERR_RANGE  as qcd_maker_reply */
QCD_API QCD_NODISCARD enum qcd_err
qcd_maker_tell(uint8_t *out, size_t *out_len, size_t out_cap,
               const qcd_lost *lost, size_t esp_len, const qcd_show *show);

/* ---- Pace ---------------------------------------------------------------- */

/* Handshakes at work, beyond which we wait. */
#define QCD_PACE_HALF_OPEN_MAX 32

/* qcd_pace tells a maker that has lost many SAs how fast to tell their peers
 * (RFC 6290 section 8.2), so that the handshakes that follow never outrun it:
 * it grows faster while few handshakes are at work, and halves its rate when
 * there are many.  Opaque. */
typedef struct qcd_pace {
    uint64_t rate_max;
    uint64_t rate;
    uint64_t credit;
    uint64_t last_ms;
    uint64_t cut_ms;
} qcd_pace;

/* qcd_pace_init begins at `now_ms`, with one message due at once and `rate_max`
 * a second at the most.
 *
 *   QCD_ERR_RANGE  `rate_max` above QCD_RATE_MAX */
QCD_API QCD_NODISCARD enum qcd_err
qcd_pace_init(qcd_pace *out, uint32_t rate_max, uint64_t now_ms);

/* qcd_pace_due tells how many messages may be sent now, while `num_half_open`
 * handshakes are at work.  They count as sent.  What is due is for 20 ms at the
 * most: who asks less often is slower.  Ask only while there is somebody to
 * tell: the rate grows with the time in which few handshakes are at work. */
QCD_API QCD_NODISCARD uint32_t qcd_pace_due(qcd_pace *pace,
                                            uint32_t num_half_open,
                                            uint64_t now_ms);

#define QCD_SPREAD_MS 5         /* between two recoveries of many, on average */
#define QCD_SPREAD_MAX_MS 10000 /* longest delay of a recovery */

/* qcd_spread keeps a taker that has lost thousands of SAs at once from coming
 * back with all of them in the same millisecond.  Opaque. */
typedef struct qcd_spread {
    uint64_t busy_until_ms;
} qcd_spread;

/* qcd_spread_delay returns by how many milliseconds the recovery of one more SA
 * is to be delayed: 0 for the first one, for those that follow a random part of
 * the time that all of them take.  `random` is 32 random bits. */
QCD_API uint32_t qcd_spread_delay(qcd_spread *spread, uint32_t random,
                                  uint64_t now_ms);

/* ---- When a taker tries again ------------------------------------- */

/* qcd_retry paces the tries of one recovery: from the token that was verified
 * until the tunnel is up, whoever brought it up.  The gap between two tries is
 * 250 ms at first and then an eighth of the time since the first one, so that
 * a tunnel is down for an eighth longer than it has to be; it ends at 30 s, and
 * at 5 min for a peer that has refused for an hour.  Opaque, but for
 * `num_tries`. */
typedef struct qcd_retry {
    uint64_t begun_ms;
    uint64_t last_ms;
    uint64_t refused_ms;
    uint32_t num_tries;
    uint32_t num_crashes;
    bool is_refused;
} qcd_retry;

/* qcd_failure is what became of a try. */
enum qcd_failure {
    QCD_FAILURE_SILENT = 0,  /* no answer, or not within its time */
    QCD_FAILURE_REFUSED = 1, /* the peer or we refused: not configured, no key,
                                or an IKE SA without its child SAs */
    QCD_FAILURE_CRASHED = 2, /* the peer lost it: before it was up, or within
                                QCD_STABLE_MS and nothing had come in on it */
    QCD_FAILURE_LOST = 3,    /* the peer lost it within QCD_STABLE_MS, but it
                                had been used */
};

#define QCD_STABLE_MS 2000

/* qcd_retry_init begins a recovery: the first try is due at `now_ms`. */
QCD_API void qcd_retry_init(qcd_retry *out, uint64_t now_ms);

/* qcd_retry_try notes that a try begins at `now_ms`. */
QCD_API void qcd_retry_try(qcd_retry *retry, uint64_t now_ms);

/* qcd_retry_fail notes at `now_ms` that the last try failed.  A peer that our
 * handshakes crash must not be brought down by them for good: systemd gives up
 * a daemon that it has to start more than five times within ten seconds.
 *
 *   QCD_FAILURE_CRASHED  the next try is due a second after the last one began,
 *                        from the third crash in a row on after 4 s, 8 s, 16 s
 *                        and then 30 s
 *   QCD_FAILURE_LOST     another outage, that our handshake did not cause: the
 *                        gaps begin at 250 ms again */
QCD_API void qcd_retry_fail(qcd_retry *retry, enum qcd_failure failure,
                            uint64_t now_ms);

/* qcd_retry_hasten lets the gaps begin at 250 ms again: something has changed,
 * such as a route, an address or the configuration.  Crashes still count. */
QCD_API void qcd_retry_hasten(qcd_retry *retry, uint64_t now_ms);

/* qcd_retry_due returns when the next try is due, in milliseconds of the same
 * clock.  `random` is 32 random bits, by which the gap is up to a quarter
 * shorter. */
QCD_API uint64_t qcd_retry_due(const qcd_retry *retry, uint32_t random);

/* ---- The token taker ----------------------------------------------------- */

/* qcd_digest_key turns tokens into what is stored of them.  Constant once
 * made. */
typedef struct qcd_digest_key {
    qcd_hmac hmac;
} qcd_digest_key;

#define QCD_DIGEST_LEN 16

/* qcd_held is what a taker stores with an IKE SA: keyed digests of the peer's
 * latest QCD_HELD_MAX tokens (RFC 6290 sections 3 and 5).  `num` tells how
 * many. */
typedef struct qcd_held {
    uint8_t num;
    uint8_t next;
    uint8_t digests[QCD_HELD_MAX][QCD_DIGEST_LEN];
} qcd_held;

enum qcd_verdict { QCD_NO_MATCH = 0, QCD_MATCH = 1 };

/* qcd_digest_key_init takes in QCD_RANDOM_KEY_LEN fresh random octets. */
QCD_API void qcd_digest_key_init(qcd_digest_key *out,
                                 const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* qcd_digest_key_wipe makes `key` all zero. */
QCD_API void qcd_digest_key_wipe(qcd_digest_key *key);

/* qcd_held_store notes `token`, received in a protected message, and lets go
 * of the oldest where QCD_HELD_MAX are held.  A token that is held already
 * changes nothing. */
QCD_API void qcd_held_store(qcd_held *held, const qcd_digest_key *key,
                            const qcd_token *token);

/* qcd_held_verify tells whether any token of `message` is held.  The time it
 * takes tells nothing of what is held.  It does not look at the message's SPIs:
 * the caller found `held` by them. */
QCD_API QCD_NODISCARD enum qcd_verdict
qcd_held_verify(const qcd_held *held, const qcd_digest_key *key,
                const qcd_message *message);

#ifdef __cplusplus
}
#endif

#endif
