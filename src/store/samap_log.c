/* SPDX-License-Identifier: Apache-2.0 */
/* samap_log.c: a journal of the SA map. */
#include "samap_log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../wr.h"
#include "io.h"
#include "sys.h"

enum { OP_PUT = 1, OP_REMOVE = 2 };

#define LOG_MAX ((size_t)SAMAP_RECORDS_MAX * SAMAP_RECORD_LEN)

/* ---- Records ----------------------------------------------------------- */

void samap_record_encode(uint8_t out[SAMAP_RECORD_LEN], uint64_t seq,
                         const samap_change *change)
{
    uint8_t row[SAMAP_ROW_LEN] = {0};
    if (change->is_put) {
        samap_row_encode(row, &change->row);
    } else {
        memcpy(row, change->row.child_spi, SAMAP_SPI_LEN);
    }
    wr w;
    wr_init(&w, out, SAMAP_RECORD_LEN);
    wr_be64(&w, seq);
    wr_u8(&w, change->is_put ? OP_PUT : OP_REMOVE);
    wr_bytes(&w, row, sizeof(row));
    wr_be64(&w, samap_sum(out, w.len));
    assert(!w.bad && w.len == SAMAP_RECORD_LEN);
}

void samap_reader_init(samap_reader *reader, const uint8_t *in, size_t in_len)
{
    memset(reader, 0, sizeof(*reader));
    rd_init(&reader->in, in, in_len);
}

/* read_change reads what stands between number and checksum. */
static bool read_change(samap_change *out, uint8_t op, const uint8_t *row)
{
    out->is_put = op == OP_PUT;
    if (out->is_put) {
        return samap_row_decode(&out->row, row, SAMAP_ROW_LEN);
    }
    static const uint8_t zero[SAMAP_ROW_LEN] = {0};
    memcpy(out->row.child_spi, row, SAMAP_SPI_LEN);
    return op == OP_REMOVE && memcmp(row + SAMAP_SPI_LEN, zero,
                                     SAMAP_ROW_LEN - SAMAP_SPI_LEN) == 0;
}

bool samap_reader_next(samap_change *out, samap_reader *reader)
{
    memset(out, 0, sizeof(*out));
    rd *r = &reader->in;
    const uint8_t *record = r->p;
    uint64_t seq = rd_be64(r);
    uint8_t op = rd_u8(r);
    const uint8_t *row = rd_bytes(r, SAMAP_ROW_LEN);
    uint64_t sum = rd_be64(r);
    if (r->bad || sum != samap_sum(record, SAMAP_RECORD_LEN - SAMAP_SUM_LEN)) {
        goto end;
    }
    if (seq == 0 || (reader->seq != 0 && seq != reader->seq + 1)) {
        goto end;
    }
    if (!read_change(out, op, row)) {
        goto end;
    }
    reader->seq = seq;
    reader->len += SAMAP_RECORD_LEN;
    return true;
end:
    memset(out, 0, sizeof(*out));
    r->bad = true; /* whatever comes behind */
    r->len = 0;
    return false;
}

/* ---- The file ---------------------------------------------------------- */

int samap_log_append(samap_log *log, uint64_t seq, const samap_change *change)
{
    uint8_t record[SAMAP_RECORD_LEN];
    samap_record_encode(record, seq, change);
    int why = io_pwrite(log->fd, record, sizeof(record), log->len);
    if (why != 0) {
        /* Of a write that failed all may be there nevertheless.  Where this
         * fails as well, the next record is written over it. */
        (void)sys_ftruncate(log->fd, log->len);
        return why;
    }
    log->len += sizeof(record);
    return 0;
}

bool samap_log_is_full(const samap_log *log)
{
    return log->len > LOG_MAX - SAMAP_RECORD_LEN;
}

int samap_log_read(uint8_t **out, size_t *out_len, const samap_log *log)
{
    *out_len = 0;
    *out = sys_alloc(LOG_MAX);
    if (*out == NULL) {
        return ENOMEM;
    }
    int why = io_read(log->fd, *out, out_len, LOG_MAX);
    if (why != 0) {
        free(*out);
        *out = NULL;
        *out_len = 0;
    }
    return why;
}

void samap_log_empty(samap_log *log)
{
    /* What this leaves where it fails is written over by newer records, whose
     * numbers it does not continue. */
    (void)sys_ftruncate(log->fd, 0);
    log->len = 0;
}
