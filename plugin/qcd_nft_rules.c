/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_nft_rules.h"
#include "qcd_nft.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

/**
 * Chain of the hook, and the one that both its rules jump to: all packets have
 * one limit
 */
#define CHAIN_INPUT "input"
#define CHAIN_BRING "bring"

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
 * Note for nft what the keys of our set are
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
 * Add our set
 */
static void add_set(qcd_nft_batch_t *batch)
{
	struct nftnl_set *set = nftnl_set_alloc();
	struct nlmsghdr *hdr = batch->begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE);

	if (set && hdr && describe_key(set))
	{
		nftnl_set_set_str(set, NFTNL_SET_TABLE, QCD_NFT_TABLE);
		nftnl_set_set_str(set, NFTNL_SET_NAME, QCD_NFT_SET);
		nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_INET);
		nftnl_set_set_u32(set, NFTNL_SET_ID, 1);
		nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, 0);
		nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, sizeof(uint32_t));
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
 * Match the protocol, behind whatever extension headers
 */
static bool match_protocol(struct nftnl_rule *rule, uint8_t protocol)
{
	struct nftnl_expr *meta, *cmp;

	meta = append(rule, "meta");
	cmp = append(rule, "cmp");
	if (!meta || !cmp)
	{
		return FALSE;
	}
	nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, NFT_META_L4PROTO);
	nftnl_expr_set_u32(meta, NFTNL_EXPR_META_DREG, NFT_REG_1);
	nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
	nftnl_expr_set_data(cmp, NFTNL_EXPR_CMP_DATA, &protocol, sizeof(protocol));
	return TRUE;
}

/**
 * Load octets behind the IP header into a register
 */
static bool load(struct nftnl_rule *rule, uint32_t offset, uint32_t len)
{
	struct nftnl_expr *payload = append(rule, "payload");

	if (!payload)
	{
		return FALSE;
	}
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_BASE,
					   NFT_PAYLOAD_TRANSPORT_HEADER);
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_LEN, len);
	return TRUE;
}

/**
 * Match the destination port of UDP
 */
static bool match_port(struct nftnl_rule *rule, uint16_t port)
{
	struct nftnl_expr *cmp;

	port = htons(port);
	if (!load(rule, 2, sizeof(port)))
	{
		return FALSE;
	}
	cmp = append(rule, "cmp");
	if (!cmp)
	{
		return FALSE;
	}
	nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
	nftnl_expr_set_data(cmp, NFTNL_EXPR_CMP_DATA, &port, sizeof(port));
	return TRUE;
}

/**
 * Match the SPI at an offset behind the IP header, and jump
 */
static bool match_spi(struct nftnl_rule *rule, uint32_t offset)
{
	struct nftnl_expr *lookup, *jump;

	if (!load(rule, offset, sizeof(uint32_t)))
	{
		return FALSE;
	}
	lookup = append(rule, "lookup");
	jump = append(rule, "immediate");
	if (!lookup || !jump)
	{
		return FALSE;
	}
	nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, QCD_NFT_SET);
	nftnl_expr_set_u32(jump, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(jump, NFTNL_EXPR_IMM_VERDICT, NFT_JUMP);
	nftnl_expr_set_str(jump, NFTNL_EXPR_IMM_CHAIN, CHAIN_BRING);
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
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, rate);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, rate);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
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

/*
 * Described in header
 */
void qcd_nft_rules_add(qcd_nft_batch_t *batch, u_int rate, uint16_t nat_port,
					   uint16_t group)
{
	struct nftnl_rule *rule;

	add_set(batch);
	add_chain(batch, CHAIN_BRING, FALSE);
	add_chain(batch, CHAIN_INPUT, TRUE);

	/* limit rate R/second burst R packets log group G snaplen S */
	rule = create_rule(CHAIN_BRING);
	add_rule(batch, rule, rule && log_limited(rule, rate, group));

	/* esp spi @dead jump bring */
	rule = create_rule(CHAIN_INPUT);
	add_rule(batch, rule, rule && match_protocol(rule, IPPROTO_ESP) &&
			 match_spi(rule, 0));

	/* udp dport P @th,64,32 @dead jump bring
	 * RFC 3948 section 2.2: an SPI is not zero, the marker of IKE is */
	if (nat_port)
	{
		rule = create_rule(CHAIN_INPUT);
		add_rule(batch, rule, rule && match_protocol(rule, IPPROTO_UDP) &&
				 match_port(rule, nat_port) && match_spi(rule, 8));
	}
}
