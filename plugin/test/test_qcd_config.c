/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_config.h"

#include "box.h"
#include "played.h"

#define NS "charon.plugins.qcd."

/**
 * What a line says of an invalid value
 */
#define MAKER_OFF "the token maker is off"
#define TAKER_OFF "the token taker is off"
#define DEFAULT "the default is used"

/**
 * Set a key of ours
 */
static void set(char *key, char *value)
{
	char full[128];

	snprintf(full, sizeof(full), "plugins.qcd.%s", key);
	box_set(full, value);
}

/**
 * Remove all keys and sections of ours
 */
static void forget()
{
	lib->settings->load_string(lib->settings, "", FALSE);
}

static void test_defaults(void **state)
{
	qcd_config_t *config = qcd_config_create();

	CHECK("maker", config->maker);
	CHECK("taker", config->taker);
	CHECK_STR("state_dir", config->state_dir, "/var/lib/strongswan-qcd");
	CHECK_INT("node", config->node, 0);
	CHECK_INT("takes_over", config->takeover.nodes[0], 0);
	CHECK_INT("takes_over_address", config->takeover.address.len, 0);
	CHECK_INT("token_length", config->token_length, 32);
	CHECK("bind", !config->bind_address);
	CHECK_INT("rotate", config->rotate, 0);
	CHECK_INT("reply_rate", config->reply_rate, 1000);
	CHECK_INT("reply_burst", config->reply_burst, 2000);
	CHECK_INT("reply_rate_source", config->reply_rate_source, 10);
	CHECK_INT("verify_rate_source", config->verify_rate_source, 100);
	CHECK("esp", config->esp);
	CHECK("announce", !config->announce);
	CHECK_STR("socket", config->socket, "/run/strongswan-qcd.ctl");
	CHECK_INT("recover", config->recover, QCD_RECOVER_AUTO);
	CHECK_LOGGED("all", "", 0);
	config->destroy(config);
}

static void test_values(void **state)
{
	static char *values[][2] = {
		{ "load", "yes" }, { "maker", "no" }, { "taker", "0" },
		{ "state_dir", "/x" }, { "node", "255" }, { "takes_over", "1, 64" },
		{ "takes_over_address", "192.0.2.9" }, { "token_length", "16" },
		{ "bind", "address" }, { "rotate", "30d" }, { "reply_rate", "0" },
		{ "reply_burst", "1000000" }, { "reply_rate_source", "1" },
		{ "verify_rate_source", "0" }, { "esp", "no" }, { "announce", "yes" },
		{ "socket", "unix:///x.ctl" }, { "recover", "trap" },
	};
	qcd_config_t *config;
	int i;

	for (i = 0; i < countof(values); i++)
	{
		set(values[i][0], values[i][1]);
	}
	config = qcd_config_create();
	CHECK("maker", !config->maker);
	CHECK("taker", !config->taker);
	CHECK_STR("state_dir", config->state_dir, "/x");
	CHECK_INT("node", config->node, 255);
	CHECK_INT("takes_over", config->takeover.nodes[0], 2);
	CHECK_INT("takes_over", config->takeover.nodes[1], 1);
	CHECK_INT("takes_over_address", config->takeover.address.octets[3], 9);
	CHECK_INT("token_length", config->token_length, 16);
	CHECK("bind", config->bind_address);
	CHECK_INT("rotate", config->rotate, 30 * 86400);
	CHECK_INT("reply_rate", config->reply_rate, 0);
	CHECK_INT("reply_burst", config->reply_burst, 1000000);
	CHECK_INT("reply_rate_source", config->reply_rate_source, 1);
	CHECK_INT("verify_rate_source", config->verify_rate_source, 0);
	CHECK("esp", !config->esp);
	CHECK("announce", config->announce);
	CHECK_STR("socket", config->socket, "/x.ctl");
	CHECK_INT("recover", config->recover, QCD_RECOVER_TRAP);
	CHECK_LOGGED("all", "", 0);
	config->destroy(config);
}

/**
 * Each key with values that it can't have, and what the log says then
 */
static void test_invalid(void **state)
{
	static const struct {
		char *key, *value, *allowed, *fate;
	} table[] = {
		{ "maker", "on", "yes or no", MAKER_OFF },
		{ "maker", "", "yes or no", MAKER_OFF },
		{ "taker", "2", "yes or no", TAKER_OFF },
		{ "state_dir", "qcd", "an absolute path", MAKER_OFF },
		{ "state_dir", "", "an absolute path", MAKER_OFF },
		{ "node", "256", "a number from 0 to 255", MAKER_OFF },
		{ "node", "-1", "a number from 0 to 255", MAKER_OFF },
		{ "node", "", "a number from 0 to 255", MAKER_OFF },
		{ "takes_over", "1,256", "a list of numbers from 0 to 255",
		  MAKER_OFF },
		{ "takes_over", "all", "a list of numbers from 0 to 255", MAKER_OFF },
		{ "takes_over_address", "gw.example", "an IP address", MAKER_OFF },
		{ "token_length", "15", "a number from 16 to 32", MAKER_OFF },
		{ "token_length", "33", "a number from 16 to 32", MAKER_OFF },
		{ "token_length", "32 octets", "a number from 16 to 32", MAKER_OFF },
		{ "bind", "port", "one of spi address", MAKER_OFF },
		{ "bind", "", "one of spi address", MAKER_OFF },
		{ "rotate", "1w", "a time such as 30d, 12h, 10m or 5s", MAKER_OFF },
		{ "rotate", "-1d", "a time such as 30d, 12h, 10m or 5s", MAKER_OFF },
		{ "rotate", "99999d", "a time such as 30d, 12h, 10m or 5s",
		  MAKER_OFF },
		{ "reply_rate", "1000001", "a number from 0 to 1000000", MAKER_OFF },
		{ "reply_burst", "1e3", "a number from 0 to 1000000", MAKER_OFF },
		{ "reply_rate_source", "18446744073709551617",
		  "a number from 0 to 1000000", MAKER_OFF },
		{ "esp", "ah", "yes or no", MAKER_OFF },
		{ "announce", "later", "yes or no", MAKER_OFF },
		{ "verify_rate_source", "1000001", "a number from 0 to 1000000",
		  TAKER_OFF },
		{ "verify_rate_source", "10/s", "a number from 0 to 1000000",
		  TAKER_OFF },
		{ "socket", "/run/x.ctl", "of the form unix:///path", DEFAULT },
		{ "socket", "tcp://0.0.0.0:1", "of the form unix:///path", DEFAULT },
		{ "recover", "restart", "one of auto reconnect trap none", TAKER_OFF },
	};
	qcd_config_t *config;
	char row[128], line[256];
	int i;

	for (i = 0; i < countof(table); i++)
	{
		snprintf(row, sizeof(row), "%s = %s", table[i].key, table[i].value);
		snprintf(line, sizeof(line), "QCD: " NS "%s is not %s: %s", row,
				 table[i].allowed, table[i].fate);
		box_forget_log();
		set(table[i].key, table[i].value);
		config = qcd_config_create();
		CHECK_LOGGED(row, line, 1);
		CHECK_LOGGED(row, "", 1);
		CHECK_INT(row, config->maker, !streq(table[i].fate, MAKER_OFF));
		CHECK_INT(row, config->taker, !streq(table[i].fate, TAKER_OFF));
		/* the value in use is the default */
		CHECK_INT(row, config->node, 0);
		CHECK_INT(row, config->takeover.nodes[0], 0);
		CHECK_INT(row, config->token_length, 32);
		CHECK_INT(row, config->rotate, 0);
		CHECK_INT(row, config->reply_rate, 1000);
		CHECK_INT(row, config->verify_rate_source, 100);
		CHECK_STR(row, config->state_dir, "/var/lib/strongswan-qcd");
		CHECK_STR(row, config->socket, "/run/strongswan-qcd.ctl");
		CHECK_INT(row, config->recover, QCD_RECOVER_AUTO);
		config->destroy(config);
		set(table[i].key, NULL);
	}
}

static void test_both_off(void **state)
{
	qcd_config_t *config;

	set("node", "x");
	set("token_length", "x");
	set("recover", "x");
	config = qcd_config_create();
	CHECK("both", !config->maker && !config->taker);
	CHECK_LOGGED("both", MAKER_OFF, 2);
	CHECK_LOGGED("both", TAKER_OFF, 1);
	config->destroy(config);
}

static void test_long_value(void **state)
{
	qcd_config_t *config;
	char value[20000];

	memset(value, '%', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	set("recover", value);
	config = qcd_config_create();
	CHECK("long", !config->taker);
	CHECK_LOGGED("long", "QCD: " NS "recover = %%%%%%%%%%%%", 1);
	config->destroy(config);
}

/**
 * What has a name that nobody knows is logged at the start and at a reload
 */
static void test_unknown(void **state)
{
	static const struct {
		char *key, *what, *name;
	} table[] = {
		{ "tokenlength", "key", "tokenlength" },
		{ "token_lengths", "key", "token_lengths" },
		{ "Maker", "key", "Maker" },
		{ "spi", "key", "spi" },
		{ "connections", "key", "connections" },
		{ "connection.gw.maker", "section", "connection" },
		{ "maker.gw", "section", "maker" },
		{ "connections.maker", "key", "connections.maker" },
		{ "connections.gw.makr", "key", "connections.gw.makr" },
		{ "connections.gw.load", "key", "connections.gw.load" },
		{ "connections.100%%d.makr", "key", "connections.100%d.makr" },
		{ "connections.gw.remote.taker", "section", "connections.gw.remote" },
		{ "connections.gw.maker.x", "section", "connections.gw.maker" },
		{ "load", NULL, NULL },
		{ "maker", NULL, NULL },
		{ "connections.gw.maker", NULL, NULL },
		{ "connections.not_loaded.taker", NULL, NULL },
	};
	qcd_config_t *config;
	char line[128];
	int i;

	for (i = 0; i < countof(table); i++)
	{
		snprintf(line, sizeof(line), "QCD: " NS "%s is not a %s that this version "
				 "knows: ignored", table[i].name, table[i].what);
		box_forget_log();
		set(table[i].key, "yes");
		config = qcd_config_create();
		CHECK_LOGGED(table[i].key, line, table[i].what != NULL);
		CHECK_LOGGED(table[i].key, "", table[i].what != NULL);
		CHECK(table[i].key, config->maker && config->taker);
		box_forget_log();
		config->reload(config);
		CHECK_LOGGED(table[i].key, line, table[i].what != NULL);
		CHECK_LOGGED(table[i].key, "", table[i].what != NULL);
		config->destroy(config);
		forget();
	}
}

static void test_takeover(void **state)
{
	static const struct {
		char *name, *nodes, *address;
		bool maker;
	} table[] = {
		{ "none", "", "", TRUE },
		{ "both", "1", "192.0.2.9", TRUE },
		{ "last node", "255", "192.0.2.9", TRUE },
		{ "a node of the second word", "64", "192.0.2.9", TRUE },
		{ "no address", "1", "", FALSE },
		{ "no address, third word", "128", "", FALSE },
		{ "no nodes", "", "192.0.2.9", FALSE },
	};
	qcd_config_t *config;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		box_forget_log();
		set("takes_over", table[i].nodes);
		set("takes_over_address", table[i].address);
		config = qcd_config_create();
		CHECK_INT(table[i].name, config->maker, table[i].maker);
		CHECK(table[i].name, config->taker);
		CHECK_LOGGED(table[i].name, "takes_over and takes_over_address must be set "
					 "together: the token maker is off", !table[i].maker);
		config->destroy(config);
	}
}

static void test_role_enabled(void **state)
{
	static const struct {
		char *value;
		bool enabled;
		u_int lines;
	} table[] = {
		{ NULL, TRUE, 0 },
		{ "yes", TRUE, 0 },
		{ "no", FALSE, 0 },
		{ "0", FALSE, 0 },
		{ "", FALSE, 1 },
		{ "maybe", FALSE, 1 },
	};
	static char *roles[] = { "maker", "taker" };
	qcd_config_t *config;
	char key[64], line[128];
	int i, j, k;

	for (i = 0; i < countof(table); i++)
	{
		for (j = 0; j < countof(roles); j++)
		{
			char *row = table[i].value ?: "not set";

			snprintf(key, sizeof(key), "connections.gw.%s", roles[j]);
			snprintf(line, sizeof(line), "QCD: " NS "%s = %s is not yes or no: "
					 "the token %s is off for this connection", key, row,
					 roles[j]);
			set(key, table[i].value);
			box_forget_log();
			config = qcd_config_create();
			/* an invalid value is logged at the start, and at each reload */
			for (k = 1; k <= 3; k++)
			{
				CHECK_LOGGED(row, line, k * table[i].lines);
				CHECK_LOGGED(row, "", k * table[i].lines);
				CHECK_INT(row, config->role_enabled(config, "gw", roles[j]),
						  table[i].enabled);
				CHECK(row, config->role_enabled(config, "gw", roles[!j]));
				CHECK(row, config->role_enabled(config, "gw2", roles[j]));
				/* and not whenever it is looked up */
				CHECK_LOGGED(row, "", k * table[i].lines);
				config->reload(config);
			}
			config->destroy(config);
			set(key, NULL);
		}
	}
}

static void test_makes_for(void **state)
{
	static const struct {
		char *name, *shared, *mine, *maker;
		bool makes;
	} table[] = {
		{ "single gateway", "", "192.0.2.1", "yes", TRUE },
		{ "off for the connection", "", "192.0.2.1", "no", FALSE },
		{ "at the shared address", "192.0.2.1", "192.0.2.1", "yes", TRUE },
		{ "at its own address", "192.0.2.1", "192.0.2.2", "yes", FALSE },
		{ "other family", "192.0.2.1", "2001:db8::1", "yes", FALSE },
		{ "shared IPv6", "2001:db8::1", "2001:db8::1", "yes", TRUE },
		{ "last octet", "2001:db8::1", "2001:db8::2", "yes", FALSE },
		{ "off, and shared", "192.0.2.1", "192.0.2.1", "no", FALSE },
	};
	qcd_config_t *config;
	played_ike_t *ike;
	qcd_ike_sa sa;
	int i;

	played_spis(&sa, QCD_INITIATOR, 1);
	ike = played_ike_create(1, &sa);
	for (i = 0; i < countof(table); i++)
	{
		set("takes_over", *table[i].shared ? "1" : "");
		set("takes_over_address", table[i].shared);
		set("connections.gw.maker", table[i].maker);
		played_ike_move(ike, TRUE, table[i].mine);
		config = qcd_config_create();
		CHECK_INT(table[i].name, config->makes_for(config, &ike->public),
				  table[i].makes);
		config->destroy(config);
	}
	played_ike_destroy(ike);
}

static void test_reload(void **state)
{
	static const struct {
		char *key, *value, *line;
		qcd_recover_t recover;
	} table[] = {
		/* in this order: each row begins with what the one before left */
		{ "recover", "auto", NULL, QCD_RECOVER_AUTO },
		{ "recover", "trap", "changed settings that now apply: recover",
		  QCD_RECOVER_TRAP },
		{ "recover", "trap", NULL, QCD_RECOVER_TRAP },
		{ "recover", "restart", "recover = restart is not one of auto reconnect "
		  "trap none: nothing changes", QCD_RECOVER_TRAP },
		{ "recover", "trap", NULL, QCD_RECOVER_TRAP },
		{ "recover", NULL, "changed settings that now apply: recover",
		  QCD_RECOVER_AUTO },
		{ "node", "7", "changed settings that need a restart of the daemon: "
		  "node (still '3')", QCD_RECOVER_AUTO },
		{ "node", "256", "node = 256 is not a number from 0 to 255: nothing "
		  "changes", QCD_RECOVER_AUTO },
		{ "node", "3", NULL, QCD_RECOVER_AUTO },
		{ "takes_over", "1", "need a restart of the daemon: takes_over (still "
		  "'')", QCD_RECOVER_AUTO },
		{ "takes_over", NULL, NULL, QCD_RECOVER_AUTO },
		{ "state_dir", "/y", "need a restart of the daemon: state_dir (still "
		  "'/var/lib/strongswan-qcd')", QCD_RECOVER_AUTO },
		{ "state_dir", NULL, NULL, QCD_RECOVER_AUTO },
		{ "socket", "unix:///y", "need a restart of the daemon: socket (still "
		  "'unix:///run/strongswan-qcd.ctl')", QCD_RECOVER_AUTO },
		{ "socket", NULL, NULL, QCD_RECOVER_AUTO },
	};
	qcd_config_t *config;
	char row[64];
	int i;

	set("node", "3");
	config = qcd_config_create();
	for (i = 0; i < countof(table); i++)
	{
		snprintf(row, sizeof(row), "%d: %s = %s", i, table[i].key,
				 table[i].value ?: "(null)");
		set(table[i].key, table[i].value);
		box_forget_log();
		config->reload(config);
		CHECK_LOGGED(row, table[i].line ?: "", table[i].line != NULL);
		CHECK_LOGGED(row, "", table[i].line != NULL);
		CHECK_INT(row, config->recover, table[i].recover);
		CHECK_INT(row, config->node, 3);
		CHECK_STR(row, config->state_dir, "/var/lib/strongswan-qcd");
		CHECK_STR(row, config->socket, "/run/strongswan-qcd.ctl");
		CHECK_INT(row, config->takeover.nodes[0], 0);
		CHECK(row, config->maker && config->taker);
	}
	config->destroy(config);
}

/**
 * What was invalid at the start has turned a role off: that needs a restart
 */
static void test_reload_invalid(void **state)
{
	static const struct {
		char *key, *value, *line;
	} table[] = {
		{ "recover", "restart", "nothing changes" },
		{ "recover", "none", "changed settings that need a restart of the "
		  "daemon: recover (was invalid)" },
		{ "recover", "none", "recover (was invalid)" },
		{ "recover", "trip", "nothing changes" },
	};
	qcd_config_t *config;
	int i;

	set("recover", "restart");
	config = qcd_config_create();
	for (i = 0; i < countof(table); i++)
	{
		set(table[i].key, table[i].value);
		box_forget_log();
		config->reload(config);
		CHECK_LOGGED(table[i].value, table[i].line, 1);
		CHECK_LOGGED(table[i].value, "", 1);
		CHECK_INT(table[i].value, config->recover, QCD_RECOVER_AUTO);
		CHECK(table[i].value, config->maker && !config->taker);
	}
	config->destroy(config);
}

static void test_reload_connections(void **state)
{
	static const struct {
		char *name, *key, *value;
		bool logged;
	} table[] = {
		{ "new", "gw.maker", "no", TRUE },
		{ "the same", "gw.maker", "no", FALSE },
		{ "changed", "gw.maker", "yes", TRUE },
		{ "other role", "gw.taker", "no", TRUE },
		{ "other connection", "gw2.taker", "no", TRUE },
		{ "gone", "gw.maker", NULL, TRUE },
		{ "still gone", "gw.maker", NULL, FALSE },
	};
	qcd_config_t *config = qcd_config_create();
	char key[64], line[128];
	int i;

	for (i = 0; i < countof(table); i++)
	{
		snprintf(key, sizeof(key), "connections.%s", table[i].key);
		snprintf(line, sizeof(line), "QCD: changed settings that now apply: %s",
				 key);
		set(key, table[i].value);
		box_forget_log();
		config->reload(config);
		CHECK_LOGGED(table[i].name, line, table[i].logged);
		CHECK_LOGGED(table[i].name, "", table[i].logged);
	}
	config->destroy(config);
}

/**
 * A line holds 1023 characters of keys: what is too much is counted
 */
static void test_reload_many(void **state)
{
	static const struct {
		char *row, *name, *end;
	} table[] = {
		/* 41 keys of 22 characters with ", " between them are 982 */
		{ "fits", "123456789012345678901", "901.maker" },
		{ "one character more", "1234567890123456789012", "040.maker and 1 more" },
		{ "much more", "12345678901234567890123456789012345678901234567890",
		  "040.maker and 1 more" },
	};
	qcd_config_t *config = qcd_config_create();
	char key[128];
	size_t len;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		for (j = 0; j < 41; j++)
		{
			snprintf(key, sizeof(key), "connections.c%.3d.maker", j);
			set(key, i % 2 ? "no" : "yes");
		}
		snprintf(key, sizeof(key), "connections.%s.maker", table[i].name);
		set(key, "no");
		box_forget_log();
		config->reload(config);
		CHECK_LOGGED(table[i].row, "now apply: connections.c000.maker, ", 1);
		CHECK_LOGGED(table[i].row, table[i].end, 1);
		CHECK_LOGGED(table[i].row, " more", strstr(table[i].end, "more") != NULL);
		len = strlen("QCD: changed settings that now apply: ") + 982 +
			  (i ? strlen(" and 1 more") : strlen(", ") + strlen(key));
		CHECK_INT(table[i].row, strlen(box_last_line()), len);
	}
	for (j = 0; j < 200; j++)
	{
		snprintf(key, sizeof(key), "connections.c%.3d.maker", j);
		set(key, "0");
	}
	box_forget_log();
	config->reload(config);
	CHECK_LOGGED("many", "040.maker, connections.c041.maker and 158 more", 1);
	CHECK_LOGGED("many", "", 1);
	config->destroy(config);
}

static void test_reload_long(void **state)
{
	qcd_config_t *config;
	char path[600], line[600];

	memset(path, 'd', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	set("state_dir", path);
	config = qcd_config_create();
	CHECK_STR("long", config->state_dir, path);
	set("state_dir", "/x");
	set("node", "1");
	config->reload(config);
	/* settings are compared in their order; a change has 255 characters */
	snprintf(line, sizeof(line), ": state_dir (still '%.237s, node (still '0')",
			 path);
	CHECK_LOGGED("long", line, 1);
	CHECK_LOGGED("long", "", 1);
	config->destroy(config);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_defaults),
		BOX_TEST(test_values),
		BOX_TEST(test_invalid),
		BOX_TEST(test_both_off),
		BOX_TEST(test_long_value),
		BOX_TEST(test_unknown),
		BOX_TEST(test_takeover),
		BOX_TEST(test_role_enabled),
		BOX_TEST(test_makes_for),
		BOX_TEST(test_reload),
		BOX_TEST(test_reload_invalid),
		BOX_TEST(test_reload_connections),
		BOX_TEST(test_reload_many),
		BOX_TEST(test_reload_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
