/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * Replies for the tests of those who keep them.
 */

#ifndef REPLY_BOX_H_
#define REPLY_BOX_H_

#include "qcd_reply.h"

/**
 * Create a reply about an SA, in which a number is our SPI and another one is
 * the peer's, to an address and port
 */
static inline qcd_reply_t *reply_box_create(char *address, uint16_t port,
											uint32_t ours, uint32_t theirs,
											qcd_rank_t rank)
{
	qcd_ike_sa sa = {
		.role = QCD_INITIATOR,
	};
	host_t *src = host_create_from_string(address, port);
	host_t *dst = host_create_from_string("192.0.2.1", 500);
	qcd_reply_t *reply;

	memcpy(sa.spis.initiator.octets, &ours, sizeof(ours));
	memcpy(sa.spis.responder.octets, &theirs, sizeof(theirs));
	reply = qcd_reply_create(&sa, src, dst);
	reply->rank = rank;
	src->destroy(src);
	dst->destroy(dst);
	return reply;
}

#endif /** REPLY_BOX_H_ */
