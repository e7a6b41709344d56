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
 * Callback that receives an address. The resolver holds no lock when it calls it.
 *
 * @param data			data of the callback
 * @param number		number that was passed to look_up()
 * @param host			address of the peer, adopted
 */
typedef void (*qcd_resolver_cb_t)(void *data, uintptr_t number, host_t *host);

/**
 * Looks up names of peers, one after the other in one job: a resolver that does
 * not answer blocks one thread, not all of them.
 *
 * All methods are thread-safe and return at once. They may be called with a lock
 * that the callback takes.
 */
struct qcd_resolver_t {

	/**
	 * Look up the name of a connection's peer. The callback is not called if
	 * the connection has no name for its peer, or if the look-up fails. A look-up
	 * with that number that has not begun serves this call as well.
	 *
	 * @param name			name of the connection, cloned
	 * @param number		passed to the callback
	 */
	void (*look_up)(qcd_resolver_t *this, char *name, uintptr_t number);

	/**
	 * Drop the look-up with a number. If it is under way, it still calls back.
	 *
	 * @param number		number that was passed to look_up()
	 */
	void (*cancel)(qcd_resolver_t *this, uintptr_t number);

	/**
	 * Destroy a qcd_resolver_t. Its job has ended.
	 */
	void (*destroy)(qcd_resolver_t *this);
};

/**
 * Create a qcd_resolver_t.
 *
 * @param cb			callback that receives addresses
 * @param data			data of the callback
 * @return				instance
 */
qcd_resolver_t *qcd_resolver_create(qcd_resolver_cb_t cb, void *data);

#endif /** QCD_RESOLVER_H_ @}*/
