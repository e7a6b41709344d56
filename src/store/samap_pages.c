/* SPDX-License-Identifier: Apache-2.0 */
/* samap_pages.c: the pages of an LMDB file, looked at before LMDB uses them. */
#include "samap_pages.h"

#include <string.h>

/* ---- The format ---------------------------------------------------------- *
 *
 *   page  number (word), 2 unused, flags (2), then `lower` (2), `upper` (2) or,
 *         of data on pages of its own, how many they are (4)
 *         from there to `lower` the places of its nodes, 2 octets each; the
 *         nodes are between `upper` and the end of the page
 *   node  2, 2, 2, length of the key (2), key, data.  In a branch the first
 *         three are the number of a page, in a leaf length of the data (4) and
 *         flags.  It takes an even number of octets.
 *   tree  4 (page size in the first one of all), flags (2), depth (2), and six
 *         words
 *   meta  a page with magic (4), version (4), two words, the table of free
 *         pages, that of tables, the last page (word), number of the txn (word)
 *
 * A word is a size_t. */
#define WORD sizeof(size_t)
#define HEAD_LEN (WORD + 8)
#define NODE_LEN 8
#define TREE_LEN (8 + 5 * WORD)
#define META_LEN (HEAD_LEN + 8 + 2 * WORD + 2 * TREE_LEN + 2 * WORD)
#define NO_PAGE SIZE_MAX

#define META_MAGIC 0xbeefc0deu
#define META_VERSION 1
#define FLAGS_ENV 0x4000u /* MDB_NOSUBDIR leaves it in the first tree's */
#define FLAGS_FREE 0x08u  /* keys are numbers */

enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META = 8 };
enum { BIG = 1 }; /* of a node: its data is on pages of its own */

#define PSIZE_MAX 65536u
#define DEPTH_MAX 16 /* a million rows have 4 */

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static size_t get_word(const uint8_t *p)
{
    size_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static void get_tree(samap_tree *out, const uint8_t *p)
{
    out->flags = get16(p + 4);
    out->depth = get16(p + 6);
    out->branch_pages = get_word(p + 8);
    out->leaf_pages = get_word(p + 8 + WORD);
    out->overflow_pages = get_word(p + 8 + 2 * WORD);
    out->entries = get_word(p + 8 + 3 * WORD);
    out->root = get_word(p + 8 + 4 * WORD);
}

bool samap_pages_tree(samap_tree *out, const samap_item *item)
{
    if (item->data == NULL || item->data_len != TREE_LEN) {
        return false;
    }
    get_tree(out, item->data);
    return get32(item->data) == 0 && out->flags == 0;
}

/* ---- One page ---------------------------------------------------------- */

/* page is one that is what it should be. */
typedef struct page {
    const uint8_t *octets;
    size_t num; /* of nodes */
    size_t next;
    bool is_leaf;
} page;

/* take marks `num` pages as used, from `at`.  It returns the first one, or NULL
 * where they are not in the file or are used already. */
static const uint8_t *take(samap_pages *pages, size_t at, size_t num)
{
    if (at < 2 || at >= pages->num || num > pages->num - at ||
        at + num > pages->len / pages->psize) {
        return NULL;
    }
    for (size_t i = 0; i < num; i++) {
        if (pages->used[at + i] != 0) {
            return NULL;
        }
        pages->used[at + i] = 1;
    }
    const uint8_t *octets = pages->octets + at * pages->psize;
    return get_word(octets) == at ? octets : NULL;
}

/* node_len is how much of the page the node at `p` takes, if all is well. */
static size_t node_len(const uint8_t *p, bool is_leaf)
{
    size_t len = NODE_LEN + get16(p + 6);
    if (is_leaf) {
        size_t data_len = get16(p) | (size_t)get16(p + 2) << 16;
        len += (get16(p + 4) & BIG) != 0 ? WORD : data_len;
    }
    return len + len % 2;
}

/* is_tiled tells whether nodes fill the page from `upper` on, and each of them
 * is at one of the places that the page says. */
static bool is_tiled(const page *p, size_t upper, size_t psize)
{
    uint8_t starts[PSIZE_MAX / 2];
    size_t num = 0;
    memset(starts, 0, psize / 2);
    for (size_t at = upper; at < psize; num++) {
        if (psize - at < NODE_LEN) {
            return false;
        }
        size_t len = node_len(p->octets + at, p->is_leaf);
        if (len > psize - at) {
            return false;
        }
        starts[at / 2] = 1;
        at += len;
    }
    for (size_t i = 0; i < p->num; i++) {
        size_t at = get16(p->octets + HEAD_LEN + 2 * i);
        if (at % 2 != 0 || at >= psize || starts[at / 2] == 0) {
            return false;
        }
        starts[at / 2] = 0;
    }
    return num == p->num;
}

static bool open_page(page *out, samap_pages *pages, size_t at, bool is_leaf)
{
    memset(out, 0, sizeof(*out));
    out->octets = take(pages, at, 1);
    if (out->octets == NULL) {
        return false;
    }
    uint16_t flags = get16(out->octets + WORD + 2);
    size_t lower = get16(out->octets + WORD + 4);
    size_t upper = get16(out->octets + WORD + 6);
    if (flags != (is_leaf ? LEAF : BRANCH) || lower < HEAD_LEN ||
        lower % 2 != 0 || upper % 2 != 0 || lower > upper ||
        upper > pages->psize) {
        return false;
    }
    out->num = (lower - HEAD_LEN) / 2;
    out->is_leaf = is_leaf;
    return out->num >= (is_leaf ? 1 : 2) && is_tiled(out, upper, pages->psize);
}

static const uint8_t *node_of(const page *p, size_t i)
{
    return p->octets + get16(p->octets + HEAD_LEN + 2 * i);
}

static size_t child_of(const uint8_t *node)
{
    size_t high = WORD > 4 ? get16(node + 4) : 0;
    return get16(node) | (size_t)get16(node + 2) << 16 | high << (WORD * 4);
}

/* ---- One tree ---------------------------------------------------------- */

/* bound is a key. */
typedef struct bound {
    const uint8_t *key;
    size_t len;
} bound;

/* walk is a way through a tree: `path` has the pages from the root on. */
typedef struct walk {
    samap_pages *pages;
    const samap_tree *tree;
    samap_items *visit;
    void *user;
    page path[DEPTH_MAX];
    size_t depth;
    bound last;  /* key that was visited */
    bound floor; /* that the next one must not be below */
    samap_tree counted;
} walk;

static int compare(const walk *w, const bound *a, const bound *b)
{
    if ((w->tree->flags & FLAGS_FREE) != 0) {
        size_t x = get_word(a->key);
        size_t y = get_word(b->key);
        return (x > y) - (x < y);
    }
    size_t len = a->len < b->len ? a->len : b->len;
    int result = memcmp(a->key, b->key, len);
    return result != 0 ? result : (a->len > b->len) - (a->len < b->len);
}

/* is_key tells whether a key has a length that it can have. */
static bool is_key(const walk *w, const bound *key)
{
    return (w->tree->flags & FLAGS_FREE) != 0 ? key->len == WORD : key->len > 0;
}

static bool visit_node(walk *w, const uint8_t *node)
{
    bound key = {node + NODE_LEN, get16(node + 6)};
    if (!is_key(w, &key) ||
        (w->last.key != NULL && compare(w, &w->last, &key) >= 0) ||
        (w->floor.key != NULL && compare(w, &w->floor, &key) > 0)) {
        return false;
    }
    w->last = key;
    w->floor.key = NULL;
    samap_item item = {.key = key.key, .key_len = key.len};
    item.flags = get16(node + 4);
    item.data_len = get16(node) | (size_t)get16(node + 2) << 16;
    item.data = key.key + key.len;
    if ((item.flags & BIG) != 0) {
        item.page = get_word(item.data);
        item.data = NULL;
    }
    w->counted.entries++;
    return w->visit(w->user, &item);
}

static bool visit_leaf(walk *w, const page *leaf)
{
    for (size_t i = 0; i < leaf->num; i++) {
        if (!visit_node(w, node_of(leaf, i))) {
            return false;
        }
    }
    return true;
}

/* go_down opens the next page below `above`.  The first key of a branch is not
 * looked at by anyone. */
static bool go_down(walk *w, page *above)
{
    const uint8_t *node = node_of(above, above->next);
    bound key = {node + NODE_LEN, get16(node + 6)};
    if (above->next > 0) {
        if (!is_key(w, &key) || w->last.key == NULL ||
            compare(w, &w->last, &key) >= 0) {
            return false;
        }
        w->floor = key;
    }
    above->next++;
    bool is_leaf = w->depth + 1 == w->tree->depth;
    if (!open_page(&w->path[w->depth], w->pages, child_of(node), is_leaf)) {
        return false;
    }
    w->depth++;
    return true;
}

/* walk_path goes on until the path is empty. */
static bool walk_path(walk *w)
{
    while (w->depth > 0) {
        page *here = &w->path[w->depth - 1];
        if (here->is_leaf) {
            w->counted.leaf_pages++;
            if (!visit_leaf(w, here)) {
                return false;
            }
            w->depth--;
        } else if (here->next < here->num) {
            if (!go_down(w, here)) {
                return false;
            }
        } else {
            w->counted.branch_pages++;
            w->depth--;
        }
    }
    return true;
}

bool samap_pages_walk(samap_pages *pages, const samap_tree *tree,
                      samap_items *visit, void *user)
{
    walk w = {.pages = pages, .tree = tree, .visit = visit, .user = user};
    if (tree->depth > DEPTH_MAX) {
        return false;
    }
    if (tree->depth == 0) {
        return tree->root == NO_PAGE && tree->entries == 0 &&
               tree->branch_pages == 0 && tree->leaf_pages == 0;
    }
    w.depth = 1;
    return open_page(&w.path[0], pages, tree->root, tree->depth == 1) &&
           walk_path(&w) && w.counted.entries == tree->entries &&
           w.counted.leaf_pages == tree->leaf_pages &&
           w.counted.branch_pages == tree->branch_pages;
}

/* ---- Free pages and the head ------------------------------------------- */

/* free_list is what is known of the free pages. */
typedef struct free_list {
    samap_pages *pages;
    size_t num_big; /* pages that lists themselves take */
} free_list;

/* big_data returns the data that is on pages of its own. */
static const uint8_t *big_data(free_list *f, const samap_item *item)
{
    size_t psize = f->pages->psize;
    if (item->data_len > f->pages->len) {
        return NULL;
    }
    size_t num = (HEAD_LEN + item->data_len + psize - 1) / psize;
    const uint8_t *octets = take(f->pages, item->page, num);
    if (octets == NULL || get16(octets + WORD + 2) != OVERFLOW ||
        get32(octets + WORD + 4) != num) {
        return NULL;
    }
    f->num_big += num;
    return octets + HEAD_LEN;
}

/* free_pages is a list of free pages: their number, then they themselves in
 * falling order.  Those at the end of the map may be beyond the file. */
static bool free_pages(void *user, const samap_item *item)
{
    free_list *f = user;
    const uint8_t *list = item->data != NULL ? item->data : big_data(f, item);
    if (list == NULL || item->data_len < WORD || (item->flags & ~BIG) != 0) {
        return false;
    }
    size_t num = get_word(list);
    if (num > item->data_len / WORD - 1) {
        return false;
    }
    for (size_t i = 1; i <= num; i++) {
        size_t at = get_word(list + i * WORD);
        if (at < 2 || at >= f->pages->num || f->pages->used[at] != 0 ||
            (i > 1 && at >= get_word(list + (i - 1) * WORD))) {
            return false;
        }
        f->pages->used[at] = 1;
    }
    return true;
}

/* head is a meta page. */
typedef struct head {
    size_t psize;
    samap_tree free;
    samap_tree tables;
    size_t last_page;
    size_t txn;
} head;

static bool get_head(head *out, const uint8_t *p, size_t number)
{
    const uint8_t *trees = p + HEAD_LEN + 8 + 2 * WORD;
    out->psize = get32(trees);
    get_tree(&out->free, trees);
    get_tree(&out->tables, trees + TREE_LEN);
    out->last_page = get_word(trees + 2 * TREE_LEN);
    out->txn = get_word(trees + 2 * TREE_LEN + WORD);
    return get_word(p) == number && get16(p + WORD + 2) == META &&
           get32(p + HEAD_LEN) == META_MAGIC &&
           get32(p + HEAD_LEN + 4) == META_VERSION &&
           out->psize >= SAMAP_PSIZE_MIN && out->psize <= PSIZE_MAX &&
           (out->psize & (out->psize - 1)) == 0 &&
           (out->free.flags & ~FLAGS_ENV) == FLAGS_FREE &&
           get32(trees + TREE_LEN) == 0 && out->tables.flags == 0;
}

/* get_heads reads both meta pages, and makes `out` the newer one. */
static bool get_heads(head *out, const uint8_t *octets, size_t len)
{
    head second;
    if (len < META_LEN || !get_head(out, octets, 0) || len < 2 * out->psize ||
        !get_head(&second, octets + out->psize, 1) ||
        second.psize != out->psize) {
        return false;
    }
    if (second.txn > out->txn) {
        *out = second;
    }
    return true;
}

bool samap_pages_open(samap_pages *out, samap_tree *out_main,
                      const uint8_t *octets, size_t len, uint8_t *used,
                      size_t num_used)
{
    head h;
    memset(out, 0, sizeof(*out));
    memset(out_main, 0, sizeof(*out_main));
    if (!get_heads(&h, octets, len) || h.last_page == 0 ||
        h.last_page >= num_used) {
        return false;
    }
    out->octets = octets;
    out->len = len;
    out->psize = h.psize;
    out->num = h.last_page + 1;
    out->used = used;
    free_list f = {.pages = out};
    *out_main = h.tables;
    return samap_pages_walk(out, &h.free, free_pages, &f) &&
           f.num_big == h.free.overflow_pages;
}
