/* SPDX-License-Identifier: Apache-2.0 */
/* samap_db.h: the SA map on disk, an LMDB environment of three tables.
 *
 *   children  SPI of a child SA -> its row
 *   sas       key by IKE SA (samap_row.h) -> nothing; one for each row
 *   meta      "meta" -> what the whole is (samap_meta)
 *
 * `sas` has keys of one size and no MDB_DUPSORT: a peer whose SAs come and go
 * can then not make a small map a large one, and each page can be checked.
 *
 * Functions return 0, an errno value or one of LMDB's codes, which are
 * negative; samap_db_errno makes errno values of them. */
#ifndef QCD_STORE_SAMAP_DB_H
#define QCD_STORE_SAMAP_DB_H

#include <lmdb.h>

#include "samap_overlay.h"

/* A million rows put in random order, a flush each 8192, make a file of 285
 * MiB: a row and its key take 150 octets, pages are two thirds full, and a
 * commit writes to free pages beside the old ones.  With pages a quarter full,
 * where LMDB merges them, it were 600.  The file is as long as is used, not as
 * this. */
#define SAMAP_DB_SIZE ((size_t)1 << 30)

#define SAMAP_META_LEN (8 + 2 + 8 + 8 + SAMAP_SUM_LEN)

/* samap_meta is what the table `meta` has, framed by a magic, the version of
 * the format and a checksum. */
typedef struct samap_meta {
    uint64_t applied; /* number of the last record of a journal that is in */
    uint64_t num_rows;
} samap_meta;

/* samap_meta_encode writes the meta. */
void samap_meta_encode(uint8_t out[SAMAP_META_LEN], const samap_meta *meta);

/* samap_meta_decode reads the `in_len` octets at `in`.
 *
 *   MDB_INVALID           that is no meta of a map
 *   MDB_VERSION_MISMATCH  of a newer format */
QCD_NODISCARD int samap_meta_decode(samap_meta *out, const uint8_t *in,
                                    size_t in_len);

/* samap_db is an open map; with `env` NULL it is closed. */
typedef struct samap_db {
    MDB_env *env;
    MDB_txn *reader; /* reset but while it is read */
    MDB_dbi children;
    MDB_dbi sas;
    MDB_dbi table_of_meta;
    samap_meta meta;
} samap_db;

/* samap_db_open opens the map in the file `path`, which must be undamaged, or
 * empty.  On error `out` is closed. */
QCD_NODISCARD int samap_db_open(samap_db *out, const char *path);

void samap_db_close(samap_db *db);

/* samap_db_errno returns the errno value that says best what `rc` is. */
int samap_db_errno(int rc);

/* samap_db_val is `len` octets at `octets` as LMDB takes them: it doesn't write
 * there, though its type says so. */
static inline MDB_val samap_db_val(const void *octets, size_t len)
{
    union {
        const void *in;
        void *out;
    } cast = {.in = octets};
    return (MDB_val){.mv_size = len, .mv_data = cast.out};
}

/* ---- Reading: one thread at a time ---------------------------------------
 * They find nothing in a closed map. */

/* samap_db_find finds the row of `spi`.  Where there is none, `out` is zero. */
QCD_NODISCARD bool samap_db_find(samap_db *db, qcd_samap_row *out,
                                 const uint8_t spi[SAMAP_SPI_LEN]);

/* samap_db_holds tells whether there is a row of `spi`. */
QCD_NODISCARD bool samap_db_holds(samap_db *db,
                                  const uint8_t spi[SAMAP_SPI_LEN]);

/* samap_db_rows reads the first rows whose SPI is not before `from`, up to
 * `out_cap` of them.  It returns how many. */
QCD_NODISCARD size_t samap_db_rows(samap_db *db, qcd_samap_row *out,
                                   size_t out_cap,
                                   const uint8_t from[SAMAP_SPI_LEN]);

/* samap_db_seek moves `key` to the first one of `sas` that is not before it. */
QCD_NODISCARD bool samap_db_seek(samap_db *db, uint8_t key[SAMAP_SA_KEY_LEN]);

/* ---- Writing: one thread at a time, which may be another one ------------- */

/* samap_db_apply makes the changes durable, and that `applied` is the number of
 * the last record.  On error nothing is changed. */
QCD_NODISCARD int samap_db_apply(samap_db *db, const samap_overlay *changes,
                                 uint64_t applied);

#endif
