/* SPDX-License-Identifier: Apache-2.0 */
/* parts.h: the parts of a qcd_maker and a qcd_taker, each with its own rules
 * and its own tests.  qcd.h has what a daemon calls. */
#ifndef QCD_SRC_PARTS_H
#define QCD_SRC_PARTS_H

#include <qcd/qcd.h>

/* ---- Secrets and tokens, RFC 6290 section 5 ---------------------------- */

/* keys_init prepares the `num_secrets` secrets at `secrets`, the newest first.
 * It does not keep the secrets.  Call keys_wipe when done.
 *
 *   QCD_ERR_RANGE  not 1 to QCD_GENERATIONS_MAX secrets */
QCD_NODISCARD enum qcd_err keys_init(qcd_keys *out, const qcd_secret *secrets,
                                     size_t num_secrets);

/* keys_rotate puts `newest` before the other generations and drops the oldest
 * if there are QCD_GENERATIONS_MAX (RFC 6290 section 5.1).  Check
 * qcd_maker_is_last first. */
void keys_rotate(qcd_keys *keys, const qcd_secret *newest);

/* keys_wipe makes `keys` all zero. */
void keys_wipe(qcd_keys *keys);

/* recipe tells how to make tokens.  `taker` is the address that they are bound
 * to (RFC 6290 section 5.2), or NULL if they are unbound (section 5.1). */
typedef struct recipe {
    const qcd_keys *keys;
    const qcd_address *taker;
    size_t token_len;
} recipe;

/* token_make derives the token of `sa` from generation `generation`, of which 0
 * is the newest.
 *
 * Our role is part of the hashed octets.  An attacker who flips the I flag of a
 * request, and so the meaning of its SPIs, gets another token than the SA's
 * peer holds.
 *
 *   QCD_ERR_RANGE  no such generation, `token_len` is not QCD_TOKEN_MIN to
 *                  QCD_TOKEN_MADE_MAX, or an address has a `len` other than 4
 *                  or 16 */
QCD_NODISCARD enum qcd_err token_make(qcd_token *out, const recipe *of,
                                      size_t generation, const qcd_ike_sa *sa);

/* ---- Sealed SPIs and the evidence rule, RFC 6290 sections 9.2, 9.3 ----- */

/* qcd_origin is what a sealed SPI says of itself to a holder of the key. */
typedef struct qcd_origin {
    uint8_t node;
    uint16_t run;
    uint32_t counter; /* 24 bits */
} qcd_origin;

#define QCD_COUNTER_END 0x1000000 /* SPIs that one run can mint */

/* seal_init prepares `key`, QCD_SEAL_KEY_LEN random octets.  They are not
 * rotated with the secrets: an SPI cannot change while its SA lives. */
void seal_init(qcd_seal *out, const uint8_t key[QCD_SEAL_KEY_LEN]);

/* seal_wipe makes `seal` all zero. */
void seal_wipe(qcd_seal *seal);

/* spi_seal makes the SPI of `origin`.
 *
 *   QCD_ERR_RANGE  the counter has more than 24 bits, or the result would be
 *                  the zero SPI, which no SA may have (take the next
 *                  counter) */
QCD_NODISCARD enum qcd_err spi_seal(qcd_spi *out, const qcd_seal *seal,
                                    const qcd_origin *origin);

/* spi_open undoes spi_seal.  It returns false, with `out` all zero, for an SPI
 * that was not sealed with this key (one in 65536 random SPIs opens). */
QCD_NODISCARD bool spi_open(qcd_origin *out, const qcd_seal *seal,
                            const qcd_spi *spi);

/* mint_init starts `run` (not 0) of `node`. */
void mint_init(qcd_mint *out, uint8_t node, uint16_t run);

/* mint_next_run continues with the run number `run`, which the caller has made
 * durable after QCD_ERR_EXHAUSTED.
 *
 *   QCD_ERR_RANGE  `run` is not above the current run; nothing is changed */
QCD_NODISCARD enum qcd_err mint_next_run(qcd_mint *mint, uint16_t run);

/* mint_spi mints the next SPI.  It is never the same twice, and nobody without
 * the sealing key can predict it (section 9.3).
 *
 *   QCD_ERR_EXHAUSTED  the run has minted QCD_COUNTER_END SPIs */
QCD_NODISCARD enum qcd_err mint_spi(qcd_spi *out, qcd_mint *mint,
                                    const qcd_seal *seal);

/* mint_owns tells whether this process minted `spi`. */
bool mint_owns(const qcd_mint *mint, const qcd_seal *seal, const qcd_spi *spi);

/* graveyard_bury records that `sa` is gone for good, unless one of its SPIs is
 * zero. */
void graveyard_bury(qcd_graveyard *graveyard, const qcd_ike_sa *sa);

/* graveyard_holds tells whether exactly this SA, in this role, is buried. */
bool graveyard_holds(const qcd_graveyard *graveyard, const qcd_ike_sa *sa);

/* qcd_evidence is what is known about the IKE SA that a request names. */
enum qcd_evidence {
    QCD_EVIDENCE_NONE = 0,        /* none: the SA may live; no reply */
    QCD_EVIDENCE_EARLIER_RUN = 1, /* minted by a process that has died */
    QCD_EVIDENCE_BURIED = 2,      /* destroyed by this process */
    QCD_EVIDENCE_TAKEN_OVER = 3   /* minted by a node whose place we took */
};

/* witness is the evidence against an SA that a request names: what our SPI says
 * of itself, the graveyard's answer for that SA, and the address at which the
 * request arrived.  The address counts if `takeover` is not NULL. */
typedef struct witness {
    const qcd_seal *seal;
    const qcd_mint *mint;
    bool is_buried;
    const qcd_takeover *takeover;
    const qcd_address *destination;
} witness;

/* evidence_weigh is the evidence rule: a token is shown only on positive
 * evidence that its SA is dead (RFC 6290 section 9.2).  It finds out which SPI
 * of `request` is ours and opens it.  The SAs of the nodes that were taken over
 * are dead if the request arrived at their address, which we then hold and they
 * do not. */
enum qcd_evidence evidence_weigh(const qcd_header *request, const witness *by);

/* evidence_weigh_lost is the evidence rule for an IKE SA that comes not from a
 * request but from our own memory, a map of child SPIs that outlived a crash
 * (RFC 6290 section 8.2).  The map is a hint.  The evidence is our SPI, and
 * only that of an earlier run of this very node. */
enum qcd_evidence evidence_weigh_lost(const qcd_ike_sa *sa,
                                      const qcd_seal *seal,
                                      const qcd_mint *mint);

/* ---- Rate limits, RFC 6290 section 8.1 --------------------------------- */

/* reply_limit_init: at most `rate` replies a second, with a burst of `burst`,
 * to all sources together, and `rate_source` a second to one source.  `key` is
 * QCD_RANDOM_KEY_LEN fresh random octets.
 *
 *   QCD_ERR_RANGE  a value is above QCD_RATE_MAX */
QCD_NODISCARD enum qcd_err
reply_limit_init(qcd_reply_limit *out, uint32_t rate, uint32_t burst,
                 uint32_t rate_source, const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* reply_limit_pass counts a request from `source` for the SA whose SPI `local`
 * is ours, and tells whether it may get a reply.  `is_home` says that the SA's
 * peer is known to be at `source`.  The SA then gets one reply in half a minute
 * or more, whatever else that source asks for. */
QCD_NODISCARD bool reply_limit_pass(qcd_reply_limit *limit,
                                    const qcd_address *source,
                                    const qcd_spi *local, bool is_home,
                                    uint64_t now_ms);

/* reply_limit_pass_unasked counts an announcement. */
bool reply_limit_pass_unasked(qcd_reply_limit *limit, uint64_t now_ms);

/* lost_limit_init: `key` as for reply_limit_init. */
void lost_limit_init(qcd_lost_limit *out,
                     const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* lost_limit_conforms tells whether a reply for the SA whose SPI `local` is
 * ours may be sent.  lost_limit_charge counts one.  `is_known` says that the
 * reply goes to the peer's last known address: it may be sent a second after
 * the last one.  Other replies must wait two seconds. */
QCD_NODISCARD bool lost_limit_conforms(const qcd_lost_limit *limit,
                                       const qcd_spi *local, bool is_known,
                                       uint64_t now_ms);
void lost_limit_charge(qcd_lost_limit *limit, const qcd_spi *local,
                       uint64_t now_ms);

/* verify_limit_init: at most `rate_source` checks a second, with a burst of the
 * same number, for each SA and source; 0 disables all checks.  Checks over that
 * rate share `rate_common` a second, with a burst of the same number.  It
 * should be QCD_VERIFY_RATE_COMMON unless there is a reason against it.  `key`
 * is QCD_RANDOM_KEY_LEN fresh random octets.
 *
 *   QCD_ERR_RANGE  a rate is above QCD_RATE_MAX */
QCD_NODISCARD enum qcd_err
verify_limit_init(qcd_verify_limit *out, uint32_t rate_source,
                  uint32_t rate_common, const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* verify_limit_pass counts a message from `source` about the IKE SA `spis`,
 * received at `now_ms`.  It tells whether its tokens may be checked.  Call it
 * only if the SA exists and its peer gave a token: messages about other SAs
 * cost nothing and must not use up the limit. */
QCD_NODISCARD bool verify_limit_pass(qcd_verify_limit *limit,
                                     const qcd_address *source,
                                     const qcd_spis *spis, uint64_t now_ms);

/* ---- What a taker holds, and when it recovers -------------------------- */

/* digest_key_init absorbs QCD_RANDOM_KEY_LEN fresh random octets. */
void digest_key_init(qcd_digest_key *out,
                     const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* digest_key_wipe makes `key` all zero. */
void digest_key_wipe(qcd_digest_key *key);

/* spread_delay returns by how many milliseconds to delay the recovery of one
 * more SA.  The delay is 0 for the first SA.  For each later one it is a random
 * part of the time that all of them take.  `random` is 32 random bits. */
uint32_t spread_delay(qcd_spread *spread, uint32_t random, uint64_t now_ms);

#endif
