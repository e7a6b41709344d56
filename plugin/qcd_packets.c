/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_packets.h"

#include <daemon.h>

/*
 * Described in header
 */
linked_list_t *qcd_packets_create(message_t *message)
{
	linked_list_t *packets = linked_list_create();
	enumerator_t *enumerator;
	packet_t *packet;

	if (!message->is_fragmented(message))
	{
		packets->insert_last(packets, message->get_packet(message));
		return packets;
	}
	enumerator = message->get_fragments(message);
	while (enumerator->enumerate(enumerator, &packet))
	{
		packets->insert_last(packets, packet->clone(packet));
	}
	enumerator->destroy(enumerator);
	return packets;
}

/**
 * Get the source address for packets: their own, or one that the kernel chooses
 * if that address is gone. charon would send them from their former address.
 *
 * @return				address, NULL for their own
 */
static host_t *get_source(packet_t *packet)
{
	host_t *source = packet->get_source(packet), *other;

	if (charon->kernel->get_interface(charon->kernel, source, NULL))
	{
		return NULL;
	}
	other = charon->kernel->get_source_addr(charon->kernel,
									packet->get_destination(packet), NULL);
	if (other)
	{
		other->set_port(other, source->get_port(source));
	}
	return other;
}

/*
 * Described in header
 */
bool qcd_packets_send(linked_list_t *packets)
{
	packet_t *packet;
	host_t *source = NULL;
	bool any;

	any = packets->get_first(packets, (void**)&packet) == SUCCESS;
	if (any)
	{
		source = get_source(packet);
	}
	while (packets->remove_first(packets, (void**)&packet) == SUCCESS)
	{
		if (source)
		{
			packet->set_source(packet, source->clone(source));
		}
		charon->sender->send(charon->sender, packet);
	}
	packets->destroy(packets);
	DESTROY_IF(source);
	return any;
}
