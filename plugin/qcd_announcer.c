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
 * CHILD_SAs whose peers seem to have been told just now, in answer to ESP. The
 * limit that says so shares its memory, so it may be another one's peer: they get
 * their turn again when the limit has forgotten, as many as this at most, and so
 * often.
 */
#define PUT_OFF_MAX 1024
#define PUT_OFF_MS 1100
#define TRIES_MAX 4

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
	qcd_promises_t *promises;

	/**
	 * Answers
	 */
	qcd_answer_t *answer;

	/**
	 * What a crash took
	 */
	qcd_lost_t *lost;

	/**
	 * How fast
	 */
	qcd_pace pace;

	/**
	 * How far we have got in this round
	 */
	u_int place;
	bool at_end;

	/**
	 * CHILD_SA whose turn it is, but there were too many replies just now
	 */
	qcd_samap_row held;
	u_int held_tries;
	bool is_held;

	/**
	 * CHILD_SAs that get their turn later, as put_off_t
	 */
	linked_list_t *put_off;

	/**
	 * Rounds that are over
	 */
	u_int rounds;
};

/**
 * A CHILD_SA that gets its turn later
 */
typedef struct {
	qcd_samap_row row;
	uint64_t due;
	u_int tries;
} put_off_t;

/**
 * Put a CHILD_SA off that had its turn so often
 */
static void put_off(private_qcd_announcer_t *this, const qcd_samap_row *row,
					u_int tries)
{
	put_off_t *later;

	if (tries < TRIES_MAX &&
		this->put_off->get_count(this->put_off) < PUT_OFF_MAX)
	{
		INIT(later,
			.row = *row,
			.due = qcd_now() + PUT_OFF_MS,
			.tries = tries,
		);
		this->put_off->insert_last(this->put_off, later);
	}
}

/**
 * Get a CHILD_SA that was put off and is due
 */
static bool next_put_off(private_qcd_announcer_t *this, qcd_samap_row *row,
						 u_int *tries)
{
	put_off_t *later;
	bool found = FALSE;

	while (!found &&
		   this->put_off->get_first(this->put_off, (void**)&later) == SUCCESS &&
		   qcd_now() >= later->due)
	{
		this->put_off->remove_first(this->put_off, (void**)&later);
		found = this->lost->find(this->lost, &later->row.child_spi, row);
		*tries = later->tries;
		free(later);
	}
	return found;
}

/**
 * Send the message to the peer of a lost CHILD_SA
 */
static void send_message(private_qcd_announcer_t *this, const qcd_lost *lost,
						 const qcd_samap_row *row)
{
	host_t *peer, *me;

	peer = qcd_address_to_host(&row->peer, row->peer_port);
	me = qcd_address_to_host(&row->local, row->local_port);
	if (peer && me)
	{
		this->answer->tell(this->answer, lost, NULL, peer, me);
	}
	DESTROY_IF(peer);
	DESTROY_IF(me);
}

/**
 * Get the next CHILD_SA that is still lost
 *
 * @param tries			receives how often it had its turn before
 */
static bool next(private_qcd_announcer_t *this, qcd_samap_row *row,
				 u_int *tries)
{
	*tries = 0;
	if (this->is_held)
	{
		this->is_held = FALSE;
		*tries = this->held_tries;
		if (this->lost->find(this->lost, &this->held.child_spi, row))
		{
			return TRUE;
		}
	}
	if (next_put_off(this, row, tries))
	{
		return TRUE;
	}
	*tries = 0;
	this->at_end = this->at_end ||
				   !this->lost->next(this->lost, &this->place, row);
	return !this->at_end;
}

/**
 * Tell the peer of the next CHILD_SA, unless it was told just now
 *
 * @param told			set if it was told by this
 * @return				FALSE if there is none, or none may be told now
 */
static bool tell_next(private_qcd_announcer_t *this, bool *told)
{
	qcd_samap_row row;
	qcd_lost lost;
	u_int tries;

	*told = FALSE;
	if (!next(this, &row, &tries))
	{
		return FALSE;
	}
	qcd_lost_from_row(&lost, &row);
	switch (this->promises->judge_lost(this->promises, &lost, NULL))
	{
		case QCD_ANSWER:
			send_message(this, &lost, &row);
			*told = TRUE;
			return TRUE;
		case QCD_SILENT_LIMIT:
			this->held = row;
			this->held_tries = tries;
			this->is_held = TRUE;
			return FALSE;
		case QCD_SILENT_TOLD:
			put_off(this, &row, tries + 1);
			return TRUE;
		default:
			return TRUE;
	}
}

/**
 * Tell as many peers as may be told now
 */
static void step(private_qcd_announcer_t *this)
{
	ike_sa_manager_t *manager = charon->ike_sa_manager;
	u_int due, looks;
	bool told;

	due = qcd_pace_due(&this->pace,
					   manager->get_half_open_count(manager, NULL, TRUE),
					   qcd_now());
	for (looks = 0; due && looks < LOOKS_MAX; looks++)
	{
		if (!tell_next(this, &told))
		{
			break;
		}
		due -= told;
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
	if (!this->at_end || this->is_held ||
		this->put_off->get_count(this->put_off))
	{
		return JOB_RESCHEDULE_MS(STEP_MS);
	}
	if (this->rounds == countof(pauses) ||
		!this->lost->get_count(this->lost))
	{
		return JOB_REQUEUE_NONE;
	}
	this->place = 0;
	this->at_end = FALSE;
	return JOB_RESCHEDULE(pauses[this->rounds++]);
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
qcd_announcer_t *qcd_announcer_create(qcd_config_t *config, qcd_promises_t *promises,
							qcd_answer_t *answer, qcd_lost_t *lost)
{
	private_qcd_announcer_t *this;

	INIT(this,
		.public = {
			.destroy = _destroy,
		},
		.promises = promises,
		.answer = answer,
		.lost = lost,
		.put_off = linked_list_create(),
	);

	/* half of what there is for those who repeat themselves is left to them */
	ignore_result(qcd_pace_init(&this->pace, (config->reply_rate + 3) / 4,
								qcd_now()));
	if (lost->get_count(lost))
	{
		DBG1(DBG_IKE, "QCD: telling the peers of %u lost CHILD_SAs that they "
			 "are lost", lost->get_count(lost));
		lib->processor->queue_job(lib->processor,
				(job_t*)callback_job_create((void*)announce, this, NULL, NULL));
	}
	return &this->public;
}
