/* SPDX-License-Identifier: Apache-2.0 */
/* parts.h: the parts of the values in qcd.h, visible so that a compiler knows
 * their sizes.  They belong to the library.  A daemon needs only qcd.h. */
#ifndef QCD_PARTS_H
#define QCD_PARTS_H

/* Only qcd.h includes this file, after the types that it uses. */

/* qcd_hmac is HMAC-SHA-256 with its key already absorbed.  Opaque. */
typedef struct qcd_hmac {
    uint64_t opaque[42];
} qcd_hmac;

/* qcd_keys holds up to QCD_GENERATIONS_MAX generations of secrets, ready to
 * make tokens.  `newest` counts the rotations. */
typedef struct qcd_keys {
    uint32_t newest;
    size_t num_generations;
    qcd_hmac generations[QCD_GENERATIONS_MAX]; /* newest first */
} qcd_keys;

/* qcd_pledge is a token that was sent to a peer. */
typedef struct qcd_pledge {
    uint32_t generation;
    qcd_address taker; /* len 0: not bound to an address */
} qcd_pledge;

/* qcd_seal is a keyed permutation of 64 bits (XTEA), ready for use.
 * Opaque; constant after its initialization. */
typedef struct qcd_seal {
    uint32_t opaque[24];
} qcd_seal;

/* qcd_mint mints the SPIs of one process.  A run is one start of the daemon on
 * its node.  Its number must be durable before its first SPI is minted. */
typedef struct qcd_mint {
    uint8_t node;
    uint16_t first_run; /* of this process */
    uint16_t run;       /* the current one */
    uint32_t counter;   /* of the next SPI */
} qcd_mint;

#define QCD_GRAVEYARD_WAYS 4
#define QCD_GRAVEYARD_SETS 1024

/* qcd_graveyard remembers the last few thousand IKE SAs that this process has
 * destroyed.  It helps a peer that missed our DELETE.  Its size is fixed: a new
 * entry replaces an old one. */
typedef struct qcd_graveyard {
    qcd_spis graves[QCD_GRAVEYARD_SETS][QCD_GRAVEYARD_WAYS];
    uint8_t roles[QCD_GRAVEYARD_SETS][QCD_GRAVEYARD_WAYS];
    uint8_t next[QCD_GRAVEYARD_SETS];
} qcd_graveyard;

#define QCD_SKETCH_ROWS 4
#define QCD_SKETCH_CELLS 4096
#define QCD_HEARD_WORDS 16384

/* qcd_source_limit is the part of a limit that counts each source, or each SA,
 * on its own.  Its memory is fixed, however many sources are forged.  In each
 * row a source shares a cell with others by chance, and that chance differs
 * from process to process.  A source is held back only if all its cells are
 * busy.  Opaque. */
typedef struct qcd_source_limit {
    uint64_t interval; /* nanoseconds between events; 0: no event passes */
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

/* qcd_heard remembers what was heard in the last half minute to a minute.  Its
 * memory is fixed: the more is heard, the shorter it remembers.  Opaque. */
typedef struct qcd_heard {
    uint64_t since_ms;
    uint32_t num_items;
    uint32_t current;
    uint64_t bits[2][QCD_HEARD_WORDS];
} qcd_heard;

/* qcd_reply_limit limits the replies of a maker: a rate for each source and a
 * rate for all sources together.  If the peer of an SA is known to be at the
 * source, that SA gets one reply beyond the source's rate.  Half of the rate
 * for all is reserved for the first requests of those not heard lately: a
 * quarter for new sources and a quarter for new SAs.  A flood, from one address
 * or from many, uses up only the half left for repeated requests.  A peer that
 * asks for the first time still gets a reply. */
typedef struct qcd_reply_limit {
    qcd_source_limit sources;
    qcd_pool common;
    qcd_pool new_sources;
    qcd_pool new_sas;
    qcd_heard heard_sources;
    qcd_heard heard_sas;
} qcd_reply_limit;

#endif
