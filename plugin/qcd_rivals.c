/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_rivals.h"

/**
 * Milliseconds that the peer has to respond on one of several IKE_SAs
 */
#define PEERS_TIME_MS 1000

typedef struct private_qcd_rivals_t private_qcd_rivals_t;

/**
 * Private data
 */
struct private_qcd_rivals_t {

	/**
	 * Public interface
	 */
	qcd_rivals_t public;

	/**
	 * As passed to qcd_rivals_create()
	 */
	qcd_pending_t *pending;
	qcd_peers_t *peers;
	qcd_connector_t *connector;
	qcd_wanted_t *wanted;

	/**
	 * Unique IDs of IKE_SAs that existed when the recovery began, as uint32_t
	 */
	array_t *before;

	/**
	 * When the peer was asked which IKE_SAs it has, 0 if it was not asked
	 */
	uint64_t asked;
};

/**
 * Tell whether an IKE_SA lacks the virtual IPs that the configuration requests
 */
static bool lacks_virtual_ip(peer_cfg_t *peer_cfg, ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	host_t *vip;
	bool wanted;

	enumerator = peer_cfg->create_virtual_ip_enumerator(peer_cfg);
	wanted = enumerator->enumerate(enumerator, &vip);
	enumerator->destroy(enumerator);
	return wanted && !qcd_sa_has_virtual_ip(ike_sa, TRUE);
}

/**
 * Tell whether CHILD_SAs are being created, or the peer has not yet responded
 * to a request whether it is alive
 */
static bool is_busy(ike_sa_t *ike_sa)
{
	task_type_t types[] = { TASK_CHILD_CREATE, TASK_IKE_DPD };
	task_queue_t queues[] = { TASK_QUEUE_ACTIVE, TASK_QUEUE_QUEUED };
	bool busy = FALSE;
	int i, j;

	for (i = 0; i < countof(types); i++)
	{
		for (j = 0; j < countof(queues); j++)
		{
			busy |= qcd_sa_has_task(ike_sa, queues[j], types[i]);
		}
	}
	return busy;
}

/**
 * Tell whether an IKE_SA is being closed only to be opened again. Without
 * make_before_break, charon begins the new one once the peer has responded.
 */
static bool is_reopened(ike_sa_t *ike_sa)
{
	return ike_sa->get_state(ike_sa) == IKE_DELETING &&
		   ike_sa->has_condition(ike_sa, COND_REAUTHENTICATING);
}

/**
 * Examine an IKE_SA that may replace the lost one
 *
 * @return				FALSE if it can't
 */
static bool look_at(private_qcd_rivals_t *this, peer_cfg_t *peer_cfg,
					ike_sa_t *ike_sa, qcd_rival_t *found)
{
	qcd_child_list_t *children = this->wanted->children;
	ike_sa_state_t state = ike_sa->get_state(ike_sa);
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);

	if ((state != IKE_ESTABLISHED && state != IKE_REKEYING &&
		 !is_reopened(ike_sa)) ||
		(!this->connector->is_try(this->connector,
								  ike_sa->get_unique_id(ike_sa)) &&
		 !this->wanted->is_with(this->wanted, peer_cfg, ike_sa)))
	{
		return FALSE;
	}
	found->initiator = id->is_initiator(id);
	if (is_reopened(ike_sa))
	{
		found->children = 0;
		found->busy = TRUE;
		found->no_vip = FALSE;
		return TRUE;
	}
	found->children = children->look_at(children, ike_sa);
	found->busy = is_busy(ike_sa);
	found->no_vip = found->initiator && lacks_virtual_ip(peer_cfg, ike_sa);
	return TRUE;
}

METHOD(qcd_rivals_t, find, array_t*,
	private_qcd_rivals_t *this, peer_cfg_t *peer_cfg, uint32_t lost, bool ask)
{
	array_t *all = array_create(sizeof(qcd_rival_t), 0);
	qcd_child_list_t *children = this->wanted->children;
	linked_list_t *sas;
	ike_sa_t *ike_sa;
	qcd_rival_t found;
	qcd_sa_t *sa;
	status_t status;

	children->look(children);
	sas = this->peers->find(this->peers, this->wanted->name,
							this->wanted->peer_id,
							(qcd_peers_pick_t)this->connector->is_try,
							this->connector);
	while (sas->remove_first(sas, (void**)&sa) == SUCCESS)
	{
		ike_sa = sa->unique_id > lost ? qcd_sa_checkout_same(sa) : NULL;
		if (ike_sa)
		{
			status = SUCCESS;
			found.sa = *sa;
			if (look_at(this, peer_cfg, ike_sa, &found))
			{
				array_insert(all, ARRAY_TAIL, &found);
				status = ask && !is_reopened(ike_sa) ?
						 this->pending->ask(this->pending, ike_sa) : SUCCESS;
			}
			qcd_sa_checkin(ike_sa, status);
		}
		free(sa);
	}
	sas->destroy(sas);
	return all;
}

/*
 * Described in header
 */
bool qcd_rivals_best(array_t *all, u_int wanted, qcd_rival_t *best,
					 u_int *complete)
{
	qcd_rival_t found;
	int i;

	*complete = 0;
	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		if (!i || found.children >= best->children)
		{
			*best = found;
		}
		*complete += found.children == wanted;
	}
	return array_count(all) > 0;
}

/**
 * Tell whether an array contains a unique ID
 */
static bool has_id(array_t *ids, uint32_t unique_id)
{
	uint32_t id;
	int i;

	for (i = 0; i < array_count(ids); i++)
	{
		array_get(ids, i, &id);
		if (id == unique_id)
		{
			return TRUE;
		}
	}
	return FALSE;
}

/*
 * Described in header
 */
linked_list_t *qcd_rivals_surplus(array_t *all, u_int wanted, array_t *before)
{
	linked_list_t *surplus = linked_list_create();
	qcd_rival_t found, keep;
	qcd_sa_t *sa;
	bool any = FALSE;
	int i;

	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		if (found.children < wanted || found.busy ||
			has_id(before, found.sa.unique_id))
		{
			continue;
		}
		if (any)
		{
			sa = malloc_thing(qcd_sa_t);
			*sa = found.sa;
			if (memcmp(&found.sa.ike.spis, &keep.sa.ike.spis, sizeof(qcd_spis)) < 0)
			{
				*sa = keep.sa;
				keep = found;
			}
			surplus->insert_last(surplus, sa);
		}
		else
		{
			keep = found;
			any = TRUE;
		}
	}
	return surplus;
}

METHOD(qcd_rivals_t, note_before, void,
	private_qcd_rivals_t *this, array_t *all, bool proved)
{
	qcd_rival_t found;
	uint32_t latest = 0;
	int i;

	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		latest = max(latest, found.sa.unique_id);
	}
	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		if (proved || found.sa.unique_id != latest)
		{
			array_insert(this->before, ARRAY_TAIL, &found.sa.unique_id);
		}
	}
}

/**
 * Delete the IKE_SAs that the peer has as well, except for one
 *
 * @param all			array of qcd_rival_t
 */
static void delete_surplus(private_qcd_rivals_t *this, peer_cfg_t *peer_cfg,
						   array_t *all)
{
	qcd_child_list_t *children = this->wanted->children;
	linked_list_t *surplus;
	qcd_sa_t *sa;
	u_int wanted;

	children->count_missing(children, peer_cfg, &wanted);
	surplus = qcd_rivals_surplus(all, wanted, this->before);
	while (surplus->remove_first(surplus, (void**)&sa) == SUCCESS)
	{
		qcd_sa_delete(sa);
		free(sa);
	}
	surplus->destroy(surplus);
}

METHOD(qcd_rivals_t, tidy, uint64_t,
	private_qcd_rivals_t *this, peer_cfg_t *peer_cfg, uint32_t lost)
{
	uint64_t now = qcd_now();
	array_t *all;

	if (this->asked && now - this->asked < PEERS_TIME_MS)
	{
		return this->asked + PEERS_TIME_MS;
	}
	all = find(this, peer_cfg, lost, !this->asked);
	if (this->asked)
	{
		delete_surplus(this, peer_cfg, all);
		this->asked = 0;
	}
	else
	{
		this->asked = now;
	}
	array_destroy(all);
	return now + PEERS_TIME_MS;
}

METHOD(qcd_rivals_t, reset, void,
	private_qcd_rivals_t *this)
{
	this->asked = 0;
}

METHOD(qcd_rivals_t, destroy, void,
	private_qcd_rivals_t *this)
{
	array_destroy(this->before);
	free(this);
}

/*
 * Described in header
 */
qcd_rivals_t *qcd_rivals_create(qcd_pending_t *pending, qcd_peers_t *peers,
								qcd_connector_t *connector,
								qcd_wanted_t *wanted)
{
	private_qcd_rivals_t *this;

	INIT(this,
		.public = {
			.find = _find,
			.note_before = _note_before,
			.tidy = _tidy,
			.reset = _reset,
			.destroy = _destroy,
		},
		.pending = pending,
		.peers = peers,
		.connector = connector,
		.wanted = wanted,
		.before = array_create(sizeof(uint32_t), 0),
	);
	return &this->public;
}
