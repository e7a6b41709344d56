/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_played_receiver played_receiver
 * @{ @ingroup qcd
 *
 * charon's own receiver, with a socket that receives what a test says.
 */

#ifndef QCD_PLAYED_RECEIVER_H_
#define QCD_PLAYED_RECEIVER_H_

#include <library.h>

/**
 * Create the receiver. No thread receives before the first packet.
 */
void played_receiver_begin(void);

/**
 * Receive a packet, and wait until it was handled.
 *
 * @param src			source port
 * @param dst			destination port
 * @param data			data of the packet, not a valid IKE message
 * @return				TRUE if charon tried to parse it as an IKE message
 */
bool played_receiver_receive(uint16_t src, uint16_t dst, chunk_t data);

/**
 * Destroy the receiver.
 */
void played_receiver_end(void);

#endif /** QCD_PLAYED_RECEIVER_H_ @}*/
