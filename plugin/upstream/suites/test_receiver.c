/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "test_suite.h"

#include "played_receiver.h"

#include "../qcd_receiver.h"

#include <daemon.h>

/**
 * What the callbacks got
 */
static struct {
	u_int calls;
	u_char octets[16];
	size_t len;
	/** the callback that consumes packets, 0 if none does */
	int consumer;
} seen;

CALLBACK(look, bool,
	int *number, packet_t *packet, chunk_t message)
{
	seen.calls++;
	seen.len = min(message.len, sizeof(seen.octets));
	memcpy(seen.octets, message.ptr, seen.len);
	return seen.consumer == *number;
}

static int first = 1, second = 2;

static qcd_receiver_t *receiver;

/**
 * Octets of a message, as a constant
 */
#define chunk_from_static(str) { (u_char*)(str), sizeof(str) - 1 }

START_SETUP(setup)
{
	memset(&seen, 0, sizeof(seen));
	played_receiver_begin();
	receiver = qcd_receiver_create();
	receiver->add(receiver, look, &first);
	receiver->add(receiver, look, &second);
}
END_SETUP

START_TEARDOWN(teardown)
{
	receiver->destroy(receiver);
	played_receiver_end();
}
END_TEARDOWN

/**
 * IKE messages are passed on without a non-ESP marker
 */
static struct {
	int src, dst;
	chunk_t data, message;
} packets[] = {
	{  500,  500, chunk_from_static("12345"), chunk_from_static("12345") },
	{ 4500,  500, chunk_from_static("12345"), chunk_from_static("12345") },
	{  500, 1234, chunk_from_static("12345"), chunk_from_static("12345") },
	{ 4500, 4500, chunk_from_static("\0\0\0\0" "5"), chunk_from_static("5") },
	{ 1234, 4500, chunk_from_static("\0\0\0\0" "5"), chunk_from_static("5") },
	/* not IKE: no callback may find a message in it */
	{ 4500, 4500, chunk_from_static("12345"), { NULL, 0 } },
	{ 4500, 4500, chunk_from_static("\xff"), { NULL, 0 } },
};

START_TEST(test_message)
{
	played_receiver_receive(packets[_i].src, packets[_i].dst, packets[_i].data);
	ck_assert(seen.calls || !packets[_i].message.len);
	ck_assert_chunk_eq(chunk_create(seen.octets, seen.len), packets[_i].message);
}
END_TEST

/**
 * A packet that a callback consumes reaches neither a later callback nor charon
 */
START_TEST(test_consume)
{
	bool passed;

	seen.consumer = _i;
	passed = played_receiver_receive(500, 500, chunk_from_str("12345"));
	ck_assert_int_eq(seen.calls, _i == 1 ? 1 : 2);
	ck_assert(passed == (_i == 0));
}
END_TEST

/**
 * After its destruction, nothing calls back
 */
START_TEST(test_destroy)
{
	receiver->destroy(receiver);
	ck_assert(played_receiver_receive(500, 500, chunk_from_str("12345")));
	ck_assert_int_eq(seen.calls, 0);
	receiver = qcd_receiver_create();
}
END_TEST

Suite *receiver_suite_create()
{
	Suite *s;
	TCase *tc;

	s = suite_create("receiver");

	tc = tcase_create("message");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_message, 0, countof(packets));
	suite_add_tcase(s, tc);

	tc = tcase_create("consume");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_consume, 0, 3);
	suite_add_tcase(s, tc);

	tc = tcase_create("destroy");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_destroy);
	suite_add_tcase(s, tc);

	return s;
}
