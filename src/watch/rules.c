/* SPDX-License-Identifier: Apache-2.0 */
/* rules.c: the content of our nftables table: sets, chains and rules. */
#include "rules.h"

#include <arpa/inet.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stddef.h>

#include "nflog.h"

/* The chain of the hook only looks up an SPI, since all packets pay for that.
 * The other chains are for packets of lost SAs: ESP, ESP in UDP, AH in IPv4 and
 * in IPv6. */
#define CHAIN_INPUT "input"
#define CHAIN_ESP "dead_esp"
#define CHAIN_UDP "dead_udp"
#define CHAIN_AH "dead_ah"
#define CHAIN_AH6 "dead_ah6"

/* Chains that deliver packets.  Half of the rate is for SPIs with few packets,
 * so that a flood with an SPI that an attacker has seen can't hold back the
 * others.  The other half, and what is left of the first, is for all
 * packets. */
#define CHAIN_FEW "few"
#define CHAIN_MANY "many"

/* The set of SPIs of recent packets, each with its own limit: at most this many
 * SPIs, remembered this long.  Only SPIs of lost SAs get into it.  An SPI that
 * finds no room uses the other half. */
#define SET_ASKED "asked"
#define ASKED_MAX 65536
#define ASKED_TIME_MS 10000

/* At most this many packets a second with one SPI are few: one gets a reply. */
#define FEW 10

/* Offset of the SPI in an AH header, RFC 4302 section 2, and of the destination
 * port in a UDP header. */
#define AH_SPI 4
#define UDP_PORT 2

/* After the host's own firewall: packets that it drops get no reply. */
#define PRIORITY 10

/* How nft records that a set's key is an `esp spi`, so that it can list the
 * set: its own numbers for byte order, kind of expression, protocol and
 * field. */
#define NFT_BYTEORDER_BIG_ENDIAN 2
#define NFT_EXPR_PAYLOAD 7
#define NFT_PROTO_DESC_ESP 2
#define NFT_ESPHDR_SPI 1
#define NFT_KEY_PAYLOAD_DESC 0
#define NFT_KEY_PAYLOAD_TYPE 1
#define NFT_KEY_PAYLOAD_LEN 4

/* Records for nft what the keys of a set are. */
static bool describe_key(struct nftnl_set *set)
{
    struct nftnl_udata_buf *buf = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);

    if (buf == NULL) {
        return false;
    }
    nftnl_udata_put_u32(buf, NFTNL_UDATA_SET_KEYBYTEORDER,
                        NFT_BYTEORDER_BIG_ENDIAN);
    struct nftnl_udata *key =
        nftnl_udata_nest_start(buf, NFTNL_UDATA_SET_KEY_TYPEOF);
    nftnl_udata_put_u32(buf, NFTNL_UDATA_SET_TYPEOF_EXPR, NFT_EXPR_PAYLOAD);
    struct nftnl_udata *data =
        nftnl_udata_nest_start(buf, NFTNL_UDATA_SET_TYPEOF_DATA);
    nftnl_udata_put_u32(buf, NFT_KEY_PAYLOAD_DESC, NFT_PROTO_DESC_ESP);
    nftnl_udata_put_u32(buf, NFT_KEY_PAYLOAD_TYPE, NFT_ESPHDR_SPI);
    nftnl_udata_put_u32(buf, NFT_KEY_PAYLOAD_LEN, 32);
    nftnl_udata_nest_end(buf, data);
    nftnl_udata_nest_end(buf, key);
    nftnl_set_set_data(set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(buf),
                       nftnl_udata_buf_len(buf));
    nftnl_udata_buf_free(buf);
    return nftnl_set_is_set(set, NFTNL_SET_USERDATA);
}

/* Makes a set learn SPIs from packets, for a time. */
static void make_dynamic(struct nftnl_set *set)
{
    nftnl_set_set_u32(set, NFTNL_SET_FLAGS, NFT_SET_EVAL | NFT_SET_TIMEOUT);
    nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, ASKED_MAX);
    nftnl_set_set_u64(set, NFTNL_SET_TIMEOUT, ASKED_TIME_MS);
}

static void add_set(batch *b, const char *name, uint32_t id, bool is_dynamic)
{
    struct nftnl_set *set = nftnl_set_alloc();
    struct nlmsghdr *h = batch_begin(b, NFT_MSG_NEWSET, NLM_F_CREATE);

    if (set != NULL && h != NULL && describe_key(set) &&
        nftnl_set_set_str(set, NFTNL_SET_TABLE, RULES_TABLE) == 0 &&
        nftnl_set_set_str(set, NFTNL_SET_NAME, name) == 0) {
        nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_INET);
        nftnl_set_set_u32(set, NFTNL_SET_ID, id);
        nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, 0);
        nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, sizeof(uint32_t));
        if (is_dynamic) {
            make_dynamic(set);
        }
        nftnl_set_nlmsg_build_payload(h, set);
    } else {
        batch_spoil(b);
    }
    if (set != NULL) {
        nftnl_set_free(set);
    }
}

static void add_chain(batch *b, const char *name, bool is_hook)
{
    struct nftnl_chain *chain = nftnl_chain_alloc();
    struct nlmsghdr *h = batch_begin(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

    if (chain != NULL && h != NULL &&
        nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, RULES_TABLE) == 0 &&
        nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name) == 0 &&
        (!is_hook ||
         nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter") == 0)) {
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
        if (is_hook) {
            nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, NF_INET_LOCAL_IN);
            nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, PRIORITY);
            nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
        }
        nftnl_chain_nlmsg_build_payload(h, chain);
    } else {
        batch_spoil(b);
    }
    if (chain != NULL) {
        nftnl_chain_free(chain);
    }
}

/* rule is a rule under construction; failure sticks. */
typedef struct rule {
    struct nftnl_rule *rule;
    bool is_bad;
} rule;

static void begin(rule *r, const char *chain)
{
    r->rule = nftnl_rule_alloc();
    r->is_bad =
        r->rule == NULL ||
        nftnl_rule_set_str(r->rule, NFTNL_RULE_TABLE, RULES_TABLE) != 0 ||
        nftnl_rule_set_str(r->rule, NFTNL_RULE_CHAIN, chain) != 0;
    if (!r->is_bad) {
        nftnl_rule_set_u32(r->rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
    }
}

static void end(rule *r, batch *b)
{
    struct nlmsghdr *h =
        batch_begin(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);

    if (h != NULL && !r->is_bad) {
        nftnl_rule_nlmsg_build_payload(h, r->rule);
    } else {
        batch_spoil(b);
    }
    if (r->rule != NULL) {
        nftnl_rule_free(r->rule);
    }
}

/* Appends an expression, whose values the caller sets.  Returns NULL on
 * failure. */
static struct nftnl_expr *append(rule *r, const char *name)
{
    struct nftnl_expr *e = r->is_bad ? NULL : nftnl_expr_alloc(name);

    r->is_bad = e == NULL;
    if (e != NULL) {
        nftnl_rule_add_expr(r->rule, e);
    }
    return e;
}

/* Sets a string, which libnftnl copies.  Without memory the kernel would get
 * the rule without it, and reject it for another reason. */
static void set_text(rule *r, struct nftnl_expr *e, uint16_t what,
                     const char *text)
{
    r->is_bad |= nftnl_expr_set_str(e, what, text) != 0;
}

/* Matches the loaded value. */
static void match(rule *r, const void *value, uint32_t len)
{
    struct nftnl_expr *e = append(r, "cmp");

    if (e != NULL) {
        nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
        nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
        nftnl_expr_set_data(e, NFTNL_EXPR_CMP_DATA, value, len);
    }
}

/* Matches a protocol: that of the packet (NFT_META_NFPROTO), or the one after
 * all extension headers (NFT_META_L4PROTO). */
static void match_protocol(rule *r, uint32_t key, uint8_t protocol)
{
    struct nftnl_expr *e = append(r, "meta");

    if (e != NULL) {
        nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
        nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
        match(r, &protocol, sizeof(protocol));
    }
}

/* Loads octets of NFT_PAYLOAD_TRANSPORT_HEADER or _NETWORK_HEADER. */
static void load(rule *r, uint32_t base, uint32_t offset, uint32_t len)
{
    struct nftnl_expr *e = append(r, "payload");

    if (e != NULL) {
        nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
        nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
        nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
        nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
    }
}

/* Matches if the loaded SPI is that of a lost SA. */
static void match_dead(rule *r)
{
    struct nftnl_expr *e = append(r, "lookup");

    if (e != NULL) {
        nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
        set_text(r, e, NFTNL_EXPR_LOOKUP_SET, RULES_SET);
    }
}

static void set_limit(struct nftnl_expr *e, uint32_t rate)
{
    nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, rate);
    nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, 1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_BURST, rate);
    nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
}

/* Matches while there are few packets with the loaded SPI. */
static void match_few(rule *r)
{
    struct nftnl_expr *e = append(r, "dynset");
    struct nftnl_expr *limit = e != NULL ? nftnl_expr_alloc("limit") : NULL;

    r->is_bad = limit == NULL;
    if (limit != NULL) {
        set_limit(limit, FEW);
        nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
        nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
        set_text(r, e, NFTNL_EXPR_DYNSET_SET_NAME, SET_ASKED);
        nftnl_expr_add_expr(e, NFTNL_EXPR_DYNSET_EXPRESSIONS, limit);
    }
}

/* Ends a rule with a jump to `chain`, or accepts if it is NULL. */
static void decide(rule *r, const char *chain)
{
    struct nftnl_expr *e = append(r, "immediate");

    if (e == NULL) {
        return;
    }
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT,
                       chain != NULL ? (uint32_t)NFT_JUMP : NF_ACCEPT);
    if (chain != NULL) {
        set_text(r, e, NFTNL_EXPR_IMM_CHAIN, chain);
    }
}

/* Adds the rule of a chain that is jumped to: log to a group, within a limit.
 * A packet that is delivered has passed. */
static void add_limit(batch *b, const char *chain, uint32_t rate,
                      uint16_t group)
{
    rule r;

    begin(&r, chain);
    struct nftnl_expr *limit = append(&r, "limit");
    struct nftnl_expr *log = append(&r, "log");
    if (log != NULL) {
        set_limit(limit, rate);
        nftnl_expr_set_u16(log, NFTNL_EXPR_LOG_GROUP, group);
        nftnl_expr_set_u32(log, NFTNL_EXPR_LOG_SNAPLEN, NFLOG_COPY);
    }
    decide(&r, NULL);
    end(&r, b);
}

/* Loads the SPI of a packet. */
typedef void load_spi(rule *r, uint16_t nat_port);

static void load_esp(rule *r, uint16_t nat_port)
{
    (void)nat_port;
    match_protocol(r, NFT_META_L4PROTO, IPPROTO_ESP);
    load(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, QCD_CHILD_SPI_LEN);
}

static void load_udp(rule *r, uint16_t nat_port)
{
    const uint16_t port = htons(nat_port);

    match_protocol(r, NFT_META_L4PROTO, IPPROTO_UDP);
    load(r, NFT_PAYLOAD_TRANSPORT_HEADER, UDP_PORT, sizeof(port));
    match(r, &port, sizeof(port));
    load(r, NFT_PAYLOAD_TRANSPORT_HEADER, sizeof(struct udphdr),
         QCD_CHILD_SPI_LEN);
}

static void load_ah(rule *r, uint16_t nat_port)
{
    (void)nat_port;
    match_protocol(r, NFT_META_NFPROTO, NFPROTO_IPV4);
    match_protocol(r, NFT_META_L4PROTO, IPPROTO_AH);
    load(r, NFT_PAYLOAD_TRANSPORT_HEADER, AH_SPI, QCD_CHILD_SPI_LEN);
}

/* To the kernel, AH in IPv6 is an extension header, which it skips, and nft
 * does not know AH by that name.  So it is seen only if it is the first one. */
static void load_ah6(rule *r, uint16_t nat_port)
{
    const uint8_t protocol = IPPROTO_AH;

    (void)nat_port;
    match_protocol(r, NFT_META_NFPROTO, NFPROTO_IPV6);
    load(r, NFT_PAYLOAD_NETWORK_HEADER, offsetof(struct ip6_hdr, ip6_nxt),
         sizeof(protocol));
    match(r, &protocol, sizeof(protocol));
    load(r, NFT_PAYLOAD_NETWORK_HEADER, sizeof(struct ip6_hdr) + AH_SPI,
         QCD_CHILD_SPI_LEN);
}

/* Adds the rules for packets of one kind, which have their own chain. */
static void add_matches(batch *b, const char *chain, load_spi *load_one,
                        uint16_t nat_port)
{
    rule r;

    add_chain(b, chain, false);

    begin(&r, CHAIN_INPUT);
    load_one(&r, nat_port);
    match_dead(&r);
    decide(&r, chain);
    end(&r, b);

    begin(&r, chain);
    load_one(&r, nat_port);
    match_few(&r);
    decide(&r, CHAIN_FEW);
    end(&r, b);

    begin(&r, chain);
    decide(&r, CHAIN_MANY);
    end(&r, b);
}

void rules_add(batch *b, const qcd_watch_settings *settings, uint16_t group)
{
    uint32_t rate = settings->rate > 0 ? settings->rate : 1;
    uint32_t half = rate / 2 + rate % 2;

    add_set(b, RULES_SET, 1, false);
    add_set(b, SET_ASKED, 2, true);
    add_chain(b, CHAIN_FEW, false);
    add_chain(b, CHAIN_MANY, false);
    add_chain(b, CHAIN_INPUT, true);

    /* limit rate R/second burst R packets log group G snaplen S accept */
    add_limit(b, CHAIN_FEW, half, group);
    add_limit(b, CHAIN_MANY, half, group);

    /*  esp spi @dead jump dead_esp
     *  update @asked { esp spi limit rate 10/second burst 10 packets } jump few
     *  jump many */
    add_matches(b, CHAIN_ESP, load_esp, 0);

    /* udp dport P @th,64,32 @dead jump dead_udp ...
     * RFC 3948 section 2.2: an SPI is not zero, the marker of IKE is. */
    if (settings->nat_port != 0) {
        add_matches(b, CHAIN_UDP, load_udp, settings->nat_port);
    }

    /* meta nfproto ipv4 ah spi @dead jump dead_ah ...
     * ip6 nexthdr ah @nh,352,32 @dead jump dead_ah6 ... */
    add_matches(b, CHAIN_AH, load_ah, 0);
    add_matches(b, CHAIN_AH6, load_ah6, 0);
}
