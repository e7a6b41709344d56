/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_nflog.h"
#include "qcd_netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

/**
 * Groups that we take if they are free
 */
#define GROUP_FIRST 6290
#define GROUP_LAST 6299

/**
 * Octets of the kernel's buffer for a packet and what it says about it; octets
 * of packets that may wait for us; messages that are read at a time, so that
 * the thread gets to something else
 */
#define MESSAGE_MAX 1024
#define WAITING_MAX (1024 * 1024)
#define MESSAGES_AT_ONCE 64

typedef struct private_qcd_nflog_t private_qcd_nflog_t;

/**
 * Private data
 */
struct private_qcd_nflog_t {

	/**
	 * Public interface
	 */
	qcd_nflog_t public;

	/**
	 * Who gets the packets
	 */
	qcd_nft_packet_t packet;
	void *user;

	/**
	 * Socket, and the group that it has
	 */
	qcd_netlink_t *netlink;
	uint16_t group;

	/**
	 * Sequence number of our last message
	 */
	uint32_t seq;
};

/**
 * Begin a message that configures a group
 */
static struct nlmsghdr *begin(private_qcd_nflog_t *this, void *buf)
{
	struct nlmsghdr *hdr;
	struct nfgenmsg *gen;

	hdr = mnl_nlmsg_put_header(buf);
	hdr->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	hdr->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	hdr->nlmsg_seq = ++this->seq;
	gen = mnl_nlmsg_put_extra_header(hdr, sizeof(*gen));
	gen->nfgen_family = AF_UNSPEC;
	gen->version = NFNETLINK_V0;
	gen->res_id = htons(this->group);
	return hdr;
}

/**
 * Send such a message
 */
static int end(private_qcd_nflog_t *this, struct nlmsghdr *hdr)
{
	return this->netlink->request(this->netlink,
						chunk_create((u_char*)hdr, hdr->nlmsg_len),
						hdr->nlmsg_seq, NULL, NULL);
}

/**
 * Bind the group, or let it go
 */
static int command(private_qcd_nflog_t *this, uint8_t cmd)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {};
	struct nfulnl_msg_config_cmd config = {
		.command = cmd,
	};
	struct nlmsghdr *hdr = begin(this, buf);

	mnl_attr_put(hdr, NFULA_CFG_CMD, sizeof(config), &config);
	return end(this, hdr);
}

/**
 * Say how packets are to be brought: each at once, and its beginning only
 */
static int configure(private_qcd_nflog_t *this)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {};
	struct nfulnl_msg_config_mode mode = {
		.copy_range = htonl(QCD_NFT_COPY),
		.copy_mode = NFULNL_COPY_PACKET,
	};
	struct nlmsghdr *hdr = begin(this, buf);

	mnl_attr_put(hdr, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(hdr, NFULA_CFG_NLBUFSIZ, htonl(MESSAGE_MAX));
	mnl_attr_put_u32(hdr, NFULA_CFG_QTHRESH, htonl(1));
	return end(this, hdr);
}

/**
 * Bind the first group that is free
 */
static int bind_group(private_qcd_nflog_t *this)
{
	int error = EBUSY;

	for (this->group = GROUP_FIRST; this->group <= GROUP_LAST; this->group++)
	{
		error = command(this, NFULNL_CFG_CMD_BIND);
		/* EPERM: it is another socket's */
		if (error != EPERM && error != EBUSY)
		{
			break;
		}
	}
	return error ?: configure(this);
}

/**
 * Get a packet out of a message
 */
static int get_payload(const struct nlattr *attr, void *data)
{
	chunk_t *packet = data;

	if (mnl_attr_get_type(attr) == NFULA_PAYLOAD)
	{
		*packet = chunk_create(mnl_attr_get_payload(attr),
							   mnl_attr_get_payload_len(attr));
	}
	return MNL_CB_OK;
}

/**
 * Bring the packets of some messages
 */
static void bring(private_qcd_nflog_t *this, void *buf, int len)
{
	struct nlmsghdr *hdr;
	chunk_t packet;

	for (hdr = buf; mnl_nlmsg_ok(hdr, len); hdr = mnl_nlmsg_next(hdr, &len))
	{
		if (hdr->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
			mnl_nlmsg_get_payload_len(hdr) < sizeof(struct nfgenmsg))
		{
			continue;
		}
		packet = chunk_empty;
		mnl_attr_parse(hdr, sizeof(struct nfgenmsg), get_payload, &packet);
		if (packet.len)
		{
			packet.len = min(packet.len, QCD_NFT_COPY);
			this->packet(this->user, packet);
		}
	}
}

CALLBACK(readable, bool,
	private_qcd_nflog_t *this, int fd, watcher_event_t event)
{
	char buf[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t len;
	int i;

	for (i = 0; i < MESSAGES_AT_ONCE; i++)
	{
		len = this->netlink->receive(this->netlink, buf, sizeof(buf));
		if (len > 0)
		{
			bring(this, buf, len);
		}
		else if (len < 0 && errno != ENOBUFS)
		{	/* nothing more; packets that had no room are lost, as by a limit */
			break;
		}
	}
	return TRUE;
}

METHOD(qcd_nflog_t, get_group, uint16_t,
	private_qcd_nflog_t *this)
{
	return this->group;
}

METHOD(qcd_nflog_t, destroy, void,
	private_qcd_nflog_t *this)
{
	lib->watcher->remove(lib->watcher, this->netlink->get_fd(this->netlink));
	command(this, NFULNL_CFG_CMD_UNBIND);
	this->netlink->destroy(this->netlink);
	free(this);
}

/**
 * Say why no group could be had
 */
static void complain(int error)
{
	switch (error)
	{
		case EPERM:
		case EBUSY:
			DBG1(DBG_CFG, "QCD: other processes have all NFLOG groups from %d "
				 "to %d: ESP of lost SAs is not seen", GROUP_FIRST, GROUP_LAST);
			break;
		case EINVAL:
		case EOPNOTSUPP:
		case EPROTONOSUPPORT:
			DBG1(DBG_CFG, "QCD: the kernel has no NFLOG: ESP of lost SAs is not "
				 "seen. Load the module nfnetlink_log");
			break;
		default:
			DBG1(DBG_CFG, "QCD: no NFLOG, ESP of lost SAs is not seen: %s",
				 strerror(error));
			break;
	}
}

/*
 * Described in header
 */
qcd_nflog_t *qcd_nflog_create(qcd_nft_packet_t packet, void *user)
{
	private_qcd_nflog_t *this;
	int fd, room = WAITING_MAX, on = 1, error;

	INIT(this,
		.public = {
			.get_group = _get_group,
			.destroy = _destroy,
		},
		.packet = packet,
		.user = user,
		.netlink = qcd_netlink_create(),
	);
	error = this->netlink ? bind_group(this) : errno;
	if (error)
	{
		complain(error);
		DESTROY_IF(this->netlink);
		free(this);
		return NULL;
	}
	fd = this->netlink->get_fd(this->netlink);
	/* Both are better to have, and no loss without. An overrun would stop the
	 * kernel until we have read all. */
	ignore_result(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
							 sizeof(room)));
	ignore_result(setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on,
							 sizeof(on)));
	lib->watcher->add(lib->watcher, fd, WATCHER_READ, readable, this);
	return &this->public;
}
