/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_nft_batch.h"

#include <errno.h>
#include <arpa/inet.h>

#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

/**
 * Octets that a message may have, and that all messages without elements have
 * together, begin and end of the batch among them
 */
#define MESSAGE_MAX 4096
#define MESSAGES_MAX 16384

/**
 * Octets of an element, elements in a message (they have to fit into an
 * attribute, with its 16 bits of length), octets of such a message besides
 */
#define ELEMENT_LEN 16
#define ELEMENTS_MAX 2048
#define ELEMENTS_HEAD 128

typedef struct private_qcd_nft_batch_t private_qcd_nft_batch_t;

/**
 * Private data
 */
struct private_qcd_nft_batch_t {

	/**
	 * Public interface
	 */
	qcd_nft_batch_t public;

	/**
	 * Messages, and how much room they have
	 */
	chunk_t messages;
	size_t size;

	/**
	 * The last one, not yet counted in the length of messages
	 */
	struct nlmsghdr *last;

	/**
	 * Sequence number of the last one
	 */
	uint32_t seq;

	/**
	 * Whether something is missing
	 */
	bool failed;
};

/**
 * Complete the last message, and get where the next one begins
 */
static char *next(private_qcd_nft_batch_t *this)
{
	if (this->last)
	{
		this->messages.len += MNL_ALIGN(this->last->nlmsg_len);
		this->last = NULL;
	}
	return this->messages.ptr + this->messages.len;
}

/**
 * Begin a message that may have so many octets
 */
static struct nlmsghdr *begin_sized(private_qcd_nft_batch_t *this,
									uint16_t type, uint16_t flags, size_t len)
{
	char *at = next(this);

	if (this->failed || this->size - this->messages.len < len)
	{
		this->failed = TRUE;
		return NULL;
	}
	this->last = nftnl_nlmsg_build_hdr(at, type, NFPROTO_INET, flags,
									   ++this->seq);
	return this->last;
}

METHOD(qcd_nft_batch_t, begin, struct nlmsghdr*,
	private_qcd_nft_batch_t *this, uint16_t type, uint16_t flags)
{
	return begin_sized(this, type, flags, MESSAGE_MAX);
}

METHOD(qcd_nft_batch_t, fail, void,
	private_qcd_nft_batch_t *this)
{
	this->failed = TRUE;
}

/**
 * Put one element into a list
 */
static void put_element(struct nlmsghdr *hdr, uint32_t value)
{
	struct nlattr *element, *key;

	element = mnl_attr_nest_start(hdr, NFTA_LIST_ELEM);
	key = mnl_attr_nest_start(hdr, NFTA_SET_ELEM_KEY);
	mnl_attr_put(hdr, NFTA_DATA_VALUE, sizeof(value), &value);
	mnl_attr_nest_end(hdr, key);
	mnl_attr_nest_end(hdr, element);
}

METHOD(qcd_nft_batch_t, elements, void,
	private_qcd_nft_batch_t *this, uint16_t type, char *table, char *set,
	uint32_t *keys, u_int count)
{
	struct nlmsghdr *hdr;
	struct nlattr *list;
	u_int done, i;

	for (done = 0; done < count; done += i)
	{
		hdr = begin_sized(this, type,
						  type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0,
						  ELEMENTS_HEAD + ELEMENTS_MAX * ELEMENT_LEN);
		if (!hdr)
		{
			return;
		}
		/* libnftnl has an object for each element, which we don't need */
		mnl_attr_put_strz(hdr, NFTA_SET_ELEM_LIST_TABLE, table);
		mnl_attr_put_strz(hdr, NFTA_SET_ELEM_LIST_SET, set);
		list = mnl_attr_nest_start(hdr, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (i = 0; i < ELEMENTS_MAX && done + i < count; i++)
		{
			put_element(hdr, keys[done + i]);
		}
		mnl_attr_nest_end(hdr, list);
	}
}

METHOD(qcd_nft_batch_t, commit, int,
	private_qcd_nft_batch_t *this, qcd_netlink_t *netlink)
{
	uint32_t seq = this->seq;
	int error = ENOMEM;

	if (!this->failed && this->last)
	{	/* not all kernels acknowledge the end; an error of the transaction as
		 * a whole comes before this acknowledgement */
		this->last->nlmsg_flags |= NLM_F_ACK;
		this->last = nftnl_batch_end(next(this), ++this->seq);
		next(this);
		error = netlink->request(netlink, this->messages, seq, NULL, NULL);
	}
	free(this->messages.ptr);
	free(this);
	return error;
}

/*
 * Described in header
 */
qcd_nft_batch_t *qcd_nft_batch_create(u_int count)
{
	private_qcd_nft_batch_t *this;
	size_t parts = count / ELEMENTS_MAX + 1;

	INIT(this,
		.public = {
			.begin = _begin,
			.fail = _fail,
			.elements = _elements,
			.commit = _commit,
		},
		.size = MESSAGES_MAX +
				parts * (ELEMENTS_HEAD + ELEMENTS_MAX * ELEMENT_LEN),
	);
	/* libmnl doesn't clear what pads an attribute */
	this->messages.ptr = calloc(1, this->size);
	if (this->messages.ptr)
	{
		this->last = nftnl_batch_begin((char*)this->messages.ptr, this->seq);
	}
	else
	{
		this->failed = TRUE;
	}
	return &this->public;
}
