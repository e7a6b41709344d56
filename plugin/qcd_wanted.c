/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_wanted.h"

#include <sa/ikev2/tasks/child_create.h>

typedef struct private_qcd_wanted_t private_qcd_wanted_t;

/**
 * Private data
 */
struct private_qcd_wanted_t {

	/**
	 * Public interface
	 */
	qcd_wanted_t public;

	/**
	 * Value of the setting when the IKE_SA was lost
	 */
	qcd_recover_t recover;

	/**
	 * Whether we initiated the IKE_SA, and whether it was being reauthenticated
	 */
	bool initiator;
	bool reauth;

	/**
	 * Configuration of the IKE_SA, and whether a connection of its name was
	 * ever loaded
	 */
	peer_cfg_t *peer_cfg;
	bool was_loaded;

	/**
	 * Our identity
	 */
	identification_t *my_id;

	/**
	 * CHILD_SAs of the IKE_SA that don't have to be up
	 */
	qcd_child_list_t *optional;

	/**
	 * Virtual IPs that we had, as host_t
	 */
	linked_list_t *vips;

	/**
	 * Requests, as task_t
	 */
	linked_list_t *requests;
};

/**
 * Get the action for a CHILD_SA
 *
 * @param dpd			its dpd_action
 * @param close			its close_action
 */
static action_t get_action(private_qcd_wanted_t *this, child_cfg_t *cfg,
						   action_t dpd, action_t close)
{
	action_t action = dpd;

	if (this->reauth)
	{	/* it was to be established again anyway */
		return ACTION_START;
	}
	switch (this->recover)
	{
		case QCD_RECOVER_RECONNECT:
			return ACTION_START;
		case QCD_RECOVER_TRAP:
			return ACTION_TRAP;
		case QCD_RECOVER_NONE:
			return ACTION_NONE;
		case QCD_RECOVER_AUTO:
			break;
	}
	if (action == ACTION_NONE)
	{
		action = close;
	}
	if (action == ACTION_NONE)
	{
		action = cfg->get_start_action(cfg);
	}
	if (action == ACTION_NONE && this->initiator)
	{
		action = ACTION_START;
	}
	return action;
}

METHOD(qcd_wanted_t, is_with, bool,
	private_qcd_wanted_t *this, peer_cfg_t *peer_cfg, ike_sa_t *ike_sa)
{
	identification_t *my_id = ike_sa->get_my_id(ike_sa);
	identification_t *other_id = ike_sa->get_other_eap_id(ike_sa);

	if (!streq(ike_sa->get_name(ike_sa), this->public.name) ||
		!my_id->equals(my_id, this->my_id) ||
		!other_id->equals(other_id, this->public.peer_id))
	{
		return FALSE;
	}
	switch (this->public.children->compare(this->public.children, peer_cfg,
										   ike_sa))
	{
		case QCD_SAME:
			return TRUE;
		case QCD_OTHER:
			return FALSE;
		case QCD_UNKNOWN:
			break;
	}
	return this->public.peer->ip_equals(this->public.peer,
										ike_sa->get_other_host(ike_sa));
}

/**
 * Want the configured CHILD_SAs, because one may have replaced a CHILD_SA whose
 * name is gone
 */
static void add_configured(private_qcd_wanted_t *this, peer_cfg_t *peer_cfg)
{
	enumerator_t *enumerator;
	child_cfg_t *cfg;

	enumerator = peer_cfg->create_child_cfg_enumerator(peer_cfg);
	while (enumerator->enumerate(enumerator, &cfg))
	{
		if (get_action(this, cfg, cfg->get_dpd_action(cfg),
					   cfg->get_close_action(cfg)) & ACTION_START)
		{
			this->public.children->add(this->public.children, cfg, NULL);
		}
	}
	enumerator->destroy(enumerator);
}

METHOD(qcd_wanted_t, get_config, peer_cfg_t*,
	private_qcd_wanted_t *this)
{
	peer_cfg_t *current;

	current = charon->backends->get_peer_cfg_by_name(charon->backends,
													 this->public.name);
	if (current)
	{
		this->was_loaded = TRUE;
		if (this->public.children->is_outdated(this->public.children, current))
		{
			add_configured(this, current);
		}
		return current;
	}
	return this->was_loaded ? NULL : this->peer_cfg->get_ref(this->peer_cfg);
}

METHOD(qcd_wanted_t, queue_requests, void,
	private_qcd_wanted_t *this, ike_sa_t *ike_sa)
{
	task_t *task;

	while (this->requests->remove_first(this->requests,
										(void**)&task) == SUCCESS)
	{
		task->migrate(task, ike_sa);
		ike_sa->queue_task(ike_sa, task);
	}
}

METHOD(qcd_wanted_t, queue_missing, u_int,
	private_qcd_wanted_t *this, peer_cfg_t *peer_cfg, ike_sa_t *ike_sa)
{
	u_int queued;

	queued = this->public.children->queue_missing(this->public.children,
												  peer_cfg, ike_sa);
	queue_requests(this, ike_sa);
	return queued;
}

/**
 * Take the tasks of one queue that create CHILD_SAs
 *
 * @param others		number of those that stay, reduced by those found
 */
static void take_queue(private_qcd_wanted_t *this, ike_sa_t *ike_sa,
					   task_queue_t queue, u_int *others)
{
	enumerator_t *enumerator;
	task_t *task;

	enumerator = ike_sa->create_task_enumerator(ike_sa, queue);
	while (enumerator->enumerate(enumerator, &task))
	{
		if (task->get_type(task) != TASK_CHILD_CREATE)
		{
			continue;
		}
		if (*others)
		{
			(*others)--;
			continue;
		}
		ike_sa->remove_task(ike_sa, enumerator);
		/* drop what it has of the IKE_SA while that exists */
		task->migrate(task, ike_sa);
		this->requests->insert_last(this->requests, task);
	}
	enumerator->destroy(enumerator);
}

METHOD(qcd_wanted_t, take_requests, void,
	private_qcd_wanted_t *this, ike_sa_t *ike_sa, u_int others)
{
	/* charon activates them in the order in which they were queued */
	take_queue(this, ike_sa, TASK_QUEUE_ACTIVE, &others);
	take_queue(this, ike_sa, TASK_QUEUE_QUEUED, &others);
}

METHOD(qcd_wanted_t, is_obsolete, bool,
	private_qcd_wanted_t *this, peer_cfg_t *peer_cfg)
{
	u_int all;

	this->public.children->count_missing(this->public.children, peer_cfg, &all);
	return !all && this->public.children->get_count(this->public.children);
}

METHOD(qcd_wanted_t, has_requests, bool,
	private_qcd_wanted_t *this)
{
	return this->requests->get_count(this->requests) > 0;
}

METHOD(qcd_wanted_t, add_virtual_ips, void,
	private_qcd_wanted_t *this, ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	host_t *vip;

	enumerator = this->vips->create_enumerator(this->vips);
	while (enumerator->enumerate(enumerator, &vip))
	{
		ike_sa->add_virtual_ip(ike_sa, TRUE, vip);
	}
	enumerator->destroy(enumerator);
}

METHOD(qcd_wanted_t, destroy, void,
	private_qcd_wanted_t *this)
{
	this->public.children->destroy(this->public.children);
	this->optional->destroy(this->optional);
	this->requests->destroy_offset(this->requests, offsetof(task_t, destroy));
	this->vips->destroy_offset(this->vips, offsetof(host_t, destroy));
	this->public.peer->destroy(this->public.peer);
	this->my_id->destroy(this->my_id);
	this->public.peer_id->destroy(this->public.peer_id);
	this->peer_cfg->destroy(this->peer_cfg);
	free(this);
}

METHOD(qcd_wanted_t, merge, void,
	private_qcd_wanted_t *this, qcd_wanted_t *public, bool replaced)
{
	private_qcd_wanted_t *other = (private_qcd_wanted_t*)public;
	task_t *task;

	if (replaced)
	{	/* the action may have changed, for example with the initiator */
		this->public.children->keep_only(this->public.children,
										 public->children, other->optional);
	}
	while (other->requests->remove_first(other->requests,
										 (void**)&task) == SUCCESS)
	{
		this->requests->insert_last(this->requests, task);
	}
	this->public.children->merge(this->public.children, public->children);
	/* the other instance has the newer address */
	this->public.peer->destroy(this->public.peer);
	this->public.peer = public->peer->clone(public->peer);
	destroy(other);
}

/**
 * Create an instance without CHILD_SAs
 */
static private_qcd_wanted_t *create_empty(qcd_config_t *config,
										  ike_sa_t *ike_sa)
{
	private_qcd_wanted_t *this;
	peer_cfg_t *peer_cfg = ike_sa->get_peer_cfg(ike_sa);
	identification_t *my_id = ike_sa->get_my_id(ike_sa);
	identification_t *other_id = ike_sa->get_other_eap_id(ike_sa);
	host_t *peer = ike_sa->get_other_host(ike_sa);

	INIT(this,
		.public = {
			.is_with = _is_with,
			.get_config = _get_config,
			.queue_missing = _queue_missing,
			.is_obsolete = _is_obsolete,
			.take_requests = _take_requests,
			.queue_requests = _queue_requests,
			.has_requests = _has_requests,
			.add_virtual_ips = _add_virtual_ips,
			.merge = _merge,
			.destroy = _destroy,
			.name = peer_cfg->get_name(peer_cfg),
			.peer_id = other_id->clone(other_id),
			.peer = peer->clone(peer),
			.children = qcd_child_list_create(),
		},
		.recover = config->recover,
		.initiator = ike_sa->has_condition(ike_sa, COND_ORIGINAL_INITIATOR),
		.reauth = ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING),
		.peer_cfg = peer_cfg->get_ref(peer_cfg),
		.my_id = my_id->clone(my_id),
		.optional = qcd_child_list_create(),
		.vips = linked_list_create(),
		.requests = linked_list_create(),
	);
	return this;
}

/**
 * Keep the virtual IPs that we had
 */
static void keep_virtual_ips(private_qcd_wanted_t *this, ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	host_t *vip;

	enumerator = ike_sa->create_virtual_ip_enumerator(ike_sa, TRUE);
	while (enumerator->enumerate(enumerator, &vip))
	{
		this->vips->insert_last(this->vips, vip->clone(vip));
	}
	enumerator->destroy(enumerator);
}

/**
 * Install a trap policy for a CHILD_SA, using the current configuration
 */
static void install_trap(peer_cfg_t *current, child_sa_t *child_sa)
{
	child_cfg_t *cfg = qcd_child_find(current, child_sa->get_name(child_sa));

	if (cfg)
	{
		charon->traps->install(charon->traps, current, cfg);
	}
}

/**
 * Tell whether we are closing a CHILD_SA, for another reason than a rekeying
 */
static bool is_closed(ike_sa_t *ike_sa, child_sa_t *child_sa)
{
	return child_sa->get_state(child_sa) == CHILD_DELETING &&
		   qcd_sa_has_task(ike_sa, TASK_QUEUE_ACTIVE, TASK_CHILD_DELETE);
}

/**
 * Want the CHILD_SAs of an IKE_SA that have to be up, and install trap policies
 * for those that have to wait for traffic
 */
static void add_children(private_qcd_wanted_t *this, ike_sa_t *ike_sa)
{
	peer_cfg_t *current = get_config(this);
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	action_t action;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		/* including one that was just rekeyed */
		this->public.used |= qcd_child_is_used(child_sa);
		if (!qcd_child_should_be_up(child_sa) || is_closed(ike_sa, child_sa))
		{
			continue;
		}
		action = get_action(this, child_sa->get_config(child_sa),
							child_sa->get_dpd_action(child_sa),
							child_sa->get_close_action(child_sa));
		if (current && action & ACTION_TRAP)
		{
			install_trap(current, child_sa);
		}
		if (action & ACTION_START)
		{
			this->public.children->add(this->public.children,
									   child_sa->get_config(child_sa), child_sa);
		}
		else
		{
			this->optional->add(this->optional, child_sa->get_config(child_sa),
								NULL);
		}
	}
	enumerator->destroy(enumerator);
	DESTROY_IF(current);
}

/**
 * Want the CHILD_SAs that were being created. A CHILD_SA is kept by name if it
 * has one already. Otherwise its task is kept, which alone knows what it
 * creates.
 *
 * @param closing		TRUE to include only those that were requested after the
 *						IKE_SA was to be closed
 */
static void add_created(private_qcd_wanted_t *this, ike_sa_t *ike_sa,
						task_queue_t queue, bool closing)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	task_t *task;

	enumerator = ike_sa->create_task_enumerator(ike_sa, queue);
	while (enumerator->enumerate(enumerator, &task))
	{
		closing &= task->get_type(task) != TASK_IKE_DELETE;
		if (closing || task->get_type(task) != TASK_CHILD_CREATE)
		{
			continue;
		}
		child_sa = ((child_create_t*)task)->get_child((child_create_t*)task);
		if (child_sa)
		{
			this->public.children->add(this->public.children,
									   child_sa->get_config(child_sa), child_sa);
		}
		else if (queue == TASK_QUEUE_QUEUED)
		{
			ike_sa->remove_task(ike_sa, enumerator);
			this->requests->insert_last(this->requests, task);
		}
	}
	enumerator->destroy(enumerator);
}

/*
 * Described in header
 */
qcd_wanted_t *qcd_wanted_create(qcd_config_t *config, ike_sa_t *ike_sa)
{
	private_qcd_wanted_t *this = create_empty(config, ike_sa);
	bool closing = qcd_sa_has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_DELETE);

	keep_virtual_ips(this, ike_sa);
	if (!closing)
	{
		add_children(this, ike_sa);
	}
	if (!closing && this->recover != QCD_RECOVER_NONE)
	{
		add_created(this, ike_sa, TASK_QUEUE_ACTIVE, FALSE);
	}
	if (this->recover != QCD_RECOVER_NONE)
	{
		add_created(this, ike_sa, TASK_QUEUE_QUEUED, closing);
	}
	if (!this->public.children->get_count(this->public.children) &&
		!this->requests->get_count(this->requests))
	{
		destroy(this);
		return NULL;
	}
	if (!qcd_sa_is_symmetric(ike_sa))
	{
		DBG1(DBG_IKE, "QCD: only the peer can establish IKE_SA %s[%u] again",
			 ike_sa->get_name(ike_sa), ike_sa->get_unique_id(ike_sa));
		destroy(this);
		return NULL;
	}
	return &this->public;
}

/*
 * Described in header
 */
qcd_wanted_t *qcd_wanted_create_started(qcd_config_t *config,
										ike_sa_t *ike_sa)
{
	private_qcd_wanted_t *this = create_empty(config, ike_sa);
	enumerator_t *enumerator;
	child_cfg_t *cfg;

	enumerator = this->peer_cfg->create_child_cfg_enumerator(this->peer_cfg);
	while (enumerator->enumerate(enumerator, &cfg))
	{
		if (cfg->get_start_action(cfg) & ACTION_START)
		{
			this->public.children->add(this->public.children, cfg, NULL);
		}
	}
	enumerator->destroy(enumerator);
	if (!this->public.children->get_count(this->public.children))
	{
		destroy(this);
		return NULL;
	}
	return &this->public;
}
