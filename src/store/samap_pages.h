/* SPDX-License-Identifier: Apache-2.0 */
/* samap_pages.h: the pages of an LMDB file, looked at before LMDB uses them.
 *
 * LMDB trusts its file: a page that is not what it should be makes it read or
 * write anywhere, maybe only at a later change.  So each page that is in use is
 * held against all that LMDB relies upon: it is in the file, has its own number
 * and kind, its nodes fill it without gap or overlap, its keys ascend and fit
 * those of the pages above, it is used once and is not free as well.  This
 * needs nothing but reading, page by page, and it ends: no page is read twice.
 *
 * The format is that of LMDB 0.9 (data version 1), whose numbers have the order
 * and the size of the machine's. */
#ifndef QCD_STORE_SAMAP_PAGES_H
#define QCD_STORE_SAMAP_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAMAP_PSIZE_MIN 4096u /* no machine has smaller ones */

/* samap_pages is a file in memory.  Opaque. */
typedef struct samap_pages {
    const uint8_t *octets;
    size_t len;
    size_t psize;
    size_t num; /* of pages, with those at the end that are not in the file */
    uint8_t *used; /* an octet for each page */
} samap_pages;

/* samap_tree is a table.  `entries` and the following are what LMDB counts. */
typedef struct samap_tree {
    uint16_t flags;
    uint16_t depth;
    size_t branch_pages;
    size_t leaf_pages;
    size_t overflow_pages;
    size_t entries;
    size_t root;
} samap_tree;

/* samap_item is a key and its data.  `data` is NULL where it is on pages of its
 * own, as in the table of free pages alone. */
typedef struct samap_item {
    const uint8_t *key;
    size_t key_len;
    const uint8_t *data;
    size_t data_len;
    size_t page; /* where the data is on pages of its own */
    uint16_t flags;
} samap_item;

#define SAMAP_ITEM_TREE 2 /* in `flags`: the data is a table */

/* samap_items is called with each item in the order of the keys.  It returns
 * whether it is what it should be. */
typedef bool samap_items(void *user, const samap_item *item);

/* samap_pages_open reads the head of the file of `len` octets, and the table of
 * free pages.  `out_main` is the table of tables.  `used` is `num_used` octets
 * of zero to work with: with more pages than that the file is not one of ours.
 * It returns false where something is wrong. */
bool samap_pages_open(samap_pages *out, samap_tree *out_main,
                      const uint8_t *octets, size_t len, uint8_t *used,
                      size_t num_used);

/* samap_pages_walk visits all items of `tree`, whose keys are compared octet by
 * octet, and returns whether all is well. */
bool samap_pages_walk(samap_pages *pages, const samap_tree *tree,
                      samap_items *visit, void *user);

/* samap_pages_tree reads a table from the data of `item`. */
bool samap_pages_tree(samap_tree *out, const samap_item *item);

#endif
