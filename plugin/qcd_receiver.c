/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_receiver.h"

#include <daemon.h>
#include <threading/mutex.h>

/**
 * Maximum number of callbacks
 */
#define CALLBACKS_MAX 2

typedef struct private_qcd_receiver_t private_qcd_receiver_t;

/**
 * Private data
 */
struct private_qcd_receiver_t {

	/**
	 * Public interface
	 */
	qcd_receiver_t public;

	/**
	 * Callbacks that inspect packets
	 */
	struct {
		qcd_receiver_cb_t cb;
		void *data;
	} callbacks[CALLBACKS_MAX];

	/**
	 * Number of callbacks. Those below it don't change: one may be added while
	 * packets are received.
	 */
	_Atomic int count;

	/**
	 * Mutex for adding a callback
	 */
	mutex_t *mutex;

#ifndef QCD_HAVE_IKE_CB
	/**
	 * charon's own receive method, which ours replaces
	 */
	status_t (*receive)(socket_manager_t *sockets, packet_t **packet);
#endif
};

/**
 * Pass a packet to all callbacks, and tell whether one of them consumed it
 */
static bool is_consumed(private_qcd_receiver_t *this, packet_t *packet,
						chunk_t message)
{
	int i;

	for (i = 0; i < this->count; i++)
	{
		if (this->callbacks[i].cb(this->callbacks[i].data, packet, message))
		{
			return TRUE;
		}
	}
	return FALSE;
}

#ifdef QCD_HAVE_IKE_CB

CALLBACK(look, bool,
	private_qcd_receiver_t *this, packet_t *packet)
{
	return is_consumed(this, packet, packet->get_data(packet));
}

/**
 * Have charon's receiver show us all IKE messages
 */
static void begin(private_qcd_receiver_t *this)
{
	charon->receiver->add_ike_cb(charon->receiver, look, this);
}

/**
 * Undo begin()
 */
static void end(private_qcd_receiver_t *this)
{
	charon->receiver->del_ike_cb(charon->receiver, look);
}

#else /* QCD_HAVE_IKE_CB */

/**
 * Octets that tell IKE from ESP if neither port is 500, RFC 7296 section 2.23
 */
#define NON_ESP_MARKER_LEN 4

/**
 * The active instance: charon's receive method has no argument besides the
 * socket manager
 */
static private_qcd_receiver_t *receiving;

/**
 * Get the IKE message in a packet from the socket
 */
static chunk_t get_message(packet_t *packet)
{
	chunk_t data = packet->get_data(packet);
	host_t *src, *dst;

	src = packet->get_source(packet);
	dst = packet->get_destination(packet);
	if (src->get_port(src) != IKEV2_UDP_PORT &&
		dst->get_port(dst) != IKEV2_UDP_PORT)
	{
		static const char marker[NON_ESP_MARKER_LEN];

		if (data.len < sizeof(marker) ||
			!memeq(data.ptr, marker, sizeof(marker)))
		{
			return chunk_empty;
		}
		data = chunk_skip(data, sizeof(marker));
	}
	return data;
}

/**
 * Replaces receive() of the socket manager
 */
static status_t receive_and_look(socket_manager_t *sockets, packet_t **packet)
{
	private_qcd_receiver_t *this = receiving;
	status_t status;

	while (TRUE)
	{
		status = this->receive(sockets, packet);
		if (status != SUCCESS || !is_consumed(this, *packet, get_message(*packet)))
		{
			return status;
		}
		(*packet)->destroy(*packet);
	}
}

/**
 * Put our receive() before charon's own
 */
static void begin(private_qcd_receiver_t *this)
{
	this->receive = charon->socket->receive;
	receiving = this;
	charon->socket->receive = receive_and_look;
}

/**
 * Undo begin()
 */
static void end(private_qcd_receiver_t *this)
{
	charon->socket->receive = this->receive;
	receiving = NULL;
}

#endif /* QCD_HAVE_IKE_CB */

METHOD(qcd_receiver_t, add, void,
	private_qcd_receiver_t *this, qcd_receiver_cb_t cb, void *data)
{
	this->mutex->lock(this->mutex);
	if (this->count < CALLBACKS_MAX)
	{
		this->callbacks[this->count].cb = cb;
		this->callbacks[this->count].data = data;
		this->count++;
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_receiver_t, destroy, void,
	private_qcd_receiver_t *this)
{
	end(this);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_receiver_t *qcd_receiver_create(void)
{
	private_qcd_receiver_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	begin(this);

	return &this->public;
}
