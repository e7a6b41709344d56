/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.h: the secrets file and the run file: their octets without the frame
 * (keyfile.h), and what they say of each other and of the machine.
 *
 *   secrets  16 sealing key, 32 digest of the machine, 32 nodes taken, 1 number
 *            n of generations, n times: 8 seconds since 1970, 32 secret; newest
 *            first
 *   run      21 birth (keyfile.h), 65 machine (identity.h), 16 digest of the
 *            sealing key, 2 number of the run, 2 of the node, 32 nodes that we
 *            were with this key
 *
 * Secrets of version 1 had neither machine nor nodes: they are bound to no
 * machine, and no other gateway has them.  The run file had neither birth nor
 * machine before version 3, but secrets were then bound to a machine.  It had
 * only the latest node, and none in version 1.
 *
 * The digest ties the two files together: the number of a run means something
 * only with the key that sealed the SPIs of that run. */
#ifndef QCD_STORE_SECRETS_H
#define QCD_STORE_SECRETS_H

#include "identity.h"
#include "keyfile.h"

#define SECRETS_VERSION 2
#define RUN_VERSION 3
#define SECRETS_DAMAGED_NAME "secrets.damaged"
#define KEY_DIGEST_LEN 16
#define RUN_NODE_NONE 0xffff /* no process has used the key yet */

extern const keyfile_kind secrets_kind;
extern const keyfile_kind run_kind;

/* run_record is the content of the run file, except for the birth, which the
 * keyfile handles. */
typedef struct run_record {
    enum keyfile_origin origin;
    identity_print machine;
    uint8_t key_digest[KEY_DIGEST_LEN];
    uint16_t run;                       /* not 0 */
    uint16_t node;                      /* 0 to 255, or RUN_NODE_NONE */
    uint8_t nodes[QCD_STORE_NODES / 8]; /* all nodes that we were, in the form
                                         * of `taken` */
    const char *doubt;                  /* for run_read */
} run_record;

/* secrets_encode writes `secrets`, which must be valid, to `out`. */
void secrets_encode(keyfile_body *out, const qcd_secrets *secrets);

/* secrets_decode reads the octets of `body`.  On error `out` is all zero.
 *
 *   QCD_STORE_ERR_DAMAGED  not 1 to QCD_GENERATIONS_MAX generations, or octets
 *                          are missing or left over */
QCD_NODISCARD enum qcd_store_err secrets_decode(qcd_secrets *out,
                                                const keyfile_body *body);

/* secrets_digest makes the digest of the sealing key of `secrets`. */
void secrets_digest(uint8_t out[KEY_DIGEST_LEN], const qcd_secrets *secrets);

/* nodes_set sets the bit of `node`, unless it is RUN_NODE_NONE. */
void nodes_set(uint8_t nodes[QCD_STORE_NODES / 8], uint16_t node);

/* run_encode writes `record` to `out`. */
void run_encode(keyfile_body *out, const run_record *record);

/* run_decode reads the octets of `body`.  On error `out` is all zero.
 *
 *   QCD_STORE_ERR_DAMAGED  run 0, an invalid node, an invalid flag for a hidden
 *                          product, or octets are missing or left over */
QCD_NODISCARD enum qcd_store_err run_decode(run_record *out,
                                            const keyfile_body *body);

/* secrets_take starts to use the files in `dir` as its user, alone: it takes
 * the lock, and removes what killed processes left.  Call folder_leave in any
 * case. */
QCD_NODISCARD enum qcd_store_err secrets_take(folder *dir,
                                              qcd_store_report *report);

/* secrets_read reads the secrets.  If they are missing, the result is OK and
 * `out` is all zero.  On error `out` is all zero too. */
QCD_NODISCARD enum qcd_store_err
secrets_read(qcd_secrets *out, qcd_store_report *report, const folder *dir);

/* secrets_write makes the secrets durable. */
QCD_NODISCARD enum qcd_store_err secrets_write(qcd_store_report *report,
                                               const folder *dir,
                                               const qcd_secrets *secrets);

/* run_read reads the last run that was started with the key of `secrets`.  If
 * no such run is known, `out->run` is 0.  `out->doubt` is NULL if the run was
 * started in this folder on this `machine`.  Otherwise it tells why this is not
 * known, as a phrase that follows the name of the file.  That is not an error,
 * nor is a damaged file. */
QCD_NODISCARD enum qcd_store_err
run_read(run_record *out, qcd_store_report *report, const folder *dir,
         const qcd_secrets *secrets, const identity_print *machine);

/* run_write makes `record` durable, as a run of the key of `secrets`, whose
 * digest it puts into it. */
QCD_NODISCARD enum qcd_store_err run_write(qcd_store_report *report,
                                           const folder *dir,
                                           const qcd_secrets *secrets,
                                           run_record *record);

#endif
