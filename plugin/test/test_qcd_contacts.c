/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_contacts.h"
#include "qcd_sa.h"

#include "box.h"

/**
 * Number of addresses that are remembered
 */
#define KNOWN 16

/**
 * Create an address with a number
 */
static host_t *numbered(u_int number, uint16_t port)
{
	char address[24];

	snprintf(address, sizeof(address), "198.51.100.%u", number);
	return host_create_from_string(address, port);
}

static void test_heard(void **state)
{
	qcd_contacts_t *contacts = qcd_contacts_create();
	host_t *peer = numbered(1, 500), *natted = numbered(1, 12345);
	host_t *other;
	u_int i;

	CHECK_INT("nobody", contacts->get_heard(contacts, peer), 0);
	contacts->heard(contacts, peer, 1);
	CHECK_INT("heard", contacts->get_heard(contacts, natted), box_now);
	box_now += 100;
	CHECK_INT("before", contacts->get_heard(contacts, peer), box_now - 100);
	contacts->heard(contacts, natted, 1);
	CHECK_INT("again", contacts->get_heard(contacts, peer), box_now);
	for (i = 2; i <= KNOWN + 1; i++)
	{
		other = numbered(i, 500);
		CHECK_INT("another", contacts->get_heard(contacts, other), 0);
		contacts->heard(contacts, other, 1);
		CHECK_INT("the first", contacts->get_heard(contacts, peer) != 0,
				  i <= KNOWN);
		other->destroy(other);
	}
	contacts->destroy(contacts);
	peer->destroy(peer);
	natted->destroy(natted);
}

/**
 * How long responses take
 */
static void test_usual(void **state)
{
	static const struct {
		uint64_t took;
		u_int usual;
	} table[] = {
		{ 600, 600 }, { 100, 450 }, { 338, 338 }, { 601, 601 }, { 0, 451 },
		{ 1999, 1999 }, { 2000, 2000 }, { 2001, 2000 }, { UINT64_MAX, 2000 },
		{ 1, 1500 },
	};
	qcd_contacts_t *contacts = qcd_contacts_create();
	host_t *peer = numbered(1, 500), *natted = numbered(1, 12345), *other;
	u_int i;

	CHECK_INT("nobody", contacts->get_usual(contacts, peer), 0);
	for (i = 0; i < countof(table); i++)
	{
		contacts->heard(contacts, peer, table[i].took);
		CHECK_INT("usual", contacts->get_usual(contacts, natted),
				  table[i].usual);
	}
	for (i = 2; i <= KNOWN + 1; i++)
	{
		other = numbered(i, 500);
		CHECK_INT("another", contacts->get_usual(contacts, other), 0);
		contacts->heard(contacts, other, i);
		CHECK_INT("its own", contacts->get_usual(contacts, other), i);
		other->destroy(other);
	}
	CHECK_INT("forgotten", contacts->get_usual(contacts, peer), 0);
	contacts->destroy(contacts);
	peer->destroy(peer);
	natted->destroy(natted);
}

/**
 * How many are due at an address with nothing under way
 */
static void test_due(void **state)
{
	qcd_contacts_t *contacts = qcd_contacts_create();
	host_t *peer = numbered(1, 500), *other = numbered(2, 500);
	u_int i;

	CHECK_INT("unknown", contacts->get_due(contacts, peer, 0), QCD_PACE_FIRST);
	CHECK_INT("unknown, one", contacts->get_due(contacts, peer, 1),
			  QCD_PACE_FIRST - 1);
	CHECK_INT("unknown, many", contacts->get_due(contacts, peer, 1000), 0);
	contacts->completed(contacts, peer, 1000);
	contacts->failed(contacts, peer);
	CHECK_INT("still", contacts->get_due(contacts, peer, 0), QCD_PACE_FIRST);
	contacts->heard(contacts, peer, 1);
	contacts->heard(contacts, other, 1);
	for (i = 0; i < 7; i++)
	{
		contacts->completed(contacts, peer, 1000);
	}
	CHECK_INT("completed", contacts->get_due(contacts, peer, 1),
			  QCD_PACE_FIRST + 6);
	contacts->heard(contacts, peer, 1);
	CHECK_INT("heard again", contacts->get_due(contacts, peer, 1),
			  QCD_PACE_FIRST + 6);
	CHECK_INT("the other", contacts->get_due(contacts, other, 0),
			  QCD_PACE_FIRST);
	contacts->failed(contacts, peer);
	CHECK_INT("failed", contacts->get_due(contacts, peer, 0), 5);
	contacts->destroy(contacts);
	peer->destroy(peer);
	other->destroy(other);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_heard),
		BOX_TEST(test_usual),
		BOX_TEST(test_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
