/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_surplus.h"
#include "qcd_found.h"

/**
 * Milliseconds that the peer has to respond on one of several IKE_SAs
 */
#define PEERS_TIME_MS 1000

typedef struct private_qcd_surplus_t private_qcd_surplus_t;

/**
 * Private data
 */
struct private_qcd_surplus_t {

	/**
	 * Public interface
	 */
	qcd_surplus_t public;

	/**
	 * IKE_SAs that we initiate, and established IKE_SAs
	 */
	qcd_pending_t *pending;
	qcd_peers_t *peers;

	/**
	 * Reaches the peer
	 */
	qcd_connector_t *connector;

	/**
	 * What has to be up
	 */
	qcd_wanted_t *wanted;

	/**
	 * IKE_SAs that existed when the recovery began, as uint32_t
	 */
	array_t *before;

	/**
	 * When the peer was asked which IKE_SAs it has, 0 if it was not asked
	 */
	uint64_t asked;
};

METHOD(qcd_surplus_t, note_before, void,
	private_qcd_surplus_t *this, array_t *all, bool proved)
{
	qcd_found_t found;
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
 * @param all			array of qcd_found_t
 */
static void delete_surplus(private_qcd_surplus_t *this, peer_cfg_t *peer_cfg,
						   array_t *all)
{
	qcd_child_list_t *children = this->wanted->get_children(this->wanted);
	linked_list_t *surplus;
	qcd_sa_t *sa;
	u_int wanted;

	children->count_missing(children, peer_cfg, &wanted);
	surplus = qcd_found_surplus(all, wanted, this->before);
	while (surplus->remove_first(surplus, (void**)&sa) == SUCCESS)
	{
		qcd_sa_delete(sa);
		free(sa);
	}
	surplus->destroy(surplus);
}

METHOD(qcd_surplus_t, tidy, uint64_t,
	private_qcd_surplus_t *this, peer_cfg_t *peer_cfg, uint32_t lost)
{
	uint64_t now = qcd_now();
	array_t *all;

	if (this->asked && now - this->asked < PEERS_TIME_MS)
	{
		return this->asked + PEERS_TIME_MS;
	}
	all = qcd_found_create(this->peers, this->connector, this->wanted, peer_cfg,
						   lost, this->asked ? NULL : this->pending);
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

METHOD(qcd_surplus_t, reset, void,
	private_qcd_surplus_t *this)
{
	this->asked = 0;
}

METHOD(qcd_surplus_t, destroy, void,
	private_qcd_surplus_t *this)
{
	array_destroy(this->before);
	free(this);
}

/*
 * Described in header
 */
qcd_surplus_t *qcd_surplus_create(qcd_pending_t *pending,
								  qcd_peers_t *peers,
								  qcd_connector_t *connector,
								  qcd_wanted_t *wanted)
{
	private_qcd_surplus_t *this;

	INIT(this,
		.public = {
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
