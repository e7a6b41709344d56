/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_sa qcd_sa
 * @{ @ingroup qcd
 */

#ifndef QCD_SA_H_
#define QCD_SA_H_

#include <qcd/qcd.h>

#include <networking/host.h>
#include <sa/ike_sa.h>

typedef struct qcd_sa_t qcd_sa_t;

/**
 * What names an IKE_SA for libqcd, and for charon: an ID that stays the same where
 * a new try of an SA that is being established gets other SPIs.
 */
struct qcd_sa_t {
	qcd_ike_sa ike;
	uint32_t unique_id;
};

/**
 * Get the name of an IKE_SA.
 *
 * @param ike_sa		IKE_SA, checked out or passed to a listener
 * @param sa			receives its SPIs and our role
 * @return				FALSE if it is no IKEv2 SA, or has just one SPI yet
 */
bool qcd_sa_identify(ike_sa_t *ike_sa, qcd_sa_t *sa);

/**
 * Check out an IKE_SA by its name. Waits until no other thread has it, so never
 * call it in a listener.
 *
 * @param sa			SPIs and role
 * @return				IKE_SA to check in again, NULL if there is none
 */
ike_sa_t *qcd_sa_checkout(qcd_sa_t *sa);

/**
 * Check out an IKE_SA by its name, unless another one has it now. Waits likewise.
 *
 * @param sa			SPIs, role and unique ID
 * @return				IKE_SA to check in again, NULL if it is gone
 */
ike_sa_t *qcd_sa_checkout_same(qcd_sa_t *sa);

/**
 * Check in an IKE_SA, or destroy it if that is what it asks for.
 *
 * @param ike_sa		IKE_SA, checked out
 * @param status		DESTROY_ME to destroy it
 */
void qcd_sa_checkin(ike_sa_t *ike_sa, status_t status);

/**
 * Delete an IKE_SA and tell its peer, if it is still the same.
 *
 * @param sa			IKE_SA, not checked out
 */
void qcd_sa_delete(qcd_sa_t *sa);

/**
 * Tell whether an IKE_SA has a task of a type.
 *
 * @param ike_sa		IKE_SA, checked out
 * @param queue			queue to look at
 * @param type			type of task
 * @return				TRUE if there is one
 */
bool qcd_sa_has_task(ike_sa_t *ike_sa, task_queue_t queue, task_type_t type);

/**
 * Tell whether an IKE_SA has a virtual IP.
 *
 * @param ike_sa		IKE_SA, checked out
 * @param local			TRUE for one of ours, FALSE for one of the peer's
 * @return				TRUE if there is one
 */
bool qcd_sa_has_virtual_ip(ike_sa_t *ike_sa, bool local);

/**
 * Tell whether we can be the initiator of an IKE_SA with the same peer: where it
 * got a virtual IP from us or authenticated with EAP, only the peer can.
 *
 * @param ike_sa		IKE_SA, checked out
 * @return				TRUE if so
 */
bool qcd_sa_is_symmetric(ike_sa_t *ike_sa);

/**
 * Tell whether the daemon has an IKE_SA with these SPIs, in either role. Waits
 * until no other thread has it, so never call it in a listener.
 *
 * That is the second wall before a token is shown: once there is evidence that the
 * SA is dead, it never should (RFC 6290 section 9.2).
 *
 * @param spis			both SPIs
 * @return				TRUE if so
 */
bool qcd_sa_is_alive(const qcd_spis *spis);

/**
 * Hash and compare qcd_spis, to use as keys of a hashtable_t.
 */
u_int qcd_spis_hash(const void *key);
bool qcd_spis_equals(const void *key, const void *other);

/**
 * Hash and compare the addresses of host_t, to use as keys of a hashtable_t.
 */
u_int qcd_host_hash(const void *key);
bool qcd_host_equals(const void *key, const void *other);

/**
 * Convert an IP address.
 *
 * @param host			host, its port is ignored
 * @param address		receives address
 */
void qcd_address_from_host(host_t *host, qcd_address *address);

/**
 * Convert an IP address.
 *
 * @param address		address
 * @param port			port
 * @return				host, NULL if the address is none
 */
host_t *qcd_address_to_host(const qcd_address *address, uint16_t port);

/**
 * Get strong random octets.
 *
 * @param out			receives octets
 * @param len			number of octets
 * @return				FALSE if there are none to be had
 */
bool qcd_random(uint8_t *out, size_t len);

/**
 * Milliseconds of a monotonic clock
 */
uint64_t qcd_now(void);

#endif /** QCD_SA_H_ @}*/
