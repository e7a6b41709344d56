/* SPDX-License-Identifier: Apache-2.0 */
/* samap_row.h: a row of the SA map as octets, the same in the map and in its
 * journals.
 *
 *   octets  field
 *   1       version of the row, 1
 *   4       SPI of the child SA
 *   1       protocol
 *   1       1 where it is in UDP, else 0
 *   1       node
 *   2       run
 *   1       role
 *   16      SPIs of the IKE SA
 *   17      our address: its length, 4 or 16, and the octets, zero behind
 *   17      the peer's address
 *   2       our port
 *   2       the peer's port
 *   16      peer's identity
 *   8       expiry
 *   8       checksum
 *
 * Numbers are big-endian. */
#ifndef QCD_STORE_SAMAP_ROW_H
#define QCD_STORE_SAMAP_ROW_H

#include "samap.h"

#define SAMAP_SPI_LEN 4
#define SAMAP_SUM_LEN 8
#define SAMAP_ROW_LEN 97

/* The key by which the rows of an IKE SA, and the IKE SAs of a peer, stand side
 * by side: the peer's identity, our SPI of the IKE SA, the child's SPI. */
#define SAMAP_SA_LEN (QCD_SAMAP_PEER_LEN + QCD_SPI_LEN)
#define SAMAP_SA_KEY_LEN (SAMAP_SA_LEN + SAMAP_SPI_LEN)

/* samap_sum is a checksum against damage, not against an attacker, who cannot
 * write to the folder.  Damage within eight octets always shows, since each
 * step can be undone.  Not SHA-256 as in the other files: a start looks at a
 * million rows.  It takes octets as words of the machine, as LMDB's own file
 * has them. */
uint64_t samap_sum(const uint8_t *in, size_t in_len);

/* samap_row_encode writes `row`; what is behind the end of an address is
 * written as zero. */
void samap_row_encode(uint8_t out[SAMAP_ROW_LEN], const qcd_samap_row *row);

/* samap_row_decode reads the `in_len` octets at `in`.  It returns false, with
 * `out` all zero, where that is no row. */
QCD_NODISCARD bool samap_row_decode(qcd_samap_row *out, const uint8_t *in,
                                    size_t in_len);

/* samap_row_sa writes the key of `row` by its IKE SA. */
void samap_row_sa(uint8_t out[SAMAP_SA_KEY_LEN], const qcd_samap_row *row);

#endif
