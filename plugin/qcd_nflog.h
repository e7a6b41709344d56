/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_nflog qcd_nflog
 * @{ @ingroup qcd
 */

#ifndef QCD_NFLOG_H_
#define QCD_NFLOG_H_

#include "qcd_nft.h"

typedef struct qcd_nflog_t qcd_nflog_t;

/**
 * Gets the packets that rules of nftables log to a group.
 */
struct qcd_nflog_t {

	/**
	 * Get the group that rules have to name.
	 */
	uint16_t (*get_group)(qcd_nflog_t *this);

	/**
	 * Destroy a qcd_nflog_t. No packet is brought any more once this returns.
	 */
	void (*destroy)(qcd_nflog_t *this);
};

/**
 * Bind a group that nobody has, and bring its packets.
 *
 * @param packet		called with each packet, by one thread at a time
 * @param user			passed to packet
 * @return				NULL if that is impossible (logged)
 */
qcd_nflog_t *qcd_nflog_create(qcd_nft_packet_t packet, void *user);

#endif /** QCD_NFLOG_H_ @}*/
