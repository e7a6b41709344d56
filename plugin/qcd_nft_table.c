/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_nft_table.h"
#include "qcd_nft_rules.h"

#include <errno.h>

#include <libnftnl/common.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

/**
 * SPIs in a transaction where the kernel doesn't allow us a larger message than
 * anybody: to the root of a container, that is
 */
#define SPIS_AT_ONCE 8192

typedef struct private_qcd_nft_table_t private_qcd_nft_table_t;

/**
 * Private data
 */
struct private_qcd_nft_table_t {

	/**
	 * Public interface
	 */
	qcd_nft_table_t public;

	/**
	 * What the rules need
	 */
	u_int rate;
	uint16_t nat_port;

	/**
	 * Socket, which owns the table
	 */
	qcd_netlink_t *netlink;

	/**
	 * Whether the kernel knows owners
	 */
	bool owner;

	/**
	 * SPIs in a transaction
	 */
	u_int at_once;
};

/**
 * Append a message about our table
 */
static void add_table(qcd_nft_batch_t *batch, uint16_t type, uint32_t flags)
{
	uint16_t create = type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0;
	struct nlmsghdr *hdr = batch->begin(batch, type, create);

	if (hdr)
	{
		mnl_attr_put_strz(hdr, NFTA_TABLE_NAME, QCD_NFT_TABLE);
		if (flags)
		{
			mnl_attr_put_u32(hdr, NFTA_TABLE_FLAGS, htonl(flags));
		}
	}
}

/**
 * Append what replaces our table, there or not, by a new one
 */
static void replace_table(private_qcd_nft_table_t *this, qcd_nft_batch_t *batch)
{
	/* one can't be deleted that isn't there, so it is added first */
	add_table(batch, NFT_MSG_NEWTABLE, 0);
	add_table(batch, NFT_MSG_DELTABLE, 0);
	add_table(batch, NFT_MSG_NEWTABLE, this->owner ? NFT_TABLE_F_OWNER : 0);
}

/**
 * After a transaction that was too large: may it be tried with less?
 */
static bool reduce(private_qcd_nft_table_t *this, int error)
{
	if (error != EMSGSIZE || this->at_once <= SPIS_AT_ONCE)
	{
		return FALSE;
	}
	this->at_once = SPIS_AT_ONCE;
	return TRUE;
}

/**
 * Add or delete elements, in one transaction if possible
 *
 * @param done			set to the number of those for which it was done
 */
static int change(private_qcd_nft_table_t *this, uint16_t type, uint32_t *spis,
				  u_int count, u_int *done)
{
	qcd_nft_batch_t *batch;
	u_int part;
	int error;

	*done = 0;
	while (*done < count)
	{
		part = min(count - *done, this->at_once);
		batch = qcd_nft_batch_create(part);
		batch->elements(batch, type, QCD_NFT_TABLE, QCD_NFT_SET, spis + *done,
						part);
		error = batch->commit(batch, this->netlink);
		if (error && !reduce(this, error))
		{
			return error;
		}
		*done += error ? 0 : part;
	}
	return 0;
}

METHOD(qcd_nft_table_t, add, int,
	private_qcd_nft_table_t *this, uint32_t *spis, u_int count)
{
	u_int done, undone;
	int error;

	error = change(this, NFT_MSG_NEWSETELEM, spis, count, &done);
	if (error)
	{
		change(this, NFT_MSG_DELSETELEM, spis, done, &undone);
	}
	return error;
}

METHOD(qcd_nft_table_t, remove_, int,
	private_qcd_nft_table_t *this, uint32_t *spis, u_int count)
{
	u_int done, undone;
	int error;

	error = change(this, NFT_MSG_DELSETELEM, spis, count, &done);
	if (error)
	{
		change(this, NFT_MSG_NEWSETELEM, spis, done, &undone);
	}
	return error;
}

METHOD(qcd_nft_table_t, uninstall, int,
	private_qcd_nft_table_t *this)
{
	qcd_nft_batch_t *batch = qcd_nft_batch_create(0);

	add_table(batch, NFT_MSG_DELTABLE, 0);
	return batch->commit(batch, this->netlink);
}

METHOD(qcd_nft_table_t, install, int,
	private_qcd_nft_table_t *this, uint16_t group, uint32_t *spis, u_int count)
{
	qcd_nft_batch_t *batch;
	u_int part, done;
	int error;

	do
	{
		part = min(count, this->at_once);
		batch = qcd_nft_batch_create(part);
		replace_table(this, batch);
		qcd_nft_rules_add(batch, this->rate, this->nat_port, group);
		batch->elements(batch, NFT_MSG_NEWSETELEM, QCD_NFT_TABLE, QCD_NFT_SET,
						spis, part);
		error = batch->commit(batch, this->netlink);
	}
	while (reduce(this, error));

	if (!error)
	{
		error = change(this, NFT_MSG_NEWSETELEM, spis + part, count - part,
					   &done);
		if (error)
		{
			_uninstall(this);
		}
	}
	return error;
}

/**
 * Get the owner out of a message about a table
 */
static void get_owner(void *user, const struct nlmsghdr *hdr)
{
	struct nftnl_table *table = nftnl_table_alloc();
	uint32_t *owner = user;

	if (table)
	{
		if (nftnl_table_nlmsg_parse(hdr, table) == 0 &&
			nftnl_table_is_set(table, NFTNL_TABLE_OWNER))
		{
			*owner = nftnl_table_get_u32(table, NFTNL_TABLE_OWNER);
		}
		nftnl_table_free(table);
	}
}

/**
 * Get the netlink port of another process that owns a table of our name, or 0
 */
static uint32_t find_other(private_qcd_nft_table_t *this)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {};
	struct nlmsghdr *hdr;
	uint32_t owner = 0;

	hdr = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETTABLE, NFPROTO_INET, NLM_F_ACK,
								1);
	mnl_attr_put_strz(hdr, NFTA_TABLE_NAME, QCD_NFT_TABLE);
	this->netlink->request(this->netlink,
						   chunk_create((u_char*)hdr, hdr->nlmsg_len), 1,
						   get_owner, &owner);
	return owner == this->netlink->get_port(this->netlink) ? 0 : owner;
}

METHOD(qcd_nft_table_t, complain, void,
	private_qcd_nft_table_t *this, int error)
{
	uint32_t other;

	switch (error)
	{
		case EPERM:
			other = find_other(this);
			if (other)
			{
				DBG1(DBG_CFG, "QCD: the nftables table inet " QCD_NFT_TABLE " is "
					 "owned by another process (netlink port %u): ESP of lost "
					 "SAs is not seen. Does a second daemon with this plugin run "
					 "in this network namespace?", other);
				break;
			}
			DBG1(DBG_CFG, "QCD: not allowed to use nftables: ESP of lost SAs is "
				 "not seen. It needs the capability CAP_NET_ADMIN");
			break;
		case EINVAL:
		case ENOENT:
		case EAFNOSUPPORT:
		case EOPNOTSUPP:
		case EPROTONOSUPPORT:
			DBG1(DBG_CFG, "QCD: the kernel lacks what the nftables table inet "
				 QCD_NFT_TABLE " needs: ESP of lost SAs is not seen: %s. Load the "
				 "modules nf_tables, nft_limit, nft_log and nfnetlink_log",
				 strerror(error));
			break;
		case EMSGSIZE:
			DBG1(DBG_CFG, "QCD: too many SPIs for one message to nftables: ESP "
				 "of these SAs is not seen. Raise net.core.wmem_max");
			break;
		case ENOBUFS:
		case ENOMEM:
			DBG1(DBG_CFG, "QCD: no memory for the nftables table inet "
				 QCD_NFT_TABLE ": ESP of lost SAs is not seen: %s",
				 strerror(error));
			break;
		default:
			DBG1(DBG_CFG, "QCD: the nftables table inet " QCD_NFT_TABLE " failed: "
				 "ESP of lost SAs is not seen: %s", strerror(error));
			break;
	}
}

METHOD(qcd_nft_table_t, destroy, void,
	private_qcd_nft_table_t *this)
{
	_uninstall(this);
	this->netlink->destroy(this->netlink);
	free(this);
}

/**
 * Remove a table that was left, and see whether the kernel takes ours, by a
 * transaction after which there is none
 */
static int try_out(private_qcd_nft_table_t *this, bool rules)
{
	qcd_nft_batch_t *batch = qcd_nft_batch_create(0);

	replace_table(this, batch);
	if (rules)
	{
		qcd_nft_rules_add(batch, this->rate, this->nat_port, 0);
	}
	add_table(batch, NFT_MSG_DELTABLE, 0);
	return batch->commit(batch, this->netlink);
}

/*
 * Described in header
 */
qcd_nft_table_t *qcd_nft_table_create(u_int rate, uint16_t nat_port)
{
	private_qcd_nft_table_t *this;
	int error;

	INIT(this,
		.public = {
			.install = _install,
			.add = _add,
			.remove = _remove_,
			.uninstall = _uninstall,
			.complain = _complain,
			.destroy = _destroy,
		},
		.rate = rate,
		.nat_port = nat_port,
		.netlink = qcd_netlink_create(),
		.owner = TRUE,
		.at_once = UINT_MAX,
	);
	if (!this->netlink)
	{
		_complain(this, errno);
		free(this);
		return NULL;
	}
	error = try_out(this, FALSE);
	if (error == EINVAL || error == EOPNOTSUPP)
	{	/* kernels before 5.12 know no owner */
		this->owner = FALSE;
	}
	error = try_out(this, TRUE);
	if (error)
	{
		_complain(this, error);
		this->netlink->destroy(this->netlink);
		free(this);
		return NULL;
	}
	return &this->public;
}
