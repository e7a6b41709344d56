/* SPDX-License-Identifier: Apache-2.0 */
/* samap_look.c: what the child process of samap_check looks at. */
#include <errno.h>
#include <string.h>

#include "samap_check.h"
#include "samap_db.h"

/* tally is what is counted of a table.  `sum` is over its keys by IKE SA, in
 * any order: of the same number of keys, all different, two tables have the
 * same sum just where they have the same keys.  That is much faster than to
 * look up each row from its key. */
typedef struct tally {
    uint64_t num;
    uint64_t sum;
} tally;

/* add mixes what FNV leaves alike, so that sums don't cancel. */
static void add(tally *t, const uint8_t key[SAMAP_SA_KEY_LEN])
{
    uint64_t x = samap_sum(key, SAMAP_SA_KEY_LEN);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    t->num++;
    t->sum += x ^ x >> 31;
}

static bool add_row(tally *t, const MDB_val *key, const MDB_val *data)
{
    qcd_samap_row row;
    uint8_t sa[SAMAP_SA_KEY_LEN];
    if (key->mv_size != SAMAP_SPI_LEN ||
        !samap_row_decode(&row, data->mv_data, data->mv_size) ||
        memcmp(key->mv_data, row.child_spi, SAMAP_SPI_LEN) != 0) {
        return false;
    }
    samap_row_sa(sa, &row);
    add(t, sa);
    return true;
}

static bool add_sa(tally *t, const MDB_val *key, const MDB_val *data)
{
    if (key->mv_size != SAMAP_SA_KEY_LEN || data->mv_size != 0) {
        return false;
    }
    add(t, key->mv_data);
    return true;
}

/* add_table adds up a table whose keys must ascend. */
static bool add_table(tally *out, MDB_txn *txn, MDB_dbi table,
                      bool (*one)(tally *, const MDB_val *, const MDB_val *))
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    uint8_t last[SAMAP_SA_KEY_LEN] = {0};
    memset(out, 0, sizeof(*out));
    if (mdb_cursor_open(txn, table, &cursor) != 0) {
        return false;
    }
    int rc = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);
    bool is_good = true;
    while (rc == 0 && is_good) {
        is_good = one(out, &key, &data) &&
                  (out->num == 1 || memcmp(last, key.mv_data, key.mv_size) < 0);
        if (is_good) {
            memcpy(last, key.mv_data, key.mv_size);
            rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
        }
    }
    mdb_cursor_close(cursor);
    return is_good && rc == MDB_NOTFOUND;
}

static bool is_whole(const samap_db *db, MDB_txn *txn)
{
    tally rows;
    tally sas;
    return add_table(&rows, txn, db->children, add_row) &&
           add_table(&sas, txn, db->sas, add_sa) && rows.num == sas.num &&
           rows.sum == sas.sum && rows.num == db->meta.num_rows;
}

/* can_write tries what a commit does but for writing: it is aborted. */
static bool can_write(samap_db *db)
{
    MDB_txn *txn;
    static const uint8_t octets[64] = {0};
    if (mdb_txn_begin(db->env, NULL, 0, &txn) != 0) {
        return false;
    }
    union {
        const uint8_t *in;
        void *out;
    } cast = {.in = octets};
    MDB_val key = {SAMAP_SPI_LEN, cast.out};
    MDB_val data = {sizeof(octets), cast.out};
    int rc = mdb_put(txn, db->children, &key, &data, 0);
    if (rc == 0) {
        rc = mdb_del(txn, db->children, &key, NULL);
    }
    mdb_txn_abort(txn);
    return rc == 0;
}

int samap_look(enum samap_verdict *out, const char *path)
{
    samap_db db;
    *out = SAMAP_DAMAGED;
    int rc = samap_db_open(&db, path);
    if (rc == MDB_VERSION_MISMATCH) {
        *out = SAMAP_NEWER;
        return 0;
    }
    if (rc != 0) {
        return rc < 0 ? 0 : rc;
    }
    MDB_txn *txn;
    rc = mdb_txn_begin(db.env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        bool is_good = is_whole(&db, txn);
        mdb_txn_abort(txn);
        *out = is_good && can_write(&db) ? SAMAP_GOOD : SAMAP_DAMAGED;
    }
    samap_db_close(&db);
    return rc < 0 ? 0 : rc;
}
