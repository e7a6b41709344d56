/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_wanted qcd_wanted
 * @{ @ingroup qcd
 */

#ifndef QCD_WANTED_H_
#define QCD_WANTED_H_

#include "qcd_child_list.h"
#include "qcd_config.h"
#include "qcd_sa.h"

#include <daemon.h>

typedef struct qcd_wanted_t qcd_wanted_t;

/**
 * What has to be up again after a crash of the peer: a connection with one peer,
 * and CHILD_SAs of it. It outlives the IKE_SA that was lost.
 *
 * The configuration may change meanwhile. Connection and CHILD_SAs are known by
 * their names, so the current one counts. Not thread-safe.
 */
struct qcd_wanted_t {

	/**
	 * Get the name of the connection.
	 */
	char *(*get_name)(qcd_wanted_t *this);

	/**
	 * Get the address where the peer was.
	 *
	 * @return				internal host
	 */
	host_t *(*get_peer)(qcd_wanted_t *this);

	/**
	 * Get the identity of the peer.
	 *
	 * @return				internal identity
	 */
	identification_t *(*get_peer_id)(qcd_wanted_t *this);

	/**
	 * Tell whether an IKE_SA is with the same peer, by the same connection. The
	 * identities alone don't say: several clients may have the same one, and be
	 * behind the same address.
	 *
	 * @param peer_cfg		current configuration
	 * @param ike_sa		IKE_SA, checked out; none that we began for this
	 * @return				TRUE if it has the same identities, and the CHILD_SAs that
	 *						were lost, or the same address where it has none of these
	 */
	bool (*is_with)(qcd_wanted_t *this, peer_cfg_t *peer_cfg, ike_sa_t *ike_sa);

	/**
	 * Get the current configuration of the connection. Where it is not loaded
	 * any more, and never was by that name, that is the lost IKE_SA's own.
	 *
	 * @return				reference, NULL if the connection is not loaded
	 */
	peer_cfg_t *(*get_config)(qcd_wanted_t *this);

	/**
	 * Get the CHILD_SAs that have to be up.
	 *
	 * @return				internal list
	 */
	qcd_child_list_t *(*get_children)(qcd_wanted_t *this);

	/**
	 * Queue tasks that create the CHILD_SAs that were not up in the last look.
	 *
	 * @param peer_cfg		current configuration
	 * @param ike_sa		IKE_SA, checked out; new, or established
	 */
	void (*queue_missing)(qcd_wanted_t *this, peer_cfg_t *peer_cfg,
						  ike_sa_t *ike_sa);

	/**
	 * Tell whether all CHILD_SAs that were wanted are not configured any more.
	 *
	 * @param peer_cfg		current configuration
	 */
	bool (*is_obsolete)(qcd_wanted_t *this, peer_cfg_t *peer_cfg);

	/**
	 * Tell whether there are tasks of the lost IKE_SA, which create CHILD_SAs that
	 * nobody can name.
	 */
	bool (*has_tasks)(qcd_wanted_t *this);

	/**
	 * Let a new IKE_SA ask for the virtual IPs that the lost one had.
	 *
	 * @param ike_sa		IKE_SA
	 */
	void (*add_virtual_ips)(qcd_wanted_t *this, ike_sa_t *ike_sa);

	/**
	 * Tell whether anything had come in on the lost IKE_SA's CHILD_SAs.
	 */
	bool (*was_used)(qcd_wanted_t *this);

	/**
	 * Take in what is wanted of another IKE_SA with the same peer.
	 *
	 * @param other			destroyed
	 */
	void (*merge)(qcd_wanted_t *this, qcd_wanted_t *other);

	/**
	 * Destroy a qcd_wanted_t.
	 */
	void (*destroy)(qcd_wanted_t *this);
};

/**
 * Find out what has to be up again in place of an IKE_SA that its peer has lost.
 * Installs trap policies where the settings want these. Of one that is about to be
 * closed, only what was requested since then has to be.
 *
 * @param config		settings
 * @param ike_sa		IKE_SA, checked out
 * @return				NULL if nothing has to be done, or if only the peer can
 */
qcd_wanted_t *qcd_wanted_create(qcd_config_t *config, ike_sa_t *ike_sa);

/**
 * Find out what has to be up of a connection that is started when it is loaded,
 * where the peer was faster: all CHILD_SAs whose start_action says so.
 *
 * @param config		settings
 * @param ike_sa		IKE_SA of the peer, checked out
 * @return				NULL if nothing is started
 */
qcd_wanted_t *qcd_wanted_create_started(qcd_config_t *config,
										ike_sa_t *ike_sa);

#endif /** QCD_WANTED_H_ @}*/
