/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_nft_rules.h"
#include "qcd_nft.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

/**
 * Chain of the hook, which does no more than to look an SPI up, as all packets
 * pay for that; and those of packets of lost SAs: ESP, ESP in UDP, AH in IPv4
 * and in IPv6
 */
#define CHAIN_INPUT "input"
#define CHAIN_ESP "dead_esp"
#define CHAIN_UDP "dead_udp"
#define CHAIN_AH "dead_ah"
#define CHAIN_AH6 "dead_ah6"

/**
 * Chains that bring packets. Half of what we are brought is for SPIs of which
 * few packets come, so that a flood of packets with an SPI that somebody has
 * seen can't hold back those of the others; the other half, and what is left of
 * the first, is for whatever comes.
 */
#define CHAIN_FEW "few"
#define CHAIN_MANY "many"

/**
 * Set of the SPIs of which packets came lately, each with a limit of its own: as
 * many SPIs at most, remembered so long. Only those of lost SAs get into it, and
 * one that finds no room has the other half.
 */
#define SET_ASKED "asked"
#define ASKED_MAX 65536
#define ASKED_TIME_MS 10000

/**
 * Packets a second with one SPI that are few: one is answered
 */
#define FEW 10

/**
 * Where an AH header has its SPI, RFC 4302 section 2, and UDP its destination
 * port
 */
#define AH_SPI 4
#define UDP_PORT 2

/**
 * Behind the host's own firewall: what that drops gets no answer
 */
#define PRIORITY 10

/**
 * How nft notes that a set's key is an `esp spi`, so that it can list the set:
 * its own numbers for byte order, kind of expression, protocol and field
 */
#define NFT_BYTEORDER_BIG_ENDIAN 2
#define NFT_EXPR_PAYLOAD 7
#define NFT_PROTO_DESC_ESP 2
#define NFT_ESPHDR_SPI 1
#define NFT_KEY_PAYLOAD_DESC 0
#define NFT_KEY_PAYLOAD_TYPE 1
#define NFT_KEY_PAYLOAD_LEN 4

/**
 * Note for nft what the keys of a set are
 */
static bool describe_key(struct nftnl_set *set)
{
	struct nftnl_udata_buf *buf;
	struct nftnl_udata *key, *data;

	buf = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	if (!buf)
	{
		return FALSE;
	}
	nftnl_udata_put_u32(buf, NFTNL_UDATA_SET_KEYBYTEORDER,
						NFT_BYTEORDER_BIG_ENDIAN);
	key = nftnl_udata_nest_start(buf, NFTNL_UDATA_SET_KEY_TYPEOF);
	nftnl_udata_put_u32(buf, NFTNL_UDATA_SET_TYPEOF_EXPR, NFT_EXPR_PAYLOAD);
	data = nftnl_udata_nest_start(buf, NFTNL_UDATA_SET_TYPEOF_DATA);
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

/**
 * Have a set take in what packets come, for a time
 */
static void make_dynamic(struct nftnl_set *set)
{
	nftnl_set_set_u32(set, NFTNL_SET_FLAGS, NFT_SET_EVAL | NFT_SET_TIMEOUT);
	nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, ASKED_MAX);
	nftnl_set_set_u64(set, NFTNL_SET_TIMEOUT, ASKED_TIME_MS);
}

/**
 * Add a set of SPIs
 */
static void add_set(qcd_nft_batch_t *batch, char *name, uint32_t id,
					bool dynamic)
{
	struct nftnl_set *set = nftnl_set_alloc();
	struct nlmsghdr *hdr = batch->begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE);

	if (set && hdr && describe_key(set))
	{
		nftnl_set_set_str(set, NFTNL_SET_TABLE, QCD_NFT_TABLE);
		nftnl_set_set_str(set, NFTNL_SET_NAME, name);
		nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_INET);
		nftnl_set_set_u32(set, NFTNL_SET_ID, id);
		nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, 0);
		nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, sizeof(uint32_t));
		if (dynamic)
		{
			make_dynamic(set);
		}
		nftnl_set_nlmsg_build_payload(hdr, set);
	}
	else
	{
		batch->fail(batch);
	}
	if (set)
	{
		nftnl_set_free(set);
	}
}

/**
 * Add a chain
 */
static void add_chain(qcd_nft_batch_t *batch, char *name, bool hook)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct nlmsghdr *hdr = batch->begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

	if (chain && hdr)
	{
		nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, QCD_NFT_TABLE);
		nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
		if (hook)
		{
			nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter");
			nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, NF_INET_LOCAL_IN);
			nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, PRIORITY);
			nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
		}
		nftnl_chain_nlmsg_build_payload(hdr, chain);
	}
	else
	{
		batch->fail(batch);
	}
	if (chain)
	{
		nftnl_chain_free(chain);
	}
}

/**
 * Append an expression to a rule, whose values are still to be set
 */
static struct nftnl_expr *append(struct nftnl_rule *rule, char *name)
{
	struct nftnl_expr *expr = nftnl_expr_alloc(name);

	if (expr)
	{
		nftnl_rule_add_expr(rule, expr);
	}
	return expr;
}

/**
 * Match what was loaded into the register
 */
static bool match(struct nftnl_rule *rule, const void *value, uint32_t len)
{
	struct nftnl_expr *cmp = append(rule, "cmp");

	if (!cmp)
	{
		return FALSE;
	}
	nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
	nftnl_expr_set_data(cmp, NFTNL_EXPR_CMP_DATA, value, len);
	return TRUE;
}

/**
 * Match a protocol: that of IP, or the one behind whatever extension headers
 *
 * @param key			NFT_META_NFPROTO or NFT_META_L4PROTO
 */
static bool match_protocol(struct nftnl_rule *rule, u_int key, uint8_t protocol)
{
	struct nftnl_expr *meta = append(rule, "meta");

	if (!meta)
	{
		return FALSE;
	}
	nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(meta, NFTNL_EXPR_META_DREG, NFT_REG_1);
	return match(rule, &protocol, sizeof(protocol));
}

/**
 * Load octets into a register
 *
 * @param base			NFT_PAYLOAD_TRANSPORT_HEADER or NFT_PAYLOAD_NETWORK_HEADER
 */
static bool load(struct nftnl_rule *rule, u_int base, uint32_t offset,
				 uint32_t len)
{
	struct nftnl_expr *payload = append(rule, "payload");

	if (!payload)
	{
		return FALSE;
	}
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_LEN, len);
	return TRUE;
}

/**
 * Match an SPI of a lost SA, which was loaded
 */
static bool match_dead(struct nftnl_rule *rule)
{
	struct nftnl_expr *lookup = append(rule, "lookup");

	if (!lookup)
	{
		return FALSE;
	}
	nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, QCD_NFT_SET);
	return TRUE;
}

/**
 * Set a limit of packets a second
 */
static void set_limit(struct nftnl_expr *limit, u_int rate)
{
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, rate);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, rate);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
}

/**
 * Match while few packets come with the SPI that was loaded
 */
static bool match_few(struct nftnl_rule *rule)
{
	struct nftnl_expr *dynset, *limit;

	dynset = append(rule, "dynset");
	limit = nftnl_expr_alloc("limit");
	if (!dynset || !limit)
	{
		if (limit)
		{
			nftnl_expr_free(limit);
		}
		return FALSE;
	}
	set_limit(limit, FEW);
	nftnl_expr_set_u32(dynset, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(dynset, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	nftnl_expr_set_str(dynset, NFTNL_EXPR_DYNSET_SET_NAME, SET_ASKED);
	nftnl_expr_add_expr(dynset, NFTNL_EXPR_DYNSET_EXPRESSIONS, limit);
	return TRUE;
}

/**
 * End a rule by a verdict: the chain to jump to, or NULL to accept
 */
static bool decide(struct nftnl_rule *rule, char *chain)
{
	struct nftnl_expr *verdict = append(rule, "immediate");

	if (!verdict)
	{
		return FALSE;
	}
	nftnl_expr_set_u32(verdict, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(verdict, NFTNL_EXPR_IMM_VERDICT,
					   chain ? NFT_JUMP : NF_ACCEPT);
	if (chain)
	{
		nftnl_expr_set_str(verdict, NFTNL_EXPR_IMM_CHAIN, chain);
	}
	return TRUE;
}

/**
 * Log to a group, within a limit
 */
static bool log_limited(struct nftnl_rule *rule, u_int rate, uint16_t group)
{
	struct nftnl_expr *limit, *log;

	limit = append(rule, "limit");
	log = append(rule, "log");
	if (!limit || !log)
	{
		return FALSE;
	}
	set_limit(limit, rate);
	nftnl_expr_set_u16(log, NFTNL_EXPR_LOG_GROUP, group);
	nftnl_expr_set_u32(log, NFTNL_EXPR_LOG_SNAPLEN, QCD_NFT_COPY);
	return TRUE;
}

/**
 * Create a rule for a chain
 */
static struct nftnl_rule *create_rule(char *chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	if (rule)
	{
		nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, QCD_NFT_TABLE);
		nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain);
		nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	}
	return rule;
}

/**
 * Add a rule, which gets destroyed, if it is complete
 */
static void add_rule(qcd_nft_batch_t *batch, struct nftnl_rule *rule,
					 bool complete)
{
	struct nlmsghdr *hdr;

	hdr = batch->begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	if (hdr && complete)
	{
		nftnl_rule_nlmsg_build_payload(hdr, rule);
	}
	else
	{
		batch->fail(batch);
	}
	if (rule)
	{
		nftnl_rule_free(rule);
	}
}

/**
 * Add the rule of a chain that is jumped to; a packet that is brought has been
 * through
 */
static void add_limit(qcd_nft_batch_t *batch, char *chain, u_int rate,
					  uint16_t group)
{
	struct nftnl_rule *rule = create_rule(chain);

	add_rule(batch, rule, rule && log_limited(rule, rate, group) &&
			 decide(rule, NULL));
}

/**
 * How the SPI of a packet gets into the register
 */
typedef bool (*load_spi_t)(struct nftnl_rule *rule, uint16_t nat_port);

static bool load_esp(struct nftnl_rule *rule, uint16_t nat_port)
{
	return match_protocol(rule, NFT_META_L4PROTO, IPPROTO_ESP) &&
		   load(rule, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(uint32_t));
}

static bool load_udp(struct nftnl_rule *rule, uint16_t nat_port)
{
	uint16_t port = htons(nat_port);

	return match_protocol(rule, NFT_META_L4PROTO, IPPROTO_UDP) &&
		   load(rule, NFT_PAYLOAD_TRANSPORT_HEADER, UDP_PORT, sizeof(port)) &&
		   match(rule, &port, sizeof(port)) &&
		   load(rule, NFT_PAYLOAD_TRANSPORT_HEADER, sizeof(struct udphdr),
				sizeof(uint32_t));
}

static bool load_ah(struct nftnl_rule *rule, uint16_t nat_port)
{
	return match_protocol(rule, NFT_META_NFPROTO, NFPROTO_IPV4) &&
		   match_protocol(rule, NFT_META_L4PROTO, IPPROTO_AH) &&
		   load(rule, NFT_PAYLOAD_TRANSPORT_HEADER, AH_SPI, sizeof(uint32_t));
}

/**
 * To the kernel, AH in IPv6 is an extension header, which is passed over; nft
 * knows none of them by that name. So it is seen where it is the first one.
 */
static bool load_ah6(struct nftnl_rule *rule, uint16_t nat_port)
{
	uint8_t protocol = IPPROTO_AH;

	return match_protocol(rule, NFT_META_NFPROTO, NFPROTO_IPV6) &&
		   load(rule, NFT_PAYLOAD_NETWORK_HEADER,
				offsetof(struct ip6_hdr, ip6_nxt), sizeof(protocol)) &&
		   match(rule, &protocol, sizeof(protocol)) &&
		   load(rule, NFT_PAYLOAD_NETWORK_HEADER,
				sizeof(struct ip6_hdr) + AH_SPI, sizeof(uint32_t));
}

/**
 * Begin a rule that has the SPI loaded
 */
static struct nftnl_rule *create_spi_rule(char *chain, load_spi_t load_spi,
										  uint16_t nat_port)
{
	struct nftnl_rule *rule = create_rule(chain);

	if (rule && load_spi(rule, nat_port))
	{
		return rule;
	}
	if (rule)
	{
		nftnl_rule_free(rule);
	}
	return NULL;
}

/**
 * Add the rules for packets of a kind
 */
static void add_matches(qcd_nft_batch_t *batch, char *chain,
						load_spi_t load_spi, uint16_t nat_port)
{
	struct nftnl_rule *rule;

	add_chain(batch, chain, FALSE);

	rule = create_spi_rule(CHAIN_INPUT, load_spi, nat_port);
	add_rule(batch, rule, rule && match_dead(rule) && decide(rule, chain));

	rule = create_spi_rule(chain, load_spi, nat_port);
	add_rule(batch, rule, rule && match_few(rule) && decide(rule, CHAIN_FEW));

	rule = create_rule(chain);
	add_rule(batch, rule, rule && decide(rule, CHAIN_MANY));
}

/*
 * Described in header
 */
void qcd_nft_rules_add(qcd_nft_batch_t *batch, u_int rate, uint16_t nat_port,
					   uint16_t group)
{
	u_int half = (rate + 1) / 2;

	add_set(batch, QCD_NFT_SET, 1, FALSE);
	add_set(batch, SET_ASKED, 2, TRUE);
	add_chain(batch, CHAIN_FEW, FALSE);
	add_chain(batch, CHAIN_MANY, FALSE);
	add_chain(batch, CHAIN_INPUT, TRUE);

	/* limit rate R/second burst R packets log group G snaplen S accept */
	add_limit(batch, CHAIN_FEW, half, group);
	add_limit(batch, CHAIN_MANY, half, group);

	/* esp spi @dead jump dead_esp
	 *   update @asked { esp spi limit rate 10/second burst 10 packets } jump few
	 *   jump many */
	add_matches(batch, CHAIN_ESP, load_esp, 0);

	/* udp dport P @th,64,32 @dead jump dead_udp
	 *   udp dport P update @asked { @th,64,32 limit ... } jump few
	 *   jump many
	 * RFC 3948 section 2.2: an SPI is not zero, the marker of IKE is */
	if (nat_port)
	{
		add_matches(batch, CHAIN_UDP, load_udp, nat_port);
	}

	/* meta nfproto ipv4 ah spi @dead jump dead_ah ...
	 * ip6 nexthdr ah @nh,352,32 @dead jump dead_ah6 ... */
	add_matches(batch, CHAIN_AH, load_ah, 0);
	add_matches(batch, CHAIN_AH6, load_ah6, 0);
}
