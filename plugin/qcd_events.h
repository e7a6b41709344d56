/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_events qcd_events
 * @{ @ingroup qcd
 */

#ifndef QCD_EVENTS_H_
#define QCD_EVENTS_H_

#include "qcd_json.h"

#include <qcd/qcd.h>

#include <bus/listeners/listener.h>
#include <networking/host.h>

typedef struct qcd_events_t qcd_events_t;
typedef enum qcd_event_t qcd_event_t;

/**
 * Kinds of events, in the order in which an administrator gets their counters.
 */
enum qcd_event_t {
	/** the peer was told that an IKE_SA is lost, by reply or announcement */
	QCD_EVENT_TOLD,
	/** request for a lost IKE_SA, over the rate limits */
	QCD_EVENT_LIMITED,
	/** request for an unknown IKE_SA without evidence that it is lost */
	QCD_EVENT_NO_EVIDENCE,
	/** request for an IKE_SA that is alive in spite of the evidence */
	QCD_EVENT_ALIVE,
	/** ESP of a lost CHILD_SA whose peer was told recently, or over the rate
	 * limits */
	QCD_EVENT_ESP_PASSED_OVER,
	/** token that proves that an IKE_SA is lost */
	QCD_EVENT_VERIFIED,
	/** token that does not match */
	QCD_EVENT_MISMATCHED,
	/** token for an IKE_SA for which we hold none */
	QCD_EVENT_UNKNOWN,
	/** token not checked: its source is over the limit */
	QCD_EVENT_UNCHECKED,
	/** a try to re-establish a connection failed, another one follows */
	QCD_EVENT_RETRYING,
	/** connection was re-established after a crash of the peer */
	QCD_EVENT_RECOVERED,
	/** connection is not re-established: it was closed or unloaded */
	QCD_EVENT_ABANDONED,
	/** a new generation of secrets was made */
	QCD_EVENT_ROTATED,
	/** number of events */
	QCD_EVENT_MAX,
};

/**
 * Receives events as lines of JSON.
 *
 * @param data			as passed to set_receiver()
 * @param line			line, including its newline
 */
typedef void (*qcd_events_cb_t)(void *data, chunk_t line);

/**
 * Counts events, logs them and passes them on. An event is logged in one line,
 * and the number of lines a second is limited for each kind. Thread-safe, may
 * be used in listeners.
 */
struct qcd_events_t {

	/**
	 * Implements listener_t interface, notes re-established connections.
	 */
	listener_t listener;

	/**
	 * Raise an event.
	 *
	 * @param event			event
	 * @param spis			SPIs of the IKE_SA, or NULL
	 * @param peer			peer or source of a packet, or NULL
	 * @param name			name of the connection, or NULL
	 * @param detail		text that is logged with the event, or NULL
	 */
	void (*raise)(qcd_events_t *this, qcd_event_t event, const qcd_spis *spis,
				  host_t *peer, char *name, char *detail);

	/**
	 * Raise QCD_EVENT_RECOVERED and record when it happened and how long the
	 * recovery took.
	 *
	 * @param spis			SPIs of the new IKE_SA
	 * @param peer			peer
	 * @param name			name of the connection
	 * @param since			when the recovery began, as qcd_now()
	 */
	void (*recovered)(qcd_events_t *this, const qcd_spis *spis, host_t *peer,
					  char *name, uint64_t since);

	/**
	 * Note that only the peer of an IKE_SA can re-establish its connection.
	 * Once the same peer has, within an hour, QCD_EVENT_RECOVERED is raised.
	 * The recovery begins now, unless the peer is expected already.
	 *
	 * @param ike_sa		lost IKE_SA
	 */
	void (*expect)(qcd_events_t *this, ike_sa_t *ike_sa);

	/**
	 * Add the number of events of each kind, by their names.
	 *
	 * @param json			object to add them to
	 */
	void (*describe_counts)(qcd_events_t *this, qcd_json_t *json);

	/**
	 * Add an object that tells how long recoveries took: for each limit in
	 * milliseconds the number of recoveries that took no longer, the total
	 * number, and the sum of their times.
	 *
	 * @param json			lines
	 */
	void (*describe_times)(qcd_events_t *this, qcd_json_t *json);

	/**
	 * Get the time of a connection's last recovery.
	 *
	 * @param name			name of the connection
	 * @return				time, 0 if there was none
	 */
	time_t (*get_recovery)(qcd_events_t *this, char *name);

	/**
	 * Pass events on to a receiver.
	 *
	 * @param cb			called by any thread, must not block; NULL to stop
	 * @param data			passed to cb
	 */
	void (*set_receiver)(qcd_events_t *this, qcd_events_cb_t cb, void *data);

	/**
	 * Destroy a qcd_events_t.
	 */
	void (*destroy)(qcd_events_t *this);
};

/**
 * Create a qcd_events_t.
 *
 * @return				instance
 */
qcd_events_t *qcd_events_create(void);

#endif /** QCD_EVENTS_H_ @}*/
