/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_json.h"

#include "box.h"

/**
 * Finish lines and compare them
 */
static void check_lines(const char *row, qcd_json_t *json, const char *want,
						int line)
{
	chunk_t got = json->finish(json);

	if (!chunk_equals(got, chunk_from_str((char*)want)))
	{
		print_error("row '%s': the lines are '%.*s', want '%s'\n", row,
					(int)got.len, got.ptr ? (char*)got.ptr : "", want);
		_fail(__FILE__, line);
	}
	chunk_free(&got);
}

#define CHECK_LINES(row, json, want) check_lines((row), (json), (want), __LINE__)

static void test_strings(void **state)
{
	static const struct {
		char *name, *value, *want;
	} table[] = {
		{ "empty", "", "" },
		{ "plain", "gw-1_a.b", "gw-1_a.b" },
		{ "first of ASCII", "\x20", " " },
		{ "last that must be escaped", "\x1f", "\\u001f" },
		{ "first octet", "\x01", "\\u0001" },
		{ "newline", "a\nb", "a\\u000ab" },
		{ "return, tab", "\r\t", "\\u000d\\u0009" },
		{ "escape of a terminal", "\x1b[2J", "\\u001b[2J" },
		{ "quote", "a\"b", "a\\u0022b" },
		{ "backslash", "\\", "\\u005c" },
		{ "end of an object", "\"}\n{\"", "\\u0022}\\u000a{\\u0022" },
		{ "slash, single quote", "/'", "/'" },
		{ "last of ASCII", "\x7e", "~" },
		{ "delete", "\x7f", "\\u007f" },
		{ "no UTF-8", "\x80\xff", "\\u0080\\u00ff" },
		{ "UTF-8", "\xc3\xa9", "\\u00c3\\u00a9" },
		{ "UTF-8 that is cut", "\xe2\x82", "\\u00e2\\u0082" },
		{ "format", "%s%n", "%s%n" },
	};
	char want[64];
	qcd_json_t *json;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		json = qcd_json_create();
		json->begin(json, NULL);
		json->add_str(json, "k", table[i].value);
		snprintf(want, sizeof(want), "{\"k\":\"%s\"}\n", table[i].want);
		CHECK_LINES(table[i].name, json, want);
	}
}

static void test_long_string(void **state)
{
	static const size_t lens[] = { 255, 256, 257, 65535, 1000000 };
	qcd_json_t *json;
	char *value, *want;
	int i;

	for (i = 0; i < countof(lens); i++)
	{
		char row[16];

		snprintf(row, sizeof(row), "%zu", lens[i]);
		value = malloc(lens[i] + 1);
		memset(value, 'x', lens[i]);
		value[lens[i]] = '\0';
		assert_true(asprintf(&want, "{\"k\":\"%s\",\"n\":1}\n", value) > 0);
		json = qcd_json_create();
		json->begin(json, NULL);
		json->add_str(json, "k", value);
		json->add_num(json, "n", 1);
		CHECK_LINES(row, json, want);
		free(value);
		free(want);
	}
}

static void test_numbers(void **state)
{
	static const struct {
		uint64_t value;
		char *want;
	} table[] = {
		{ 0, "{\"k\":0}\n" },
		{ UINT32_MAX, "{\"k\":4294967295}\n" },
		{ (uint64_t)UINT32_MAX + 1, "{\"k\":4294967296}\n" },
		{ UINT64_MAX, "{\"k\":18446744073709551615}\n" },
	};
	qcd_json_t *json;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		json = qcd_json_create();
		json->begin(json, NULL);
		json->add_num(json, "k", table[i].value);
		CHECK_LINES(table[i].want, json, table[i].want);
	}
}

static void test_arrays(void **state)
{
	static const struct {
		u_int count;
		char *want;
	} table[] = {
		{ 0, "{\"k\":[],\"n\":7}\n" },
		{ 1, "{\"k\":[0],\"n\":7}\n" },
		{ 3, "{\"k\":[0,5,18446744073709551615],\"n\":7}\n" },
	};
	static const uint64_t values[] = { 0, 5, UINT64_MAX };
	qcd_json_t *json;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		json = qcd_json_create();
		json->begin(json, NULL);
		json->add_nums(json, "k", values, table[i].count);
		json->add_num(json, "n", 7);
		CHECK_LINES(table[i].want, json, table[i].want);
	}
}

static void test_hosts(void **state)
{
	static const struct {
		char *address;
		uint16_t port;
		char *want;
	} table[] = {
		{ "192.0.2.1", 500, "{\"k\":\"192.0.2.1[500]\"}\n" },
		{ "192.0.2.1", 65535, "{\"k\":\"192.0.2.1[65535]\"}\n" },
		{ "2001:db8::1", 4500, "{\"k\":\"2001:db8::1[4500]\"}\n" },
		{ "2001:db8:1111:2222:3333:4444:5555:6666", 65535,
		  "{\"k\":\"2001:db8:1111:2222:3333:4444:5555:6666[65535]\"}\n" },
	};
	qcd_json_t *json;
	host_t *host;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		host = host_create_from_string(table[i].address, table[i].port);
		json = qcd_json_create();
		json->begin(json, NULL);
		json->add_host(json, "k", host);
		CHECK_LINES(table[i].address, json, table[i].want);
		host->destroy(host);
	}
}

static void test_lines(void **state)
{
	static const uint8_t spi[] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd,
								   0xef };
	qcd_json_t *json;

	json = qcd_json_create();
	CHECK_LINES("no object", json, "");

	json = qcd_json_create();
	json->begin(json, NULL);
	CHECK_LINES("no member", json, "{}\n");

	json = qcd_json_create();
	json->begin(json, "a");
	json->add_bool(json, "t", TRUE);
	json->add_bool(json, "f", FALSE);
	json->begin(json, NULL);
	json->add_spi(json, "spi", spi);
	json->begin(json, "\"");
	CHECK_LINES("three objects", json,
				"{\"type\":\"a\",\"t\":true,\"f\":false}\n"
				"{\"spi\":\"0123456789abcdef\"}\n"
				"{\"type\":\"\\u0022\"}\n");
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_strings),
		BOX_TEST(test_long_string),
		BOX_TEST(test_numbers),
		BOX_TEST(test_arrays),
		BOX_TEST(test_hosts),
		BOX_TEST(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
