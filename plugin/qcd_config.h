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
 * What the taker does after a token has proved that the peer lost an IKE_SA.
 */
enum qcd_recover_t {
	/** as dpd_action, close_action and start_action of the CHILD_SA say */
	QCD_RECOVER_AUTO,
	/** establish all CHILD_SAs again */
	QCD_RECOVER_RECONNECT,
	/** install trap policies */
	QCD_RECOVER_TRAP,
	/** only delete the lost IKE_SA */
	QCD_RECOVER_NONE,
};

/**
 * Settings below charon.plugins.qcd in strongswan.conf. They are read once,
 * except for those that reload() applies.
 *
 * An invalid value is logged with its key and turns off the roles that need it.
 * An unknown key or section is logged. Both are logged when the settings are read
 * and at each reload.
 */
struct qcd_config_t {

	/**
	 * Whether the roles are enabled
	 */
	bool maker;
	bool taker;

	/**
	 * Whether the maker is off because of an invalid value
	 */
	bool maker_refused;

	/**
	 * Folder of the secrets, the run number and the SA map
	 */
	char *state_dir;

	/**
	 * Number of this gateway among those that share a secret
	 */
	uint32_t node;

	/**
	 * Nodes that this gateway takes over, and the shared address
	 */
	qcd_takeover takeover;

	/**
	 * Length of a token in octets
	 */
	uint32_t token_length;

	/**
	 * Whether the taker's address is part of the token
	 */
	bool bind_address;

	/**
	 * Age in seconds at which a new secret is made, 0 for never
	 */
	uint32_t rotate;

	/**
	 * Replies a second to all peers together, the largest burst of these, and
	 * replies a second to one source
	 */
	uint32_t reply_rate;
	uint32_t reply_burst;
	uint32_t reply_rate_source;

	/**
	 * Messages with tokens that are checked a second, for one source
	 */
	uint32_t verify_rate_source;

	/**
	 * Whether to reply to ESP of lost CHILD_SAs, and whether to announce lost
	 * SAs
	 */
	bool esp;
	bool announce;

	/**
	 * Path of the socket for the qcd command
	 */
	char *socket;

	/**
	 * What to do after a crash of the peer. reload() may change it, so a
	 * recovery reads it only once.
	 */
	_Atomic qcd_recover_t recover;

	/**
	 * Check if a role is enabled for a connection (connections.<name>.maker and
	 * connections.<name>.taker).
	 *
	 * @param name			name of the connection
	 * @param role			"maker" or "taker"
	 * @return				FALSE if it is off or its value is invalid
	 */
	bool (*role_enabled)(qcd_config_t *this, char *name, char *role);

	/**
	 * Check if the peer of an IKE_SA may be told once the SA is lost. The maker
	 * must be enabled for its connection. In a pair of gateways, the SA must
	 * also be at the shared address.
	 *
	 * @param ike_sa		IKE_SA
	 * @return				TRUE if the peer may be told
	 */
	bool (*makes_for)(qcd_config_t *this, ike_sa_t *ike_sa);

	/**
	 * Apply changes in strongswan.conf that can be applied at runtime: recover,
	 * and maker and taker of a connection. An invalid value is logged and
	 * ignored, but turns off the role of a connection. One line lists the changes
	 * that were applied, another one those that need a restart.
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
