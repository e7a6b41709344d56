/* SPDX-License-Identifier: Apache-2.0 */
/* table.c: our nftables table. */
#include "table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "rules.h"

/* SPIs in a transaction if the kernel doesn't allow us a larger message than
 * everybody: that is, in a container, even for root. */
#define SPIS_AT_ONCE 8192

static void add_table(batch *b, uint16_t type, uint32_t flags)
{
    struct nlmsghdr *h =
        batch_begin(b, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);

    if (h != NULL) {
        mnl_attr_put_strz(h, NFTA_TABLE_NAME, RULES_TABLE);
        if (flags != 0) {
            mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(flags));
        }
    }
}

/* Appends messages that replace our table by a new one, whether it exists or
 * not.  A missing table can't be deleted, so it is added first. */
static void replace_table(const table *t, batch *b)
{
    add_table(b, NFT_MSG_NEWTABLE, 0);
    add_table(b, NFT_MSG_DELTABLE, 0);
    add_table(b, NFT_MSG_NEWTABLE, t->has_owner ? NFT_TABLE_F_OWNER : 0);
}

/* Tells whether a transaction that was too large may be tried with fewer
 * SPIs. */
static bool reduce(table *t, int why)
{
    if (why != EMSGSIZE || t->at_once <= SPIS_AT_ONCE) {
        return false;
    }
    t->at_once = SPIS_AT_ONCE;
    return true;
}

static size_t part_of(const table *t, size_t num)
{
    return num < t->at_once ? num : t->at_once;
}

/* Adds or deletes elements, in one transaction if possible.  `*out_done` is how
 * many were changed. */
static int change(table *t, size_t *out_done, uint16_t type,
                  const uint32_t *spis, size_t num)
{
    *out_done = 0;
    while (*out_done < num) {
        size_t part = part_of(t, num - *out_done);
        batch b;

        batch_init(&b, part);
        batch_elements(&b, type, spis + *out_done, part);
        int why = batch_commit(&b, &t->link);
        if (why != 0 && !reduce(t, why)) {
            return why;
        }
        *out_done += why == 0 ? part : 0;
    }
    return 0;
}

/* Changes all elements or, as far as the changes can be undone, none. */
static int change_all(table *t, uint16_t type, const uint32_t *spis, size_t num)
{
    uint16_t back =
        type == NFT_MSG_NEWSETELEM ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;
    size_t done;
    size_t undone;
    int why = change(t, &done, type, spis, num);

    if (why != 0) {
        (void)change(t, &undone, back, spis, done);
    }
    return why;
}

int table_add(table *t, const uint32_t *spis, size_t num)
{
    return change_all(t, NFT_MSG_NEWSETELEM, spis, num);
}

int table_remove(table *t, const uint32_t *spis, size_t num)
{
    return change_all(t, NFT_MSG_DELSETELEM, spis, num);
}

int table_uninstall(table *t)
{
    batch b;

    batch_init(&b, 0);
    add_table(&b, NFT_MSG_DELTABLE, 0);
    return batch_commit(&b, &t->link);
}

int table_install(table *t, uint16_t group, const uint32_t *spis, size_t num)
{
    size_t part;
    size_t done;
    int why;

    do {
        batch b;

        part = part_of(t, num);
        batch_init(&b, part);
        replace_table(t, &b);
        rules_add(&b, &t->settings, group);
        batch_elements(&b, NFT_MSG_NEWSETELEM, spis, part);
        why = batch_commit(&b, &t->link);
    } while (reduce(t, why));
    if (why == 0) {
        why = change(t, &done, NFT_MSG_NEWSETELEM, spis + part, num - part);
        if (why != 0) {
            (void)table_uninstall(t);
        }
    }
    return why;
}

static void get_owner(void *user, const struct nlmsghdr *h)
{
    struct nftnl_table *found = nftnl_table_alloc();
    uint32_t *out = user;

    if (found == NULL) {
        return;
    }
    if (nftnl_table_nlmsg_parse(h, found) == 0 &&
        nftnl_table_is_set(found, NFTNL_TABLE_OWNER)) {
        *out = nftnl_table_get_u32(found, NFTNL_TABLE_OWNER);
    }
    nftnl_table_free(found);
}

uint32_t table_other(table *t)
{
    char buffer[256] NETLINK_ALIGNED = {0};
    uint32_t owner = 0;
    const netlink_answer answer = {.take = get_owner, .user = &owner};
    struct nlmsghdr *h = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETTABLE,
                                               NFPROTO_INET, NLM_F_ACK, 1);

    mnl_attr_put_strz(h, NFTA_TABLE_NAME, RULES_TABLE);
    (void)netlink_request(&t->link, h, h->nlmsg_len, 1, &answer);
    return owner == netlink_port(&t->link) ? 0 : owner;
}

/* Removes a table that was left, and checks whether the kernel accepts ours.
 * After this transaction there is no table. */
static int try_out(table *t, bool with_rules)
{
    batch b;

    batch_init(&b, 0);
    replace_table(t, &b);
    if (with_rules) {
        rules_add(&b, &t->settings, 0);
    }
    add_table(&b, NFT_MSG_DELTABLE, 0);
    return batch_commit(&b, &t->link);
}

int table_open(table *out, const qcd_watch_settings *settings)
{
    memset(out, 0, sizeof(*out));
    out->settings = *settings;
    out->has_owner = true;
    out->at_once = SIZE_MAX;
    int why = netlink_open(&out->link);
    if (why != 0) {
        return why;
    }
    why = try_out(out, false);
    if (why == EINVAL || why == EOPNOTSUPP) {
        out->has_owner = false; /* kernels before 5.12 have none */
    }
    return try_out(out, true);
}

void table_close(table *t)
{
    if (t->link.socket != NULL) {
        (void)table_uninstall(t);
        netlink_close(&t->link);
    }
}
