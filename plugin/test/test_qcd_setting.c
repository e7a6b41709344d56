/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_setting.h"

#include "box.h"

/**
 * Make a setting of a kind whose value goes to a member of qcd_config_t
 */
#define SETTING(kind_, member, ...) \
	((qcd_setting_t){ .key = "key", .kind = (kind_), \
					  .offset = offsetof(qcd_config_t, member), __VA_ARGS__ })

static void test_bool(void **state)
{
	static const struct {
		char *value;
		bool valid, want;
	} table[] = {
		{ "yes", TRUE, TRUE }, { "true", TRUE, TRUE },
		{ "enabled", TRUE, TRUE }, { "1", TRUE, TRUE },
		{ "YES", TRUE, TRUE }, { "True", TRUE, TRUE },
		{ "no", TRUE, FALSE }, { "false", TRUE, FALSE },
		{ "disabled", TRUE, FALSE }, { "0", TRUE, FALSE },
		{ "No", TRUE, FALSE },
		{ "" }, { "2" }, { "y" }, { "on" }, { "off" }, { " yes" }, { "yes " },
		{ "yess" }, { "00" }, { "-1" },
	};
	qcd_setting_t setting = SETTING(QCD_KIND_BOOL, maker);
	qcd_config_t config = {};
	bool out;
	int i, before;

	for (i = 0; i < countof(table); i++)
	{
		for (before = 0; before < 2; before++)
		{
			out = config.maker = before;
			CHECK_INT(table[i].value,
					  qcd_setting_parse_bool(table[i].value, &out),
					  table[i].valid);
			CHECK_INT(table[i].value, out,
					  table[i].valid ? table[i].want : before);
			CHECK_INT(table[i].value,
					  qcd_setting_parse(&config, &setting, table[i].value),
					  table[i].valid);
			CHECK_INT(table[i].value, config.maker, out);
		}
	}
}

static void test_number(void **state)
{
	static const struct {
		char *value;
		uint32_t min, max;
		bool valid;
		uint32_t want;
	} table[] = {
		{ "16", 16, 32, TRUE, 16 },
		{ "15", 16, 32 },
		{ "32", 16, 32, TRUE, 32 },
		{ "33", 16, 32 },
		{ "017", 16, 32, TRUE, 17 },
		{ "0", 0, 255, TRUE, 0 },
		{ "-0", 0, 255 },
		{ "-1", 0, 255 },
		{ "+1", 0, 255 },
		{ "", 0, 255 },
		{ " 1", 0, 255 },
		{ "1 ", 0, 255 },
		{ "1.5", 0, 255 },
		{ "0x10", 0, 255 },
		{ "1k", 0, 255 },
		{ "ten", 0, 255 },
		{ "4294967295", 0, UINT32_MAX, TRUE, UINT32_MAX },
		{ "4294967296", 0, UINT32_MAX },
		{ "18446744073709551615", 0, UINT32_MAX },
		{ "18446744073709551616", 0, UINT32_MAX },
		{ "99999999999999999999999999999999", 0, UINT32_MAX },
	};
	qcd_config_t config;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		qcd_setting_t setting = SETTING(QCD_KIND_NUMBER, token_length,
							.min = table[i].min, .max = table[i].max);

		config.token_length = 7;
		CHECK_INT(table[i].value,
				  qcd_setting_parse(&config, &setting, table[i].value),
				  table[i].valid);
		CHECK_INT(table[i].value, config.token_length,
				  table[i].valid ? table[i].want : 7);
	}
}

static void test_time(void **state)
{
	static const struct {
		char *value;
		bool valid;
		uint32_t want;
	} table[] = {
		{ "0", TRUE, 0 },
		{ "0d", TRUE, 0 },
		{ "5", TRUE, 5 },
		{ "5s", TRUE, 5 },
		{ "10m", TRUE, 600 },
		{ "12h", TRUE, 43200 },
		{ "30d", TRUE, 2592000 },
		{ "4294967295", TRUE, UINT32_MAX },
		{ "4294967295s", TRUE, UINT32_MAX },
		{ "4294967296s" },
		{ "71582788m", TRUE, 71582788u * 60 },
		{ "71582789m" },
		{ "1193046h", TRUE, 1193046u * 3600 },
		{ "1193047h" },
		{ "49710d", TRUE, 49710u * 86400 },
		{ "49711d" },
		{ "" },
		{ "d" },
		{ "-1d" },
		{ "1w" },
		{ "1D" },
		{ "1 d" },
		{ "1dd" },
		{ "1.5d" },
		{ "1h30m" },
		{ "00000000000001d", TRUE, 86400 },
		{ "000000000000001d" },
		{ "ssssssssssssssssssssssssssssssssssssssss" },
	};
	qcd_setting_t setting = SETTING(QCD_KIND_TIME, rotate);
	qcd_config_t config;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		config.rotate = 7;
		CHECK_INT(table[i].value,
				  qcd_setting_parse(&config, &setting, table[i].value),
				  table[i].valid);
		if (table[i].valid)
		{
			CHECK_INT(table[i].value, config.rotate, table[i].want);
		}
	}
}

static void test_nodes(void **state)
{
	static const struct {
		char *value;
		bool valid;
		uint64_t want[4];
	} table[] = {
		{ "", TRUE },
		{ " , ,", TRUE },
		{ "0", TRUE, { 1 } },
		{ "63", TRUE, { 1ull << 63 } },
		{ "64", TRUE, { 0, 1 } },
		{ "255", TRUE, { 0, 0, 0, 1ull << 63 } },
		{ "1,2", TRUE, { 6 } },
		{ "1 2", TRUE, { 6 } },
		{ "1, 2 ,3", TRUE, { 14 } },
		{ "1,1", TRUE, { 2 } },
		{ "256" },
		{ "-1" },
		{ "1-3" },
		{ "1;2" },
		{ "a" },
		/* nothing is left of those before the invalid one */
		{ "1,256" },
		{ "1,2,x" },
		{ "x,1" },
	};
	qcd_setting_t setting = SETTING(QCD_KIND_NODES, takeover);
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		qcd_config_t config = {};

		CHECK_INT(table[i].value,
				  qcd_setting_parse(&config, &setting, table[i].value),
				  table[i].valid);
		for (j = 0; j < 4; j++)
		{
			CHECK(table[i].value,
				  config.takeover.nodes[j] == table[i].want[j]);
		}
		CHECK_INT(table[i].value, config.takeover.address.len, 0);
	}
}

static void test_address(void **state)
{
	static const struct {
		char *value;
		bool valid;
		int len;
		uint8_t first, last;
	} table[] = {
		{ "", TRUE, 0 },
		{ "192.0.2.1", TRUE, 4, 192, 1 },
		{ "2001:db8::5", TRUE, 16, 0x20, 5 },
		{ "192.0.2" },
		{ "192.0.2.256" },
		{ "192.0.2.1/32" },
		{ "2001:db8::5::" },
		{ "gateway.example" },
	};
	qcd_setting_t setting = SETTING(QCD_KIND_ADDRESS, takeover.address);
	int i;

	for (i = 0; i < countof(table); i++)
	{
		qcd_config_t config = {};
		qcd_address *address = &config.takeover.address;

		CHECK_INT(table[i].value,
				  qcd_setting_parse(&config, &setting, table[i].value),
				  table[i].valid);
		CHECK_INT(table[i].value, address->len, table[i].len);
		if (address->len)
		{
			CHECK_INT(table[i].value, address->octets[0], table[i].first);
			CHECK_INT(table[i].value, address->octets[address->len - 1],
					  table[i].last);
		}
	}
}

static void test_path(void **state)
{
	static const struct {
		char *value;
		qcd_kind_t kind;
		char *want;
	} table[] = {
		{ "/var/lib/x", QCD_KIND_PATH, "/var/lib/x" },
		{ "/", QCD_KIND_PATH, "/" },
		{ "var/lib/x", QCD_KIND_PATH, NULL },
		{ "./x", QCD_KIND_PATH, NULL },
		{ "", QCD_KIND_PATH, NULL },
		{ "unix:///run/x.ctl", QCD_KIND_SOCKET, "/run/x.ctl" },
		{ "unix:///", QCD_KIND_SOCKET, "/" },
		{ "unix://run/x.ctl", QCD_KIND_SOCKET, NULL },
		{ "unix://", QCD_KIND_SOCKET, NULL },
		{ "tcp://127.0.0.1:4502", QCD_KIND_SOCKET, NULL },
		{ "/run/x.ctl", QCD_KIND_SOCKET, NULL },
		{ "", QCD_KIND_SOCKET, NULL },
	};
	qcd_config_t config;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		qcd_setting_t setting = SETTING(table[i].kind, state_dir);

		config.state_dir = "before";
		CHECK_INT(table[i].value,
				  qcd_setting_parse(&config, &setting, table[i].value),
				  table[i].want != NULL);
		CHECK_STR(table[i].value, config.state_dir, table[i].want ?: "before");
	}
}

static void test_choice(void **state)
{
	static const struct {
		char *value;
		bool valid;
		qcd_recover_t want;
	} table[] = {
		{ "auto", TRUE, QCD_RECOVER_AUTO },
		{ "reconnect", TRUE, QCD_RECOVER_RECONNECT },
		{ "trap", TRUE, QCD_RECOVER_TRAP },
		{ "none", TRUE, QCD_RECOVER_NONE },
		{ "None", TRUE, QCD_RECOVER_NONE },
		{ "" }, { "non" }, { "nones" }, { "auto trap" }, { "0" },
	};
	qcd_setting_t recover = SETTING(QCD_KIND_CHOICE, recover,
						.choices = { "auto", "reconnect", "trap", "none" });
	qcd_setting_t bind = SETTING(QCD_KIND_CHOICE, bind_address,
						.choices = { "spi", "address" });
	qcd_config_t config = {};
	int i;

	for (i = 0; i < countof(table); i++)
	{
		config.recover = QCD_RECOVER_TRAP;
		CHECK_INT(table[i].value,
				  qcd_setting_parse(&config, &recover, table[i].value),
				  table[i].valid);
		CHECK_INT(table[i].value, config.recover,
				  table[i].valid ? table[i].want : QCD_RECOVER_TRAP);
	}
	CHECK("address", qcd_setting_parse(&config, &bind, "address"));
	CHECK("address", config.bind_address);
	CHECK("trap", !qcd_setting_parse(&config, &bind, "trap"));
	CHECK("trap", config.bind_address);
	CHECK("spi", qcd_setting_parse(&config, &bind, "spi"));
	CHECK("spi", !config.bind_address);
}

static void test_describe(void **state)
{
	static const struct {
		qcd_setting_t setting;
		char *want;
	} table[] = {
		{ { .kind = QCD_KIND_BOOL }, "yes or no" },
		{ { .kind = QCD_KIND_NUMBER, .min = 16, .max = 32 },
		  "a number from 16 to 32" },
		{ { .kind = QCD_KIND_PATH }, "an absolute path" },
		{ { .kind = QCD_KIND_SOCKET }, "of the form unix:///path" },
		{ { .kind = QCD_KIND_TIME }, "a time such as 30d, 12h, 10m or 5s" },
		{ { .kind = QCD_KIND_NODES }, "a list of numbers from 0 to 255" },
		{ { .kind = QCD_KIND_ADDRESS }, "an IP address" },
		{ { .kind = QCD_KIND_CHOICE, .choices = { "spi", "address" } },
		  "one of spi address" },
		{ { .kind = QCD_KIND_CHOICE, .choices = { "a", "b", "c", "d" } },
		  "one of a b c d" },
	};
	char text[128];
	int i;

	for (i = 0; i < countof(table); i++)
	{
		qcd_setting_describe(&table[i].setting, text, sizeof(text));
		CHECK_STR(table[i].want, text, table[i].want);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_bool),
		BOX_TEST(test_number),
		BOX_TEST(test_time),
		BOX_TEST(test_nodes),
		BOX_TEST(test_address),
		BOX_TEST(test_path),
		BOX_TEST(test_choice),
		BOX_TEST(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
