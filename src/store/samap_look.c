/* SPDX-License-Identifier: Apache-2.0 */
/* samap_look.c: what the child process of samap_check looks at: the pages of
 * the file, what the tables have, and at last whether LMDB can use it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "io.h"
#include "samap_check.h"
#include "samap_db.h"
#include "samap_pages.h"
#include "sys.h"

/* tally is what is counted of a table.  `sum` is over its keys by IKE SA, in
 * any order: of the same number of keys, all different, two tables have the
 * same sum just where they have the same keys.  That is much faster than to
 * look up each row from its key. */
typedef struct tally {
    uint64_t num;
    uint64_t sum;
} tally;

/* map_look is what is found. */
typedef struct map_look {
    size_t num_tables;
    samap_tree children;
    samap_tree sas;
    samap_tree meta;
    tally rows;
    tally keys;
    int meta_rc;
    samap_meta found;
} map_look;

/* add mixes once more, so that sums don't cancel. */
static void add(tally *t, const uint8_t key[SAMAP_SA_KEY_LEN])
{
    uint64_t x = samap_sum(key, SAMAP_SA_KEY_LEN);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    t->num++;
    t->sum += x ^ x >> 31;
}

/* ---- The tables -------------------------------------------------------- */

static bool is_named(const samap_item *item, const char *name)
{
    return item->key_len == strlen(name) &&
           memcmp(item->key, name, item->key_len) == 0;
}

static bool see_table(void *user, const samap_item *item)
{
    map_look *m = user;
    samap_tree *tree = NULL;
    if (is_named(item, "children")) {
        tree = &m->children;
    } else if (is_named(item, "sas")) {
        tree = &m->sas;
    } else if (is_named(item, "meta")) {
        tree = &m->meta;
    }
    m->num_tables++;
    return tree != NULL && item->flags == SAMAP_ITEM_TREE &&
           samap_pages_tree(tree, item) && tree->overflow_pages == 0;
}

static bool see_row(void *user, const samap_item *item)
{
    map_look *m = user;
    qcd_samap_row row;
    uint8_t sa[SAMAP_SA_KEY_LEN];
    if (item->flags != 0 || item->key_len != SAMAP_SPI_LEN ||
        !samap_row_decode(&row, item->data, item->data_len) ||
        memcmp(item->key, row.child_spi, SAMAP_SPI_LEN) != 0) {
        return false;
    }
    samap_row_sa(sa, &row);
    add(&m->rows, sa);
    return true;
}

static bool see_key(void *user, const samap_item *item)
{
    map_look *m = user;
    if (item->flags != 0 || item->key_len != SAMAP_SA_KEY_LEN ||
        item->data_len != 0) {
        return false;
    }
    add(&m->keys, item->key);
    return true;
}

static bool see_meta(void *user, const samap_item *item)
{
    map_look *m = user;
    if (item->flags != 0 || !is_named(item, "meta")) {
        return false;
    }
    m->meta_rc = samap_meta_decode(&m->found, item->data, item->data_len);
    return true;
}

/* see_tables tells what the tables are.  Of a newer version only the meta is
 * looked at. */
static enum samap_verdict see_tables(samap_pages *pages,
                                     const samap_tree *tables)
{
    map_look m;
    memset(&m, 0, sizeof(m));
    m.meta_rc = MDB_INVALID;
    bool is_known = samap_pages_walk(pages, tables, see_table, &m);
    if (is_known && m.num_tables == 0) {
        return SAMAP_GOOD; /* killed before the first txn */
    }
    if (m.meta.depth == 0 || !samap_pages_walk(pages, &m.meta, see_meta, &m)) {
        return SAMAP_DAMAGED;
    }
    if (m.meta_rc == MDB_VERSION_MISMATCH) {
        return SAMAP_NEWER;
    }
    bool is_good = is_known && m.num_tables == 3 && m.meta_rc == 0 &&
                   samap_pages_walk(pages, &m.children, see_row, &m) &&
                   samap_pages_walk(pages, &m.sas, see_key, &m) &&
                   m.rows.num == m.keys.num && m.rows.sum == m.keys.sum &&
                   m.rows.num == m.found.num_rows;
    return is_good ? SAMAP_GOOD : SAMAP_DAMAGED;
}

/* ---- The file ---------------------------------------------------------- */

#define PAGES_MAX (SAMAP_DB_SIZE / SAMAP_PSIZE_MIN)

static int see_octets(enum samap_verdict *out, const uint8_t *octets,
                      size_t len)
{
    samap_pages pages;
    samap_tree tables;
    uint8_t *used = sys_alloc(PAGES_MAX);
    if (used == NULL) {
        return ENOMEM; /* and no damage */
    }
    if (samap_pages_open(&pages, &tables, octets, len, used, PAGES_MAX)) {
        *out = see_tables(&pages, &tables);
    }
    free(used);
    return 0;
}

/* see_file looks at the whole file.  It is mapped, not read, as LMDB will have
 * it: what the disk can't give ends us here and not the caller later. */
static int see_file(enum samap_verdict *out, int fd)
{
    struct stat st;
    if (sys_fstat(fd, &st) != 0) {
        return errno;
    }
    if (st.st_size == 0) {
        *out = SAMAP_GOOD;
        return 0;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > SAMAP_DB_SIZE) {
        return 0;
    }
    size_t len = (size_t)st.st_size;
    void *octets = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (octets == MAP_FAILED) {
        return errno;
    }
    int why = see_octets(out, octets, len);
    (void)munmap(octets, len);
    return why;
}

/* can_use tries what the caller will do, but for writing: a txn is aborted. */
static int can_use(bool *out, const char *path)
{
    static const uint8_t octets[SAMAP_ROW_LEN] = {0};
    samap_db db;
    MDB_txn *txn;
    *out = false;
    int rc = samap_db_open(&db, path);
    if (rc != 0) {
        return rc < 0 ? 0 : rc;
    }
    rc = mdb_txn_begin(db.env, NULL, 0, &txn);
    if (rc == 0) {
        MDB_val key = samap_db_val(octets, SAMAP_SPI_LEN);
        MDB_val data = samap_db_val(octets, sizeof(octets));
        rc = mdb_put(txn, db.children, &key, &data, 0);
        if (rc == 0) {
            rc = mdb_del(txn, db.children, &key, NULL);
        }
        mdb_txn_abort(txn);
    }
    *out = rc == 0;
    samap_db_close(&db);
    return rc < 0 ? 0 : rc;
}

int samap_look(enum samap_verdict *out, const char *path)
{
    int fd;
    *out = SAMAP_DAMAGED;
    int why =
        io_open(&fd, AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (why != 0) {
        return why;
    }
    why = see_file(out, fd);
    (void)io_close(fd);
    if (why == 0 && *out == SAMAP_GOOD) {
        bool is_usable;
        why = can_use(&is_usable, path);
        *out = is_usable ? SAMAP_GOOD : SAMAP_DAMAGED;
    }
    return why;
}
