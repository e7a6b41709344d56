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
 * @param message		message that was encoded
 * @return				clones, as packet_t: one, or its fragments
 */
linked_list_t *qcd_packets_create(message_t *message);

/**
 * Send packets as they are, again: from where charon sent them before, or from
 * what the kernel chooses where that address is gone. Not for listeners.
 *
 * @param packets		packet_t, all adopted
 * @return				FALSE if there are none
 */
bool qcd_packets_send(linked_list_t *packets);

#endif /** QCD_PACKETS_H_ @}*/
