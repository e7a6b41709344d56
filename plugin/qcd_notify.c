/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_notify.h"

#include <encoding/payloads/notify_payload.h>

/**
 * Type of the first notify that is not an error, RFC 7296 section 3.10.1
 */
#define STATUS_NOTIFIES 16384

/**
 * Get the type of a notify
 *
 * @return				type, 0 if the payload is not an IKEv2 notify
 */
static notify_type_t get_type(payload_t *payload)
{
	notify_payload_t *notify = (notify_payload_t*)payload;

	return payload->get_type(payload) == PLV2_NOTIFY ?
		   notify->get_notify_type(notify) : 0;
}

/*
 * Described in header
 */
notify_type_t qcd_notify_get_error(message_t *message)
{
	enumerator_t *enumerator;
	payload_t *payload;
	notify_type_t error = 0;

	enumerator = message->create_payload_enumerator(message);
	while (!error && enumerator->enumerate(enumerator, &payload))
	{
		/* charon just tries again with another group */
		if (get_type(payload) < STATUS_NOTIFIES &&
			get_type(payload) != INVALID_KE_PAYLOAD)
		{
			error = get_type(payload);
		}
	}
	enumerator->destroy(enumerator);
	return error;
}

/*
 * Described in header
 */
void qcd_notify_remove(message_t *message, notify_type_t type)
{
	enumerator_t *enumerator;
	payload_t *payload;

	enumerator = message->create_payload_enumerator(message);
	while (enumerator->enumerate(enumerator, &payload))
	{
		if (get_type(payload) == type)
		{
			message->remove_payload_at(message, enumerator);
			payload->destroy(payload);
		}
	}
	enumerator->destroy(enumerator);
}
