/* SPDX-License-Identifier: Apache-2.0 */
/* trace_pair.c: what happens between two hosts: recoveries, and child SAs that
 * outlive a token.
 *
 * A token waits in the pair's lists for the next step of its recovery.  Each
 * step takes it off a list, so a packet costs little, however many tokens are
 * shown. */
#include <string.h>

#include "trace_parts.h"

bool trace_same(const qcd_address *a, const qcd_address *b)
{
    return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

static pair_key key_of(size_t *out_way, const qcd_address *source,
                       const qcd_address *destination)
{
    pair_key key = {{*source, *destination}};
    *out_way = 0;
    if (memcmp(source, destination, sizeof(*source)) > 0) {
        key = (pair_key){{*destination, *source}};
        *out_way = 1;
    }
    return key;
}

pair *pair_find(trace *t, size_t *out_way, const qcd_address *source,
                const qcd_address *destination)
{
    pair_key key = key_of(out_way, source, destination);
    return recent_find(&t->pairs, &key);
}

pair *pair_take(trace *t, size_t *out_way, const qcd_address *source,
                const qcd_address *destination)
{
    bool is_new;
    pair_key key = key_of(out_way, source, destination);
    pair *p = recent_take(&t->pairs, &is_new, &key);
    if (is_new) {
        p->shown[0] = p->shown[1] = TRACE_NEVER;
        p->survived[0] = p->survived[1] = TRACE_NEVER;
        p->open_auth = RECENT_NONE;
        p->open_traffic[0] = p->open_traffic[1] = RECENT_NONE;
    }
    return p;
}

void pair_note(pair *p, const qcd_spis *spis)
{
    if (!p->has_sa) {
        p->has_sa = true;
        p->spis = *spis;
    } else if (memcmp(&p->spis, spis, sizeof(*spis)) != 0) {
        p->has_other = true;
    }
}

bool pair_has_other(const pair *p, const qcd_spis *spis)
{
    return p->has_other ||
           (p->has_sa && memcmp(&p->spis, spis, sizeof(*spis)) != 0);
}

void pair_shown(trace *t, pair *p, size_t way, trace_token *token)
{
    if (p->shown[way] == TRACE_NEVER) {
        p->shown[way] = token->time;
    }
    token->open_auth = p->open_auth;
    p->open_auth = recent_index(&t->tokens, token);
}

/* wait_for_traffic puts a token on the lists of those that wait for packets. */
static void wait_for_traffic(trace *t, pair *p, trace_token *token)
{
    for (size_t way = 0; way < 2; way++) {
        token->open_traffic[way] = p->open_traffic[way];
        p->open_traffic[way] = recent_index(&t->tokens, token);
    }
}

void pair_auth(trace *t, pair *p, const sa *new_sa, int64_t time)
{
    uint32_t stay = RECENT_NONE;
    for (uint32_t i = p->open_auth; i != RECENT_NONE;) {
        trace_token *token = recent_at(&t->tokens, i);
        uint32_t next = token->open_auth;
        if (memcmp(&token->spis, &new_sa->spis, sizeof(new_sa->spis)) == 0) {
            /* Its own SA.  There are at most two, since each host of the pair
             * has one token for an SA. */
            token->open_auth = stay;
            stay = i;
        } else {
            token->next = new_sa->spis;
            token->init = new_sa->first;
            token->auth = time;
            wait_for_traffic(t, p, token);
        }
        i = next;
    }
    p->open_auth = stay;
}

static void first_traffic(trace *t, pair *p, size_t way, int64_t time)
{
    for (uint32_t i = p->open_traffic[way]; i != RECENT_NONE;) {
        trace_token *token = recent_at(&t->tokens, i);
        token->traffic[way] = time;
        i = token->open_traffic[way];
    }
    p->open_traffic[way] = RECENT_NONE;
}

void pair_child(trace *t, pair *p, size_t way, const child *c, bool is_new,
                int64_t time)
{
    if (is_new) {
        first_traffic(t, p, way, time);
    } else if (c->first < p->shown[way] && time > p->survived[way]) {
        p->survived[way] = time;
    }
}
