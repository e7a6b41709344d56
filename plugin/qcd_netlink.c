/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_netlink.h"

#include <errno.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/**
 * Octets of an answer; an error carries no more than the header of its message
 */
#define ANSWER_MAX 8192

typedef struct private_qcd_netlink_t private_qcd_netlink_t;

/**
 * Private data
 */
struct private_qcd_netlink_t {

	/**
	 * Public interface
	 */
	qcd_netlink_t public;

	/**
	 * Socket
	 */
	struct mnl_socket *socket;

	/**
	 * Its descriptor
	 */
	int fd;

	/**
	 * Octets that may be sent at once
	 */
	int room;
};

METHOD(qcd_netlink_t, receive, ssize_t,
	private_qcd_netlink_t *this, void *buf, size_t len)
{
	struct sockaddr_nl from = {};
	socklen_t from_len = sizeof(from);
	ssize_t got;

	do
	{
		got = recvfrom(this->fd, buf, len, MSG_DONTWAIT | MSG_TRUNC,
					   (struct sockaddr*)&from, &from_len);
	}
	while (got < 0 && errno == EINTR);

	if (got > (ssize_t)len || (got >= 0 && from.nl_pid != 0))
	{
		return 0;
	}
	return got;
}

/**
 * Make room for that much at once: a transaction is one datagram
 */
static void make_room(private_qcd_netlink_t *this, size_t len)
{
	int room = min(len, INT_MAX / 4);

	if (room <= this->room)
	{
		return;
	}
	if (setsockopt(this->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room,
				   sizeof(room)) == 0 ||
		setsockopt(this->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0)
	{	/* where that was not enough, sending says so */
		this->room = room;
	}
}

/**
 * What came of a request
 */
typedef struct {
	/** sequence number of the message that gets acknowledged, whether it was */
	uint32_t seq;
	bool acknowledged;
	/** first error */
	int error;
	/** who gets answers */
	qcd_netlink_message_t cb;
	void *user;
} outcome_t;

/**
 * Take a message that answers a request
 */
static void take(outcome_t *outcome, const struct nlmsghdr *hdr)
{
	struct nlmsgerr *error = mnl_nlmsg_get_payload(hdr);

	if (hdr->nlmsg_type != NLMSG_ERROR)
	{
		if (outcome->cb && hdr->nlmsg_type >= NLMSG_MIN_TYPE)
		{
			outcome->cb(outcome->user, hdr);
		}
	}
	else if (mnl_nlmsg_get_payload_len(hdr) < sizeof(*error))
	{
		outcome->error = outcome->error ?: EBADMSG;
	}
	else if (error->error)
	{
		outcome->error = outcome->error ?: abs(error->error);
	}
	else if (hdr->nlmsg_seq == outcome->seq)
	{
		outcome->acknowledged = TRUE;
	}
}

METHOD(qcd_netlink_t, request, int,
	private_qcd_netlink_t *this, chunk_t messages, uint32_t seq,
	qcd_netlink_message_t cb, void *user)
{
	char buf[ANSWER_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	outcome_t outcome = {
		.seq = seq,
		.cb = cb,
		.user = user,
	};
	struct nlmsghdr *hdr;
	ssize_t got;
	int len;

	make_room(this, messages.len + 4096);
	if (mnl_socket_sendto(this->socket, messages.ptr, messages.len) < 0)
	{
		return errno;
	}
	/* the kernel has done it all by now, what it says to it is waiting */
	while (TRUE)
	{
		got = _receive(this, buf, sizeof(buf));
		if (got < 0 && errno == EAGAIN)
		{
			break;
		}
		if (got < 0 && errno != ENOBUFS)
		{
			return errno;
		}
		if (got < 0)
		{	/* there was more than had room, the rest can be read */
			outcome.error = outcome.error ?: ENOBUFS;
			continue;
		}
		len = got;
		for (hdr = (struct nlmsghdr*)buf; mnl_nlmsg_ok(hdr, len);
			 hdr = mnl_nlmsg_next(hdr, &len))
		{
			take(&outcome, hdr);
		}
	}
	return outcome.error ?: outcome.acknowledged ? 0 : EPROTO;
}

METHOD(qcd_netlink_t, get_fd, int,
	private_qcd_netlink_t *this)
{
	return this->fd;
}

METHOD(qcd_netlink_t, get_port, uint32_t,
	private_qcd_netlink_t *this)
{
	return mnl_socket_get_portid(this->socket);
}

METHOD(qcd_netlink_t, destroy, void,
	private_qcd_netlink_t *this)
{
	mnl_socket_close(this->socket);
	free(this);
}

/*
 * Described in header
 */
qcd_netlink_t *qcd_netlink_create(void)
{
	private_qcd_netlink_t *this;
	struct mnl_socket *socket;
	int on = 1, error;

	socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!socket)
	{
		return NULL;
	}
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
	{
		error = errno;
		mnl_socket_close(socket);
		errno = error;
		return NULL;
	}
	/* an error repeats the whole message otherwise */
	mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on));

	INIT(this,
		.public = {
			.request = _request,
			.receive = _receive,
			.get_fd = _get_fd,
			.get_port = _get_port,
			.destroy = _destroy,
		},
		.socket = socket,
		.fd = mnl_socket_get_fd(socket),
	);
	return &this->public;
}
