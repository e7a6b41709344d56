/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_child_list qcd_child_list
 * @{ @ingroup qcd
 */

#ifndef QCD_CHILD_LIST_H_
#define QCD_CHILD_LIST_H_

#include <daemon.h>

typedef struct qcd_child_list_t qcd_child_list_t;
typedef enum qcd_likeness_t qcd_likeness_t;

/**
 * Whether an IKE_SA seems to be with the same peer as a lost one.
 */
enum qcd_likeness_t {
	QCD_UNKNOWN,
	QCD_SAME,
	QCD_OTHER,
};

/**
 * The CHILD_SAs of a connection that have to be up, one for each name, and
 * which of them were up at the last look. Not thread-safe.
 */
struct qcd_child_list_t {

	/**
	 * Add a CHILD_SA, unless the list has one of that name.
	 *
	 * @param cfg			configuration that it had, or is to get
	 * @param child_sa		the lost CHILD_SA, NULL if there is none
	 */
	void (*add)(qcd_child_list_t *this, child_cfg_t *cfg, child_sa_t *child_sa);

	/**
	 * Get the number of CHILD_SAs, whether or not they are still configured.
	 */
	u_int (*get_count)(qcd_child_list_t *this);

	/**
	 * Tell whether one of the CHILD_SAs is no longer configured.
	 *
	 * @param peer_cfg		current configuration of the connection
	 */
	bool (*is_outdated)(qcd_child_list_t *this, peer_cfg_t *peer_cfg);

	/**
	 * Start a look: no CHILD_SA counts as up.
	 */
	void (*look)(qcd_child_list_t *this);

	/**
	 * Count the CHILD_SAs of an IKE_SA as up in this look.
	 *
	 * @param ike_sa		IKE_SA, checked out
	 * @return				number of listed CHILD_SAs that are up on it
	 */
	u_int (*look_at)(qcd_child_list_t *this, ike_sa_t *ike_sa);

	/**
	 * Compare an IKE_SA with the lost one. Another client may have the same
	 * identity or the same address.
	 *
	 * @param peer_cfg		current configuration of the connection
	 * @param ike_sa		IKE_SA, checked out
	 * @return				QCD_SAME if a CHILD_SA is up with the remote
	 *						selectors that it had; QCD_OTHER if one is up with
	 *						other selectors although its configuration is
	 *						unchanged; otherwise QCD_UNKNOWN
	 */
	qcd_likeness_t (*compare)(qcd_child_list_t *this, peer_cfg_t *peer_cfg,
							  ike_sa_t *ike_sa);

	/**
	 * Expect the remote selectors that the CHILD_SAs of an IKE_SA now have.
	 *
	 * @param ike_sa		IKE_SA, checked out
	 */
	void (*learn)(qcd_child_list_t *this, ike_sa_t *ike_sa);

	/**
	 * Count the CHILD_SAs that were not up at the last look. A CHILD_SA that is
	 * neither up nor configured does not count.
	 *
	 * @param peer_cfg		current configuration of the connection
	 * @param all			receives the number of all that count
	 * @return				number of those that were not up
	 */
	u_int (*count_missing)(qcd_child_list_t *this, peer_cfg_t *peer_cfg,
						   u_int *all);

	/**
	 * Queue tasks that create the CHILD_SAs that were not up at the last look.
	 *
	 * @param peer_cfg		current configuration of the connection
	 * @param ike_sa		IKE_SA, checked out
	 * @return				number of tasks
	 */
	u_int (*queue_missing)(qcd_child_list_t *this, peer_cfg_t *peer_cfg,
						   ike_sa_t *ike_sa);

	/**
	 * Move the CHILD_SAs of another list to this one. A CHILD_SA whose name
	 * this list has is dropped.
	 *
	 * @param other			other list, is emptied
	 */
	void (*merge)(qcd_child_list_t *this, qcd_child_list_t *other);

	/**
	 * Drop the CHILD_SAs whose names neither of two other lists has.
	 *
	 * @param one			other list
	 * @param two			other list
	 */
	void (*keep_only)(qcd_child_list_t *this, qcd_child_list_t *one,
					  qcd_child_list_t *two);

	/**
	 * Destroy a qcd_child_list_t.
	 */
	void (*destroy)(qcd_child_list_t *this);
};

/**
 * Create an empty qcd_child_list_t.
 *
 * @return				instance
 */
qcd_child_list_t *qcd_child_list_create(void);

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
 * Find the configuration of a CHILD_SA.
 *
 * @param peer_cfg		configuration of its connection
 * @param name			name of the CHILD_SA
 * @return				internal configuration, NULL if not found
 */
child_cfg_t *qcd_child_find(peer_cfg_t *peer_cfg, char *name);

#endif /** QCD_CHILD_LIST_H_ @}*/
