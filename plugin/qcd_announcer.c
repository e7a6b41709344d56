/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_announcer.h"

#include <daemon.h>
#include <collections/linked_list.h>
#include <processing/jobs/callback_job.h>

/**
 * Milliseconds between two steps
 */
#define STEP_MS 10

/**
 * IKE_SAs that are looked at in one step
 */
#define LOOKS_MAX 1000

/**
 * IKE_SAs whose turn is put off because of the limit of their source
 */
#define PUT_OFF_MAX 1024

/**
 * Messages get lost: seconds after which those whose peers did not come back
 * are told again
 */
static const u_int pauses[] = { 2, 8 };

typedef struct private_qcd_announcer_t private_qcd_announcer_t;

/**
 * Private data; one job works with it, so there is no mutex
 */
struct private_qcd_announcer_t {

	/**
	 * Public interface
	 */
	qcd_announcer_t public;

	/**
	 * State of the maker
	 */
	qcd_state_t *state;

	/**
	 * Answers
	 */
	qcd_answer_t *answer;

	/**
	 * CHILD_SAs
	 */
	qcd_children_t *children;

	/**
	 * How fast
	 */
	qcd_pace pace;

	/**
	 * How far we have got in this round
	 */
	qcd_samap_place place;
	bool at_end;

	/**
	 * Rounds that are over
	 */
	u_int rounds;

	/**
	 * CHILD_SAs whose turn comes later, as qcd_samap_row
	 */
	linked_list_t *put_off;

	/**
	 * Number of messages
	 */
	refcount_t count;
};

/**
 * Tell the peer of a lost CHILD_SA
 *
 * @return				FALSE if that has to wait
 */
static bool tell(private_qcd_announcer_t *this, const qcd_samap_row *row)
{
	host_t *peer, *me;
	qcd_lost lost;

	qcd_lost_from_row(&lost, row);
	switch (this->state->judge_lost(this->state, &lost, &row->peer))
	{
		case QCD_ANSWER:
			break;
		case QCD_SILENT_LIMIT:
			return FALSE;
		default:
			return TRUE;
	}
	peer = qcd_address_to_host(&row->peer, row->peer_port);
	me = qcd_address_to_host(&row->local, row->local_port);
	if (peer && me)
	{
		this->answer->tell(this->answer, &lost, 0, peer, me);
		ref_get(&this->count);
	}
	DESTROY_IF(peer);
	DESTROY_IF(me);
	return TRUE;
}

/**
 * Put a CHILD_SA off
 */
static void put_off(private_qcd_announcer_t *this, const qcd_samap_row *row)
{
	qcd_samap_row *copy;

	copy = malloc_thing(qcd_samap_row);
	*copy = *row;
	this->put_off->insert_last(this->put_off, copy);
}

/**
 * Get the next CHILD_SA that was put off and whose peer has not come back
 * meanwhile
 */
static bool next_put_off(private_qcd_announcer_t *this, qcd_samap_row *row)
{
	qcd_samap_row *copy;
	bool found = FALSE;

	while (!found &&
		   this->put_off->remove_first(this->put_off, (void**)&copy) == SUCCESS)
	{
		found = this->children->find(this->children, copy->child_spi, row);
		free(copy);
	}
	return found;
}

/**
 * Get the next CHILD_SA, each of those that were put off once in a step
 */
static bool next(private_qcd_announcer_t *this, u_int *again,
				 qcd_samap_row *row)
{
	while (*again)
	{
		(*again)--;
		if (next_put_off(this, row))
		{
			return TRUE;
		}
	}
	if (this->at_end ||
		this->put_off->get_count(this->put_off) >= PUT_OFF_MAX)
	{
		return FALSE;
	}
	this->at_end = !this->children->next(this->children, &this->place, row);
	return !this->at_end;
}

/**
 * Tell as many peers as may be told now
 */
static void step(private_qcd_announcer_t *this)
{
	ike_sa_manager_t *manager = charon->ike_sa_manager;
	u_int due, looks, again;
	qcd_samap_row row;

	again = this->put_off->get_count(this->put_off);
	due = qcd_pace_due(&this->pace,
					   manager->get_half_open_count(manager, NULL, TRUE),
					   qcd_now());
	for (looks = 0; due && looks < LOOKS_MAX; looks++)
	{
		if (!next(this, &again, &row))
		{
			break;
		}
		if (tell(this, &row))
		{
			due--;
		}
		else
		{
			put_off(this, &row);
		}
	}
}

/**
 * Job that tells the peers, round by round
 */
static job_requeue_t announce(private_qcd_announcer_t *this)
{
	if (!this->answer->is_settled(this->answer))
	{
		return JOB_RESCHEDULE_MS(STEP_MS * 2);
	}
	step(this);
	if (!this->at_end || this->put_off->get_count(this->put_off))
	{
		return JOB_RESCHEDULE_MS(STEP_MS);
	}
	if (this->rounds == countof(pauses) ||
		!this->children->get_lost(this->children))
	{
		return JOB_REQUEUE_NONE;
	}
	memset(&this->place, 0, sizeof(this->place));
	this->at_end = FALSE;
	return JOB_RESCHEDULE(pauses[this->rounds++]);
}

METHOD(qcd_announcer_t, get_count, u_int,
	private_qcd_announcer_t *this)
{
	return ref_cur(&this->count);
}

METHOD(qcd_announcer_t, destroy, void,
	private_qcd_announcer_t *this)
{
	this->put_off->destroy_function(this->put_off, free);
	free(this);
}

/*
 * Described in header
 */
qcd_announcer_t *qcd_announcer_create(qcd_config_t *config, qcd_state_t *state,
							qcd_answer_t *answer, qcd_children_t *children)
{
	private_qcd_announcer_t *this;

	INIT(this,
		.public = {
			.get_count = _get_count,
			.destroy = _destroy,
		},
		.state = state,
		.answer = answer,
		.children = children,
		.put_off = linked_list_create(),
	);

	/* half of the replies are left to those who ask */
	ignore_result(qcd_pace_init(&this->pace, (config->reply_rate + 1) / 2,
								qcd_now()));
	if (children->get_lost(children))
	{
		DBG1(DBG_IKE, "QCD: telling the peers of %u lost CHILD_SAs that they "
			 "are lost", children->get_lost(children));
		lib->processor->queue_job(lib->processor,
				(job_t*)callback_job_create((void*)announce, this, NULL, NULL));
	}
	return &this->public;
}
