/* SPDX-License-Identifier: Apache-2.0 */
/* samap_log.h: a journal of the SA map: changes that are not in the map yet,
 * each a record of the same size, written at once and without fsync.
 *
 *   octets  field
 *   8       sequence number, one more than that of the record before
 *   1       1 for a row that is put, 2 for one that is removed
 *   97      the row; of one that is removed its SPI, and zero behind
 *   8       checksum
 *
 * What the kernel had not written when the power went is missing, or anything:
 * the first record that is not whole, or not the next one, ends its journal.
 * So what a journal had before it was begun anew does no harm either. */
#ifndef QCD_STORE_SAMAP_LOG_H
#define QCD_STORE_SAMAP_LOG_H

#include "../rd.h"
#include "samap_row.h"

#define SAMAP_RECORD_LEN (8 + 1 + SAMAP_ROW_LEN + SAMAP_SUM_LEN)
#define SAMAP_RECORDS_MAX 32768 /* in a journal */

/* samap_change is what happens to a row; of one that is removed `row` has the
 * SPI alone. */
typedef struct samap_change {
    bool is_put;
    qcd_samap_row row;
} samap_change;

/* samap_record_encode writes a record. */
void samap_record_encode(uint8_t out[SAMAP_RECORD_LEN], uint64_t seq,
                         const samap_change *change);

/* samap_reader reads the records of a journal that is in memory. */
typedef struct samap_reader {
    rd in;
    uint64_t seq; /* of the record that was read last, 0 before the first */
    size_t len;   /* octets of the records that were read */
} samap_reader;

/* samap_reader_init begins to read the `in_len` octets at `in`. */
void samap_reader_init(samap_reader *reader, const uint8_t *in, size_t in_len);

/* samap_reader_next reads the next record; `reader` then has its number.  It
 * returns false, with `out` all zero, at the end of what is whole. */
QCD_NODISCARD bool samap_reader_next(samap_change *out, samap_reader *reader);

/* samap_log is an open journal. */
typedef struct samap_log {
    int fd;
    size_t len; /* octets that count */
} samap_log;

/* samap_log_append writes the record of `change` behind the others.  It returns
 * 0 or an errno value; on error the journal is what it was. */
QCD_NODISCARD int samap_log_append(samap_log *log, uint64_t seq,
                                   const samap_change *change);

/* samap_log_is_full tells whether there is no room for another record. */
bool samap_log_is_full(const samap_log *log);

/* samap_log_read reads the journal into `*out`, to be freed by free.  It
 * returns 0 or an errno value, with `*out` NULL. */
QCD_NODISCARD int samap_log_read(uint8_t **out, size_t *out_len,
                                 const samap_log *log);

/* samap_log_empty begins the journal anew.  All its records must have been
 * applied. */
void samap_log_empty(samap_log *log);

#endif
