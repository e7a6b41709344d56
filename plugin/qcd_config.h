/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_config qcd_config
 * @{ @ingroup qcd
 */

#ifndef QCD_CONFIG_H_
#define QCD_CONFIG_H_

#include <qcd/qcd.h>

#include <library.h>
#include <sa/ike_sa.h>

typedef struct qcd_config_t qcd_config_t;
typedef enum qcd_recover_t qcd_recover_t;

/**
 * What the taker does once a token has shown that the peer lost an IKE_SA.
 */
enum qcd_recover_t {
	/** as the CHILD_SA's dpd_action, close_action, start_action say */
	QCD_RECOVER_AUTO,
	/** establish all CHILD_SAs again */
	QCD_RECOVER_RECONNECT,
	/** install trap policies */
	QCD_RECOVER_TRAP,
	/** just forget the IKE_SA */
	QCD_RECOVER_NONE,
};

/**
 * Settings below charon.plugins.qcd in strongswan.conf, read once, but for those
 * that reload() takes over.
 *
 * A value that is no value of its key is logged with key and value, and turns
 * the roles off that it concerns.
 */
struct qcd_config_t {

	/**
	 * Roles
	 */
	bool maker;
	bool taker;

	/**
	 * Folder of secrets and run number
	 */
	char *state_dir;

	/**
	 * Number of this gateway among those that share a secret
	 */
	uint32_t node;

	/**
	 * Nodes whose place we take, and the address that we then have
	 */
	qcd_takeover takeover;

	/**
	 * Octets of a token
	 */
	uint32_t token_length;

	/**
	 * Whether the taker's address is part of the token
	 */
	bool bind_address;

	/**
	 * Seconds after which a new secret is made, 0 for never
	 */
	uint32_t rotate;

	/**
	 * Replies a second to all and to one source, at once to all
	 */
	uint32_t reply_rate;
	uint32_t reply_burst;
	uint32_t reply_rate_source;

	/**
	 * Messages a second from one source whose tokens are checked
	 */
	uint32_t verify_rate_source;

	/**
	 * Answer ESP of lost CHILD_SAs, and tell their peers without being asked
	 */
	bool esp;
	bool announce;

	/**
	 * Path of the socket that serves the qcd command
	 */
	char *socket;

	/**
	 * What to do after a crash of the peer. Changed by reload(), so a recovery
	 * reads it once.
	 */
	_Atomic qcd_recover_t recover;

	/**
	 * Check if a role is on for a connection (connections.<name>.maker and
	 * connections.<name>.taker).
	 *
	 * @param name			name of the connection
	 * @param role			"maker" or "taker"
	 * @return				FALSE if it is off, or set to a bad value
	 */
	bool (*role_enabled)(qcd_config_t *this, char *name, char *role);

	/**
	 * Check if the peer of an IKE_SA may be told that the SA is dead, when it
	 * is lost: if the maker is on for its connection, and if, in a pair of
	 * gateways, the SA is at the shared address.
	 *
	 * @param ike_sa		IKE_SA
	 * @return				TRUE if so
	 */
	bool (*makes_for)(qcd_config_t *this, ike_sa_t *ike_sa);

	/**
	 * Take over what has changed in strongswan.conf and can be changed while
	 * the daemon runs: recover. An invalid value is logged and not taken over.
	 * What was taken over, and which other keys need a restart, is logged in
	 * one line each. A connection's own maker and taker are read at each use:
	 * only the line comes from here.
	 */
	void (*reload)(qcd_config_t *this);

	/**
	 * Destroy a qcd_config_t.
	 */
	void (*destroy)(qcd_config_t *this);
};

/**
 * Read the settings.
 *
 * @return				settings
 */
qcd_config_t *qcd_config_create(void);

#endif /** QCD_CONFIG_H_ @}*/
