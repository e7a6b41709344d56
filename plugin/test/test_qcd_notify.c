/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_notify.h"

#include "box.h"

#include <encoding/payloads/nonce_payload.h>

/**
 * Make a message of notifies, 0 at the end; 1 stands for a payload that is none
 */
static message_t *create(const notify_type_t *types)
{
	message_t *message;

	message = message_create(IKEV2_MAJOR_VERSION, IKEV2_MINOR_VERSION);
	for (; *types; types++)
	{
		if (*types == 1)
		{
			message->add_payload(message,
								 (payload_t*)nonce_payload_create(PLV2_NONCE));
		}
		else
		{
			message->add_notify(message, FALSE, *types, chunk_empty);
		}
	}
	return message;
}

static void test_get_error(void **state)
{
	static const struct {
		char *row;
		notify_type_t types[5], error;
	} table[] = {
		{ "empty", {}, 0 },
		{ "no notify", { 1 }, 0 },
		{ "an error", { NO_PROPOSAL_CHOSEN }, NO_PROPOSAL_CHOSEN },
		{ "the first of two", { TS_UNACCEPTABLE, INVALID_SYNTAX },
		  TS_UNACCEPTABLE },
		{ "behind others", { 1, MOBIKE_SUPPORTED, QUICK_CRASH_DETECTION,
		  AUTHENTICATION_FAILED }, AUTHENTICATION_FAILED },
		{ "last error type", { 16383 }, 16383 },
		{ "first status type", { 16384 }, 0 },
		{ "no error", { QUICK_CRASH_DETECTION, MOBIKE_SUPPORTED, 1 }, 0 },
		{ "another group", { INVALID_KE_PAYLOAD }, 0 },
		{ "another group, and an error", { INVALID_KE_PAYLOAD,
		  INVALID_SYNTAX }, INVALID_SYNTAX },
	};
	message_t *message;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		message = create(table[i].types);
		CHECK_INT(table[i].row, qcd_notify_get_error(message), table[i].error);
		message->destroy(message);
	}
}

static void test_remove(void **state)
{
	static const struct {
		char *row;
		notify_type_t types[5];
		u_int left;
	} table[] = {
		{ "empty", {}, 0 },
		{ "none", { MOBIKE_SUPPORTED, 1 }, 2 },
		{ "those next to it", { QUICK_CRASH_DETECTION - 1,
		  QUICK_CRASH_DETECTION + 1 }, 2 },
		{ "the only one", { QUICK_CRASH_DETECTION }, 0 },
		{ "all", { QUICK_CRASH_DETECTION, QUICK_CRASH_DETECTION,
		  QUICK_CRASH_DETECTION }, 0 },
		{ "first and last", { QUICK_CRASH_DETECTION, MOBIKE_SUPPORTED, 1,
		  QUICK_CRASH_DETECTION }, 2 },
		{ "in the middle", { 1, QUICK_CRASH_DETECTION, MOBIKE_SUPPORTED }, 2 },
	};
	enumerator_t *enumerator;
	message_t *message;
	payload_t *payload;
	u_int left;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		message = create(table[i].types);
		qcd_notify_remove(message, QUICK_CRASH_DETECTION);
		CHECK(table[i].row, !message->get_notify(message,
												 QUICK_CRASH_DETECTION));
		left = 0;
		enumerator = message->create_payload_enumerator(message);
		while (enumerator->enumerate(enumerator, &payload))
		{
			left++;
		}
		enumerator->destroy(enumerator);
		CHECK_INT(table[i].row, left, table[i].left);
		message->destroy(message);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_get_error),
		BOX_TEST(test_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
