/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_child qcd_child
 * @{ @ingroup qcd
 *
 * Queries about a single CHILD_SA, for the taker.
 */

#ifndef QCD_CHILD_H_
#define QCD_CHILD_H_

#include <daemon.h>

/**
 * Tell whether a CHILD_SA should be up: it was neither rekeyed nor deleted.
 *
 * @param child_sa		CHILD_SA
 * @return				TRUE if it should be up
 */
bool qcd_child_should_be_up(child_sa_t *child_sa);

/**
 * Tell whether a CHILD_SA has received any packet.
 *
 * @param child_sa		CHILD_SA
 * @return				TRUE if it has
 */
bool qcd_child_is_used(child_sa_t *child_sa);

/**
 * Tell whether an IKE_SA has a CHILD_SA of this name that carries traffic.
 *
 * @param ike_sa		IKE_SA, checked out
 * @param name			name of the CHILD_SA
 * @return				TRUE if it has
 */
bool qcd_child_is_up(ike_sa_t *ike_sa, char *name);

/**
 * Get the remote traffic selectors of the CHILD_SA of this name that carries
 * traffic.
 *
 * @param ike_sa		IKE_SA, checked out
 * @param name			name of the CHILD_SA
 * @return				list of traffic_selector_t, destroy it with
 *						destroy_offset(); NULL if there is no such CHILD_SA
 */
linked_list_t *qcd_child_get_selectors(ike_sa_t *ike_sa, char *name);

/**
 * Get the remote traffic selectors of a CHILD_SA.
 *
 * @param child_sa		CHILD_SA
 * @return				list of traffic_selector_t, destroy it with
 *						destroy_offset()
 */
linked_list_t *qcd_child_clone_selectors(child_sa_t *child_sa);

/**
 * Tell whether two lists have the same traffic selectors.
 *
 * @param a				list of traffic_selector_t
 * @param b				list to compare it with
 * @return				TRUE if they have
 */
bool qcd_child_same_selectors(linked_list_t *a, linked_list_t *b);

/**
 * Find the configuration of a CHILD_SA.
 *
 * @param peer_cfg		configuration of its connection
 * @param name			name of the CHILD_SA
 * @return				internal configuration, NULL if not found
 */
child_cfg_t *qcd_child_find(peer_cfg_t *peer_cfg, char *name);

#endif /** QCD_CHILD_H_ @}*/
