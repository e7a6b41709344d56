/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_promises qcd_promises
 * @{ @ingroup qcd
 */

#ifndef QCD_PROMISES_H_
#define QCD_PROMISES_H_

#include "qcd_config.h"
#include "qcd_sa.h"

#include <collections/linked_list.h>
#include <encoding/message.h>

typedef struct qcd_promises_t qcd_promises_t;

/**
 * Our tokens that peers hold, and when they are shown: the maker of libqcd, and
 * what it keeps with each live IKE_SA.
 *
 * All methods are thread-safe and none waits for an IKE_SA, the bus or a disk, so
 * they may be called in listeners.
 */
struct qcd_promises_t {

	/**
	 * Mint an SPI.
	 *
	 * @param spi			receives SPI
	 * @return				FALSE if the run has used up its own
	 */
	bool (*mint)(qcd_promises_t *this, qcd_spi *spi);

	/**
	 * Mint SPIs of another run from now on.
	 *
	 * @param run			number, durable
	 */
	void (*set_run)(qcd_promises_t *this, uint16_t run);

	/**
	 * Get the number of the run whose SPIs are minted now.
	 */
	u_int (*get_run)(qcd_promises_t *this);

	/**
	 * Check if an SPI could be taken for one of ours, of whatever run or node.
	 *
	 * @param spi			SPI
	 * @return				TRUE if so
	 */
	bool (*knows)(qcd_promises_t *this, const qcd_spi *spi);

	/**
	 * Check if an IKE_SA has an SPI that this process minted.
	 *
	 * @param sa			IKE_SA
	 * @return				TRUE if so, which is evidence that it is not lost
	 */
	bool (*owns)(qcd_promises_t *this, const qcd_ike_sa *sa);

	/**
	 * Check if an IKE_SA died with an earlier run of this gateway.
	 *
	 * @param sa			IKE_SA
	 * @return				TRUE if there is evidence
	 */
	bool (*is_lost)(qcd_promises_t *this, const qcd_ike_sa *sa);

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
	bool (*offer)(qcd_promises_t *this, qcd_sa_t *sa, host_t *taker,
				  message_t *request, qcd_token *token);

	/**
	 * Check if an IKE_SA's peer must be sent a token.
	 *
	 * @param sa			IKE_SA
	 * @param taker			host of the peer
	 * @return				TRUE if so, and none is on its way
	 */
	bool (*is_due)(qcd_promises_t *this, qcd_sa_t *sa, host_t *taker);

	/**
	 * Note that a request was answered.
	 *
	 * @param sa			IKE_SA
	 * @param response		response
	 * @return				TRUE if it carried a token
	 */
	bool (*answered)(qcd_promises_t *this, qcd_sa_t *sa, message_t *response);

	/**
	 * Note that an IKE_SA must be given a token when there is an exchange.
	 *
	 * @param sa			IKE_SA
	 */
	void (*owe)(qcd_promises_t *this, qcd_sa_t *sa);

	/**
	 * Note that an IKE_SA is gone for good, or that it starts anew with other
	 * SPIs. It is buried if its peer has a token.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*bury)(qcd_promises_t *this, uint32_t unique_id);

	/**
	 * Check if the peer of an IKE_SA holds a token.
	 *
	 * @param sa			IKE_SA
	 * @param age			receives the number of rotations since it was new
	 * @return				TRUE if so
	 */
	bool (*is_given)(qcd_promises_t *this, qcd_sa_t *sa, u_int *age);

	/**
	 * Make tokens of a new secret from now on.
	 *
	 * @param newest		secret, durable
	 */
	void (*rotate)(qcd_promises_t *this, const qcd_secret *newest);

	/**
	 * Get the IKE_SAs whose peers hold a token that one more rotation would end.
	 *
	 * @return				list of qcd_sa_t, all to be freed
	 */
	linked_list_t *(*get_last)(qcd_promises_t *this);

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
	enum qcd_judgement (*judge)(qcd_promises_t *this, chunk_t message,
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
	bool (*build_reply)(qcd_promises_t *this, qcd_header *request, host_t *taker,
						chunk_t *reply);

	/**
	 * Decide if somebody is told that a CHILD_SA is lost.
	 *
	 * @param lost			CHILD_SA
	 * @param packet		packet that somebody sent with its SPI, or NULL if it is
	 *						the peer, without being asked
	 * @return				what to do
	 */
	enum qcd_judgement (*judge_lost)(qcd_promises_t *this, const qcd_lost *lost,
									 const qcd_traffic *packet);

	/**
	 * Build the message that tells that a CHILD_SA is lost.
	 *
	 * @param lost			CHILD_SA
	 * @param packet		packet that it answers, or NULL
	 * @param message		receives allocated octets of an IKE message
	 * @return				FALSE if the packet is too short to be answered
	 */
	bool (*build_tell)(qcd_promises_t *this, const qcd_lost *lost,
					   const qcd_traffic *packet, chunk_t *message);

	/**
	 * Destroy a qcd_promises_t.
	 */
	void (*destroy)(qcd_promises_t *this);
};

/**
 * Create a qcd_promises_t.
 *
 * @param config		settings
 * @param state			what the maker begins with
 * @return				instance, NULL if a setting is out of its range
 */
qcd_promises_t *qcd_promises_create(qcd_config_t *config,
									const qcd_maker_state *state);

#endif /** QCD_PROMISES_H_ @}*/
