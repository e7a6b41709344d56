/* SPDX-License-Identifier: Apache-2.0 */
/* recent.h: a hash table with a bound.  Octets from a capture may be made to
 * fill any table, or to collide in it; so each table has a capacity, and its
 * hash has a random key. */
#ifndef QCD_TOOL_RECENT_H
#define QCD_TOOL_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECENT_KEY_LEN 16 /* octets of the hash's key */
#define RECENT_NONE UINT32_MAX

/* recent_link is the first member of each entry; the entry's key follows it at
 * once.  Entries are named by their index. */
typedef struct recent_link {
    uint32_t next;  /* in the chain of its hash */
    uint32_t newer; /* in the order of use */
    uint32_t older;
} recent_link;

/* recent is a table of `cap` entries.  Its memory is only used as it fills. */
typedef struct recent {
    size_t key_len;
    size_t entry_len;
    uint32_t cap;
    uint32_t num;
    bool keeps; /* a full table takes no new entry, instead of dropping one */
    uint32_t newest;
    uint32_t oldest;
    uint32_t num_chains; /* a power of two */
    uint32_t *chains;
    uint8_t *entries;
    uint64_t num_dropped; /* entries dropped, or not taken */
    uint8_t hash_key[RECENT_KEY_LEN];
} recent;

/* recent_open creates a table for `cap` entries of `entry_len` octets, the
 * first `key_len` of which, after the link, are the key.  It returns false if
 * there is no memory; then recent_close is still allowed. */
bool recent_open(recent *out, size_t key_len, size_t entry_len, uint32_t cap,
                 const uint8_t hash_key[RECENT_KEY_LEN]);

/* recent_close frees the table.  A table of zeros has none. */
void recent_close(recent *r);

/* recent_find returns the entry with `key` and counts it as used, or NULL. */
void *recent_find(recent *r, const void *key);

/* recent_take returns the entry with `key`.  If there is none it makes one,
 * with zeros after its key, and sets `out_is_new`.  If the table is full it
 * drops the entry that has not been used for the longest time; if the table
 * `keeps` its entries it returns NULL. */
void *recent_take(recent *r, bool *out_is_new, const void *key);

/* recent_at returns the entry with an index below `num`.  recent_index returns
 * the index of an entry. */
void *recent_at(const recent *r, uint32_t index);
uint32_t recent_index(const recent *r, const void *entry);

#endif
