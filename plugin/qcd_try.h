/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_try qcd_try
 * @{ @ingroup qcd
 *
 * Addresses that a try to reach a peer goes to and comes from.
 */

#ifndef QCD_TRY_H_
#define QCD_TRY_H_

#include <daemon.h>

/**
 * Tell whether a connection gives its peer by name, so that DNS is needed.
 *
 * @param ike_cfg		configuration
 * @return				TRUE if one of the peer's addresses is a name
 */
bool qcd_try_is_named(ike_cfg_t *ike_cfg);

/**
 * Get an address at which to try to reach a peer, without DNS. The tries
 * alternate between the configured address, the last known one, and the one
 * that the name resolved to.
 *
 * @param ike_cfg		configuration
 * @param known			last known address of the peer
 * @param resolved		address that its name resolved to, NULL if not known
 * @param turn			number of the try
 * @param count			receives the number of addresses to try
 * @return				address, with the configured port
 */
host_t *qcd_try_get_peer(ike_cfg_t *ike_cfg, host_t *known, host_t *resolved,
						 u_int turn, u_int *count);

/**
 * Get the address from which to reach a peer: the configured one, or the one
 * that the kernel chooses now.
 *
 * @param ike_cfg		configuration
 * @param peer			address of the peer
 * @return				address, with the configured port; NULL if there is no
 *						route to the peer
 */
host_t *qcd_try_get_source(ike_cfg_t *ike_cfg, host_t *peer);

#endif /** QCD_TRY_H_ @}*/
