/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_nft_batch qcd_nft_batch
 * @{ @ingroup qcd
 */

#ifndef QCD_NFT_BATCH_H_
#define QCD_NFT_BATCH_H_

#include "qcd_netlink.h"

typedef struct qcd_nft_batch_t qcd_nft_batch_t;

/**
 * A transaction of nftables: messages of which all have their effect, or none.
 */
struct qcd_nft_batch_t {

	/**
	 * Begin a message.
	 *
	 * @param type			NFT_MSG_*
	 * @param flags			NLM_F_*
	 * @return				message to append attributes to, 4096 octets at most,
	 *						until the next one is begun; NULL without memory,
	 *						then commit() fails
	 */
	struct nlmsghdr *(*begin)(qcd_nft_batch_t *this, uint16_t type,
							  uint16_t flags);

	/**
	 * Let commit() fail, as a message could not be completed.
	 */
	void (*fail)(qcd_nft_batch_t *this);

	/**
	 * Append messages that add elements to a set, or delete them.
	 *
	 * @param type			NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM
	 * @param table			name of the table
	 * @param set			name of the set
	 * @param keys			keys, in network order
	 * @param count			number of keys
	 */
	void (*elements)(qcd_nft_batch_t *this, uint16_t type, char *table,
					 char *set, uint32_t *keys, u_int count);

	/**
	 * Send it all, and destroy the batch.
	 *
	 * @param netlink		where to
	 * @return				0, or an errno
	 */
	int (*commit)(qcd_nft_batch_t *this, qcd_netlink_t *netlink);
};

/**
 * Create a transaction in the family inet.
 *
 * @param count			number of elements that it will have
 */
qcd_nft_batch_t *qcd_nft_batch_create(u_int count);

#endif /** QCD_NFT_BATCH_H_ @}*/
