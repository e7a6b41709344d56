/* SPDX-License-Identifier: Apache-2.0 */
/* parts.h: what the files of the core call of each other's parts of a qcd_maker
 * or a qcd_taker.  qcd.h has what a daemon calls. */
#ifndef QCD_SRC_PARTS_H
#define QCD_SRC_PARTS_H

#include "ike.h"

/* ---- Secrets and tokens, RFC 6290 section 5 ---------------------------- */

/* keys_init prepares the `num_secrets` secrets at `secrets`, the newest first.
 * It does not keep the secrets.
 *
 *   QCD_ERR_RANGE  not 1 to QCD_GENERATIONS_MAX secrets */
QCD_NODISCARD enum qcd_err keys_init(qcd_keys *out, const qcd_secret *secrets,
                                     size_t num_secrets);

/* token_make derives the token of `sa` from generation `generation`, of which 0
 * is the newest.  If the settings bind tokens, it is bound to `taker` (RFC 6290
 * section 5.2).
 *
 * Our role is part of the hashed octets.  An attacker who flips the I flag of a
 * request, and so the meaning of its SPIs, gets another token than the SA's
 * peer holds.
 *
 *   QCD_ERR_RANGE  no such generation, the settings' token_len is not
 *                  QCD_TOKEN_MIN to QCD_TOKEN_MADE_MAX, or `taker` counts and
 *                  has a `len` other than 4 or 16 */
QCD_NODISCARD enum qcd_err token_make(const qcd_maker *maker, qcd_token *out,
                                      const qcd_ike_sa *sa, size_t generation,
                                      const qcd_address *taker);

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

/* graveyard_holds tells whether exactly this SA, in this role, is buried. */
bool graveyard_holds(const qcd_graveyard *graveyard, const qcd_ike_sa *sa);

/* evidence_weigh is the evidence rule: a token is shown only on positive
 * evidence that its SA is dead (RFC 6290 section 9.2).  That is what our SPI
 * says of itself, and the graveyard.  The SAs of the nodes that were taken over
 * are dead if the request arrived at their address `destination`, which we then
 * hold and they do not.  Without evidence the SA may live. */
QCD_NODISCARD bool evidence_weigh(const qcd_maker *maker, const qcd_ike_sa *sa,
                                  const qcd_address *destination);

/* ---- Rate limits, RFC 6290 section 8.1 --------------------------------- */

/* A `key` is QCD_RANDOM_KEY_LEN fresh random octets. */

/* source_limit_init: `rate` events a second for each source, QCD_RATE_MAX at
 * most, and a burst of the same number. */
void source_limit_init(qcd_source_limit *out, uint32_t rate,
                       const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* pool_init: `rate` events a second, and a burst of `burst`, likewise. */
void pool_init(qcd_pool *out, uint32_t rate, uint32_t burst);

/* reply_limit_init: at most `rate` replies a second, with a burst of `burst`,
 * to all sources together, and `rate_source` a second to one source.
 *
 *   QCD_ERR_RANGE  a value is above QCD_RATE_MAX */
QCD_NODISCARD enum qcd_err
reply_limit_init(qcd_reply_limit *out, uint32_t rate, uint32_t burst,
                 uint32_t rate_source, const uint8_t key[QCD_RANDOM_KEY_LEN]);

/* reply_limit_pass counts a request from `source` for the SA whose SPI `local`
 * is ours, and tells whether it may get a reply.  `is_home` is that of
 * qcd_packet. */
QCD_NODISCARD bool reply_limit_pass(qcd_reply_limit *limit,
                                    const qcd_address *source,
                                    const qcd_spi *local, bool is_home,
                                    uint64_t now_ms);

/* reply_limit_pass_unasked tells whether announcements are enabled. */
bool reply_limit_pass_unasked(const qcd_reply_limit *limit);

/* lost_limit_conforms tells whether a reply for the SA whose SPI `local` is
 * ours may be sent.  lost_limit_charge counts one.  `is_known` says that the
 * reply goes to the peer's last known address: it may be sent a second after
 * the last one.  Other replies must wait two seconds. */
QCD_NODISCARD bool lost_limit_conforms(const qcd_source_limit *limit,
                                       const qcd_spi *local, bool is_known,
                                       uint64_t now_ms);
void lost_limit_charge(qcd_source_limit *limit, const qcd_spi *local,
                       uint64_t now_ms);

#endif
