/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_nft qcd_nft
 * @{ @ingroup qcd
 */

#ifndef QCD_NFT_H_
#define QCD_NFT_H_

#include <library.h>

#include <qcd/qcd.h>

typedef struct qcd_nft_t qcd_nft_t;

/**
 * Called with a packet whose SPI is among the watched ones.
 *
 * @param user			what qcd_nft_create() was given
 * @param packet		IP packet from its first octet on, QCD_NFT_COPY octets of
 *						it at most
 */
typedef void (*qcd_nft_packet_t)(void *user, chunk_t packet);

/**
 * Octets of a packet that are brought to us
 */
#define QCD_NFT_COPY 128

/**
 * Watches for packets of ESP, of ESP in UDP, and of AH, with certain SPIs: the kernel
 * compares the SPIs (an nftables table of our own, with a set), limits the rate
 * and brings the packets by NFLOG. Half of the rate is for SPIs of which few
 * packets come, so that a flood with one of them can't hold back the others.
 * While no SPI is watched there is no table, and no packet costs anything.
 *
 * The table is "inet qcd". It is owned by this process (the flag owner): a
 * firewall that flushes its ruleset leaves it alone, and the kernel removes it
 * if we crash. On a kernel that knows no owners it is an ordinary table, and
 * one that a crash left is replaced. Nothing else of the ruleset is touched.
 *
 * The set doesn't tell ESP from AH: of one number for both, each brings the
 * packets of the other as well, and the first that is removed takes the other
 * with it.
 *
 * All methods are thread-safe.
 */
struct qcd_nft_t {

	/**
	 * Watch for packets with these SPIs, too.
	 *
	 * @param spis			SPIs
	 * @param count			number of SPIs
	 * @return				FALSE if the kernel refused (logged); none is added
	 */
	bool (*add)(qcd_nft_t *this, const qcd_child_spi *spis, u_int count);

	/**
	 * Watch for packets with these SPIs no more; some may not be watched. With
	 * the last SPI the table goes.
	 *
	 * @param spis			SPIs
	 * @param count			number of SPIs
	 */
	void (*remove)(qcd_nft_t *this, const qcd_child_spi *spis, u_int count);

	/**
	 * Get the number of SPIs that are watched.
	 */
	u_int (*get_count)(qcd_nft_t *this);

	/**
	 * Remove the table and destroy a qcd_nft_t. No packet is brought any more
	 * once this returns.
	 */
	void (*destroy)(qcd_nft_t *this);
};

/**
 * Prepare to watch. A table that an earlier process left is removed.
 *
 * @param rate			packets a second that are brought at most, all together
 * @param nat_port		our UDP port for IKE and ESP behind NAT, 0 for none
 * @param packet		called with each packet, by one thread at a time
 * @param user			passed to packet
 * @return				NULL if nftables or NFLOG can't be used here (logged,
 *						with what to do)
 */
qcd_nft_t *qcd_nft_create(u_int rate, uint16_t nat_port,
						  qcd_nft_packet_t packet, void *user);

#endif /** QCD_NFT_H_ @}*/
