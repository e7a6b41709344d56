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
 * Our tokens that peers hold, and the decisions when to show them: libqcd's
 * maker, and its state for each live IKE_SA.
 *
 * All methods are thread-safe. None of them waits for an IKE_SA, the bus or the
 * disk, so they may be called in listeners.
 */
struct qcd_promises_t {

	/**
	 * Mint an SPI.
	 *
	 * @param spi			receives the SPI
	 * @return				FALSE if the run has used up its SPIs
	 */
	bool (*mint)(qcd_promises_t *this, qcd_spi *spi);

	/**
	 * Mint the SPIs of another run from now on.
	 *
	 * @param run			number of the run, durable
	 */
	void (*set_run)(qcd_promises_t *this, uint16_t run);

	/**
	 * Get the number of the current run.
	 */
	u_int (*get_run)(qcd_promises_t *this);

	/**
	 * Check if an SPI may be one of ours, of any run and node.
	 *
	 * @param spi			SPI
	 * @return				TRUE if it may be
	 */
	bool (*knows)(qcd_promises_t *this, const qcd_spi *spi);

	/**
	 * Check if an IKE_SA has an SPI that this process minted.
	 *
	 * @param sa			IKE_SA
	 * @return				TRUE if so: evidence that the IKE_SA is not lost
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
	 * Get the token that must be sent to the peer of an IKE_SA, if any.
	 *
	 * @param sa			IKE_SA
	 * @param taker			host of the peer
	 * @param request		request that carries the token: the peer holds it
	 *						once it has responded. NULL if the peer holds it
	 *						immediately
	 * @param token			receives the token, to be wiped
	 * @return				FALSE if the peer holds a valid token, or if the
	 *						IKE_SA has no SPI that we can recognize after a
	 *						crash
	 */
	bool (*offer)(qcd_promises_t *this, qcd_sa_t *sa, host_t *taker,
				  message_t *request, qcd_token *token);

	/**
	 * Check if the peer of an IKE_SA must be sent a token.
	 *
	 * @param sa			IKE_SA
	 * @param taker			host of the peer
	 * @return				TRUE if so and no token is on its way
	 */
	bool (*is_due)(qcd_promises_t *this, qcd_sa_t *sa, host_t *taker);

	/**
	 * Note that a request got its response.
	 *
	 * @param sa			IKE_SA
	 * @param response		response
	 * @return				TRUE if the request carried a token
	 */
	bool (*answered)(qcd_promises_t *this, qcd_sa_t *sa, message_t *response);

	/**
	 * Note that the peer of an IKE_SA must be given a token with the next
	 * exchange.
	 *
	 * @param sa			IKE_SA
	 */
	void (*owe)(qcd_promises_t *this, qcd_sa_t *sa);

	/**
	 * Note that an IKE_SA was destroyed, or that it starts over with other
	 * SPIs. It is buried if its peer holds a token.
	 *
	 * @param unique_id		unique ID of the IKE_SA
	 */
	void (*bury)(qcd_promises_t *this, uint32_t unique_id);

	/**
	 * Check if the peer of an IKE_SA holds a token.
	 *
	 * @param sa			IKE_SA
	 * @param age			receives the number of rotations since the token was
	 *						made
	 * @return				TRUE if so
	 */
	bool (*is_given)(qcd_promises_t *this, qcd_sa_t *sa, u_int *age);

	/**
	 * Make tokens with a new secret from now on.
	 *
	 * @param newest		secret, durable
	 */
	void (*rotate)(qcd_promises_t *this, const qcd_secret *newest);

	/**
	 * Get the IKE_SAs whose peers hold a token that one more rotation would
	 * invalidate.
	 *
	 * @return				list of qcd_sa_t, free each of them
	 */
	linked_list_t *(*get_last)(qcd_promises_t *this);

	/**
	 * Decide whether to reply to a message for an IKE_SA that the daemon should
	 * not have.
	 *
	 * @param message		octets of the message
	 * @param src			its source
	 * @param dst			its destination
	 * @param is_home		TRUE if the source is the known address of the
	 *						IKE_SA's peer
	 * @param paced			TRUE if the caller limits this reply by its pace:
	 *						rates only disable it, if they are 0
	 * @param request		receives what build_reply() needs
	 * @return				decision
	 */
	enum qcd_judgement (*judge)(qcd_promises_t *this, chunk_t message,
								host_t *src, host_t *dst, bool is_home,
								bool paced, qcd_header *request);

	/**
	 * Build the reply to a request for a lost IKE_SA.
	 *
	 * @param request		request
	 * @param taker			host that sent the request
	 * @param reply			receives allocated octets of an IKE message
	 * @return				FALSE if the request is too short for a reply
	 */
	bool (*build_reply)(qcd_promises_t *this, qcd_header *request, host_t *taker,
						chunk_t *reply);

	/**
	 * Decide whether to tell that a CHILD_SA is lost.
	 *
	 * @param lost			CHILD_SA
	 * @param packet		packet with the SPI of the CHILD_SA, NULL for an
	 *						announcement to the peer
	 * @param paced			as for judge()
	 * @return				decision
	 */
	enum qcd_judgement (*judge_lost)(qcd_promises_t *this, const qcd_lost *lost,
									 const qcd_traffic *packet, bool paced);

	/**
	 * Build the message that tells that a CHILD_SA is lost.
	 *
	 * @param lost			CHILD_SA
	 * @param packet		packet to reply to, or NULL
	 * @param message		receives allocated octets of an IKE message
	 * @return				FALSE if the packet is too short for a reply
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
 * @param state			state that the maker starts with
 * @return				instance, NULL if a setting is out of range
 */
qcd_promises_t *qcd_promises_create(qcd_config_t *config,
									const qcd_maker_state *state);

#endif /** QCD_PROMISES_H_ @}*/
