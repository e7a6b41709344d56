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
 * Whether an IKE_SA seems to be with the same peer as a lost one
 */
enum qcd_likeness_t {
	QCD_UNKNOWN,
	QCD_SAME,
	QCD_OTHER,
};

/**
 * The CHILD_SAs of a connection that have to be up, each name once, and which of
 * them were up in the last look. Not thread-safe.
 */
struct qcd_child_list_t {

	/**
	 * Add a CHILD_SA, unless there is one of that name.
	 *
	 * @param cfg			configuration that it had, or is to have
	 * @param child_sa		the one that is lost, NULL if there is none
	 */
	void (*add)(qcd_child_list_t *this, child_cfg_t *cfg, child_sa_t *child_sa);

	/**
	 * Get the number of CHILD_SAs, configured or not.
	 */
	u_int (*get_count)(qcd_child_list_t *this);

	/**
	 * Tell whether one of the CHILD_SAs is not configured any more.
	 *
	 * @param peer_cfg		current configuration of the connection
	 */
	bool (*is_outdated)(qcd_child_list_t *this, peer_cfg_t *peer_cfg);

	/**
	 * Begin a look at what is up: nothing.
	 */
	void (*look)(qcd_child_list_t *this);

	/**
	 * Look at an IKE_SA, too.
	 *
	 * @param ike_sa		IKE_SA, checked out
	 * @return				number of CHILD_SAs that are up on it
	 */
	u_int (*look_at)(qcd_child_list_t *this, ike_sa_t *ike_sa);

	/**
	 * Compare an IKE_SA with the lost one: another client may have the same
	 * identity, or the same address.
	 *
	 * @param peer_cfg		current configuration of the connection
	 * @param ike_sa		IKE_SA, checked out
	 * @return				QCD_SAME if one of the CHILD_SAs is up with the remote
	 *						selectors that it had, QCD_OTHER if one is up with
	 *						others, though it is still configured as it was, or
	 *						QCD_UNKNOWN
	 */
	qcd_likeness_t (*compare)(qcd_child_list_t *this, peer_cfg_t *peer_cfg,
							  ike_sa_t *ike_sa);

	/**
	 * Take the remote selectors of the CHILD_SAs that an IKE_SA has for those that
	 * they are to have.
	 *
	 * @param ike_sa		IKE_SA, checked out
	 */
	void (*learn)(qcd_child_list_t *this, ike_sa_t *ike_sa);

	/**
	 * Count the CHILD_SAs that were not up in the last look. Those that are
	 * neither up nor configured do not count.
	 *
	 * @param peer_cfg		current configuration of the connection
	 * @param all			receives the number of all that count
	 * @return				number of those that were not up
	 */
	u_int (*count_missing)(qcd_child_list_t *this, peer_cfg_t *peer_cfg,
						   u_int *all);

	/**
	 * Queue tasks that create the CHILD_SAs that were not up in the last look.
	 *
	 * @param peer_cfg		current configuration of the connection
	 * @param ike_sa		IKE_SA, checked out
	 */
	void (*queue_missing)(qcd_child_list_t *this, peer_cfg_t *peer_cfg,
						  ike_sa_t *ike_sa);

	/**
	 * Move the CHILD_SAs of another list here, unless there is one of that name.
	 *
	 * @param other			emptied
	 */
	void (*merge)(qcd_child_list_t *this, qcd_child_list_t *other);

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

#endif /** QCD_CHILD_LIST_H_ @}*/
