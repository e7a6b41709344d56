/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "test_suite.h"

#include "played_receiver.h"

#include "../qcd_maker.h"
#include "../qcd_taker.h"

#include <daemon.h>
#include <tests/utils/exchange_test_helper.h>

#include <stdlib.h>

/**
 * Both roles of the plugin, in a daemon that is its own peer
 */
static qcd_config_t *config;
static qcd_events_t *events;
static qcd_receiver_t *receiver;
static qcd_pending_t *pending;
static qcd_maker_t *maker;
static qcd_taker_t *taker;

/**
 * Folder of the maker's secrets
 */
static char folder[32];

static void set(char *key, char *value)
{
	char path[128];

	/* not as an argument, whose dots would belong to a name */
	snprintf(path, sizeof(path), "%s.plugins.qcd.%s", lib->ns, key);
	lib->settings->set_str(lib->settings, path, value);
}

/**
 * Whether the maker is on for the connections of the initiator and the responder
 */
static struct {
	char *init, *resp;
} makers[] = {
	{ "yes", "yes" },
	{ "yes", "no" },
	{ "no", "yes" },
	{ "no", "no" },
};

START_SETUP(setup)
{
	char error[256];

	strcpy(folder, "/tmp/qcd-XXXXXX");
	ck_assert(mkdtemp(folder));
	set("state_dir", folder);
	set("esp", "no");
	set("connections.init.maker", makers[_i].init);
	set("connections.resp.maker", makers[_i].resp);
	played_receiver_begin();
	config = qcd_config_create();
	events = qcd_events_create();
	receiver = qcd_receiver_create();
	pending = qcd_pending_create();
	maker = qcd_maker_create(config, events, receiver, pending, error,
							 sizeof(error));
	taker = qcd_taker_create(config, events, receiver, pending);
	ck_assert(maker && taker);
}
END_SETUP

/**
 * Remove the folder, in which there are only files
 */
static void remove_folder()
{
	enumerator_t *enumerator;
	char *path;

	enumerator = enumerator_create_directory(folder);
	if (enumerator)
	{
		while (enumerator->enumerate(enumerator, NULL, &path, NULL))
		{
			ck_assert_int_eq(unlink(path), 0);
		}
		enumerator->destroy(enumerator);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

START_TEARDOWN(teardown)
{
	receiver->destroy(receiver);
	taker->destroy(taker);
	maker->destroy(maker);
	pending->destroy(pending);
	events->destroy(events);
	config->destroy(config);
	played_receiver_end();
	remove_folder();
}
END_TEARDOWN

static bool is_given(ike_sa_t *ike_sa)
{
	qcd_sa_t sa;
	u_int generation;

	return qcd_sa_identify(ike_sa, &sa) &&
		   maker->is_given(maker, &sa, &generation);
}

static bool holds(ike_sa_t *ike_sa)
{
	qcd_sa_t sa;

	return qcd_sa_identify(ike_sa, &sa) && taker->holds_token(taker, &sa);
}

/**
 * The exchange of IKE_AUTH messages gives each peer the token of the other one.
 * Here, the SAs of both peers have the same SPIs, so the taker holds a token for
 * both as soon as one of them was given one.
 */
START_TEST(test_exchange)
{
	ike_sa_t *a, *b;
	bool init, resp;

	init = streq(makers[_i].init, "yes");
	resp = streq(makers[_i].resp, "yes");
	exchange_test_helper->establish_sa(exchange_test_helper, &a, &b, NULL);

	ck_assert(is_given(a) == init);
	ck_assert(is_given(b) == resp);
	ck_assert(holds(a) == (init || resp));

	call_ikesa(a, destroy);
	call_ikesa(b, destroy);
}
END_TEST

Suite *tokens_suite_create()
{
	Suite *s;
	TCase *tc;

	s = suite_create("tokens");

	tc = tcase_create("exchange");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_exchange, 0, countof(makers));
	suite_add_tcase(s, tc);

	return s;
}
