/* SPDX-License-Identifier: Apache-2.0 */
/* samap_db.c: the SA map on disk. */
#include "samap_db.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "../wr.h"

static const char magic[8] = {'Q', 'C', 'D', 's', 'a', 'm', 'a', 'p'};

#define FORMAT_VERSION 1
#define NUM_TABLES 3

static MDB_val meta_key(void)
{
    return samap_db_val("meta", 4);
}

int samap_db_errno(int rc)
{
    switch (rc) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return ENOSPC;
    default:
        return rc >= 0 ? rc : EIO;
    }
}

/* ---- Meta -------------------------------------------------------------- */

void samap_meta_encode(uint8_t out[SAMAP_META_LEN], const samap_meta *meta)
{
    wr w;
    wr_init(&w, out, SAMAP_META_LEN);
    wr_bytes(&w, magic, sizeof(magic));
    wr_be16(&w, FORMAT_VERSION);
    wr_be64(&w, meta->applied);
    wr_be64(&w, meta->num_rows);
    wr_be64(&w, samap_sum(out, w.len));
    assert(!w.bad && w.len == SAMAP_META_LEN);
}

int samap_meta_decode(samap_meta *out, const uint8_t *in, size_t in_len)
{
    memset(out, 0, sizeof(*out));
    rd r;
    rd_init(&r, in, in_len);
    const uint8_t *found = rd_bytes(&r, sizeof(magic));
    uint16_t version = rd_be16(&r);
    if (r.bad || memcmp(found, magic, sizeof(magic)) != 0 ||
        in_len < SAMAP_META_LEN) {
        return MDB_INVALID;
    }
    /* The frame is the same in all versions, and the checksum comes last. */
    rd sum;
    rd_init(&sum, in + in_len - SAMAP_SUM_LEN, SAMAP_SUM_LEN);
    if (rd_be64(&sum) != samap_sum(in, in_len - SAMAP_SUM_LEN) ||
        version == 0) {
        return MDB_INVALID;
    }
    if (version > FORMAT_VERSION) {
        return MDB_VERSION_MISMATCH;
    }
    if (in_len != SAMAP_META_LEN) {
        return MDB_INVALID;
    }
    out->applied = rd_be64(&r);
    out->num_rows = rd_be64(&r);
    return 0;
}

static int put_meta(const samap_db *db, MDB_txn *txn, const samap_meta *meta)
{
    uint8_t octets[SAMAP_META_LEN];
    samap_meta_encode(octets, meta);
    MDB_val key = meta_key();
    MDB_val data = samap_db_val(octets, sizeof(octets));
    return mdb_put(txn, db->table_of_meta, &key, &data, 0);
}

/* get_meta reads the meta, or puts the first one. */
static int get_meta(samap_db *db, MDB_txn *txn)
{
    MDB_val key = meta_key();
    MDB_val data;
    int rc = mdb_get(txn, db->table_of_meta, &key, &data);
    if (rc == MDB_NOTFOUND) {
        return put_meta(db, txn, &db->meta);
    }
    return rc != 0 ? rc
                   : samap_meta_decode(&db->meta, data.mv_data, data.mv_size);
}

/* ---- Opening ----------------------------------------------------------- */

/* open_tables opens the tables, or makes them. */
static int open_tables(samap_db *db)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_dbi_open(txn, "children", MDB_CREATE, &db->children);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "sas", MDB_CREATE, &db->sas);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &db->table_of_meta);
    }
    if (rc == 0) {
        rc = get_meta(db, txn);
    }
    if (rc == 0) {
        return mdb_txn_commit(txn); /* writes nothing where nothing was made */
    }
    mdb_txn_abort(txn);
    return rc;
}

static int open_env(samap_db *db, const char *path)
{
    int rc = mdb_env_set_maxdbs(db->env, NUM_TABLES);
    if (rc == 0) {
        rc = mdb_env_set_mapsize(db->env, SAMAP_DB_SIZE);
    }
    if (rc == 0) {
        /* MDB_NOTLS: the reader is one txn for all threads. */
        rc = mdb_env_open(db->env, path, MDB_NOSUBDIR | MDB_NOTLS, 0600);
    }
    if (rc == 0) {
        rc = open_tables(db);
    }
    if (rc == 0) {
        rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->reader);
    }
    if (rc == 0) {
        mdb_txn_reset(db->reader);
    }
    return rc;
}

int samap_db_open(samap_db *out, const char *path)
{
    memset(out, 0, sizeof(*out));
    int rc = mdb_env_create(&out->env);
    if (rc != 0) {
        out->env = NULL;
        return rc;
    }
    rc = open_env(out, path);
    if (rc != 0) {
        samap_db_close(out);
    }
    return rc;
}

void samap_db_close(samap_db *db)
{
    if (db->reader != NULL) {
        mdb_txn_abort(db->reader);
    }
    if (db->env != NULL) {
        mdb_env_close(db->env);
    }
    memset(db, 0, sizeof(*db));
}

/* ---- Reading ----------------------------------------------------------- */

/* begin_read makes the reader see what was committed last; what it points to is
 * valid until end_read. */
static bool begin_read(samap_db *db)
{
    return db->env != NULL && mdb_txn_renew(db->reader) == 0;
}

static void end_read(samap_db *db)
{
    mdb_txn_reset(db->reader);
}

bool samap_db_find(samap_db *db, qcd_samap_row *out,
                   const uint8_t spi[SAMAP_SPI_LEN])
{
    memset(out, 0, sizeof(*out));
    if (!begin_read(db)) {
        return false;
    }
    MDB_val key = samap_db_val(spi, SAMAP_SPI_LEN);
    MDB_val data;
    bool is_found = mdb_get(db->reader, db->children, &key, &data) == 0 &&
                    samap_row_decode(out, data.mv_data, data.mv_size);
    end_read(db);
    return is_found;
}

bool samap_db_holds(samap_db *db, const uint8_t spi[SAMAP_SPI_LEN])
{
    if (!begin_read(db)) {
        return false;
    }
    MDB_val key = samap_db_val(spi, SAMAP_SPI_LEN);
    MDB_val data;
    bool is_found = mdb_get(db->reader, db->children, &key, &data) == 0;
    end_read(db);
    return is_found;
}

size_t samap_db_rows(samap_db *db, qcd_samap_row *out, size_t out_cap,
                     const uint8_t from[SAMAP_SPI_LEN])
{
    size_t num = 0;
    MDB_cursor *cursor;
    if (!begin_read(db)) {
        return 0;
    }
    if (mdb_cursor_open(db->reader, db->children, &cursor) == 0) {
        MDB_val key = samap_db_val(from, SAMAP_SPI_LEN);
        MDB_val data;
        MDB_cursor_op op = MDB_SET_RANGE;
        while (num < out_cap && mdb_cursor_get(cursor, &key, &data, op) == 0) {
            if (samap_row_decode(&out[num], data.mv_data, data.mv_size)) {
                num++;
            }
            op = MDB_NEXT;
        }
        mdb_cursor_close(cursor);
    }
    end_read(db);
    return num;
}

bool samap_db_seek(samap_db *db, uint8_t key[SAMAP_SA_KEY_LEN])
{
    bool is_found = false;
    MDB_cursor *cursor;
    if (!begin_read(db)) {
        return false;
    }
    if (mdb_cursor_open(db->reader, db->sas, &cursor) == 0) {
        MDB_val at = samap_db_val(key, SAMAP_SA_KEY_LEN);
        MDB_val data;
        is_found = mdb_cursor_get(cursor, &at, &data, MDB_SET_RANGE) == 0 &&
                   at.mv_size == SAMAP_SA_KEY_LEN;
        if (is_found) {
            memcpy(key, at.mv_data, SAMAP_SA_KEY_LEN);
        }
        mdb_cursor_close(cursor);
    }
    end_read(db);
    return is_found;
}

/* ---- Writing ----------------------------------------------------------- */

/* remove_sa removes the key by IKE SA of the row that is in the map, and tells
 * whether there is one. */
static int remove_sa(const samap_db *db, MDB_txn *txn, bool *is_there,
                     const uint8_t spi[SAMAP_SPI_LEN])
{
    *is_there = false;
    MDB_val key = samap_db_val(spi, SAMAP_SPI_LEN);
    MDB_val data;
    int rc = mdb_get(txn, db->children, &key, &data);
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    qcd_samap_row row;
    if (!samap_row_decode(&row, data.mv_data, data.mv_size)) {
        return MDB_CORRUPTED;
    }
    *is_there = true;
    uint8_t sa[SAMAP_SA_KEY_LEN];
    samap_row_sa(sa, &row);
    MDB_val sa_key = samap_db_val(sa, sizeof(sa));
    rc = mdb_del(txn, db->sas, &sa_key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int put_row(const samap_db *db, MDB_txn *txn, const qcd_samap_row *row)
{
    uint8_t octets[SAMAP_ROW_LEN];
    uint8_t sa[SAMAP_SA_KEY_LEN];
    samap_row_encode(octets, row);
    samap_row_sa(sa, row);
    MDB_val key = samap_db_val(row->child_spi, SAMAP_SPI_LEN);
    MDB_val data = samap_db_val(octets, sizeof(octets));
    int rc = mdb_put(txn, db->children, &key, &data, 0);
    if (rc == 0) {
        key = samap_db_val(sa, sizeof(sa));
        data = samap_db_val("", 0);
        rc = mdb_put(txn, db->sas, &key, &data, 0);
    }
    return rc;
}

static int apply_one(const samap_db *db, MDB_txn *txn,
                     const samap_change *change)
{
    bool is_there;
    int rc = remove_sa(db, txn, &is_there, change->row.child_spi);
    if (rc == 0 && change->is_put) {
        return put_row(db, txn, &change->row);
    }
    if (rc == 0 && is_there) {
        MDB_val key = samap_db_val(change->row.child_spi, SAMAP_SPI_LEN);
        return mdb_del(txn, db->children, &key, NULL);
    }
    return rc;
}

static int apply_all(const samap_db *db, MDB_txn *txn, samap_meta *out,
                     const samap_overlay *changes)
{
    for (size_t i = 0; i < changes->num; i++) {
        int rc = apply_one(db, txn, &changes->changes[i]);
        if (rc != 0) {
            return rc;
        }
    }
    MDB_stat stat;
    int rc = mdb_stat(txn, db->children, &stat);
    if (rc != 0) {
        return rc;
    }
    out->num_rows = stat.ms_entries;
    return put_meta(db, txn, out);
}

int samap_db_apply(samap_db *db, const samap_overlay *changes, uint64_t applied)
{
    MDB_txn *txn;
    samap_meta meta = {.applied = applied};
    if (db->env == NULL) {
        return MDB_PANIC;
    }
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    rc = apply_all(db, txn, &meta, changes);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc == 0) {
        db->meta = meta;
    }
    return rc;
}
