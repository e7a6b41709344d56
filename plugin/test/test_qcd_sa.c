/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_sa.h"

#include "box.h"
#include "played.h"

static void test_identify(void **state)
{
	static const struct {
		char *row;
		ike_version_t version;
		enum qcd_role role;
		bool no_initiator, no_responder, identified;
	} table[] = {
		{ "initiator", IKEV2, QCD_INITIATOR, FALSE, FALSE, TRUE },
		{ "responder", IKEV2, QCD_RESPONDER, FALSE, FALSE, TRUE },
		{ "not answered", IKEV2, QCD_INITIATOR, FALSE, TRUE, FALSE },
		{ "no SPI of the initiator", IKEV2, QCD_RESPONDER, TRUE, FALSE, FALSE },
		{ "no SPIs", IKEV2, QCD_INITIATOR, TRUE, TRUE, FALSE },
		{ "IKEv1", IKEV1, QCD_INITIATOR, FALSE, FALSE, FALSE },
	};
	played_ike_t *ike;
	qcd_ike_sa spis;
	qcd_sa_t sa;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		played_spis(&spis, table[i].role, 1);
		if (table[i].no_initiator)
		{
			memset(&spis.spis.initiator, 0, QCD_SPI_LEN);
		}
		if (table[i].no_responder)
		{
			memset(&spis.spis.responder, 0, QCD_SPI_LEN);
		}
		ike = played_ike_create(77, &spis);
		ike->version = table[i].version;
		memset(&sa, 0, sizeof(sa));
		CHECK_INT(table[i].row, qcd_sa_identify(&ike->public, &sa),
				  table[i].identified);
		if (table[i].identified)
		{
			CHECK_INT(table[i].row, sa.unique_id, 77);
			CHECK_INT(table[i].row, sa.ike.role, table[i].role);
			CHECK(table[i].row, qcd_spis_equals(&sa.ike.spis, &spis.spis));
		}
		played_ike_destroy(ike);
	}
}

static void test_checkout(void **state)
{
	linked_list_t *sas = linked_list_create();
	qcd_sa_t sa = { .unique_id = 1 }, other;
	played_ike_t *ike;

	played_manager(sas, NULL);
	played_spis(&sa.ike, QCD_RESPONDER, 1);
	ike = played_ike_create(1, &sa.ike);
	CHECK("gone", !qcd_sa_checkout(&sa));
	sas->insert_last(sas, ike);
	CHECK("there", qcd_sa_checkout(&sa) == &ike->public);
	qcd_sa_checkin(&ike->public, SUCCESS);
	CHECK("there", !ike->out && !ike->destroyed);
	CHECK("the same", qcd_sa_checkout_same(&sa) == &ike->public);
	qcd_sa_checkin(&ike->public, NEED_MORE);
	CHECK("the same", !ike->out && !ike->destroyed);
	other = sa;
	other.unique_id = 2;
	CHECK("another one has its SPIs", !qcd_sa_checkout_same(&other));
	CHECK("another one has its SPIs", !ike->out);
	CHECK("any of its SPIs", qcd_sa_checkout(&other) == &ike->public);
	qcd_sa_checkin(&ike->public, DESTROY_ME);
	CHECK("destroyed", !ike->out && ike->destroyed);
	other = sa;
	other.ike.role = QCD_INITIATOR;
	CHECK("other role", !qcd_sa_checkout(&other));
	sas->destroy(sas);
	played_ike_destroy(ike);
}

static void test_delete(void **state)
{
	static const struct {
		char *row;
		uint32_t unique_id;
		status_t status;
		u_int deleted;
		bool destroyed;
	} table[] = {
		{ "told", 1, SUCCESS, 1, FALSE },
		{ "at once", 1, DESTROY_ME, 1, TRUE },
		{ "another one", 2, SUCCESS, 0, FALSE },
	};
	linked_list_t *sas;
	played_ike_t *ike;
	qcd_sa_t sa;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		sas = linked_list_create();
		played_manager(sas, NULL);
		played_spis(&sa.ike, QCD_INITIATOR, 1);
		sa.unique_id = table[i].unique_id;
		ike = played_ike_create(1, &sa.ike);
		ike->status = table[i].status;
		sas->insert_last(sas, ike);
		qcd_sa_delete(&sa);
		CHECK_INT(table[i].row, ike->deleted, table[i].deleted);
		CHECK_INT(table[i].row, ike->destroyed, table[i].destroyed);
		CHECK(table[i].row, !ike->out);
		sas->remove(sas, ike, NULL);
		qcd_sa_delete(&sa);
		CHECK_INT(table[i].row, ike->deleted, table[i].deleted);
		sas->destroy(sas);
		played_ike_destroy(ike);
	}
}

static void test_hosts(void **state)
{
	static const struct {
		char *address;
		uint8_t len, first, last;
	} table[] = {
		{ "192.0.2.7", 4, 192, 7 },
		{ "0.0.0.0", 4, 0, 0 },
		{ "255.255.255.255", 4, 255, 255 },
		{ "2001:db8::7", 16, 0x20, 7 },
		{ "::", 16, 0, 0 },
	};
	qcd_address address;
	host_t *host, *back;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		host = host_create_from_string(table[i].address, 500);
		dirty(&address, sizeof(address));
		qcd_address_from_host(host, &address);
		CHECK_INT(table[i].address, address.len, table[i].len);
		CHECK_INT(table[i].address, address.octets[0], table[i].first);
		CHECK_INT(table[i].address, address.octets[address.len - 1],
				  table[i].last);
		/* it is compared as a whole */
		CHECK(table[i].address, is_zero(address.octets + address.len,
								sizeof(address.octets) - address.len));
		back = qcd_address_to_host(&address, 4501);
		CHECK(table[i].address, host->ip_equals(host, back));
		CHECK_INT(table[i].address, back->get_port(back), 4501);
		CHECK(table[i].address, qcd_host_equals(host, back));
		CHECK_INT(table[i].address, qcd_host_hash(host), qcd_host_hash(back));
		host->destroy(host);
		back->destroy(back);
	}
	memset(&address, 0, sizeof(address));
	CHECK("none", !qcd_address_to_host(&address, 500));
	address.len = 5;
	CHECK("no such length", !qcd_address_to_host(&address, 500));
}

static void test_virtual_ip(void **state)
{
	played_ike_t *ike;
	qcd_ike_sa sa;
	host_t *vip = host_create_from_string("10.0.0.1", 0);

	played_spis(&sa, QCD_INITIATOR, 1);
	ike = played_ike_create(1, &sa);
	CHECK("none", !qcd_sa_has_virtual_ip(&ike->public, TRUE));
	ike->vips[TRUE]->insert_last(ike->vips[TRUE], vip);
	CHECK("ours", qcd_sa_has_virtual_ip(&ike->public, TRUE));
	CHECK("the peer's", !qcd_sa_has_virtual_ip(&ike->public, FALSE));
	played_ike_destroy(ike);
}

static void test_task(void **state)
{
	played_task_t task;
	played_ike_t *ike;
	qcd_ike_sa sa;

	played_spis(&sa, QCD_INITIATOR, 1);
	ike = played_ike_create(1, &sa);
	played_task_init(&task, TASK_IKE_DPD);
	CHECK("none", !qcd_sa_has_task(&ike->public, TASK_QUEUE_ACTIVE,
								   TASK_IKE_DPD));
	ike->tasks->insert_last(ike->tasks, &task.public);
	CHECK("one", qcd_sa_has_task(&ike->public, TASK_QUEUE_ACTIVE,
								 TASK_IKE_DPD));
	CHECK("another one", !qcd_sa_has_task(&ike->public, TASK_QUEUE_ACTIVE,
										  TASK_IKE_MOBIKE));
	played_ike_destroy(ike);
}

/**
 * charon's delayed tasks become due, others stay as they are
 */
static void test_hasten(void **state)
{
	played_task_t tasks[3];
	played_ike_t *ike;
	qcd_ike_sa sa;
	int i;

	played_spis(&sa, QCD_INITIATOR, 1);
	ike = played_ike_create(1, &sa);
	CHECK("none", !qcd_sa_hasten(&ike->public, TASK_CHILD_CREATE));
	CHECK("none", !qcd_sa_is_waiting(&ike->public));
	for (i = 0; i < countof(tasks); i++)
	{
		played_task_init(&tasks[i], i == 1 ? TASK_CHILD_REKEY
										   : TASK_CHILD_CREATE);
		ike->delayed->insert_last(ike->delayed, &tasks[i].public);
	}
	CHECK("delayed", !qcd_sa_is_waiting(&ike->public));
	CHECK("two", qcd_sa_hasten(&ike->public, TASK_CHILD_CREATE));
	CHECK_INT("two are due", ike->tasks->get_count(ike->tasks), 2);
	CHECK_INT("one is not", ike->delayed->get_count(ike->delayed), 1);
	CHECK("due", qcd_sa_is_waiting(&ike->public));
	CHECK("again", !qcd_sa_hasten(&ike->public, TASK_CHILD_CREATE));
	played_ike_destroy(ike);
}

static void test_random(void **state)
{
	uint8_t octets[8] = {};

	CHECK("random", qcd_random(octets, sizeof(octets)));
	CHECK_INT("random", octets[7], 8);
	box_no_random = TRUE;
	CHECK("none", !qcd_random(octets, sizeof(octets)));
}

static void test_now(void **state)
{
	CHECK_INT("now", qcd_now(), BOX_NOW);
	box_now = 1999;
	CHECK_INT("milliseconds", qcd_now(), 1999);
	/* seconds of 32 bits in milliseconds */
	box_now = 5000000000000;
	CHECK_INT("far", qcd_now(), 5000000000000);
}

/**
 * Entries by name are created once, and own their names
 */
static void test_named(void **state)
{
	typedef struct {
		char *name;
		u_int count;
	} entry_t;
	hashtable_t *table;
	entry_t *entry, *other;
	char name[] = "gw";

	table = hashtable_create(hashtable_hash_str, hashtable_equals_str, 8);
	entry = qcd_named_get(table, name, sizeof(*entry));
	CHECK_INT("new", entry->count, 0);
	CHECK("cloned", entry->name != name);
	name[0] = 'h';
	CHECK_STR("cloned", entry->name, "gw");
	CHECK("another one", qcd_named_get(table, name, sizeof(*other)) != entry);
	CHECK("the same", qcd_named_get(table, "gw", sizeof(*entry)) == entry);
	CHECK_INT("both", table->get_count(table), 2);
	other = table->remove(table, "hw");
	CHECK_STR("other", other->name, "hw");
	qcd_named_destroy(other);
	table->destroy_function(table, (void*)qcd_named_destroy);
}

static job_requeue_t note_run(u_int *runs)
{
	(*runs)++;
	return JOB_REQUEUE_NONE;
}

static void clean_up(u_int *runs)
{
	*runs += 10;
}

static void test_job_queue(void **state)
{
	u_int runs = 0;

	qcd_job_queue(note_run, &runs, NULL, JOB_PRIO_HIGH, 0);
	CHECK_INT("queued", box_count_jobs(), 1);
	box_run_jobs();
	CHECK_INT("run", runs, 1);
	qcd_job_queue(note_run, &runs, clean_up, JOB_PRIO_LOW, 1);
	CHECK_INT("scheduled", box_count_jobs(), 0);
	CHECK("scheduled", box_run_scheduled());
	CHECK_INT("run and cleaned up", runs, 12);
	CHECK_INT("on time", box_now, BOX_NOW + 1);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_identify),
		BOX_TEST(test_checkout),
		BOX_TEST(test_delete),
		BOX_TEST(test_hosts),
		BOX_TEST(test_virtual_ip),
		BOX_TEST(test_task),
		BOX_TEST(test_hasten),
		BOX_TEST(test_random),
		BOX_TEST(test_now),
		BOX_TEST(test_named),
		BOX_TEST(test_job_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
