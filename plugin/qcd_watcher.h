/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_watcher qcd_watcher
 * @{ @ingroup qcd
 */

#ifndef QCD_WATCHER_H_
#define QCD_WATCHER_H_

#include <qcd/qcd.h>

#include <library.h>

typedef struct qcd_watcher_t qcd_watcher_t;

/**
 * Called with a packet whose SPI is among the watched ones.
 *
 * @param user			what qcd_watcher_create() was given
 * @param packet		packet
 */
typedef void (*qcd_watcher_packet_t)(void *user, const qcd_traffic *packet);

/**
 * Watches for packets of lost CHILD_SAs. All methods are thread-safe; the kernel
 * may take its time.
 */
struct qcd_watcher_t {

	/**
	 * Watch for packets with these SPIs, too.
	 *
	 * @param spis			SPIs
	 * @param count			number of SPIs
	 * @return				FALSE if the kernel refused (logged); none is added
	 */
	bool (*add)(qcd_watcher_t *this, const qcd_child_spi *spis, u_int count);

	/**
	 * Watch for packets with these SPIs no more; some may not be watched.
	 *
	 * @param spis			SPIs
	 * @param count			number of SPIs
	 */
	void (*remove)(qcd_watcher_t *this, const qcd_child_spi *spis, u_int count);

	/**
	 * Destroy a qcd_watcher_t. No packet is brought any more once this returns.
	 */
	void (*destroy)(qcd_watcher_t *this);
};

/**
 * Prepare to watch.
 *
 * @param rate			packets a second that are brought at most, all together
 * @param packet		called with each packet, by one thread at a time
 * @param user			passed to packet
 * @return				NULL if nftables or NFLOG can't be used here (logged,
 *						with what to do)
 */
qcd_watcher_t *qcd_watcher_create(u_int rate, qcd_watcher_packet_t packet,
								  void *user);

#endif /** QCD_WATCHER_H_ @}*/
