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
 * What happens. The order is that in which an administrator gets the counters.
 */
enum qcd_event_t {
	/** peer was told that an IKE_SA is lost, by a reply or an announcement */
	QCD_EVENT_TOLD,
	/** request for a lost IKE_SA over the rate limits */
	QCD_EVENT_LIMITED,
	/** request for an unknown IKE_SA without evidence that it is dead */
	QCD_EVENT_NO_EVIDENCE,
	/** request for an IKE_SA that is alive, though there was evidence */
	QCD_EVENT_ALIVE,
	/** ESP of a lost CHILD_SA whose peer was told just now, or over the rate
	 * limits */
	QCD_EVENT_ESP_PASSED_OVER,
	/** token that proves an IKE_SA lost */
	QCD_EVENT_VERIFIED,
	/** token that does not match */
	QCD_EVENT_MISMATCHED,
	/** token for an IKE_SA of which we hold none */
	QCD_EVENT_UNKNOWN,
	/** token not checked, its source is over the limit */
	QCD_EVENT_UNCHECKED,
	/** a try to bring a connection up again failed, another one follows */
	QCD_EVENT_RETRYING,
	/** connection is up again after a crash of the peer */
	QCD_EVENT_RECOVERED,
	/** connection is not brought up again: it was closed, or unloaded */
	QCD_EVENT_ABANDONED,
	/** new generation of secrets */
	QCD_EVENT_ROTATED,
	/** number of events */
	QCD_EVENT_MAX,
};

/**
 * Gets the events as lines of JSON.
 *
 * @param data			as given
 * @param line			line, with its newline
 */
typedef void (*qcd_events_cb_t)(void *data, chunk_t line);

/**
 * Counts events, logs them, one line each and so many of a kind a second, and
 * passes them on. Thread-safe, may be used in listeners.
 */
struct qcd_events_t {

	/**
	 * Implements listener_t interface, sees connections coming back.
	 */
	listener_t listener;

	/**
	 * Raise an event.
	 *
	 * @param event			event
	 * @param spis			SPIs of the IKE_SA, or NULL
	 * @param peer			peer, or where a packet came from, or NULL
	 * @param name			name of the connection, or NULL
	 */
	void (*raise)(qcd_events_t *this, qcd_event_t event, const qcd_spis *spis,
				  host_t *peer, char *name);

	/**
	 * Raise an event with more to be said.
	 *
	 * @param event			event
	 * @param peer			peer
	 * @param name			name of the connection
	 * @param detail		what else is to be said
	 */
	void (*raise_detail)(qcd_events_t *this, qcd_event_t event, host_t *peer,
						 char *name, char *detail);

	/**
	 * Raise QCD_EVENT_RECOVERED, and note when that was.
	 *
	 * @param spis			SPIs of the new IKE_SA
	 * @param peer			peer
	 * @param name			name of the connection
	 */
	void (*recovered)(qcd_events_t *this, const qcd_spis *spis, host_t *peer,
					  char *name);

	/**
	 * Note that only the peer can bring a connection back: the next time that it
	 * is up is QCD_EVENT_RECOVERED.
	 *
	 * @param name			name of the connection, cloned
	 */
	void (*expect)(qcd_events_t *this, char *name);

	/**
	 * Add how many events of each kind there were, by their names.
	 *
	 * @param json			object to add them to
	 */
	void (*describe_counts)(qcd_events_t *this, qcd_json_t *json);

	/**
	 * Get the time at which a connection recovered last.
	 *
	 * @param name			name of the connection
	 * @return				time, 0 if it never did
	 */
	time_t (*get_recovery)(qcd_events_t *this, char *name);

	/**
	 * Pass events on.
	 *
	 * @param cb			called in any thread, must not wait; NULL to stop
	 * @param data			to pass to cb
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
