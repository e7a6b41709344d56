/* SPDX-License-Identifier: Apache-2.0 */
/* samap_row.h: the slots of the SA map, each of 128 octets: its head, and rows.
 *
 *   a row                                      the head
 *   octets  field                              octets  field
 *   1       1                                  10      "qcd samap" and a zero
 *   4       SPI of the child SA                2       version of the map, 2
 *   1       protocol                           108     zero
 *   1       1 if it is in UDP, else 0          8       checksum
 *   1       node
 *   2       run
 *   1       role
 *   16      SPIs of the IKE SA
 *   17      our address: its length, 4 or 16, and the octets, then zero
 *   17      the peer's address
 *   2       our port
 *   2       the peer's port
 *   16      peer's identity
 *   8       expiry
 *   31      zero
 *   8       checksum
 *
 * Numbers are big-endian.  A slot of zero has no row.  Rows are read and
 * written by the public qcd_samap_decode and qcd_samap_encode. */
#ifndef QCD_STORE_SAMAP_ROW_H
#define QCD_STORE_SAMAP_ROW_H

#include <qcd/store.h>

#define SAMAP_SLOT_LEN QCD_SAMAP_SLOT_LEN
#define SAMAP_SUM_LEN 8
#define SAMAP_VERSION 2

/* samap_sum is a checksum against damage, not against an attacker, who cannot
 * write to the folder.  It always detects damage within eight octets, since
 * each step is reversible.  It is not SHA-256 as in the other files: a start
 * looks at a million rows.  It takes octets as words of the machine: the map is
 * read where it was written. */
uint64_t samap_sum(const uint8_t *in, size_t in_len);

/* samap_head_encode writes the head of a map of `version`. */
void samap_head_encode(uint8_t out[SAMAP_SLOT_LEN], uint16_t version);

/* samap_head_decode reads the head and returns its version.  It returns 0 if
 * the slot is not a head. */
QCD_NODISCARD uint16_t samap_head_decode(const uint8_t in[SAMAP_SLOT_LEN]);

#endif
