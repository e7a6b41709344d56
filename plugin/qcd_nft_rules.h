/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_nft_rules qcd_nft_rules
 * @{ @ingroup qcd
 */

#ifndef QCD_NFT_RULES_H_
#define QCD_NFT_RULES_H_

#include "qcd_nft_batch.h"

/**
 * Names of our table and its set
 */
#define QCD_NFT_TABLE "qcd"
#define QCD_NFT_SET "dead"

/**
 * Add what our table has to a transaction: its set, still empty, the chains and
 * the rules.
 *
 * @param batch			transaction, in which the table was added
 * @param rate			packets a second that are logged at most
 * @param nat_port		UDP port that gets ESP in UDP, 0 for none
 * @param group			NFLOG group that packets are logged to
 */
void qcd_nft_rules_add(qcd_nft_batch_t *batch, u_int rate, uint16_t nat_port,
					   uint16_t group);

#endif /** QCD_NFT_RULES_H_ @}*/
