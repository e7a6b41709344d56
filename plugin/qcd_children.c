/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_children.h"
#include "qcd_listeners.h"

#include <time.h>

#include <daemon.h>
#include <threading/mutex.h>

/**
 * Milliseconds until a change is written that outlives the daemon. Then the
 * handshake is over, and its thread need not share a processor with ours.
 */
#define WRITE_DELAY 100

/**
 * Seconds until the next look at changes behind those that the daemon before has
 * left, which can't be written yet
 */
#define AGAIN_INTERVAL 1

typedef struct private_qcd_children_t private_qcd_children_t;

/**
 * Private data
 */
struct private_qcd_children_t {

	/**
	 * Public interface
	 */
	qcd_children_t public;

	/**
	 * As passed to qcd_children_create()
	 */
	qcd_config_t *config;
	qcd_promises_t *promises;
	qcd_lost_t *lost;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus.
	 */
	mutex_t *mutex;

	/**
	 * Changes that wait to be written to the map. If the disk hangs and there
	 * are too many, further ones are lost: the map is only a hint.
	 */
	qcd_changes_t *changes;

	/**
	 * Whether a job is writing, or will soon
	 */
	bool writing;

	/**
	 * Whether the job has begun to write: not while all of charon's threads are
	 * busy, or have ended
	 */
	bool begun;

	/**
	 * Whether changes were lost since the queue was last empty
	 */
	bool full;
};

/**
 * Get the next change. If there is none, return FALSE and note that no job is
 * writing. Somebody may have removed the file of the changes meanwhile.
 *
 * @param written		whether the change before was written
 * @param wait			set if changes that were left have to be written before
 */
static bool next(private_qcd_children_t *this, qcd_change_t *change,
				 bool written, bool *wait)
{
	bool found, made = FALSE;
	char text[512];

	this->mutex->lock(this->mutex);
	if (written)
	{
		this->changes->drop(this->changes);
	}
	found = this->changes->get(this->changes, change);
	*wait = found && change->left;
	this->begun = found && !*wait;
	if (!found)
	{
		this->writing = FALSE;
		this->full = FALSE;
		made = this->changes->keep(this->changes, text, sizeof(text));
	}
	this->mutex->unlock(this->mutex);
	if (made)
	{
		DBG1(DBG_CFG, "QCD: %s", text);
	}
	return found && !*wait;
}

/**
 * Job that writes all changes, in the order in which they were queued
 */
static job_requeue_t write_all(private_qcd_children_t *this)
{
	qcd_change_t change;
	bool written, wait;

	for (written = FALSE; next(this, &change, written, &wait); written = TRUE)
	{
		if (change.removed)
		{
			this->lost->remove(this->lost, &change.row.child_spi);
		}
		else
		{
			this->lost->put(this->lost, &change.row);
		}
	}
	if (wait)
	{
		return JOB_RESCHEDULE(AGAIN_INTERVAL);
	}
	return JOB_REQUEUE_NONE;
}

/**
 * Log that a change was lost
 */
static void log_lost(bool begun)
{
	DBG1(DBG_CFG, "QCD: the SA map can't be written in time: after a crash, ESP "
		 "of new CHILD_SAs gets no reply. %s", begun
		 ? "Check the disk of state_dir" : "All threads of charon are busy");
}

/**
 * Queue a change, since a listener must not wait for the disk
 */
static void queue(private_qcd_children_t *this, const qcd_samap_row *row,
				  bool removed)
{
	bool start = FALSE, lost = FALSE, outlives, begun;

	this->mutex->lock(this->mutex);
	outlives = this->changes->outlive(this->changes);
	begun = this->begun;
	if (this->changes->add(this->changes, row, removed))
	{
		start = !this->writing;
		this->writing = TRUE;
	}
	else if (begun || !removed)
	{
		lost = !this->full;
		this->full = TRUE;
	}
	/* else charon ends: it removes all CHILD_SAs when it has no more threads
	 * for jobs, and the rows of this run are dropped as a whole */
	this->mutex->unlock(this->mutex);
	if (lost)
	{
		log_lost(begun);
	}
	if (start)
	{
		qcd_job_queue(write_all, this, NULL, JOB_PRIO_HIGH,
					  outlives ? WRITE_DELAY : 0);
	}
}

/**
 * Get the digests that identify the peer of an IKE_SA
 */
static void name_peer(ike_sa_t *ike_sa, uint8_t out[QCD_SAMAP_PEER_LEN])
{
	qcd_peer_id_t id;

	qcd_peer_digest(ike_sa->get_name(ike_sa), ike_sa->get_my_id(ike_sa),
					ike_sa->get_other_eap_id(ike_sa), &id);
	memcpy(out, &id, sizeof(id));
}

/**
 * Get our SPI of a CHILD_SA, FALSE if it has none yet
 */
static bool get_spi(child_sa_t *child_sa, qcd_child_spi *out)
{
	uint32_t spi = child_sa->get_spi(child_sa, TRUE);

	memcpy(out->octets, &spi, sizeof(spi));
	out->protocol = child_sa->get_protocol(child_sa) == PROTO_AH ? QCD_AH
																 : QCD_ESP;
	return spi != 0;
}

/**
 * Describe a CHILD_SA of an IKE_SA between two hosts. Returns FALSE if its peer
 * cannot be notified of a loss.
 */
static bool describe(private_qcd_children_t *this, ike_sa_t *ike_sa, host_t *me,
					 host_t *other, child_sa_t *child_sa, qcd_samap_row *row)
{
	time_t end = child_sa->get_lifetime(child_sa, TRUE);
	qcd_sa_t sa;

	memset(row, 0, sizeof(*row));
	if (!get_spi(child_sa, &row->child_spi) || !qcd_sa_identify(ike_sa, &sa) ||
		!this->promises->owns(this->promises, &sa.ike) ||
		!this->config->makes_for(this->config, ike_sa))
	{
		return FALSE;
	}
	row->encap = child_sa->has_encap(child_sa);
	row->node = this->config->node;
	row->run = this->promises->get_run(this->promises);
	row->sa = sa.ike;
	qcd_address_from_host(me, &row->local);
	qcd_address_from_host(other, &row->peer);
	row->local_port = me->get_port(me);
	row->peer_port = other->get_port(other);
	name_peer(ike_sa, row->peer_id);
	if (end)
	{	/* by the wall clock, as the monotonic one restarts with the machine */
		row->expires = time(NULL) + max(end - time_monotonic(NULL), 0);
	}
	return TRUE;
}

/**
 * Queue a row for a CHILD_SA that was installed
 */
static void installed(private_qcd_children_t *this, ike_sa_t *ike_sa,
					  child_sa_t *child_sa)
{
	qcd_samap_row row;

	if (describe(this, ike_sa, ike_sa->get_my_host(ike_sa),
				 ike_sa->get_other_host(ike_sa), child_sa, &row))
	{
		queue(this, &row, FALSE);
		this->lost->note_return(this->lost, &row);
	}
}

/**
 * Queue the removal of a CHILD_SA that was destroyed
 */
static void gone(private_qcd_children_t *this, child_sa_t *child_sa)
{
	qcd_samap_row row = {};

	if (get_spi(child_sa, &row.child_spi))
	{
		queue(this, &row, TRUE);
	}
}

METHOD(listener_t, child_state_change, bool,
	private_qcd_children_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	child_sa_state_t state)
{
	if (state == CHILD_DESTROYING)
	{
		gone(this, child_sa);
	}
	else if (state == CHILD_INSTALLED && ike_sa &&
			 child_sa->get_state(child_sa) == CHILD_INSTALLING)
	{
		installed(this, ike_sa, child_sa);
	}
	return TRUE;
}

/**
 * Queue new rows for the CHILD_SAs of an IKE_SA
 */
static void rewrite(private_qcd_children_t *this, ike_sa_t *ike_sa, host_t *me,
					host_t *other)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	qcd_samap_row row;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		if (describe(this, ike_sa, me, other, child_sa, &row))
		{
			queue(this, &row, FALSE);
		}
	}
	enumerator->destroy(enumerator);
}

METHOD(listener_t, ike_rekey, bool,
	private_qcd_children_t *this, ike_sa_t *old, ike_sa_t *new)
{
	/* by now the new IKE_SA has the CHILD_SAs */
	rewrite(this, new, new->get_my_host(new), new->get_other_host(new));
	return TRUE;
}

METHOD(listener_t, children_migrate, bool,
	private_qcd_children_t *this, ike_sa_t *ike_sa, ike_sa_id_t *new,
	uint32_t unique)
{
	if (!new)
	{	/* by now the CHILD_SAs have arrived */
		rewrite(this, ike_sa, ike_sa->get_my_host(ike_sa),
				ike_sa->get_other_host(ike_sa));
	}
	return TRUE;
}

METHOD(listener_t, ike_update, bool,
	private_qcd_children_t *this, ike_sa_t *ike_sa, host_t *local,
	host_t *remote)
{
	rewrite(this, ike_sa, local, remote);
	return TRUE;
}

METHOD(qcd_children_t, destroy, void,
	private_qcd_children_t *this)
{
	qcd_listeners_remove(&this->public.listener);
	write_all(this);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_children_t *qcd_children_create(qcd_config_t *config, qcd_promises_t *promises,
									qcd_lost_t *lost, qcd_changes_t *changes)
{
	private_qcd_children_t *this;

	INIT(this,
		.public = {
			.listener = {
				.child_state_change = _child_state_change,
				.ike_rekey = _ike_rekey,
				.children_migrate = _children_migrate,
				.ike_update = _ike_update,
			},
			.destroy = _destroy,
		},
		.config = config,
		.promises = promises,
		.lost = lost,
		.changes = changes,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	qcd_listeners_add(&this->public.listener);
	return &this->public;
}
