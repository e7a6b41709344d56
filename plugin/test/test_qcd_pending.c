/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_pending.h"

#include "box.h"
#include "played.h"

/**
 * A message of an IKE_SA
 */
typedef struct {
	message_t public;
	played_ike_t *ike;
	bool request;
} played_message_t;

METHOD(message_t, get_request, bool,
	played_message_t *this)
{
	return this->request;
}

METHOD(message_t, get_source, host_t*,
	played_message_t *this)
{
	return this->request ? this->ike->me : this->ike->other;
}

METHOD(message_t, get_destination, host_t*,
	played_message_t *this)
{
	return this->request ? this->ike->other : this->ike->me;
}

METHOD(message_t, get_ike_sa_id, ike_sa_id_t*,
	played_message_t *this)
{
	/* the initiator flag describes the sender: requests are the initiator's */
	this->ike->id->switch_initiator(this->ike->id);
	if (this->ike->id->is_initiator(this->ike->id) != this->request)
	{
		this->ike->id->switch_initiator(this->ike->id);
	}
	return this->ike->id;
}

METHOD(message_t, is_fragmented, bool,
	played_message_t *this)
{
	return FALSE;
}

METHOD(message_t, get_packet, packet_t*,
	played_message_t *this)
{
	return packet_create();
}

/**
 * The IKE_SAs of a test, and what is known of them
 */
static qcd_pending_t *pending;
static played_ike_t *ike;

static int begin(void **state)
{
	qcd_ike_sa sa;

	box_open(state);
	pending = qcd_pending_create();
	played_spis(&sa, QCD_INITIATOR, 1);
	ike = played_ike_create(1, &sa);
	return 0;
}

static int end(void **state)
{
	played_ike_destroy(ike);
	pending->destroy(pending);
	return box_close(state);
}

static void enter(ike_sa_state_t ike_state)
{
	pending->listener.ike_state_change(&pending->listener, &ike->public,
									   ike_state);
}

/**
 * Let a request be sent, or a response be received
 */
static void pass(bool request)
{
	played_message_t message = {
		.public = {
			.get_request = _get_request,
			.get_source = _get_source,
			.get_destination = _get_destination,
			.get_ike_sa_id = _get_ike_sa_id,
			.is_fragmented = _is_fragmented,
			.get_packet = _get_packet,
		},
		.ike = ike,
		.request = request,
	};

	pending->listener.message(&pending->listener, &ike->public, &message.public,
							  !request, !request);
	if (!ike->id->is_initiator(ike->id))
	{
		ike->id->switch_initiator(ike->id);
	}
}

/**
 * Get the only pending IKE_SA, NULL if there is none
 */
static qcd_pending_sa_t *get()
{
	qcd_pending_sa_t *sa = NULL;
	linked_list_t *list;

	list = pending->find(pending, "gw", NULL);
	CHECK("one at most", list->get_count(list) <= 1);
	list->remove_first(list, (void**)&sa);
	list->destroy(list);
	return sa;
}

/**
 * An IKE_SA is pending until it is established, also while charon begins it once
 * more, with a cookie for example. A recovery must not take it for failed.
 */
static void test_states(void **state)
{
	static const struct {
		char *row;
		/* an event, after so many milliseconds */
		u_int after;
		enum { BEGINS, SENDS, RECEIVES, IS_RESET, UP, ENDS } event;
		bool again;
		/* whether it is then pending, with a request, and its times */
		bool pending, request;
		u_int since, round_trip;
	} table[] = {
		{ "no request yet", 0, BEGINS, FALSE, FALSE },
		{ "sent", 0, SENDS, FALSE, TRUE, TRUE, 0, 0 },
		{ "is reset without a response", 9, IS_RESET, FALSE, TRUE, FALSE, 9, 0 },
		{ "is tried again", 0, BEGINS, FALSE, TRUE, FALSE, 9, 0 },
		{ "sent again", 0, SENDS, FALSE, TRUE, TRUE, 0, 0 },
		{ "responds", 40, RECEIVES, FALSE, TRUE, FALSE, 40, 40 },
		{ "is reset", 5, IS_RESET, TRUE, TRUE, FALSE, 45, 0 },
		{ "begins once more", 5, BEGINS, TRUE, TRUE, FALSE, 50, 0 },
		{ "sent with a cookie", 0, SENDS, TRUE, TRUE, TRUE, 0, 0 },
		{ "responds again", 60, RECEIVES, FALSE, TRUE, FALSE, 60, 60 },
		{ "IKE_AUTH", 0, SENDS, FALSE, TRUE, TRUE, 0, 60 },
		{ "responds late", 900, RECEIVES, FALSE, TRUE, FALSE, 900, 60 },
		{ "is up", 0, UP, FALSE, FALSE },
		{ "asks", 0, SENDS, FALSE, FALSE, TRUE },
		{ "the peer responds", 10, RECEIVES, FALSE, FALSE, FALSE },
		{ "a late copy", 10, RECEIVES, FALSE, FALSE, FALSE },
		{ "asks again", 0, SENDS, FALSE, FALSE, TRUE },
		{ "ends", 0, ENDS, FALSE, FALSE },
	};
	qcd_pending_sa_t *sa, *request;
	uint64_t begun = box_now;
	u_int i;

	for (i = 0; i < countof(table); i++)
	{
		box_now += table[i].after;
		switch (table[i].event)
		{
			case BEGINS:
				enter(IKE_CONNECTING);
				pending->claim(pending, i ? 0 : 1);
				break;
			case SENDS:
			case RECEIVES:
				pass(table[i].event == SENDS);
				break;
			case IS_RESET:
				enter(IKE_CREATED);
				break;
			case UP:
				enter(IKE_ESTABLISHED);
				break;
			case ENDS:
				enter(IKE_DESTROYING);
				break;
		}
		sa = get();
		CHECK_INT(table[i].row, sa != NULL, table[i].pending);
		request = pending->get_request(pending, 1);
		CHECK_INT(table[i].row, request != NULL, table[i].request);
		qcd_pending_sa_destroy(request);
		if (sa)
		{
			CHECK(table[i].row, sa->claimed);
			CHECK_INT(table[i].row, sa->begun, begun);
			CHECK_INT(table[i].row, sa->since, box_now - table[i].since);
			CHECK_INT(table[i].row, sa->round_trip, table[i].round_trip);
			CHECK_INT(table[i].row, sa->again, table[i].again);
			qcd_pending_sa_destroy(sa);
		}
	}
}

/**
 * The request of an established IKE_SA is known until the response arrives, or the
 * IKE_SA is established with a request on its way
 */
static void test_requests(void **state)
{
	static const struct {
		char *row;
		/* whether we initiated it, and it is IKEv2 */
		bool initiated, ikev2;
		/* whether a request is sent before it is up, and after */
		bool before, after;
		/* whether the peer responds at the end */
		bool responds;
		bool known;
	} table[] = {
		{ "ours, no request", TRUE, TRUE, FALSE, FALSE, FALSE, FALSE },
		{ "ours, before it is up", TRUE, TRUE, TRUE, FALSE, FALSE, TRUE },
		{ "ours, responds", TRUE, TRUE, TRUE, FALSE, TRUE, FALSE },
		{ "ours, a request", TRUE, TRUE, FALSE, TRUE, FALSE, TRUE },
		{ "theirs, no request", FALSE, TRUE, FALSE, FALSE, FALSE, FALSE },
		{ "theirs, a request", FALSE, TRUE, FALSE, TRUE, FALSE, TRUE },
		{ "theirs, responds", FALSE, TRUE, FALSE, TRUE, TRUE, FALSE },
		{ "IKEv1", FALSE, FALSE, FALSE, TRUE, FALSE, FALSE },
	};
	qcd_pending_sa_t *request;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		ike->version = table[i].ikev2 ? IKEV2 : IKEV1;
		if (table[i].initiated)
		{
			enter(IKE_CONNECTING);
		}
		if (table[i].before)
		{
			pass(TRUE);
		}
		enter(IKE_ESTABLISHED);
		if (table[i].after)
		{
			pass(TRUE);
		}
		if (table[i].responds)
		{
			pass(FALSE);
		}
		request = pending->get_request(pending, 1);
		CHECK_INT(table[i].row, request != NULL, table[i].known);
		CHECK(table[i].row, !pending->has_any(pending));
		qcd_pending_sa_destroy(request);
		enter(IKE_DESTROYING);
		CHECK(table[i].row, !pending->get_request(pending, 1));
	}
}

/**
 * What is known of an address outlives the IKE_SAs with it
 */
static void test_usual(void **state)
{
	static const u_int took[] = { 600, 100 }, usual[] = { 600, 450 };
	qcd_pending_sa_t *sa;
	u_int i;

	/* nobody knows how long this one took */
	enter(IKE_CONNECTING);
	pass(FALSE);
	enter(IKE_DESTROYING);
	for (i = 0; i < countof(took); i++)
	{
		enter(IKE_CONNECTING);
		pass(TRUE);
		sa = get();
		CHECK_INT("before", sa->usual, i ? usual[i - 1] : 0);
		qcd_pending_sa_destroy(sa);
		box_now += took[i];
		pass(FALSE);
		sa = get();
		CHECK_INT("after", sa->usual, usual[i]);
		CHECK_INT("heard", sa->heard, box_now);
		qcd_pending_sa_destroy(sa);
		enter(IKE_DESTROYING);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_states),
		TEST(test_requests),
		TEST(test_usual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
