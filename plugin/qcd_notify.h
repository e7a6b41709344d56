/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_notify qcd_notify
 * @{ @ingroup qcd
 *
 * Notifies in IKEv2 messages.
 */

#ifndef QCD_NOTIFY_H_
#define QCD_NOTIFY_H_

#include <encoding/message.h>

/**
 * Get the type of the first error notify of a message.
 *
 * @param message		message, parsed
 * @return				type, 0 if there is none
 */
notify_type_t qcd_notify_get_error(message_t *message);

/**
 * Remove all notifies of a type from a message that is not encoded yet.
 *
 * @param message		message
 * @param type			type
 */
void qcd_notify_remove(message_t *message, notify_type_t type);

#endif /** QCD_NOTIFY_H_ @}*/
