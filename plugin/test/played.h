/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup played played
 * @{ @ingroup qcd
 *
 * IKE_SAs, CHILD_SAs and others that return what the test sets. They have the
 * methods that the plugin calls; any other method is NULL.
 */

#ifndef PLAYED_H_
#define PLAYED_H_

#include "qcd_pending.h"
#include "qcd_promises.h"
#include "qcd_wanted.h"

#include <daemon.h>

typedef struct played_ike_t played_ike_t;
typedef struct played_child_t played_child_t;
typedef struct played_task_t played_task_t;
typedef struct played_pending_t played_pending_t;
typedef struct played_wanted_t played_wanted_t;

/**
 * An IKE_SA. The members are the test's to change.
 */
struct played_ike_t {
	ike_sa_t public;
	uint32_t unique_id;
	ike_version_t version;
	char *name;
	ike_sa_id_t *id;
	host_t *me, *other;
	identification_t *my_id, *other_id;
	ike_sa_state_t state;
	/** ike_condition_t, as a mask */
	u_int conditions;
	/** CHILD_SAs, not owned */
	linked_list_t *children;
	/** virtual IPs as host_t: those of the peer, and ours */
	linked_list_t *vips[2];
	/** tasks as task_t that are active or due, and those that are delayed */
	linked_list_t *tasks, *delayed;
	/** how many times delete() and initiate() were called */
	u_int deleted, initiated;
	/** what they return */
	status_t status;
	/** whether a thread has it, and whether the manager was to destroy it */
	bool out, destroyed;
};

/**
 * Play an IKE_SA of "gw" between 192.0.2.1 and 198.51.100.2, established.
 *
 * @param unique_id		unique ID
 * @param sa			SPIs and role
 * @return				IKE_SA, to destroy with played_ike_destroy()
 */
played_ike_t *played_ike_create(uint32_t unique_id, const qcd_ike_sa *sa);

/**
 * Give an IKE_SA other SPIs.
 */
void played_ike_rename(played_ike_t *this, const qcd_ike_sa *sa);

/**
 * Move one end of an IKE_SA.
 *
 * @param local			TRUE for ours
 * @param address		address and port 4500
 */
void played_ike_move(played_ike_t *this, bool local, char *address);

/**
 * Set the peer's identity.
 */
void played_ike_identify(played_ike_t *this, char *id);

/**
 * Destroy an IKE_SA, not its CHILD_SAs.
 */
void played_ike_destroy(played_ike_t *this);

/**
 * A task of a type, for the list of an IKE_SA.
 */
struct played_task_t {
	task_t public;
	task_type_t type;
};

/**
 * Play a task. It has nothing to free.
 */
void played_task_init(played_task_t *this, task_type_t type);

/**
 * Play charon's manager of IKE_SAs: it checks out those of a list, and creates the
 * one that it is given.
 *
 * @param sas			IKE_SAs as played_ike_t, not owned; those that are destroyed
 *						are removed
 * @param created		IKE_SA that create_new() returns, or NULL
 */
void played_manager(linked_list_t *sas, played_ike_t *created);

/**
 * A CHILD_SA. The members are the test's to change.
 */
struct played_child_t {
	child_sa_t public;
	uint32_t unique_id;
	char *name;
	child_sa_state_t state;
	protocol_id_t protocol;
	/** in network order */
	uint32_t spi_in, spi_out;
	bool encap;
	/** monotonic seconds, 0 for none */
	time_t lifetime;
	uint64_t packets_in;
	uint32_t reqid;
	child_cfg_t *cfg;
	/** traffic selectors as traffic_selector_t: the peer's, and ours */
	linked_list_t *ts[2];
};

/**
 * Play a CHILD_SA "net" of ESP, being installed.
 *
 * @param unique_id		unique ID
 * @param spi_in		inbound SPI in host order; that plus one is the outbound one
 * @return				CHILD_SA, to destroy with played_child_destroy()
 */
played_child_t *played_child_create(uint32_t unique_id, uint32_t spi_in);

/**
 * Add a traffic selector.
 *
 * @param local			TRUE for one of ours
 * @param subnet		subnet
 */
void played_child_add_ts(played_child_t *this, bool local, char *subnet);

/**
 * Destroy a CHILD_SA.
 */
void played_child_destroy(played_child_t *this);

/**
 * IKE_SAs that we initiate. The members are the test's to change.
 */
struct played_pending_t {
	qcd_pending_t public;
	struct {
		char *name;
		qcd_pending_sa_t sa;
	} sas[8];
	u_int count;
	/** highest unique ID of any IKE_SA */
	uint32_t youngest;
	/** what was asked for: "repeat 1, claim 2, ask 3", with the unique ID */
	char done[256];
	/** what repeat() and ask() return */
	bool repeats;
	status_t status;
};

/**
 * Begin with none.
 */
void played_pending_init(played_pending_t *this);

/**
 * Add one whose request was sent now, not answered yet.
 *
 * @param unique_id		unique ID, also the first octet of its SPI
 * @param name			name of the connection
 * @param address		address of the peer
 * @return				the one that is added
 */
qcd_pending_sa_t *played_pending_add(played_pending_t *this, uint32_t unique_id,
									 char *name, char *address);

/**
 * Take out all.
 */
void played_pending_clear(played_pending_t *this);

/**
 * How many CHILD_SAs are missing
 */
#define PLAYED_MISSING 2

/**
 * What has to be up, on the connection "gw". The members are the test's to change.
 */
struct played_wanted_t {
	qcd_wanted_t public;
	/** what is_with() says */
	bool with;
	/** how many times tasks were queued and virtual IPs added, and requests taken */
	u_int queued, vips, taken;
	/** what the last take_requests() was told of other tasks */
	u_int others;
};

/**
 * Play what has to be up with a peer at 198.51.100.2.
 */
void played_wanted_init(played_wanted_t *this);

/**
 * Free what belongs to it.
 */
void played_wanted_clear(played_wanted_t *this);

/**
 * Make SPIs of octets that count up from a number.
 *
 * @param sa			receives SPIs
 * @param role			our role
 * @param first			first octet of the initiator's SPI
 */
void played_spis(qcd_ike_sa *sa, enum qcd_role role, uint8_t first);

/**
 * Create the configuration of a connection "gw", without CHILD_SAs: a real one.
 *
 * @param mine			our addresses
 * @param other			the peer's
 * @return				configuration
 */
peer_cfg_t *played_config_create(char *mine, char *other);

/**
 * Create the promises of a run of a gateway: real ones, whose secrets are the same
 * in each run.
 *
 * @param config		receives settings that a maker accepts
 * @param run			number of the run
 * @return				promises, which mint SPIs of that run
 */
qcd_promises_t *played_promises_create(qcd_config_t *config, uint16_t run);

/**
 * Make an IKE_SA whose local SPI is minted and whose remote SPI is made up.
 *
 * @param sa			receives SPIs
 * @param promises		mint the SPI
 * @param role			our role
 */
void played_mint(qcd_ike_sa *sa, qcd_promises_t *promises, enum qcd_role role);

#endif /** PLAYED_H_ @}*/
