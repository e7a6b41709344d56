/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_esp.h"
#include "qcd_announcer.h"
#include "qcd_changes.h"
#include "qcd_children.h"
#include "qcd_watcher.h"

#include <daemon.h>

typedef struct private_qcd_esp_t private_qcd_esp_t;

/**
 * Private data
 */
struct private_qcd_esp_t {

	/**
	 * Public interface
	 */
	qcd_esp_t public;

	/**
	 * As passed to qcd_esp_create()
	 */
	qcd_events_t *events;
	qcd_promises_t *promises;
	qcd_answer_t *answer;
	qcd_lost_index_t *index;

	/**
	 * CHILD_SAs that were lost in a crash, changes of the SA map that wait to
	 * be written, and the CHILD_SAs of this run
	 */
	qcd_lost_t *lost;
	qcd_changes_t *changes;
	qcd_children_t *children;

	/**
	 * Receives packets of lost CHILD_SAs, NULL if unavailable or disabled
	 */
	qcd_watcher_t *watcher;

	/**
	 * Announces lost SAs, NULL if disabled
	 */
	qcd_announcer_t *announcer;
};

/**
 * Get who sent a packet, and our address that it was sent to. In UDP, this
 * includes the ports (RFC 7296 section 1.5). Otherwise the IKE ports are those
 * that the SA had.
 *
 * @return				FALSE if an address is invalid
 */
static bool get_hosts(const qcd_traffic *packet, const qcd_samap_row *row,
					  host_t **peer, host_t **me)
{
	*peer = qcd_address_to_host(&packet->source, packet->encap ?
								packet->source_port : row->peer_port);
	*me = qcd_address_to_host(&packet->destination, packet->encap ?
							  packet->destination_port : row->local_port);
	if (*peer && *me)
	{
		return TRUE;
	}
	DESTROY_IF(*peer);
	DESTROY_IF(*me);
	return FALSE;
}

/**
 * Handle a packet whose SPI seems to be that of a lost CHILD_SA
 */
static void handle(private_qcd_esp_t *this, const qcd_traffic *packet)
{
	qcd_samap_row row;
	qcd_lost lost;
	host_t *peer, *me;
	bool first;

	if (!this->lost->find(this->lost, &packet->child_spi, &row) ||
		!get_hosts(packet, &row, &peer, &me))
	{
		return;
	}
	qcd_lost_from_row(&lost, &row);
	first = this->index->is_first(this->index, &lost.sa.spis, peer);
	switch (this->promises->judge_lost(this->promises, &lost, packet, first))
	{
		case QCD_ANSWER:
			this->answer->tell(this->answer, &lost, packet, peer, me);
			break;
		case QCD_SILENT_TOLD:
			/* for a flow, that is all its packets except one a second */
		case QCD_SILENT_LIMIT:
			this->events->raise(this->events, QCD_EVENT_ESP_PASSED_OVER, NULL,
								NULL, NULL, NULL);
			break;
		default:
			break;
	}
	peer->destroy(peer);
	me->destroy(me);
}

/**
 * Job that starts watching for packets
 */
static job_requeue_t watch(private_qcd_esp_t *this)
{
	this->lost->watch(this->lost, this->watcher);
	return JOB_REQUEUE_NONE;
}

METHOD(qcd_esp_t, describe, void,
	private_qcd_esp_t *this, qcd_json_t *json)
{
	json->add_bool(json, "esp", this->watcher != NULL);
	json->add_bool(json, "announce", this->announcer != NULL);
	json->add_num(json, "lost_children",
				  this->lost->get_count(this->lost));
	json->add_num(json, "announced",
				  this->answer->get_announced(this->answer));
	this->lost->describe(this->lost, json);
}

METHOD(qcd_esp_t, destroy, void,
	private_qcd_esp_t *this)
{
	DESTROY_IF(this->announcer);
	this->lost->watch(this->lost, NULL);
	DESTROY_IF(this->watcher);
	this->children->destroy(this->children);
	this->lost->destroy(this->lost);
	this->changes->destroy(this->changes);
	free(this);
}

/*
 * Described in header
 */
qcd_esp_t *qcd_esp_create(qcd_config_t *config, qcd_events_t *events,
						  qcd_promises_t *promises, qcd_answer_t *answer,
						  qcd_lost_index_t *index)
{
	private_qcd_esp_t *this;
	qcd_changes_t *changes;
	qcd_lost_t *lost;
	char *path;

	/* The map is kept even if ESP gets no reply: it tells whose SA an IKE
	 * request is about, and how many peers share an address. */
	if (!config->reply_rate || !config->reply_burst)
	{
		return NULL;
	}
	if (asprintf(&path, "%s.changes", config->socket) < 0)
	{
		return NULL;
	}
	changes = qcd_changes_create(path, config->state_dir);
	free(path);
	if (!changes)
	{
		return NULL;
	}
	lost = qcd_lost_create(config, promises, index, changes);
	if (!lost)
	{
		changes->destroy(changes);
		return NULL;
	}

	INIT(this,
		.public = {
			.describe = _describe,
			.destroy = _destroy,
		},
		.events = events,
		.promises = promises,
		.answer = answer,
		.index = index,
		.lost = lost,
		.changes = changes,
		.children = qcd_children_create(config, promises, lost, changes),
	);

	if (config->esp)
	{
		this->watcher = qcd_watcher_create(config->reply_rate,
								(qcd_watcher_packet_t)handle, this);
	}
	if (this->watcher)
	{	/* the kernel takes long to add many SPIs */
		qcd_job_queue(watch, this, NULL, JOB_PRIO_HIGH, 0);
	}
	if (config->announce)
	{
		this->announcer = qcd_announcer_create(promises, answer, lost);
	}
	return &this->public;
}
