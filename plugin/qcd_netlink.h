/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_netlink qcd_netlink
 * @{ @ingroup qcd
 */

#ifndef QCD_NETLINK_H_
#define QCD_NETLINK_H_

#include <library.h>

#include <libmnl/libmnl.h>

typedef struct qcd_netlink_t qcd_netlink_t;

/**
 * Called with a message of the kernel's that is neither an error nor an
 * acknowledgement.
 */
typedef void (*qcd_netlink_message_t)(void *user, const struct nlmsghdr *hdr);

/**
 * A socket to the kernel's netfilter.
 */
struct qcd_netlink_t {

	/**
	 * Send messages, and collect what the kernel has to say to them. None of
	 * them may ask for a dump.
	 *
	 * @param messages		messages, of which the last content asks for an
	 *						acknowledgement
	 * @param seq			sequence number of that one
	 * @param cb			called with answers, may be NULL
	 * @param user			passed to cb
	 * @return				0, or what went wrong first, as an errno
	 */
	int (*request)(qcd_netlink_t *this, chunk_t messages, uint32_t seq,
				   qcd_netlink_message_t cb, void *user);

	/**
	 * Receive what the kernel has sent, without waiting.
	 *
	 * @param buf			aligned as a struct nlmsghdr is
	 * @param len			size of buf
	 * @return				octets; 0 for what isn't the kernel's or didn't fit;
	 *						-1 with an errno, EAGAIN if there is nothing
	 */
	ssize_t (*receive)(qcd_netlink_t *this, void *buf, size_t len);

	/**
	 * Get the file descriptor.
	 */
	int (*get_fd)(qcd_netlink_t *this);

	/**
	 * Get the netlink port, by which the kernel knows us.
	 */
	uint32_t (*get_port)(qcd_netlink_t *this);

	/**
	 * Close the socket.
	 */
	void (*destroy)(qcd_netlink_t *this);
};

/**
 * Open a socket to the netfilter of the calling thread's network namespace.
 *
 * @return				NULL with an errno
 */
qcd_netlink_t *qcd_netlink_create(void);

#endif /** QCD_NETLINK_H_ @}*/
