/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_try.h"

#include "box.h"

/**
 * The address that the kernel would send from, NULL where there is no route
 */
static char *route;

METHOD(kernel_interface_t, get_source_addr, host_t*,
	kernel_interface_t *this, host_t *dest, host_t *src)
{
	assert_null(src);
	return route ? host_create_from_string(route, 0) : NULL;
}

/**
 * Create a configuration
 */
static ike_cfg_t *config(char *mine, char *other)
{
	ike_cfg_create_t data = {
		.version = IKEV2,
		.local = mine,
		.local_port = 501,
		.remote = other,
		.remote_port = 4502,
	};

	return ike_cfg_create(&data);
}

static void test_is_named(void **state)
{
	static const struct {
		char *other;
		bool named;
	} table[] = {
		{ "192.0.2.1", FALSE },
		{ "2001:db8::1", FALSE },
		{ "%any", FALSE },
		{ "%any6", FALSE },
		{ "0.0.0.0", FALSE },
		{ "10.0.0.0/8", FALSE },
		{ "2001:db8::/32", FALSE },
		{ "10.0.0.1-10.0.0.9", FALSE },
		{ "2001:db8::1-2001:db8::9", FALSE },
		{ "gw.example", TRUE },
		{ "my-gw.example", TRUE },
		{ "10-gw.example", TRUE },
		{ "192.0.2.1, 192.0.2.2", FALSE },
		{ "192.0.2.1, gw.example", TRUE },
		{ "gw.example,%any", TRUE },
		{ "a-name-of-more-than-sixty-three-characters-before-its-first-dot-at"
		  "-all.example", TRUE },
	};
	ike_cfg_t *ike_cfg;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		ike_cfg = config("%any", table[i].other);
		CHECK_INT(table[i].other, qcd_try_is_named(ike_cfg), table[i].named);
		ike_cfg->destroy(ike_cfg);
	}
}

/**
 * Where a peer that was at 198.51.100.2 is tried, by turns
 */
static void test_get_peer(void **state)
{
	static const struct {
		char *row, *other, *resolved, *peers[4];
	} table[] = {
		{ "where it is configured", "198.51.100.2", NULL, { "198.51.100.2" } },
		{ "it came from elsewhere", "198.51.100.3", NULL, { "198.51.100.3" } },
		{ "one of several", "198.51.100.3,198.51.100.2", NULL,
		  { "198.51.100.2" } },
		{ "none of several", "198.51.100.3,198.51.100.4", NULL,
		  { "198.51.100.3" } },
		{ "any", "%any", NULL, { "198.51.100.2" } },
		{ "subnet", "198.51.100.0/24", NULL, { "198.51.100.2" } },
		{ "range", "198.51.100.1-198.51.100.9", NULL, { "198.51.100.2" } },
		{ "name", "gw.example", NULL, { "198.51.100.2" } },
		{ "name, resolved", "gw.example", "198.51.100.5",
		  { "198.51.100.2", "198.51.100.5" } },
		{ "name, the same", "gw.example", "198.51.100.2", { "198.51.100.2" } },
		{ "name, to nothing", "gw.example", "0.0.0.0", { "198.51.100.2" } },
		{ "address and any", "198.51.100.3,%any", NULL,
		  { "198.51.100.3", "198.51.100.2" } },
		{ "address, name", "198.51.100.3,gw.example", "198.51.100.5",
		  { "198.51.100.3", "198.51.100.2", "198.51.100.5" } },
		{ "address, name, the same", "198.51.100.3,gw.example",
		  "198.51.100.3", { "198.51.100.3", "198.51.100.2" } },
		{ "empty", "", NULL, { "198.51.100.2" } },
	};
	host_t *known, *resolved, *peer, *want;
	ike_cfg_t *ike_cfg;
	u_int count, turn, n;
	char row[64];
	int i;

	known = host_create_from_string("198.51.100.2", 777);
	for (i = 0; i < countof(table); i++)
	{
		ike_cfg = config("%any", table[i].other);
		resolved = table[i].resolved ?
					host_create_from_string(table[i].resolved, 0) : NULL;
		for (n = 0; n < 4 && table[i].peers[n]; n++)
		{
			/* count them */
		}
		for (turn = 0; turn < 2 * n + 1; turn++)
		{
			snprintf(row, sizeof(row), "%s, turn %u", table[i].row, turn);
			peer = qcd_try_get_peer(ike_cfg, known, resolved, turn, &count);
			want = host_create_from_string(table[i].peers[turn % n], 4502);
			CHECK(row, peer->equals(peer, want));
			CHECK_INT(row, count, n);
			peer->destroy(peer);
			want->destroy(want);
		}
		DESTROY_IF(resolved);
		ike_cfg->destroy(ike_cfg);
	}
	known->destroy(known);
}

static void test_get_source(void **state)
{
	static const struct {
		char *row, *mine, *peer, *route, *source;
	} table[] = {
		{ "configured", "192.0.2.1", "198.51.100.2", "192.0.2.7",
		  "192.0.2.1" },
		{ "the first of several", "192.0.2.1,192.0.2.2", "198.51.100.2",
		  "192.0.2.7", "192.0.2.1" },
		{ "any", "%any", "198.51.100.2", "192.0.2.7", "192.0.2.7" },
		{ "any, no route", "%any", "198.51.100.2", NULL, NULL },
		{ "name", "us.example", "198.51.100.2", "192.0.2.7", "192.0.2.7" },
		{ "other family", "2001:db8::1", "198.51.100.2", "192.0.2.7",
		  "192.0.2.7" },
		{ "other family, no route", "192.0.2.1", "2001:db8::2", NULL, NULL },
		{ "IPv6", "2001:db8::1", "2001:db8::2", NULL, "2001:db8::1" },
	};
	ike_cfg_t *ike_cfg;
	host_t *peer, *source, *want;
	int i;

	charon->kernel->get_source_addr = _get_source_addr;
	for (i = 0; i < countof(table); i++)
	{
		route = table[i].route;
		ike_cfg = config(table[i].mine, "%any");
		peer = host_create_from_string(table[i].peer, 500);
		source = qcd_try_get_source(ike_cfg, peer);
		CHECK_INT(table[i].row, source != NULL, table[i].source != NULL);
		if (source)
		{
			want = host_create_from_string(table[i].source, 501);
			CHECK(table[i].row, source->equals(source, want));
			want->destroy(want);
			source->destroy(source);
		}
		peer->destroy(peer);
		ike_cfg->destroy(ike_cfg);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_is_named),
		BOX_TEST(test_get_peer),
		BOX_TEST(test_get_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
