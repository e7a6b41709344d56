/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "played.h"

#include "test.h"

#include <selectors/traffic_selector.h>

METHOD(ike_sa_t, get_id, ike_sa_id_t*,
	played_ike_t *this)
{
	return this->id;
}

METHOD(ike_sa_t, get_version, ike_version_t,
	played_ike_t *this)
{
	return this->version;
}

METHOD(ike_sa_t, get_unique_id, uint32_t,
	played_ike_t *this)
{
	return this->unique_id;
}

METHOD(ike_sa_t, get_state, ike_sa_state_t,
	played_ike_t *this)
{
	return this->state;
}

METHOD(ike_sa_t, get_name, char*,
	played_ike_t *this)
{
	return this->name;
}

METHOD(ike_sa_t, get_my_host, host_t*,
	played_ike_t *this)
{
	return this->me;
}

METHOD(ike_sa_t, get_other_host, host_t*,
	played_ike_t *this)
{
	return this->other;
}

METHOD(ike_sa_t, get_my_id, identification_t*,
	played_ike_t *this)
{
	return this->my_id;
}

METHOD(ike_sa_t, get_other_id, identification_t*,
	played_ike_t *this)
{
	return this->other_id;
}

METHOD(ike_sa_t, has_condition, bool,
	played_ike_t *this, ike_condition_t condition)
{
	return (this->conditions & condition) != 0;
}

METHOD(ike_sa_t, create_child_sa_enumerator, enumerator_t*,
	played_ike_t *this)
{
	return this->children->create_enumerator(this->children);
}

METHOD(ike_sa_t, create_virtual_ip_enumerator, enumerator_t*,
	played_ike_t *this, bool local)
{
	return this->vips[local]->create_enumerator(this->vips[local]);
}

METHOD(ike_sa_t, create_task_enumerator, enumerator_t*,
	played_ike_t *this, task_queue_t queue)
{
	linked_list_t *tasks = this->tasks;

	if (queue == TASK_QUEUE_QUEUED && this->delayed->get_count(this->delayed))
	{
		tasks = this->delayed;
	}
	return tasks->create_enumerator(tasks);
}

METHOD(ike_sa_t, remove_task, void,
	played_ike_t *this, enumerator_t *enumerator)
{
	this->delayed->remove_at(this->delayed, enumerator);
}

METHOD(ike_sa_t, queue_task, void,
	played_ike_t *this, task_t *task)
{
	this->tasks->insert_last(this->tasks, task);
}

METHOD(ike_sa_t, get_keymat, keymat_t*,
	played_ike_t *this)
{
	return NULL;
}

METHOD(ike_sa_t, delete_, status_t,
	played_ike_t *this, bool force)
{
	this->deleted++;
	return this->status;
}

METHOD(ike_sa_t, initiate, status_t,
	played_ike_t *this, child_cfg_t *child_cfg, child_init_args_t *args)
{
	this->initiated++;
	return this->status;
}

METHOD(ike_sa_t, set_peer_cfg, void,
	played_ike_t *this, peer_cfg_t *peer_cfg)
{
}

METHOD(ike_sa_t, set_my_host, void,
	played_ike_t *this, host_t *me)
{
	this->me->destroy(this->me);
	this->me = me;
}

METHOD(ike_sa_t, set_other_host, void,
	played_ike_t *this, host_t *other)
{
	this->other->destroy(this->other);
	this->other = other;
}

/*
 * Described in header
 */
void played_spis(qcd_ike_sa *sa, enum qcd_role role, uint8_t first)
{
	int i;

	for (i = 0; i < QCD_SPI_LEN; i++)
	{
		sa->spis.initiator.octets[i] = first + i;
		sa->spis.responder.octets[i] = first + QCD_SPI_LEN + i;
	}
	sa->role = role;
}

/*
 * Described in header
 */
void played_ike_rename(played_ike_t *this, const qcd_ike_sa *sa)
{
	uint64_t spi_i, spi_r;

	memcpy(&spi_i, &sa->spis.initiator, sizeof(spi_i));
	memcpy(&spi_r, &sa->spis.responder, sizeof(spi_r));
	DESTROY_IF(this->id);
	this->id = ike_sa_id_create(IKEV2_MAJOR_VERSION, spi_i, spi_r,
								sa->role == QCD_INITIATOR);
}

/*
 * Described in header
 */
void played_ike_move(played_ike_t *this, bool local, char *address)
{
	host_t **host = local ? &this->me : &this->other;

	DESTROY_IF(*host);
	*host = host_create_from_string(address, 4500);
}

/*
 * Described in header
 */
void played_ike_identify(played_ike_t *this, char *id)
{
	DESTROY_IF(this->other_id);
	this->other_id = identification_create_from_string(id);
}

/*
 * Described in header
 */
played_ike_t *played_ike_create(uint32_t unique_id, const qcd_ike_sa *sa)
{
	played_ike_t *this;

	INIT(this,
		.public = {
			.get_id = _get_id,
			.get_version = _get_version,
			.get_unique_id = _get_unique_id,
			.get_state = _get_state,
			.get_name = _get_name,
			.get_my_host = _get_my_host,
			.get_other_host = _get_other_host,
			.get_my_id = _get_my_id,
			.get_other_id = _get_other_id,
			.get_other_eap_id = _get_other_id,
			.has_condition = _has_condition,
			.create_child_sa_enumerator = _create_child_sa_enumerator,
			.create_virtual_ip_enumerator = _create_virtual_ip_enumerator,
			.create_task_enumerator = _create_task_enumerator,
			.queue_task = _queue_task,
			.remove_task = _remove_task,
			.get_keymat = _get_keymat,
			.delete = _delete_,
			.initiate = _initiate,
			.set_peer_cfg = _set_peer_cfg,
			.set_my_host = _set_my_host,
			.set_other_host = _set_other_host,
		},
		.unique_id = unique_id,
		.version = IKEV2,
		.name = "gw",
		.my_id = identification_create_from_string("us.example"),
		.state = IKE_ESTABLISHED,
		.status = SUCCESS,
		.children = linked_list_create(),
		.vips = { linked_list_create(), linked_list_create() },
		.tasks = linked_list_create(),
		.delayed = linked_list_create(),
	);
	played_ike_rename(this, sa);
	played_ike_move(this, TRUE, "192.0.2.1");
	played_ike_move(this, FALSE, "198.51.100.2");
	played_ike_identify(this, "peer.example");
	return this;
}

/*
 * Described in header
 */
void played_ike_destroy(played_ike_t *this)
{
	int i;

	this->id->destroy(this->id);
	this->me->destroy(this->me);
	this->other->destroy(this->other);
	this->my_id->destroy(this->my_id);
	this->other_id->destroy(this->other_id);
	this->children->destroy(this->children);
	for (i = 0; i < countof(this->vips); i++)
	{
		this->vips[i]->destroy_offset(this->vips[i], offsetof(host_t, destroy));
	}
	this->tasks->destroy_offset(this->tasks, offsetof(task_t, destroy));
	this->delayed->destroy_offset(this->delayed, offsetof(task_t, destroy));
	free(this);
}

/**
 * What the manager knows
 */
static linked_list_t *manager_sas;
static played_ike_t *manager_created;

METHOD(ike_sa_manager_t, checkout, ike_sa_t*,
	ike_sa_manager_t *this, ike_sa_id_t *id)
{
	enumerator_t *enumerator;
	played_ike_t *ike, *found = NULL;

	enumerator = manager_sas->create_enumerator(manager_sas);
	while (!found && enumerator->enumerate(enumerator, &ike))
	{
		if (id->equals(id, ike->id))
		{
			found = ike;
		}
	}
	enumerator->destroy(enumerator);
	if (found)
	{
		/* another thread would wait forever */
		assert_false(found->out);
		found->out = TRUE;
	}
	return (ike_sa_t*)found;
}

METHOD(ike_sa_manager_t, checkin, void,
	ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	played_ike_t *ike = (played_ike_t*)ike_sa;

	assert_true(ike->out);
	ike->out = FALSE;
	charon->bus->set_sa(charon->bus, NULL);
}

METHOD(ike_sa_manager_t, checkin_and_destroy, void,
	ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	played_ike_t *ike = (played_ike_t*)ike_sa;

	checkin(this, ike_sa);
	ike->destroyed = TRUE;
	manager_sas->remove(manager_sas, ike, NULL);
}

METHOD(ike_sa_manager_t, create_new, ike_sa_t*,
	ike_sa_manager_t *this, ike_version_t version, bool initiator)
{
	assert_int_equal(version, IKEV2);
	assert_true(initiator);
	return (ike_sa_t*)manager_created;
}

METHOD(ike_sa_manager_t, checkout_new, void,
	ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	played_ike_t *ike = (played_ike_t*)ike_sa;

	ike->out = TRUE;
	manager_sas->insert_last(manager_sas, ike);
}

METHOD(task_t, get_task_type, task_type_t,
	played_task_t *this)
{
	return this->type;
}

METHOD(task_t, task_destroy, void,
	played_task_t *this)
{
}

/*
 * Described in header
 */
void played_task_init(played_task_t *this, task_type_t type)
{
	*this = (played_task_t){
		.public = {
			.get_type = _get_task_type,
			.destroy = _task_destroy,
		},
		.type = type,
	};
}

/*
 * Described in header
 */
void played_manager(linked_list_t *sas, played_ike_t *created)
{
	static ike_sa_manager_t manager;

	manager = (ike_sa_manager_t){
		.checkout = _checkout,
		.checkin = _checkin,
		.checkin_and_destroy = _checkin_and_destroy,
		.create_new = _create_new,
		.checkout_new = _checkout_new,
	};
	manager_sas = sas;
	manager_created = created;
	charon->ike_sa_manager = &manager;
}

METHOD(child_sa_t, child_get_name, char*,
	played_child_t *this)
{
	return this->name;
}

METHOD(child_sa_t, child_get_unique_id, uint32_t,
	played_child_t *this)
{
	return this->unique_id;
}

METHOD(child_sa_t, child_get_state, child_sa_state_t,
	played_child_t *this)
{
	return this->state;
}

METHOD(child_sa_t, get_protocol, protocol_id_t,
	played_child_t *this)
{
	return this->protocol;
}

METHOD(child_sa_t, get_spi, uint32_t,
	played_child_t *this, bool inbound)
{
	return inbound ? this->spi_in : this->spi_out;
}

METHOD(child_sa_t, has_encap, bool,
	played_child_t *this)
{
	return this->encap;
}

METHOD(child_sa_t, get_lifetime, time_t,
	played_child_t *this, bool hard)
{
	/* the soft one is none of the plugin's */
	return hard ? this->lifetime : 1;
}

METHOD(child_sa_t, get_usestats, void,
	played_child_t *this, bool inbound, time_t *time, uint64_t *bytes,
	uint64_t *packets)
{
	*packets = inbound ? this->packets_in : 1;
}

METHOD(child_sa_t, get_config, child_cfg_t*,
	played_child_t *this)
{
	return this->cfg;
}

METHOD(child_sa_t, get_reqid, uint32_t,
	played_child_t *this)
{
	return this->reqid;
}

#ifdef QCD_HAVE_REQID_REF
METHOD(child_sa_t, get_reqid_ref, uint32_t,
	played_child_t *this)
{
	return this->reqid;
}
#endif

METHOD(child_sa_t, get_mark, mark_t,
	played_child_t *this, bool inbound)
{
	return (mark_t){};
}

METHOD(child_sa_t, get_if_id, uint32_t,
	played_child_t *this, bool inbound)
{
	return 0;
}

METHOD(child_sa_t, get_label, sec_label_t*,
	played_child_t *this)
{
	return NULL;
}

METHOD(child_sa_t, create_ts_enumerator, enumerator_t*,
	played_child_t *this, bool local)
{
	return this->ts[local]->create_enumerator(this->ts[local]);
}

/*
 * Described in header
 */
void played_child_add_ts(played_child_t *this, bool local, char *subnet)
{
	this->ts[local]->insert_last(this->ts[local],
				traffic_selector_create_from_cidr(subnet, 0, 0, 65535));
}

/*
 * Described in header
 */
played_child_t *played_child_create(uint32_t unique_id, uint32_t spi_in)
{
	played_child_t *this;

	INIT(this,
		.public = {
			.get_name = _child_get_name,
			.get_unique_id = _child_get_unique_id,
			.get_state = _child_get_state,
			.get_protocol = _get_protocol,
			.get_spi = _get_spi,
			.has_encap = _has_encap,
			.get_lifetime = _get_lifetime,
			.get_usestats = _get_usestats,
			.get_config = _get_config,
			.get_reqid = _get_reqid,
#ifdef QCD_HAVE_REQID_REF
			.get_reqid_ref = _get_reqid_ref,
#endif
			.get_mark = _get_mark,
			.get_if_id = _get_if_id,
			.get_label = _get_label,
			.create_ts_enumerator = _create_ts_enumerator,
		},
		.unique_id = unique_id,
		.name = "net",
		.state = CHILD_INSTALLING,
		.protocol = PROTO_ESP,
		.spi_in = htonl(spi_in),
		.spi_out = htonl(spi_in + 1),
		.ts = { linked_list_create(), linked_list_create() },
	);
	return this;
}

/*
 * Described in header
 */
void played_child_destroy(played_child_t *this)
{
	int i;

	for (i = 0; i < countof(this->ts); i++)
	{
		this->ts[i]->destroy_offset(this->ts[i],
									offsetof(traffic_selector_t, destroy));
	}
	free(this);
}

/*
 * Described in header
 */
qcd_promises_t *played_promises_create(qcd_config_t *config, uint16_t run)
{
	qcd_promises_t *promises;
	qcd_maker_state state = {
		.num_secrets = 1,
		.run = run,
	};

	if (!config->token_length)
	{
		config->token_length = QCD_TOKEN_MADE_MAX;
		config->reply_rate = 1000;
		config->reply_burst = 2000;
		config->reply_rate_source = 10;
	}
	count_up(state.seal_key, 1, sizeof(state.seal_key));
	count_up(state.secrets, 2, sizeof(state.secrets[0]));
	count_up(state.random, 3, sizeof(state.random));
	promises = qcd_promises_create(config, &state);
	assert_non_null(promises);
	return promises;
}

/*
 * Described in header
 */
void played_mint(qcd_ike_sa *sa, qcd_promises_t *promises, enum qcd_role role)
{
	played_spis(sa, role, 0x80);
	assert_true(promises->mint(promises, role == QCD_INITIATOR ?
							   &sa->spis.initiator : &sa->spis.responder));
}

/*
 * Described in header
 */
peer_cfg_t *played_config_create(char *mine, char *other)
{
	ike_cfg_create_t ike = {
		.version = IKEV2,
		.local = mine,
		.local_port = 500,
		.remote = other,
		.remote_port = 4500,
	};
	peer_cfg_create_t peer = {
		.cert_policy = CERT_NEVER_SEND,
		.unique = UNIQUE_NO,
	};

	return peer_cfg_create("gw", ike_cfg_create(&ike), &peer);
}

METHOD(qcd_pending_t, get_youngest, uint32_t,
	played_pending_t *this)
{
	return this->youngest;
}

METHOD(qcd_pending_t, pending_get_due, u_int,
	played_pending_t *this, host_t *peer, u_int underway)
{
	return QCD_PACE_FIRST - min(underway, QCD_PACE_FIRST);
}

METHOD(qcd_pending_t, pending_find, linked_list_t*,
	played_pending_t *this, char *name, host_t *peer)
{
	linked_list_t *list = linked_list_create();
	qcd_pending_sa_t *sa;
	int i;

	for (i = 0; i < this->count; i++)
	{
		sa = &this->sas[i].sa;
		if ((!name || streq(name, this->sas[i].name)) &&
			(!peer || peer->ip_equals(peer, sa->other)))
		{
			sa = malloc_thing(qcd_pending_sa_t);
			*sa = this->sas[i].sa;
			sa->me = sa->me->clone(sa->me);
			sa->other = sa->other->clone(sa->other);
			list->insert_last(list, sa);
		}
	}
	return list;
}

METHOD(qcd_pending_t, get_request, qcd_pending_sa_t*,
	played_pending_t *this, uint32_t unique_id)
{
	linked_list_t *list = pending_find(this, NULL, NULL);
	qcd_pending_sa_t *sa, *found = NULL;

	while (list->remove_first(list, (void**)&sa) == SUCCESS)
	{
		if (sa->unique_id == unique_id)
		{
			found = sa;
		}
		else
		{
			qcd_pending_sa_destroy(sa);
		}
	}
	list->destroy(list);
	return found;
}

/**
 * Write down what is asked for
 */
static void note(played_pending_t *this, char *what, uint32_t unique_id)
{
	size_t len = strlen(this->done);

	snprintf(this->done + len, sizeof(this->done) - len, "%s%s %u",
			 len ? ", " : "", what, unique_id);
}

METHOD(qcd_pending_t, repeat, bool,
	played_pending_t *this, uint32_t unique_id)
{
	note(this, "repeat", unique_id);
	return this->repeats;
}

METHOD(qcd_pending_t, claim, void,
	played_pending_t *this, uint32_t unique_id)
{
	note(this, "claim", unique_id);
}

METHOD(qcd_pending_t, ask, status_t,
	played_pending_t *this, ike_sa_t *ike_sa)
{
	note(this, "ask", ike_sa->get_unique_id(ike_sa));
	return this->status;
}

/*
 * Described in header
 */
void played_pending_init(played_pending_t *this)
{
	*this = (played_pending_t){
		.public = {
			.find = _pending_find,
			.get_youngest = _get_youngest,
			.get_due = _pending_get_due,
			.get_request = _get_request,
			.repeat = _repeat,
			.claim = _claim,
			.ask = _ask,
		},
		.repeats = TRUE,
		.status = SUCCESS,
	};
}

/*
 * Described in header
 */
qcd_pending_sa_t *played_pending_add(played_pending_t *this, uint32_t unique_id,
									 char *name, char *address)
{
	qcd_pending_sa_t *sa;
	qcd_ike_sa spis;

	assert_in_range(this->count, 0, countof(this->sas) - 1);
	played_spis(&spis, QCD_INITIATOR, unique_id);
	this->sas[this->count].name = name;
	sa = &this->sas[this->count++].sa;
	*sa = (qcd_pending_sa_t){
		.unique_id = unique_id,
		.spis = spis.spis,
		.begun = qcd_now(),
		.me = host_create_from_string("192.0.2.1", 500),
		.other = host_create_from_string(address, 500),
		.since = qcd_now(),
	};
	return sa;
}

/*
 * Described in header
 */
void played_pending_clear(played_pending_t *this)
{
	while (this->count)
	{
		this->count--;
		this->sas[this->count].sa.me->destroy(this->sas[this->count].sa.me);
		this->sas[this->count].sa.other->destroy(
											this->sas[this->count].sa.other);
	}
}

METHOD(qcd_wanted_t, is_with, bool,
	played_wanted_t *this, peer_cfg_t *peer_cfg, ike_sa_t *ike_sa)
{
	return this->with;
}

METHOD(qcd_wanted_t, add_virtual_ips, void,
	played_wanted_t *this, ike_sa_t *ike_sa)
{
	this->vips++;
}

METHOD(qcd_wanted_t, queue_missing, u_int,
	played_wanted_t *this, peer_cfg_t *peer_cfg, ike_sa_t *ike_sa)
{
	this->queued++;
	return PLAYED_MISSING;
}

METHOD(qcd_wanted_t, take_requests, void,
	played_wanted_t *this, ike_sa_t *ike_sa, u_int others)
{
	this->taken++;
	this->others = others;
}

/*
 * Described in header
 */
void played_wanted_init(played_wanted_t *this)
{
	*this = (played_wanted_t){
		.public = {
			.name = "gw",
			.peer = host_create_from_string("198.51.100.2", 500),
			.peer_id = identification_create_from_string("peer.example"),
			.children = qcd_child_list_create(),
			.is_with = _is_with,
			.add_virtual_ips = _add_virtual_ips,
			.queue_missing = _queue_missing,
			.take_requests = _take_requests,
		},
		.with = TRUE,
	};
}

/*
 * Described in header
 */
void played_wanted_clear(played_wanted_t *this)
{
	this->public.peer->destroy(this->public.peer);
	this->public.peer_id->destroy(this->public.peer_id);
	this->public.children->destroy(this->public.children);
}
