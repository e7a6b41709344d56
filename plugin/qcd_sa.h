/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_sa qcd_sa
 * @{ @ingroup qcd
 */

#ifndef QCD_SA_H_
#define QCD_SA_H_

#include <qcd/qcd.h>

#include <collections/hashtable.h>
#include <networking/host.h>
#include <processing/jobs/job.h>
#include <sa/ike_sa.h>
#include <threading/thread.h>

typedef struct qcd_sa_t qcd_sa_t;

/**
 * Identifies an IKE_SA for libqcd and for charon. The unique ID stays the same
 * when an SA that is being established gets other SPIs for a new try.
 */
struct qcd_sa_t {
	qcd_ike_sa ike;
	uint32_t unique_id;
};

/**
 * Get the identity of an IKE_SA.
 *
 * @param ike_sa		IKE_SA, checked out or passed to a listener
 * @param sa			receives its SPIs, our role and its unique ID
 * @return				FALSE if it is not an IKEv2 SA, or has only one SPI yet
 */
bool qcd_sa_identify(ike_sa_t *ike_sa, qcd_sa_t *sa);

/**
 * Get the SPIs of an IKE_SA or of a message.
 *
 * @param id			as charon identifies it
 * @return				SPIs, zero if not known yet
 */
qcd_spis qcd_spis_from_id(ike_sa_id_t *id);

/**
 * Check out an IKE_SA by its SPIs. Waits until no other thread has it, so never
 * call it in a listener.
 *
 * @param sa			SPIs and role
 * @return				IKE_SA to check in again, NULL if not found
 */
ike_sa_t *qcd_sa_checkout(qcd_sa_t *sa);

/**
 * Check out an IKE_SA by its SPIs, if it still has the same unique ID. Waits
 * like qcd_sa_checkout().
 *
 * @param sa			SPIs, role and unique ID
 * @return				IKE_SA to check in again, NULL if it is gone
 */
ike_sa_t *qcd_sa_checkout_same(qcd_sa_t *sa);

/**
 * Check in an IKE_SA, or destroy it if the status says so.
 *
 * @param ike_sa		IKE_SA, checked out
 * @param status		DESTROY_ME to destroy it
 */
void qcd_sa_checkin(ike_sa_t *ike_sa, status_t status);

/**
 * Delete an IKE_SA, if it is still the same one, and notify its peer.
 *
 * @param sa			IKE_SA, not checked out
 */
void qcd_sa_delete(qcd_sa_t *sa);

/**
 * Tell whether an IKE_SA has a task of a given type.
 *
 * @param ike_sa		IKE_SA, checked out
 * @param queue			queue to search
 * @param type			type of task
 * @return				TRUE if it has
 */
bool qcd_sa_has_task(ike_sa_t *ike_sa, task_queue_t queue, task_type_t type);

/**
 * Tell whether an IKE_SA is being closed only to be opened again. Without
 * make_before_break, charon begins the new one once the peer has responded.
 *
 * @param ike_sa		IKE_SA, checked out
 */
bool qcd_sa_is_reopened(ike_sa_t *ike_sa);

/**
 * Tell whether an IKE_SA is to be closed for good. charon has its DELETE wait for
 * the response to another request.
 *
 * @param ike_sa		IKE_SA, checked out
 */
bool qcd_sa_is_to_be_closed(ike_sa_t *ike_sa);

/**
 * Tell whether an IKE_SA waits for the response to a request.
 *
 * @param ike_sa		IKE_SA, checked out
 */
bool qcd_sa_is_waiting(ike_sa_t *ike_sa);

/**
 * Make the queued tasks of a given type due, also those that charon delays.
 *
 * @param ike_sa		IKE_SA, checked out; initiate() begins the tasks
 * @param type			type of task
 * @return				FALSE if there is none
 */
bool qcd_sa_hasten(ike_sa_t *ike_sa, task_type_t type);

/**
 * Tell whether an IKE_SA has a virtual IP.
 *
 * @param ike_sa		IKE_SA, checked out
 * @param local			TRUE for ours, FALSE for the peer's
 * @return				TRUE if it has
 */
bool qcd_sa_has_virtual_ip(ike_sa_t *ike_sa, bool local);

/**
 * Tell whether we can initiate an IKE_SA with the same peer. If the peer got a
 * virtual IP from us or authenticated with EAP, only the peer can.
 *
 * @param ike_sa		IKE_SA, checked out
 * @return				TRUE if we can
 */
bool qcd_sa_is_symmetric(ike_sa_t *ike_sa);

/**
 * Tell whether the daemon has an IKE_SA with these SPIs, in either role. Waits
 * until no other thread has it, so never call it in a listener.
 *
 * This is the second wall before a token is shown: the daemon should never have
 * it once there is evidence that the SA is lost (RFC 6290 section 9.2).
 *
 * @param spis			both SPIs
 * @return				TRUE if it has
 */
bool qcd_sa_is_alive(const qcd_spis *spis);

/**
 * Hash and compare qcd_spi or qcd_spis, for use as keys of a hashtable_t.
 */
u_int qcd_spi_hash(const void *key);
bool qcd_spi_equals(const void *key, const void *other);
u_int qcd_spis_hash(const void *key);
bool qcd_spis_equals(const void *key, const void *other);

/**
 * Hash and compare the addresses of host_t, for use as keys of a hashtable_t.
 */
u_int qcd_host_hash(const void *key);
bool qcd_host_equals(const void *key, const void *other);

/**
 * Get the entry of a name from a table, adding one that is all zero but for its
 * name if there is none.
 *
 * @param table			table of entries by name, whose first member is the name
 * @param name			name, cloned
 * @param size			size of an entry
 * @return				entry, for qcd_named_destroy()
 */
void *qcd_named_get(hashtable_t *table, char *name, size_t size);

/**
 * Destroy an entry and its name.
 */
void qcd_named_destroy(void *entry);

/**
 * Hash a number that is a key of a hashtable_t itself, such as a unique ID. With
 * charon's hashtable_hash_ptr(), a handshake spends more time on the hash than on
 * the rest of a look-up. Numbers that others choose must be hashes already.
 */
u_int qcd_number_hash(const void *key);

/**
 * Change a number in a table of numbers that are not 0, for keys of
 * qcd_number_hash().
 *
 * @param table			table of numbers by their keys
 * @param key			key
 * @param change		what is added to the number, 0 to look it up
 * @return				new number
 */
u_int qcd_count_change(hashtable_t *table, uintptr_t key, int change);

/**
 * Convert a host_t to an IP address of libqcd.
 *
 * @param host			host, its port is ignored
 * @param address		receives address
 */
void qcd_address_from_host(host_t *host, qcd_address *address);

/**
 * Convert an IP address of libqcd to a host_t.
 *
 * @param address		address
 * @param port			port
 * @return				host, NULL if the address is invalid
 */
host_t *qcd_address_to_host(const qcd_address *address, uint16_t port);

/**
 * Get strong random octets.
 *
 * @param out			receives the octets
 * @param len			number of octets
 * @return				FALSE if the random number generator failed
 */
bool qcd_random(uint8_t *out, size_t len);

/**
 * Have charon run a job.
 *
 * @param run			callback_job_cb_t that does it
 * @param data			passed to run
 * @param cleanup		frees data, or NULL
 * @param prio			priority
 * @param delay			milliseconds from now, 0 to queue it at once
 */
void qcd_job_queue(void *run, void *data, void *cleanup, job_priority_t prio,
				   u_int delay);

/**
 * Start a thread with the signals blocked that charon's main thread handles.
 *
 * charon blocks them only after it has created the plugins. A thread started
 * before that could receive a signal while the main thread handles another one.
 * The default action of each of these signals terminates the daemon.
 *
 * @param run			main function
 * @param data			its argument
 * @return				thread, NULL on failure
 */
thread_t *qcd_thread_create(thread_main_t run, void *data);

/**
 * Get the time of a monotonic clock in milliseconds.
 */
uint64_t qcd_now(void);

#endif /** QCD_SA_H_ @}*/
