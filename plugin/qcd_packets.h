/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_packets qcd_packets
 * @{ @ingroup qcd
 */

#ifndef QCD_PACKETS_H_
#define QCD_PACKETS_H_

#include <collections/linked_list.h>
#include <encoding/message.h>

/**
 * Get the packets of a message.
 *
 * @param message		encoded message
 * @return				list of packet_t, all clones: one packet, or the
 *						fragments
 */
linked_list_t *qcd_packets_create(message_t *message);

/**
 * Send packets again, unchanged. They go out from their former source address,
 * or from one that the kernel chooses if that address is gone. Not for
 * listeners.
 *
 * @param packets		list of packet_t, adopted
 * @return				FALSE if there are no packets
 */
bool qcd_packets_send(linked_list_t *packets);

#endif /** QCD_PACKETS_H_ @}*/
