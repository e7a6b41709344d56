/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_announcer.h"

#include <daemon.h>
#include <collections/linked_list.h>

/**
 * Milliseconds between two steps
 */
#define STEP_MS 10

/**
 * Maximum number of IKE_SAs that are checked in one step
 */
#define LOOKS_MAX 1000

/**
 * Maximum number of announcements that wait. Addresses take turns, so that those
 * to the many peers behind one NAT come last. Replies don't count, so nobody who
 * asks can stop the announcements. There are more places, so that replies find
 * one as well.
 */
#define UNSENT_MAX 1024

/**
 * CHILD_SAs whose peers seem to have been told recently, in reply to ESP. The
 * limit that says so shares its memory between SAs, so another peer may have
 * been told instead. These CHILD_SAs get another turn once the limit has
 * forgotten. The values are the maximum number of these CHILD_SAs, the delay,
 * and the maximum number of turns.
 */
#define PUT_OFF_MAX 1024
#define PUT_OFF_MS 1100
#define TRIES_MAX 4

/**
 * Maximum time for which the end of a round waits for its last announcements to
 * be sent, in milliseconds
 */
#define DRAIN_MS 30000

/**
 * Seconds after which peers that did not return are told again, because
 * messages get lost
 */
static const u_int pauses[] = { 2, 8 };

typedef struct private_qcd_announcer_t private_qcd_announcer_t;

/**
 * Private data. Only one job uses it, so it needs no mutex.
 */
struct private_qcd_announcer_t {

	/**
	 * Public interface
	 */
	qcd_announcer_t public;

	/**
	 * As passed to qcd_announcer_create()
	 */
	qcd_promises_t *promises;
	qcd_answer_t *answer;
	qcd_lost_t *lost;

	/**
	 * Position in this round, and whether its end is reached
	 */
	qcd_lost_place_t place;
	bool at_end;

	/**
	 * CHILD_SAs that were put off, as put_off_t. One that the reply limit holds
	 * back comes first, and is due at once.
	 */
	linked_list_t *put_off;

	/**
	 * Number of finished rounds, and when the end of this one was reached
	 */
	u_int rounds;
	uint64_t ended;
};

/**
 * A CHILD_SA that was put off
 */
typedef struct {
	qcd_samap_row row;
	uint64_t due;
	u_int tries;
} put_off_t;

/**
 * Create a put_off_t
 */
static put_off_t *put_off_create(const qcd_samap_row *row, uint64_t due,
								 u_int tries)
{
	put_off_t *later;

	INIT(later,
		.row = *row,
		.due = due,
		.tries = tries,
	);
	return later;
}

/**
 * Put off a CHILD_SA that had a number of turns
 */
static void put_off(private_qcd_announcer_t *this, const qcd_samap_row *row,
					u_int tries)
{
	if (tries < TRIES_MAX &&
		this->put_off->get_count(this->put_off) < PUT_OFF_MAX)
	{
		this->put_off->insert_last(this->put_off,
						put_off_create(row, qcd_now() + PUT_OFF_MS, tries));
	}
}

/**
 * Get a CHILD_SA that was put off and is now due
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
 * Send an announcement to the peer of a lost CHILD_SA
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
 * @param tries			receives the number of its earlier turns
 */
static bool next(private_qcd_announcer_t *this, qcd_samap_row *row,
				 u_int *tries)
{
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
 * Tell the peer of the next CHILD_SA, unless it was told recently
 *
 * @param told			set if this call told it
 * @return				FALSE if there is no CHILD_SA, or none may be told now
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
	switch (this->promises->judge_lost(this->promises, &lost, NULL, FALSE))
	{
		case QCD_ANSWER:
			send_message(this, &lost, &row);
			*told = TRUE;
			return TRUE;
		case QCD_SILENT_LIMIT:
			this->put_off->insert_first(this->put_off,
										put_off_create(&row, 0, tries));
			return FALSE;
		case QCD_SILENT_TOLD:
			put_off(this, &row, tries + 1);
			return TRUE;
		default:
			return TRUE;
	}
}

/**
 * Add announcements to the replies that wait for a turn
 */
static void step(private_qcd_announcer_t *this)
{
	u_int room, looks;
	bool told;

	room = this->answer->get_unsent(this->answer);
	room = UNSENT_MAX - min(UNSENT_MAX, room);
	for (looks = 0; room && looks < LOOKS_MAX; looks++)
	{
		if (!tell_next(this, &told))
		{
			break;
		}
		room -= told;
	}
}

/**
 * Job that tells the peers, in rounds
 */
static job_requeue_t announce(private_qcd_announcer_t *this)
{
	if (!this->answer->is_settled(this->answer))
	{
		return JOB_RESCHEDULE_MS(STEP_MS * 2);
	}
	if (!this->at_end)
	{
		this->ended = qcd_now();
	}
	step(this);
	if (!this->at_end || this->put_off->get_count(this->put_off))
	{
		return JOB_RESCHEDULE_MS(STEP_MS);
	}
	if (this->answer->get_unsent(this->answer) &&
		qcd_now() - this->ended < DRAIN_MS)
	{
		return JOB_RESCHEDULE_MS(STEP_MS);
	}
	if (this->rounds == countof(pauses) ||
		!this->lost->get_count(this->lost))
	{
		return JOB_REQUEUE_NONE;
	}
	this->place = (qcd_lost_place_t){};
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
qcd_announcer_t *qcd_announcer_create(qcd_promises_t *promises,
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

	if (lost->get_count(lost))
	{
		DBG1(DBG_IKE, "QCD: announcing %u lost CHILD_SAs to their peers",
			 lost->get_count(lost));
		qcd_job_queue(announce, this, NULL, JOB_PRIO_MEDIUM, 0);
	}
	return &this->public;
}
