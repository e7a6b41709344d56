/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_control.h"
#include "qcd_json.h"
#include "qcd_sa.h"

#include <stdatomic.h>

#include <daemon.h>
#include <collections/hashtable.h>

#define ERROR_MAX 512

/**
 * Add the first object of a response
 */
static void add_result(qcd_json_t *json, char *error)
{
	json->begin(json, NULL);
	json->add_bool(json, "ok", !error);
	if (error)
	{
		json->add_str(json, "error", error);
	}
}

/**
 * Get the token maker, NULL if it is off
 */
static qcd_maker_t *get_maker(qcd_control_t *this, char error[ERROR_MAX])
{
	return this->starter->get_maker(this->starter, error, ERROR_MAX);
}

/**
 * Add the object about the gateway as a whole
 */
static void add_gateway(qcd_control_t *this, qcd_json_t *json)
{
	char error[ERROR_MAX];
	qcd_maker_t *maker = get_maker(this, error);

	json->begin(json, "gateway");
	json->add_bool(json, "maker", maker != NULL);
	json->add_bool(json, "taker", this->taker != NULL);
	if (maker)
	{
		maker->describe(maker, json);
	}
	else if (*error)
	{
		json->add_str(json, "maker_error", error);
	}
	this->events->describe_counts(this->events, json);
}

/**
 * Number of IKE_SAs of a connection. The name is cloned, because the SA may be
 * destroyed and its connection unloaded before the name is used.
 */
typedef struct {
	char *name;
	u_int count;
} count_t;

/**
 * Add an IKE_SA and count it for its connection
 */
static void add_sa(qcd_control_t *this, qcd_json_t *json, ike_sa_t *ike_sa,
				   hashtable_t *counts)
{
	char *name = ike_sa->get_name(ike_sa);
	count_t *count;
	char error[ERROR_MAX];
	qcd_maker_t *maker = get_maker(this, error);
	u_int generation = 0;
	time_t recovered;
	bool given;
	qcd_sa_t sa;

	if (!qcd_sa_identify(ike_sa, &sa))
	{
		return;
	}
	count = qcd_named_get(counts, name, sizeof(*count));
	count->count++;
	given = maker && maker->is_given(maker, &sa, &generation);
	recovered = this->events->get_recovery(this->events, name);

	json->begin(json, "sa");
	json->add_str(json, "connection", name);
	json->add_num(json, "id", ike_sa->get_unique_id(ike_sa));
	json->add_spi(json, "spi_i", &sa.ike.spis.initiator);
	json->add_spi(json, "spi_r", &sa.ike.spis.responder);
	json->add_host(json, "local", ike_sa->get_my_host(ike_sa));
	json->add_host(json, "remote", ike_sa->get_other_host(ike_sa));
	json->add_str(json, "state", enum_to_name(ike_sa_state_names,
											  ike_sa->get_state(ike_sa)));
	json->add_bool(json, "token_sent", given);
	json->add_bool(json, "token_held", this->taker &&
				   this->taker->holds_token(this->taker, &sa));
	if (given)
	{
		json->add_num(json, "generation", generation);
	}
	if (recovered)
	{
		json->add_num(json, "last_recovery", recovered);
	}
}

/**
 * Add all IKE_SAs. This waits for IKE_SAs that other threads have checked out,
 * which is harmless in the socket's own thread.
 */
static void add_sas(qcd_control_t *this, qcd_json_t *json,
					hashtable_t *counts)
{
	enumerator_t *enumerator;
	ike_sa_t *ike_sa;

	enumerator = charon->ike_sa_manager->create_enumerator(
											charon->ike_sa_manager, TRUE);
	while (enumerator->enumerate(enumerator, &ike_sa))
	{
		add_sa(this, json, ike_sa, counts);
	}
	enumerator->destroy(enumerator);
}

/**
 * Add all connections, including those that are down
 */
static void add_connections(qcd_control_t *this, qcd_json_t *json,
							hashtable_t *counts)
{
	enumerator_t *enumerator;
	peer_cfg_t *peer_cfg;
	time_t recovered;
	count_t *count;
	char *name;

	enumerator = charon->backends->create_peer_cfg_enumerator(charon->backends,
												NULL, NULL, NULL, NULL, IKEV2);
	while (enumerator->enumerate(enumerator, &peer_cfg))
	{
		name = peer_cfg->get_name(peer_cfg);
		count = counts->get(counts, name);
		recovered = this->events->get_recovery(this->events, name);
		json->begin(json, "connection");
		json->add_str(json, "name", name);
		json->add_str(json, "state", count ? "up" : "down");
		json->add_num(json, "ike_sas", count ? count->count : 0);
		if (recovered)
		{
			json->add_num(json, "last_recovery", recovered);
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * Execute status
 */
static void status(qcd_control_t *this, qcd_json_t *json)
{
	hashtable_t *counts;

	counts = hashtable_create(hashtable_hash_str, hashtable_equals_str, 32);
	add_result(json, NULL);
	add_gateway(this, json);
	this->events->describe_times(this->events, json);
	add_sas(this, json, counts);
	add_connections(this, json, counts);
	if (this->taker)
	{
		this->taker->describe(this->taker, json);
	}
	counts->destroy_function(counts, (void*)qcd_named_destroy);
}

/**
 * Execute secret-show
 */
static void show_secrets(qcd_maker_t *maker, qcd_json_t *json)
{
	add_result(json, NULL);
	maker->describe_secrets(maker, json);
}

/**
 * Job that executes rotate
 */
static job_requeue_t rotate(qcd_control_t *this)
{
	char error[ERROR_MAX];
	qcd_maker_t *maker = get_maker(this, error);
	qcd_json_t *json;

	if (maker->rotate(maker, error, sizeof(error)))
	{
		json = qcd_json_create();
		add_result(json, NULL);
		json->begin(json, "rotated");
		maker->describe(maker, json);
		this->respond(this->user, json->finish(json));
	}
	else
	{
		this->respond(this->user, qcd_control_refuse(error));
	}
	this->busy = FALSE;
	return JOB_REQUEUE_NONE;
}

/**
 * Have a job execute rotate, which waits for the disk
 */
static bool begin_rotate(qcd_control_t *this, chunk_t *response)
{
	if (atomic_exchange(&this->busy, TRUE))
	{
		*response = qcd_control_refuse("the last command still waits for the "
									   "disk of state_dir. Check the disk");
		return TRUE;
	}
	qcd_job_queue(rotate, this, NULL, JOB_PRIO_MEDIUM, 0);
	return FALSE;
}

/*
 * Described in header
 */
chunk_t qcd_control_refuse(char *error)
{
	qcd_json_t *json = qcd_json_create();

	add_result(json, error);
	return json->finish(json);
}

/*
 * Described in header
 */
bool qcd_control_execute(qcd_control_t *this, char *command, chunk_t *response)
{
	char error[ERROR_MAX], off[ERROR_MAX + 32];
	qcd_maker_t *maker = get_maker(this, error);
	bool rotates = streq(command, "rotate");
	qcd_json_t *json;

	if (!streq(command, "status") && !streq(command, "secret-show") && !rotates)
	{
		*response = qcd_control_refuse("no such command");
		return TRUE;
	}
	if (!maker && !streq(command, "status"))
	{
		snprintf(off, sizeof(off), "the token maker is off%s%s",
				 *error ? ": " : "", error);
		*response = qcd_control_refuse(off);
		return TRUE;
	}
	if (rotates)
	{
		return begin_rotate(this, response);
	}
	json = qcd_json_create();
	if (streq(command, "status"))
	{
		status(this, json);
	}
	else
	{
		show_secrets(maker, json);
	}
	*response = json->finish(json);
	return TRUE;
}
