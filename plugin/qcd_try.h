/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_try qcd_try
 * @{ @ingroup qcd
 */

#ifndef QCD_TRY_H_
#define QCD_TRY_H_

#include "qcd_wanted.h"

/**
 * Tell whether a connection names its peer, so that a resolver has to be asked.
 *
 * @param ike_cfg		configuration
 * @return				TRUE if one of the peer's addresses is a name
 */
bool qcd_try_is_named(ike_cfg_t *ike_cfg);

/**
 * Get an address to try to reach a peer at, without asking a resolver: where it
 * is configured to be, where it was, and what its name stands for, by turns.
 *
 * @param ike_cfg		configuration
 * @param known			where the peer was
 * @param resolved		what its name stands for, NULL if that is not known
 * @param turn			number of the try
 * @param count			receives the number of addresses to try
 * @return				address, with the configured port
 */
host_t *qcd_try_get_peer(ike_cfg_t *ike_cfg, host_t *known, host_t *resolved,
						 u_int turn, u_int *count);

/**
 * Get the address to reach a peer from: the one that is configured, or what the
 * kernel chooses now.
 *
 * @param ike_cfg		configuration
 * @param peer			address of the peer
 * @return				address, with the configured port; NULL if there is no
 *						route to the peer
 */
host_t *qcd_try_get_source(ike_cfg_t *ike_cfg, host_t *peer);

/**
 * Create an IKE_SA that asks for all that is wanted, not initiated yet.
 *
 * @param wanted		what has to be up
 * @param peer_cfg		configuration
 * @param me			address to send from, adopted
 * @param other			address to send to, adopted
 * @return				IKE_SA, checked out, for qcd_try_initiate(); NULL on failure
 */
ike_sa_t *qcd_try_create(qcd_wanted_t *wanted, peer_cfg_t *peer_cfg, host_t *me,
						 host_t *other);

/**
 * Initiate an IKE_SA, and check it in.
 *
 * ike_sa_t.reestablish() initiates a new SA first and checks it in then. On
 * a fast network the response to IKE_SA_INIT is here before that, the manager
 * knows no such SA and drops it, and all wait four seconds for a retransmission.
 * Here, the thread that got the response waits until the SA is checked in.
 *
 * @param ike_sa		IKE_SA
 * @return				FALSE if it can't be initiated, it is destroyed then
 */
bool qcd_try_initiate(ike_sa_t *ike_sa);

#endif /** QCD_TRY_H_ @}*/
