/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_half_open qcd_half_open
 * @{ @ingroup qcd
 */

#ifndef QCD_HALF_OPEN_H_
#define QCD_HALF_OPEN_H_

#include <networking/host.h>

typedef struct qcd_half_open_t qcd_half_open_t;

/**
 * charon's limits for half-open IKE_SAs that others initiate, from its settings.
 */
struct qcd_half_open_t {
	/** maximum number of simultaneous handshakes with one address, 0 for no
	 * limit */
	u_int limit;
	/** number of half-open IKE_SAs of one address below which charon still
	 * accepts a handshake, with a cookie */
	u_int block;
	/** number of handshakes with all addresses that need no cookie, less a
	 * quarter for others */
	u_int free;
	/** maximum number of handshakes with all addresses */
	u_int most;
};

/**
 * Get the limits of this daemon.
 *
 * @param this			receives the limits
 */
void qcd_half_open_init(qcd_half_open_t *this);

/**
 * Tell whether one more peer at an address may be told, so that charon accepts its
 * handshake, and if possible without a cookie. Thread-safe.
 *
 * @param peer			address, its port is ignored
 * @param told			number of peers there that were told and may begin
 * @param handshakes	number of others there whose handshakes are under way
 * @return				TRUE if it may
 */
bool qcd_half_open_allows(const qcd_half_open_t *this, host_t *peer, u_int told,
						  u_int handshakes);

#endif /** QCD_HALF_OPEN_H_ @}*/
