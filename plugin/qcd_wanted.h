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
 * What has to be up again after a crash of the peer: a connection with one
 * peer, and CHILD_SAs of it. It outlives the lost IKE_SA.
 *
 * The configuration may change meanwhile. Connection and CHILD_SAs are
 * identified by name, and the current configuration applies. Not thread-safe.
 */
struct qcd_wanted_t {

	/**
	 * Name of the connection, identity and last known address of the peer
	 */
	char *name;
	identification_t *peer_id;
	host_t *peer;

	/**
	 * CHILD_SAs that have to be up
	 */
	qcd_child_list_t *children;

	/**
	 * Whether the CHILD_SAs of the lost IKE_SA had received any packet
	 */
	bool used;

	/**
	 * Tell whether an IKE_SA is with the same peer, by the same connection. The
	 * identities alone are not enough: several clients may have the same one
	 * and be behind the same address.
	 *
	 * @param peer_cfg		current configuration
	 * @param ike_sa		IKE_SA, checked out; not one of our tries
	 * @return				TRUE if it has the same identities, and either the
	 *						CHILD_SAs that were lost, or none of these but the
	 *						same address
	 */
	bool (*is_with)(qcd_wanted_t *this, peer_cfg_t *peer_cfg, ike_sa_t *ike_sa);

	/**
	 * Get the current configuration of the connection. If no connection of that
	 * name is loaded and none ever was, this is the configuration of the lost
	 * IKE_SA.
	 *
	 * @return				reference, NULL if the connection is not loaded
	 */
	peer_cfg_t *(*get_config)(qcd_wanted_t *this);

	/**
	 * Queue tasks that create the CHILD_SAs that were not up at the last look,
	 * followed by the requests.
	 *
	 * @param peer_cfg		current configuration
	 * @param ike_sa		IKE_SA, checked out, new or established
	 * @return				number of tasks, without the requests
	 */
	u_int (*queue_missing)(qcd_wanted_t *this, peer_cfg_t *peer_cfg,
						   ike_sa_t *ike_sa);

	/**
	 * Take the requests of a try that is about to be destroyed.
	 *
	 * @param ike_sa		IKE_SA, checked out
	 * @param others		what queue_missing() returned for it, 0 if it was not
	 *						called: all other tasks that create CHILD_SAs are
	 *						requests
	 */
	void (*take_requests)(qcd_wanted_t *this, ike_sa_t *ike_sa, u_int others);

	/**
	 * Move all requests to an IKE_SA.
	 *
	 * @param ike_sa		IKE_SA, checked out
	 */
	void (*queue_requests)(qcd_wanted_t *this, ike_sa_t *ike_sa);

	/**
	 * Tell whether none of the wanted CHILD_SAs is configured any more.
	 *
	 * @param peer_cfg		current configuration
	 */
	bool (*is_obsolete)(qcd_wanted_t *this, peer_cfg_t *peer_cfg);

	/**
	 * Tell whether there are requests: tasks of the lost IKE_SA, or of a try,
	 * that create CHILD_SAs whose names can't be determined.
	 */
	bool (*has_requests)(qcd_wanted_t *this);

	/**
	 * Let a new IKE_SA request the virtual IPs that the lost one had.
	 *
	 * @param ike_sa		IKE_SA
	 */
	void (*add_virtual_ips)(qcd_wanted_t *this, ike_sa_t *ike_sa);

	/**
	 * Merge what is wanted of another IKE_SA with the same peer.
	 *
	 * @param other			merged and destroyed
	 * @param replaced		TRUE if everything wanted so far was up on that
	 *						IKE_SA: what it had no more was closed since then,
	 *						and is not wanted any more
	 */
	void (*merge)(qcd_wanted_t *this, qcd_wanted_t *other, bool replaced);

	/**
	 * Destroy a qcd_wanted_t.
	 */
	void (*destroy)(qcd_wanted_t *this);
};

/**
 * Determine what has to be up again in place of an IKE_SA that its peer has
 * lost. Installs trap policies if the settings say so. If the IKE_SA was about
 * to be closed, only what was requested since then has to be up.
 *
 * @param config		settings
 * @param ike_sa		IKE_SA, checked out
 * @return				NULL if nothing has to be done, or if only the peer can
 *						do it
 */
qcd_wanted_t *qcd_wanted_create(qcd_config_t *config, ike_sa_t *ike_sa);

/**
 * Determine what has to be up of a connection that we start when it is loaded,
 * if the peer was faster: all CHILD_SAs whose start_action says so.
 *
 * @param config		settings
 * @param ike_sa		IKE_SA that the peer initiated, checked out
 * @return				NULL if nothing is started
 */
qcd_wanted_t *qcd_wanted_create_started(qcd_config_t *config,
										ike_sa_t *ike_sa);

#endif /** QCD_WANTED_H_ @}*/
