/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_rivals.h"
#include "qcd_doubts.h"

/**
 * In milliseconds: time after which the peer has usually responded on several
 * IKE_SAs, interval between looks if not, and the maximum time
 */
#define PEERS_TIME_MS 1000
#define LOOK_MS 250
#define ANSWERS_MS 10000

/**
 * Maximum number of IKE_SAs that are deleted as surplus while one is up: the peer
 * may open each one again, as its close_action says
 */
#define SURPLUS_MAX 2

/**
 * Milliseconds for which an IKE_SA is kept that began after everything was up:
 * charon repeats a DELETE after 4 and 11.2 seconds
 */
#define YOUNGER_MS 15000

/**
 * Milliseconds for which we may be the reason that the peer's IKE_SA is the only
 * one left, which it may be deleting as well
 */
#define DELETED_MS 5000

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
	 * Unique IDs of IKE_SAs that were up when the recovery began and are kept, as
	 * uint32_t
	 */
	array_t *before;

	/**
	 * Those that serve another purpose and are kept for a time, as younger_t
	 */
	array_t *younger;

	/**
	 * When one was last deleted as surplus, 0 if none was, and how many were
	 */
	uint64_t deleted;
	u_int num_deleted;

	/**
	 * Whether somebody else is closing one
	 */
	bool closing;

	/**
	 * Whether younger ones than this unique ID are kept
	 */
	bool closed;
	uint32_t youngest;

	/**
	 * IKE_SAs that were up when the last crash was proved
	 */
	qcd_doubts_t *doubts;

	/**
	 * When the peer was asked which IKE_SAs it has, 0 if it was not asked
	 */
	uint64_t asked;
};

/**
 * An IKE_SA that began after everything was up, and when it was found
 */
typedef struct {
	uint32_t unique_id;
	uint64_t since;
} younger_t;

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
 * to a request whether it is alive. A queued task that nothing holds up was
 * delayed: the peer refused the CHILD_SA, and charon waits for up to 15 seconds.
 */
static bool is_busy(ike_sa_t *ike_sa)
{
	return qcd_sa_has_task(ike_sa, TASK_QUEUE_ACTIVE, TASK_IKE_DPD) ||
		   qcd_sa_has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_IKE_DPD) ||
		   qcd_sa_has_task(ike_sa, TASK_QUEUE_ACTIVE, TASK_CHILD_CREATE) ||
		   (qcd_sa_has_task(ike_sa, TASK_QUEUE_QUEUED, TASK_CHILD_CREATE) &&
			qcd_sa_is_waiting(ike_sa));
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

/**
 * Tell whether an IKE_SA is younger than a recovery and kept for a time: until a
 * reauthentication has deleted the other one, even if its DELETE gets lost twice
 */
static bool is_younger(private_qcd_rivals_t *this, peer_cfg_t *peer_cfg,
					   uint32_t unique_id)
{
	bool never = peer_cfg->get_unique_policy(peer_cfg) == UNIQUE_NEVER;
	younger_t younger;
	int i;

	for (i = 0; i < array_count(this->younger); i++)
	{
		array_get(this->younger, i, &younger);
		if (younger.unique_id == unique_id)
		{
			return never || qcd_now() - younger.since < YOUNGER_MS;
		}
	}
	if (this->closed && unique_id > this->youngest)
	{
		younger = (younger_t){ unique_id, qcd_now() };
		array_insert(this->younger, ARRAY_TAIL, &younger);
		return TRUE;
	}
	return FALSE;
}

/**
 * Tell whether an IKE_SA is kept
 */
static bool is_kept(private_qcd_rivals_t *this, peer_cfg_t *peer_cfg,
					uint32_t unique_id)
{
	return this->num_deleted >= SURPLUS_MAX ||
		   has_id(this->before, unique_id) ||
		   is_younger(this, peer_cfg, unique_id);
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
		 !qcd_sa_is_reopened(ike_sa)) ||
		(!this->connector->is_try(this->connector,
								  ike_sa->get_unique_id(ike_sa)) &&
		 !this->wanted->is_with(this->wanted, peer_cfg, ike_sa)))
	{
		return FALSE;
	}
	if (qcd_sa_is_to_be_closed(ike_sa))
	{
		this->closing = TRUE;
		return FALSE;
	}
	found->initiator = id->is_initiator(id);
	found->kept = is_kept(this, peer_cfg, found->sa.unique_id);
	found->busy = qcd_sa_is_reopened(ike_sa) || is_busy(ike_sa);
	found->doubtful = this->doubts->is_doubtful(this->doubts,
											found->sa.unique_id, found->busy);
	found->children = 0;
	found->no_vip = FALSE;
	if (!found->doubtful && !qcd_sa_is_reopened(ike_sa))
	{
		found->children = children->look_at(children, ike_sa);
		found->no_vip = found->initiator && lacks_virtual_ip(peer_cfg, ike_sa);
	}
	return TRUE;
}

/**
 * Ask the peer whether it has an IKE_SA: if the caller requests it, and once
 * about each doubtful one
 */
static status_t ask_peer(private_qcd_rivals_t *this, ike_sa_t *ike_sa,
						 bool ask)
{
	if (qcd_sa_is_reopened(ike_sa))
	{
		return SUCCESS;
	}
	ask |= this->doubts->take_question(this->doubts,
									   ike_sa->get_unique_id(ike_sa));
	return ask ? this->pending->ask(this->pending, ike_sa) : SUCCESS;
}

/**
 * Find the IKE_SAs that may be with the peer
 *
 * @return				list of qcd_sa_t
 */
static linked_list_t *find_all(private_qcd_rivals_t *this)
{
	return this->peers->find(this->peers, this->wanted->name,
							 this->wanted->peer_id,
							 (qcd_peers_pick_t)this->connector->is_try,
							 this->connector);
}

/**
 * Examine an IKE_SA, and add it to an array if it may replace the lost one
 */
static void find_one(private_qcd_rivals_t *this, peer_cfg_t *peer_cfg,
					 qcd_sa_t *sa, bool ask, array_t *all)
{
	ike_sa_t *ike_sa = qcd_sa_checkout_same(sa);
	qcd_rival_t found = { .sa = *sa };
	status_t status = SUCCESS;

	if (!ike_sa)
	{
		return;
	}
	if (look_at(this, peer_cfg, ike_sa, &found))
	{
		array_insert(all, ARRAY_TAIL, &found);
		status = ask_peer(this, ike_sa, ask);
	}
	qcd_sa_checkin(ike_sa, status);
	if (found.doubtful)
	{
		this->connector->repeat_request(this->connector, sa->unique_id);
	}
}

METHOD(qcd_rivals_t, find, array_t*,
	private_qcd_rivals_t *this, peer_cfg_t *peer_cfg, bool ask)
{
	array_t *all = array_create(sizeof(qcd_rival_t), 0);
	qcd_child_list_t *children = this->wanted->children;
	linked_list_t *sas;
	qcd_sa_t *sa;

	this->closing = FALSE;
	children->look(children);
	sas = find_all(this);
	while (sas->remove_first(sas, (void**)&sa) == SUCCESS)
	{
		if (!this->doubts->is_gone(this->doubts, sa->unique_id))
		{
			find_one(this, peer_cfg, sa, ask, all);
		}
		free(sa);
	}
	sas->destroy(sas);
	return all;
}

METHOD(qcd_rivals_t, note_lost, void,
	private_qcd_rivals_t *this, uint32_t unique_id)
{
	linked_list_t *sas = find_all(this);

	this->doubts->note_lost(this->doubts, unique_id, sas);
	sas->destroy_function(sas, free);
}

/*
 * Described in header
 */
bool qcd_rivals_best(array_t *all, u_int wanted, qcd_rival_t *best,
					 u_int *complete)
{
	qcd_rival_t found;
	bool any = FALSE;
	int i;

	*complete = 0;
	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		if (found.doubtful)
		{
			continue;
		}
		if (!any || found.children >= best->children)
		{
			*best = found;
		}
		any = TRUE;
		*complete += found.children == wanted && !found.kept;
	}
	return any;
}

/*
 * Described in header
 */
linked_list_t *qcd_rivals_surplus(array_t *all, u_int wanted)
{
	linked_list_t *surplus = linked_list_create();
	qcd_rival_t found, keep;
	qcd_sa_t *sa;
	bool any = FALSE;
	int i;

	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		if (found.children < wanted || found.busy || found.kept)
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

/**
 * Note which IKE_SAs are up now. If one is lost, older ones may be lost as well.
 */
static void note_before(private_qcd_rivals_t *this, uint32_t unique_id,
						bool lost)
{
	linked_list_t *sas;
	qcd_sa_t *sa;

	sas = this->peers->find(this->peers, this->wanted->name,
							this->wanted->peer_id, NULL, NULL);
	while (sas->remove_first(sas, (void**)&sa) == SUCCESS)
	{
		if (lost ? sa->unique_id > unique_id : sa->unique_id != unique_id)
		{
			array_insert(this->before, ARRAY_TAIL, &sa->unique_id);
		}
		free(sa);
	}
	sas->destroy(sas);
}

METHOD(qcd_rivals_t, remove_, void,
	private_qcd_rivals_t *this, qcd_sa_t *sa)
{
	this->doubts->note_deleted(this->doubts, sa->unique_id);
	qcd_sa_delete(sa);
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
	surplus = qcd_rivals_surplus(all, wanted);
	while (surplus->remove_first(surplus, (void**)&sa) == SUCCESS)
	{
		remove_(this, sa);
		this->deleted = qcd_now();
		this->num_deleted++;
		free(sa);
	}
	surplus->destroy(surplus);
}

/**
 * Repeat the questions that the peer has not answered yet, when that is due
 *
 * @return				FALSE if there are none
 */
static bool repeat_questions(private_qcd_rivals_t *this, array_t *all)
{
	qcd_rival_t found;
	bool busy = FALSE;
	int i;

	for (i = 0; i < array_count(all); i++)
	{
		array_get(all, i, &found);
		if (found.busy)
		{
			this->connector->repeat_request(this->connector,
											found.sa.unique_id);
			busy = TRUE;
		}
	}
	return busy;
}

METHOD(qcd_rivals_t, tidy, uint64_t,
	private_qcd_rivals_t *this, peer_cfg_t *peer_cfg)
{
	uint64_t now = qcd_now();
	array_t *all;

	if (this->asked && now - this->asked < PEERS_TIME_MS)
	{
		return this->asked + PEERS_TIME_MS;
	}
	all = find(this, peer_cfg, !this->asked);
	if (!this->asked)
	{
		this->asked = now;
		now += PEERS_TIME_MS;
	}
	else if (now - this->asked < ANSWERS_MS && repeat_questions(this, all))
	{	/* it may be far away, or a response was lost */
		now += LOOK_MS;
	}
	else
	{
		delete_surplus(this, peer_cfg, all);
		this->asked = 0;
		now += PEERS_TIME_MS;
	}
	array_destroy(all);
	return now;
}

METHOD(qcd_rivals_t, is_closing, bool,
	private_qcd_rivals_t *this)
{
	return this->closing;
}

METHOD(qcd_rivals_t, note_try, void,
	private_qcd_rivals_t *this)
{
	uint32_t unique_id;
	int i;

	for (i = array_count(this->before) - 1; i >= 0; i--)
	{
		array_get(this->before, i, &unique_id);
		if (this->doubts->is_doubtful(this->doubts, unique_id, TRUE))
		{
			array_remove(this->before, i, NULL);
		}
	}
}

METHOD(qcd_rivals_t, set_closed, void,
	private_qcd_rivals_t *this, bool closed)
{
	this->closed = closed;
}

METHOD(qcd_rivals_t, has_deleted, bool,
	private_qcd_rivals_t *this)
{
	return this->deleted && qcd_now() - this->deleted < DELETED_MS;
}

METHOD(qcd_rivals_t, get_over, uint64_t,
	private_qcd_rivals_t *this)
{
	uint64_t over = this->deleted ? this->deleted + DELETED_MS : 0;
	younger_t younger;

	return array_get(this->younger, ARRAY_TAIL, &younger) ?
		   max(over, younger.since + YOUNGER_MS) : over;
}

METHOD(qcd_rivals_t, note_up, void,
	private_qcd_rivals_t *this)
{
	this->num_deleted = 0;
}

METHOD(qcd_rivals_t, reset, void,
	private_qcd_rivals_t *this)
{
	this->asked = 0;
	if (!this->closed)
	{
		this->youngest = this->pending->get_youngest(this->pending);
	}
}

METHOD(qcd_rivals_t, destroy, void,
	private_qcd_rivals_t *this)
{
	array_destroy(this->before);
	array_destroy(this->younger);
	this->doubts->destroy(this->doubts);
	free(this);
}

/*
 * Described in header
 */
qcd_rivals_t *qcd_rivals_create(qcd_pending_t *pending, qcd_peers_t *peers,
								qcd_connector_t *connector,
								qcd_wanted_t *wanted, uint32_t unique_id,
								bool lost)
{
	private_qcd_rivals_t *this;

	INIT(this,
		.public = {
			.note_lost = _note_lost,
			.remove = _remove_,
			.is_closing = _is_closing,
			.note_try = _note_try,
			.set_closed = _set_closed,
			.get_over = _get_over,
			.has_deleted = _has_deleted,
			.find = _find,
			.tidy = _tidy,
			.note_up = _note_up,
			.reset = _reset,
			.destroy = _destroy,
		},
		.pending = pending,
		.peers = peers,
		.connector = connector,
		.wanted = wanted,
		.before = array_create(sizeof(uint32_t), 0),
		.younger = array_create(sizeof(younger_t), 0),
		.doubts = qcd_doubts_create(),
	);
	note_before(this, unique_id, lost);
	if (lost)
	{
		note_lost(this, unique_id);
	}
	return &this->public;
}
