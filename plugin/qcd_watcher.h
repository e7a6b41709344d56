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
 * Receives a packet with one of the watched SPIs.
 *
 * @param user			what was passed to qcd_watcher_create()
 * @param packet		packet
 */
typedef void (*qcd_watcher_packet_t)(void *user, const qcd_traffic *packet);

/**
 * Watches for packets of lost CHILD_SAs. All methods are thread-safe. They may
 * take long, because the kernel may.
 */
struct qcd_watcher_t {

	/**
	 * Watch for packets with more SPIs.
	 *
	 * @param spis			SPIs
	 * @param count			number of SPIs
	 * @return				FALSE if the kernel refused (logged) and no SPI was
	 *						added
	 */
	bool (*add)(qcd_watcher_t *this, const qcd_child_spi *spis, u_int count);

	/**
	 * Stop watching for packets with these SPIs. SPIs that are not watched are
	 * ignored.
	 *
	 * @param spis			SPIs
	 * @param count			number of SPIs
	 */
	void (*remove)(qcd_watcher_t *this, const qcd_child_spi *spis, u_int count);

	/**
	 * Destroy a qcd_watcher_t. It delivers no packet after this returns.
	 */
	void (*destroy)(qcd_watcher_t *this);
};

/**
 * Prepare to watch.
 *
 * @param rate			maximum number of packets a second, of all SPIs together
 * @param packet		called for each packet, by one thread at a time
 * @param user			passed to packet
 * @return				NULL if nftables or NFLOG can't be used here (logged,
 *						with what to do)
 */
qcd_watcher_t *qcd_watcher_create(u_int rate, qcd_watcher_packet_t packet,
								  void *user);

#endif /** QCD_WATCHER_H_ @}*/
