/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_state qcd_state
 * @{ @ingroup qcd
 */

#ifndef QCD_STATE_H_
#define QCD_STATE_H_

#include "qcd_config.h"
#include "qcd_sa.h"

#include <collections/linked_list.h>
#include <encoding/message.h>

typedef struct qcd_state_t qcd_state_t;

/**
 * State of a token maker: its secrets, the SPIs that it mints, the tokens that
 * its peers hold, the SAs that it buried, and its rate limits.
 *
 * All methods are thread-safe and none waits for an IKE_SA or the bus, so they
 * may be called in listeners.
 */
struct qcd_state_t {

	/**
	 * Mint an IKE SPI. If it replaces one, it is still one of ours once charon
	 * has merged bits of that into it.
	 *
	 * @param old			SPI that is replaced for another try, 0 if none
	 * @return				SPI, 0 if there are no random numbers to be had
	 */
	uint64_t (*mint_spi)(qcd_state_t *this, uint64_t old);

	/**
	 * Get the token that an IKE_SA's peer must be sent, if any.
	 *
	 * @param sa			IKE_SA
	 * @param taker			host of the peer
	 * @param request		request that carries it: the peer holds it once the
	 *						request is answered. NULL if it holds it at once
	 * @param token			receives token, to be wiped
	 * @return				FALSE if the peer holds a good one, or if the SA's SPI
	 *						is none that we could know again
	 */
	bool (*give)(qcd_state_t *this, qcd_sa_t *sa, host_t *taker,
				 message_t *request, qcd_token *token);

	/**
	 * Check if an IKE_SA's peer must be sent a token.
	 *
	 * @param sa			IKE_SA
	 * @param taker			host of the peer
	 * @return				TRUE if so, and none is on its way
	 */
	bool (*is_due)(qcd_state_t *this, qcd_sa_t *sa, host_t *taker);

	/**
	 * Note that a request was answered.
	 *
	 * @param sa			IKE_SA
	 * @param response		response
	 * @return				TRUE if it carried a token
	 */
	bool (*answered)(qcd_state_t *this, qcd_sa_t *sa, message_t *response);

	/**
	 * Note that an IKE_SA must be given a token when there is an exchange.
	 *
	 * @param sa			IKE_SA
	 */
	void (*owe)(qcd_state_t *this, qcd_sa_t *sa);

	/**
	 * Note that an IKE_SA is gone for good, or that it starts anew with other
	 * SPIs. It is buried if its peer has a token.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*bury)(qcd_state_t *this, uint32_t unique_id);

	/**
	 * Decide on a message for which the daemon should have no IKE_SA.
	 *
	 * @param message		octets of the message
	 * @param src			its source
	 * @param dst			its destination
	 * @param is_home		TRUE if its IKE_SA's peer is known to be at its source
	 * @param request		receives what build_reply() needs
	 * @return				what to do
	 */
	enum qcd_judgement (*judge)(qcd_state_t *this, chunk_t message,
								host_t *src, host_t *dst, bool is_home,
								qcd_header *request);

	/**
	 * Build the answer to a request for a lost IKE_SA.
	 *
	 * @param request		request
	 * @param taker			host that asked
	 * @param reply			receives allocated octets of an IKE message
	 * @return				FALSE if the request is too short to be answered
	 */
	bool (*build_reply)(qcd_state_t *this, qcd_header *request, host_t *taker,
						chunk_t *reply);

	/**
	 * Check if an IKE_SA has an SPI that this process minted.
	 *
	 * @param sa			IKE_SA
	 * @return				TRUE if so, which is evidence that it is not lost
	 */
	bool (*owns)(qcd_state_t *this, qcd_sa_t *sa);

	/**
	 * Check if an IKE_SA died with an earlier run of this gateway.
	 *
	 * @param spis			SPIs
	 * @param role			which of them is ours
	 * @return				TRUE if there is evidence
	 */
	bool (*is_lost)(qcd_state_t *this, const qcd_spis *spis,
					enum qcd_role role);

	/**
	 * Decide if somebody is told that a CHILD_SA is lost.
	 *
	 * @param lost			CHILD_SA
	 * @param packet		ESP that somebody sent with its SPI, or NULL if it is
	 *						the peer, without being asked
	 * @return				what to do
	 */
	enum qcd_judgement (*judge_lost)(qcd_state_t *this, const qcd_lost *lost,
									 const qcd_esp *packet);

	/**
	 * Build the message that tells that a CHILD_SA is lost.
	 *
	 * @param lost			CHILD_SA
	 * @param esp_len		octets of the ESP packet that it answers, or 0
	 * @param taker			host that is told
	 * @param message		receives allocated octets of an IKE message
	 * @return				FALSE if the packet is too short to be answered
	 */
	bool (*build_tell)(qcd_state_t *this, const qcd_lost *lost, size_t esp_len,
					   host_t *taker, chunk_t *message);

	/**
	 * Make a new generation of secrets.
	 *
	 * @param error			receives a sentence on failure
	 * @param len			octets at error
	 * @return				FALSE if it could not be made durable, or if a live
	 *						SA's peer would be left with a token that we can't
	 *						make any more
	 */
	bool (*rotate)(qcd_state_t *this, char *error, size_t len);

	/**
	 * Get the IKE_SAs whose peers must be sent a token after a rotation.
	 *
	 * @return				list of qcd_sa_t, all to be freed
	 */
	linked_list_t *(*get_outdated)(qcd_state_t *this);

	/**
	 * Get the seconds since the newest secret was made.
	 */
	uint64_t (*get_age)(qcd_state_t *this);

	/**
	 * Get when each generation was made, the newest first.
	 *
	 * @param made_at		receives seconds since 1970
	 * @return				number of generations
	 */
	u_int (*get_generations)(qcd_state_t *this,
							 uint64_t made_at[QCD_GENERATIONS_MAX]);

	/**
	 * Get the number of the current run.
	 */
	u_int (*get_run)(qcd_state_t *this);

	/**
	 * Check if the peer of an IKE_SA holds a token.
	 *
	 * @param sa			IKE_SA
	 * @param generation	receives the number of rotations since it was new
	 * @return				TRUE if so
	 */
	bool (*is_given)(qcd_state_t *this, qcd_sa_t *sa, u_int *generation);

	/**
	 * Destroy a qcd_state_t.
	 */
	void (*destroy)(qcd_state_t *this);
};

/**
 * Open the state: start a run, take the secrets in.
 *
 * @param config		settings, outlive the state
 * @return				state, NULL if a maker can't be safe here (logged)
 */
qcd_state_t *qcd_state_create(qcd_config_t *config);

#endif /** QCD_STATE_H_ @}*/
