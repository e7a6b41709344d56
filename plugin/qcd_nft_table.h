/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_nft_table qcd_nft_table
 * @{ @ingroup qcd
 */

#ifndef QCD_NFT_TABLE_H_
#define QCD_NFT_TABLE_H_

#include <library.h>

typedef struct qcd_nft_table_t qcd_nft_table_t;

/**
 * Our table of nftables, with a set of SPIs. Not thread-safe.
 */
struct qcd_nft_table_t {

	/**
	 * Install the table, in the place of one that is there.
	 *
	 * @param group			NFLOG group that packets are logged to, is bound
	 * @param spis			SPIs, each of them once, none of them 0
	 * @param count			number of SPIs
	 * @return				0; or an errno, and there is no new table
	 */
	int (*install)(qcd_nft_table_t *this, uint16_t group, uint32_t *spis,
				   u_int count);

	/**
	 * Add SPIs to the table that is installed.
	 *
	 * @param spis			SPIs, each of them once, none of them 0
	 * @param count			number of SPIs, at least one
	 * @return				0; or an errno, and nothing has changed; ENOENT if
	 *						there is no table
	 */
	int (*add)(qcd_nft_table_t *this, uint32_t *spis, u_int count);

	/**
	 * Remove SPIs from the table that is installed.
	 *
	 * @param spis			SPIs, each of them once
	 * @param count			number of SPIs, at least one
	 * @return				0; or an errno, and nothing has changed; ENOENT if
	 *						there is no table, or not one of the SPIs
	 */
	int (*remove)(qcd_nft_table_t *this, uint32_t *spis, u_int count);

	/**
	 * Remove the table.
	 *
	 * @return				0; or an errno, ENOENT if there is none
	 */
	int (*uninstall)(qcd_nft_table_t *this);

	/**
	 * Log what an error of ours means, and what to do.
	 *
	 * @param error			errno
	 */
	void (*complain)(qcd_nft_table_t *this, int error);

	/**
	 * Destroy a qcd_nft_table_t, with its table.
	 */
	void (*destroy)(qcd_nft_table_t *this);
};

/**
 * Create a qcd_nft_table_t. A table that an earlier process left is removed.
 *
 * @param rate			packets a second that are logged at most
 * @param nat_port		UDP port that gets ESP in UDP, 0 for none
 * @return				NULL if the kernel refuses the table (logged)
 */
qcd_nft_table_t *qcd_nft_table_create(u_int rate, uint16_t nat_port);

#endif /** QCD_NFT_TABLE_H_ @}*/
