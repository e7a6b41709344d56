/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_contacts qcd_contacts
 * @{ @ingroup qcd
 */

#ifndef QCD_CONTACTS_H_
#define QCD_CONTACTS_H_

#include <networking/host.h>

typedef struct qcd_contacts_t qcd_contacts_t;

/**
 * The last addresses that responded to our requests: when, how long that usually
 * takes, and how many IKE_SAs at a time are good there. Ports are ignored. Not
 * thread-safe.
 */
struct qcd_contacts_t {

	/**
	 * Note that an address has responded.
	 *
	 * @param took			milliseconds from the request, as first sent
	 */
	void (*heard)(qcd_contacts_t *this, host_t *peer, uint64_t took);

	/**
	 * Get when an address last responded.
	 *
	 * @return				as qcd_now(), 0 if not known
	 */
	uint64_t (*get_heard)(qcd_contacts_t *this, host_t *peer);

	/**
	 * Get how many milliseconds a response of an address may take: the longest
	 * of the last ones, which slowly counts less.
	 *
	 * @return				0 if not known
	 */
	u_int (*get_usual)(qcd_contacts_t *this, host_t *peer);

	/**
	 * Note that an IKE_SA with an address is established.
	 *
	 * @param underway		number of IKE_SAs that were being established there
	 */
	void (*completed)(qcd_contacts_t *this, host_t *peer, u_int underway);

	/**
	 * Note that the first request to an address had to be repeated.
	 */
	void (*failed)(qcd_contacts_t *this, host_t *peer);

	/**
	 * Get the number of IKE_SAs that may be begun with an address now.
	 *
	 * @param underway		number of IKE_SAs that are being established there
	 */
	u_int (*get_due)(qcd_contacts_t *this, host_t *peer, u_int underway);

	/**
	 * Destroy a qcd_contacts_t.
	 */
	void (*destroy)(qcd_contacts_t *this);
};

/**
 * Create an empty qcd_contacts_t.
 *
 * @return				instance
 */
qcd_contacts_t *qcd_contacts_create(void);

#endif /** QCD_CONTACTS_H_ @}*/
