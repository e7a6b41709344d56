/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_resolver qcd_resolver
 * @{ @ingroup qcd
 */

#ifndef QCD_RESOLVER_H_
#define QCD_RESOLVER_H_

#include <library.h>
#include <networking/host.h>

typedef struct qcd_resolver_t qcd_resolver_t;

/**
 * Receives an address. The resolver holds no lock when it calls this.
 *
 * @param data			as passed to qcd_resolver_create()
 * @param number		number that was passed to look_up()
 * @param host			address of the peer, adopted
 */
typedef void (*qcd_resolver_cb_t)(void *data, uintptr_t number, host_t *host);

/**
 * Looks up the names of peers, one after the other in one job. A DNS server
 * that does not respond thus blocks only one thread.
 *
 * All methods are thread-safe and return immediately. The caller may hold a
 * lock that the callback takes.
 */
struct qcd_resolver_t {

	/**
	 * Look up the name of a connection's peer. The callback is not called if
	 * the connection has no name for its peer or if the lookup fails. If a
	 * lookup with the same number is waiting, it serves this call as well.
	 *
	 * @param name			name of the connection, cloned
	 * @param number		passed to the callback
	 */
	void (*look_up)(qcd_resolver_t *this, char *name, uintptr_t number);

	/**
	 * Drop the lookup with a number. A lookup in progress still calls back.
	 *
	 * @param number		number that was passed to look_up()
	 */
	void (*cancel)(qcd_resolver_t *this, uintptr_t number);

	/**
	 * Destroy a qcd_resolver_t. All jobs must have ended.
	 */
	void (*destroy)(qcd_resolver_t *this);
};

/**
 * Create a qcd_resolver_t.
 *
 * @param cb			receives addresses
 * @param data			passed to cb
 * @return				instance
 */
qcd_resolver_t *qcd_resolver_create(qcd_resolver_cb_t cb, void *data);

#endif /** QCD_RESOLVER_H_ @}*/
