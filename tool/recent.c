/* SPDX-License-Identifier: Apache-2.0 */
/* recent.c: a hash table with a bound. */
#include "recent.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

bool recent_open(recent *out, size_t key_len, size_t entry_len, uint32_t cap,
                 const uint8_t hash_key[RECENT_KEY_LEN])
{
    assert(crypto_shorthash_KEYBYTES == RECENT_KEY_LEN && cap > 0 &&
           sizeof(recent_link) + key_len <= entry_len);
    *out = (recent){.key_len = key_len,
                    .entry_len = entry_len,
                    .cap = cap,
                    .newest = RECENT_NONE,
                    .oldest = RECENT_NONE,
                    .num_chains = 1};
    memcpy(out->hash_key, hash_key, RECENT_KEY_LEN);
    while (out->num_chains < cap) {
        out->num_chains *= 2;
    }
    out->chains = malloc(out->num_chains * sizeof(*out->chains));
    out->entries = calloc(cap, entry_len);
    if (out->chains == NULL || out->entries == NULL) {
        return false;
    }
    memset(out->chains, 0xff, out->num_chains * sizeof(*out->chains));
    return true;
}

void recent_close(recent *r)
{
    free(r->chains);
    free(r->entries);
    *r = (recent){0};
}

void *recent_at(const recent *r, uint32_t index)
{
    assert(index < r->num);
    return r->entries + index * r->entry_len;
}

uint32_t recent_index(const recent *r, const void *entry)
{
    return (uint32_t)((size_t)((const uint8_t *)entry - r->entries) /
                      r->entry_len);
}

static recent_link *link_at(const recent *r, uint32_t index)
{
    return recent_at(r, index);
}

static uint8_t *key_of(recent_link *link)
{
    return (uint8_t *)(link + 1);
}

static uint32_t *chain_of(const recent *r, const void *key)
{
    uint64_t hash;
    uint8_t octets[crypto_shorthash_BYTES];
    (void)crypto_shorthash(octets, key, r->key_len, r->hash_key);
    memcpy(&hash, octets, sizeof(hash));
    return &r->chains[hash & (r->num_chains - 1)];
}

static void leave_order(recent *r, const recent_link *link)
{
    *(link->newer == RECENT_NONE ? &r->newest
                                 : &link_at(r, link->newer)->older) =
        link->older;
    *(link->older == RECENT_NONE ? &r->oldest
                                 : &link_at(r, link->older)->newer) =
        link->newer;
}

static void enter_order(recent *r, recent_link *link)
{
    uint32_t index = recent_index(r, link);
    link->newer = RECENT_NONE;
    link->older = r->newest;
    *(r->newest == RECENT_NONE ? &r->oldest : &link_at(r, r->newest)->newer) =
        index;
    r->newest = index;
}

static void *find_in(recent *r, uint32_t chain, const void *key)
{
    for (uint32_t i = chain; i != RECENT_NONE; i = link_at(r, i)->next) {
        recent_link *link = link_at(r, i);
        if (memcmp(key_of(link), key, r->key_len) == 0) {
            leave_order(r, link);
            enter_order(r, link);
            return link;
        }
    }
    return NULL;
}

void *recent_find(recent *r, const void *key)
{
    return find_in(r, *chain_of(r, key), key);
}

/* drop_oldest removes the oldest entry from its chain and from the order, and
 * returns it. */
static recent_link *drop_oldest(recent *r)
{
    uint32_t index = r->oldest;
    recent_link *link = link_at(r, index);
    uint32_t *at = chain_of(r, key_of(link));
    while (*at != index) {
        at = &link_at(r, *at)->next;
    }
    *at = link->next;
    leave_order(r, link);
    return link;
}

void *recent_take(recent *r, bool *out_is_new, const void *key)
{
    uint32_t *chain = chain_of(r, key);
    recent_link *link = find_in(r, *chain, key);
    *out_is_new = link == NULL;
    if (link != NULL) {
        return link;
    }
    if (r->num < r->cap) {
        link = link_at(r, r->num++);
    } else {
        r->num_dropped++;
        if (r->keeps) {
            *out_is_new = false;
            return NULL;
        }
        link = drop_oldest(r);
    }
    memset(link, 0, r->entry_len);
    memcpy(key_of(link), key, r->key_len);
    link->next = *chain;
    *chain = recent_index(r, link);
    enter_order(r, link);
    return link;
}
