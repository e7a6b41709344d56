/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "played_receiver.h"

#include <daemon.h>
#include <threading/condvar.h>
#include <threading/mutex.h>
#include <threading/thread.h>

/**
 * What the socket receives, and what charon does with it
 */
static struct {
	mutex_t *mutex;
	condvar_t *condvar;
	/** packet to receive next */
	packet_t *packet;
	/** whether the receiver asks for a packet */
	bool idle;
	/** number of messages that charon failed to parse */
	u_int parsed;
	/** of the socket manager */
	status_t (*receive)(socket_manager_t *this, packet_t **packet);
} played;

METHOD(socket_manager_t, receive, status_t,
	socket_manager_t *this, packet_t **packet)
{
	bool old;

	played.mutex->lock(played.mutex);
	thread_cleanup_push((void*)played.mutex->unlock, played.mutex);
	played.idle = TRUE;
	played.condvar->broadcast(played.condvar);
	old = thread_cancelability(TRUE);
	while (!played.packet)
	{
		played.condvar->wait(played.condvar, played.mutex);
	}
	thread_cancelability(old);
	*packet = played.packet;
	played.packet = NULL;
	played.idle = FALSE;
	thread_cleanup_pop(TRUE);
	return SUCCESS;
}

METHOD(listener_t, alert_hook, bool,
	listener_t *this, ike_sa_t *ike_sa, alert_t alert, va_list args)
{
	if (alert == ALERT_PARSE_ERROR_HEADER)
	{
		played.parsed++;
	}
	return TRUE;
}

static listener_t listener;

/*
 * Described in header
 */
void played_receiver_begin(void)
{
	memset(&played, 0, sizeof(played));
	played.mutex = mutex_create(MUTEX_TYPE_DEFAULT);
	played.condvar = condvar_create(CONDVAR_TYPE_DEFAULT);
	played.receive = charon->socket->receive;
	charon->socket->receive = _receive;
	charon->receiver = receiver_create();
	listener.alert = _alert_hook;
	charon->bus->add_listener(charon->bus, &listener);
}

/*
 * Described in header
 */
bool played_receiver_receive(uint16_t src, uint16_t dst, chunk_t data)
{
	bool parsed;

	lib->processor->set_threads(lib->processor, 4);
	played.mutex->lock(played.mutex);
	played.parsed = 0;
	played.packet = packet_create_from_data(
						host_create_from_string("192.0.2.1", src),
						host_create_from_string("192.0.2.2", dst),
						chunk_clone(data));
	played.condvar->broadcast(played.condvar);
	while (played.packet || !played.idle)
	{
		played.condvar->wait(played.condvar, played.mutex);
	}
	parsed = played.parsed;
	played.mutex->unlock(played.mutex);
	return parsed;
}

/*
 * Described in header
 */
void played_receiver_end(void)
{
	charon->bus->remove_listener(charon->bus, &listener);
	lib->processor->cancel(lib->processor);
	DESTROY_IF(charon->receiver);
	charon->receiver = NULL;
	charon->socket->receive = played.receive;
	played.condvar->destroy(played.condvar);
	played.mutex->destroy(played.mutex);
}
