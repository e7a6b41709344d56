/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_secrets qcd_secrets
 * @{ @ingroup qcd
 */

#ifndef QCD_SECRETS_H_
#define QCD_SECRETS_H_

#include "qcd_config.h"

#include <qcd/qcd.h>

typedef struct qcd_secrets_t qcd_secrets_t;

/**
 * What a token maker recovers after a crash: its secrets and the number of its
 * run.
 *
 * All methods are thread-safe and wait for the disk, so none may be called in
 * listeners.
 */
struct qcd_secrets_t {

	/**
	 * Begin another run, because the current one has used up its SPIs.
	 *
	 * @param error			receives a sentence on failure
	 * @param len			size of error
	 * @return				number of the run, 0 if it could not be made durable
	 */
	uint16_t (*next_run)(qcd_secrets_t *this, char *error, size_t len);

	/**
	 * Make a new generation of secrets.
	 *
	 * @param newest		receives its secret, to be wiped
	 * @param error			receives a sentence on failure
	 * @param len			size of error
	 * @return				FALSE if it could not be made durable
	 */
	bool (*rotate)(qcd_secrets_t *this, qcd_secret *newest, char *error,
				   size_t len);

	/**
	 * Get the seconds since the newest secret was made.
	 */
	uint64_t (*get_age)(qcd_secrets_t *this);

	/**
	 * Get the times at which the generations were made, newest first.
	 *
	 * @param made_at		receives seconds since 1970
	 * @return				number of generations
	 */
	u_int (*get_generations)(qcd_secrets_t *this,
							 uint64_t made_at[QCD_GENERATIONS_MAX]);

	/**
	 * Destroy a qcd_secrets_t.
	 */
	void (*destroy)(qcd_secrets_t *this);
};

/**
 * Open the state folder and start a run.
 *
 * @param config		settings
 * @param state			receives the state that a maker starts with, to be wiped
 * @param error			receives a sentence on failure
 * @param len			size of error
 * @return				instance, NULL if a maker would not be safe here
 */
qcd_secrets_t *qcd_secrets_create(qcd_config_t *config, qcd_maker_state *state,
								  char *error, size_t len);

#endif /** QCD_SECRETS_H_ @}*/
