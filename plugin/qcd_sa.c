/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_sa.h"

#include <pthread.h>
#include <signal.h>

#include <daemon.h>
#include <processing/jobs/callback_job.h>

/*
 * Described in header
 */
bool qcd_sa_identify(ike_sa_t *ike_sa, qcd_sa_t *sa)
{
	ike_sa_id_t *id;

	if (ike_sa->get_version(ike_sa) != IKEV2)
	{
		return FALSE;
	}
	id = ike_sa->get_id(ike_sa);
	sa->ike.spis = qcd_spis_from_id(id);
	sa->ike.role = id->is_initiator(id) ? QCD_INITIATOR : QCD_RESPONDER;
	sa->unique_id = ike_sa->get_unique_id(ike_sa);
	return id->get_initiator_spi(id) && id->get_responder_spi(id);
}

/*
 * Described in header
 */
qcd_spis qcd_spis_from_id(ike_sa_id_t *id)
{
	uint64_t spi_i = id->get_initiator_spi(id);
	uint64_t spi_r = id->get_responder_spi(id);
	qcd_spis spis;

	memcpy(&spis.initiator, &spi_i, sizeof(spi_i));
	memcpy(&spis.responder, &spi_r, sizeof(spi_r));
	return spis;
}

/*
 * Described in header
 */
ike_sa_t *qcd_sa_checkout(qcd_sa_t *sa)
{
	ike_sa_id_t *id;
	ike_sa_t *ike_sa;
	uint64_t spi_i, spi_r;

	memcpy(&spi_i, &sa->ike.spis.initiator, sizeof(spi_i));
	memcpy(&spi_r, &sa->ike.spis.responder, sizeof(spi_r));
	id = ike_sa_id_create(IKEV2_MAJOR_VERSION, spi_i, spi_r,
						  sa->ike.role == QCD_INITIATOR);
	ike_sa = charon->ike_sa_manager->checkout(charon->ike_sa_manager, id);
	id->destroy(id);
	return ike_sa;
}

/*
 * Described in header
 */
ike_sa_t *qcd_sa_checkout_same(qcd_sa_t *sa)
{
	ike_sa_t *ike_sa = qcd_sa_checkout(sa);

	if (ike_sa && ike_sa->get_unique_id(ike_sa) != sa->unique_id)
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
		return NULL;
	}
	return ike_sa;
}

/*
 * Described in header
 */
void qcd_sa_checkin(ike_sa_t *ike_sa, status_t status)
{
	if (status == DESTROY_ME)
	{
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
	}
	else
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
}

/*
 * Described in header
 */
void qcd_sa_delete(qcd_sa_t *sa)
{
	ike_sa_t *ike_sa = qcd_sa_checkout_same(sa);

	if (ike_sa)
	{
		qcd_sa_checkin(ike_sa, ike_sa->delete(ike_sa, FALSE));
	}
}

/*
 * Described in header
 */
bool qcd_sa_has_task(ike_sa_t *ike_sa, task_queue_t queue, task_type_t type)
{
	enumerator_t *enumerator;
	task_t *task;
	bool found = FALSE;

	enumerator = ike_sa->create_task_enumerator(ike_sa, queue);
	while (enumerator->enumerate(enumerator, &task))
	{
		found |= task->get_type(task) == type;
	}
	enumerator->destroy(enumerator);
	return found;
}

/*
 * Described in header
 */
bool qcd_sa_is_reopened(ike_sa_t *ike_sa)
{
	return ike_sa->get_state(ike_sa) == IKE_DELETING &&
		   ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING);
}

/*
 * Described in header
 */
bool qcd_sa_is_to_be_closed(ike_sa_t *ike_sa)
{
	return !ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING) &&
		   (qcd_sa_has_task(ike_sa, TASK_QUEUE_ACTIVE, TASK_IKE_DELETE) ||
			qcd_sa_has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_DELETE));
}

/*
 * Described in header
 */
bool qcd_sa_is_waiting(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	task_t *task;
	bool waiting;

	enumerator = ike_sa->create_task_enumerator(ike_sa, TASK_QUEUE_ACTIVE);
	waiting = enumerator->enumerate(enumerator, &task);
	enumerator->destroy(enumerator);
	return waiting;
}

/*
 * Described in header
 */
bool qcd_sa_hasten(ike_sa_t *ike_sa, task_type_t type)
{
	linked_list_t *tasks = linked_list_create();
	enumerator_t *enumerator;
	task_t *task;
	bool any;

	enumerator = ike_sa->create_task_enumerator(ike_sa, TASK_QUEUE_QUEUED);
	while (enumerator->enumerate(enumerator, &task))
	{
		if (task->get_type(task) == type)
		{
			ike_sa->remove_task(ike_sa, enumerator);
			tasks->insert_last(tasks, task);
		}
	}
	enumerator->destroy(enumerator);
	any = tasks->get_count(tasks) > 0;
	while (tasks->remove_first(tasks, (void**)&task) == SUCCESS)
	{
		ike_sa->queue_task(ike_sa, task);
	}
	tasks->destroy(tasks);
	return any;
}

/*
 * Described in header
 */
bool qcd_sa_has_virtual_ip(ike_sa_t *ike_sa, bool local)
{
	enumerator_t *enumerator;
	host_t *vip;
	bool has;

	enumerator = ike_sa->create_virtual_ip_enumerator(ike_sa, local);
	has = enumerator->enumerate(enumerator, &vip);
	enumerator->destroy(enumerator);
	return has;
}

/*
 * Described in header
 */
bool qcd_sa_is_symmetric(ike_sa_t *ike_sa)
{
	return ike_sa->has_condition(ike_sa, COND_ORIGINAL_INITIATOR) ||
		   (!qcd_sa_has_virtual_ip(ike_sa, FALSE) &&
			!ike_sa->has_condition(ike_sa, COND_EAP_AUTHENTICATED));
}

/*
 * Described in header
 */
bool qcd_sa_is_alive(const qcd_spis *spis)
{
	enum qcd_role roles[] = { QCD_INITIATOR, QCD_RESPONDER };
	ike_sa_t *ike_sa;
	int i;

	for (i = 0; i < countof(roles); i++)
	{
		qcd_sa_t sa = {
			.ike = { *spis, roles[i] },
		};

		ike_sa = qcd_sa_checkout(&sa);
		if (ike_sa)
		{
			charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
			return TRUE;
		}
	}
	return FALSE;
}

/*
 * Described in header
 */
u_int qcd_spi_hash(const void *key)
{
	return chunk_hash(chunk_create((u_char*)key, sizeof(qcd_spi)));
}

/*
 * Described in header
 */
bool qcd_spi_equals(const void *key, const void *other)
{
	return memeq(key, other, sizeof(qcd_spi));
}

/*
 * Described in header
 */
u_int qcd_spis_hash(const void *key)
{
	return chunk_hash(chunk_create((u_char*)key, sizeof(qcd_spis)));
}

/*
 * Described in header
 */
bool qcd_spis_equals(const void *key, const void *other)
{
	return memeq(key, other, sizeof(qcd_spis));
}

/*
 * Described in header
 */
u_int qcd_host_hash(const void *key)
{
	host_t *host = (host_t*)key;

	return chunk_hash(host->get_address(host));
}

/*
 * Described in header
 */
bool qcd_host_equals(const void *key, const void *other)
{
	host_t *host = (host_t*)key;

	return host->ip_equals(host, (host_t*)other);
}

/*
 * Described in header
 */
void *qcd_named_get(hashtable_t *table, char *name, size_t size)
{
	char **entry = table->get(table, name);

	if (!entry)
	{
		entry = calloc(1, size);
		*entry = strdup(name);
		table->put(table, *entry, entry);
	}
	return entry;
}

/*
 * Described in header
 */
void qcd_named_destroy(void *entry)
{
	free(*(char**)entry);
	free(entry);
}

/*
 * Described in header
 */
u_int qcd_number_hash(const void *key)
{
	return (uintptr_t)key;
}

/*
 * Described in header
 */
u_int qcd_count_change(hashtable_t *table, uintptr_t key, int change)
{
	uintptr_t count = (uintptr_t)table->get(table, (void*)key);

	if (change)
	{
		count += change;
		if (count)
		{
			table->put(table, (void*)key, (void*)count);
		}
		else
		{
			table->remove(table, (void*)key);
		}
	}
	return count;
}

/*
 * Described in header
 */
void qcd_address_from_host(host_t *host, qcd_address *address)
{
	chunk_t octets = host->get_address(host);

	memset(address, 0, sizeof(*address));
	address->len = min(octets.len, sizeof(address->octets));
	memcpy(address->octets, octets.ptr, address->len);
}

/*
 * Described in header
 */
host_t *qcd_address_to_host(const qcd_address *address, uint16_t port)
{
	return host_create_from_chunk(address->len == 4 ? AF_INET : AF_INET6,
						chunk_create((u_char*)address->octets, address->len),
						port);
}

/*
 * Described in header
 */
bool qcd_random(uint8_t *out, size_t len)
{
	bool success;
	rng_t *rng;

	rng = lib->crypto->create_rng(lib->crypto, RNG_STRONG);
	success = rng && rng->get_bytes(rng, len, out);
	DESTROY_IF(rng);
	return success;
}

/*
 * Described in header
 */
thread_t *qcd_thread_create(thread_main_t run, void *data)
{
	sigset_t handled, old;
	thread_t *thread;

	sigemptyset(&handled);
	sigaddset(&handled, SIGHUP);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &handled, &old);
	thread = thread_create(run, data);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return thread;
}

/*
 * Described in header
 */
void qcd_job_queue(void *run, void *data, void *cleanup, job_priority_t prio,
				   u_int delay)
{
	job_t *job = (job_t*)callback_job_create_with_prio(run, data, cleanup, NULL,
													   prio);

	if (delay)
	{
		lib->scheduler->schedule_job_ms(lib->scheduler, job, delay);
	}
	else
	{
		lib->processor->queue_job(lib->processor, job);
	}
}

/*
 * Described in header
 */
uint64_t qcd_now()
{
	timeval_t tv;

	time_monotonic(&tv);
	return (uint64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000;
}
