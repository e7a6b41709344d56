/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_spi_source.h"

#include "box.h"
#include "played.h"

/**
 * Promises that mint SPIs which count up, and secrets that have so many runs
 */
static struct {
	/** SPIs that are left in the run, and those of another one */
	u_int left, of_run;
	uint64_t last;
	/** runs that are left, and the number of the last one */
	u_int runs;
	uint16_t run, set;
	/** SPIs that are taken for ours, of those that are asked about */
	u_int known;
} played;

METHOD(qcd_promises_t, mint, bool,
	qcd_promises_t *this, qcd_spi *spi)
{
	if (!played.left)
	{
		return FALSE;
	}
	played.left--;
	played.last++;
	memcpy(spi, &played.last, sizeof(*spi));
	return TRUE;
}

METHOD(qcd_promises_t, set_run, void,
	qcd_promises_t *this, uint16_t run)
{
	played.set = run;
	played.left = played.of_run;
}

METHOD(qcd_promises_t, knows, bool,
	qcd_promises_t *this, const qcd_spi *spi)
{
	return played.known && played.known--;
}

METHOD(qcd_secrets_t, next_run, uint16_t,
	qcd_secrets_t *this, char *error, size_t len)
{
	if (!played.runs)
	{
		snprintf(error, len, "the disk is full");
		return 0;
	}
	played.runs--;
	return ++played.run;
}

static spi_cb_t callback;
static void *callback_data;

METHOD(ike_sa_manager_t, set_spi_cb, void,
	ike_sa_manager_t *this, spi_cb_t cb, void *data)
{
	callback = cb;
	callback_data = data;
}

static qcd_promises_t promises;
static qcd_secrets_t secrets;
static ike_sa_manager_t manager;

/**
 * Begin with a table of IKE_SAs of a size, NULL for the default
 */
static qcd_spi_source_t *begin(char *size)
{
	memset(&played, 0, sizeof(played));
	played.left = played.of_run = 1000000;
	promises = (qcd_promises_t){
		.mint = _mint,
		.set_run = _set_run,
		.knows = _knows,
	};
	secrets.next_run = _next_run;
	manager.set_spi_cb = _set_spi_cb;
	charon->ike_sa_manager = &manager;
	charon->bus->set_sa(charon->bus, NULL);
	box_set("ikesa_table_size", size);
	return qcd_spi_source_create(&promises, &secrets);
}

static uint64_t get_spi()
{
	return callback(callback_data);
}

/**
 * Get an SPI for another try of an IKE_SA that had one, as initiator
 */
static uint64_t get_again(uint64_t old)
{
	played_ike_t *ike;
	qcd_ike_sa sa;
	uint64_t spi;

	played_spis(&sa, QCD_INITIATOR, 1);
	memcpy(&sa.spis.initiator, &old, sizeof(old));
	ike = played_ike_create(1, &sa);
	ike->state = IKE_CONNECTING;
	charon->bus->set_sa(charon->bus, &ike->public);
	spi = get_spi();
	charon->bus->set_sa(charon->bus, NULL);
	played_ike_destroy(ike);
	return spi;
}

static void test_minted(void **state)
{
	qcd_spi_source_t *source = begin(NULL);

	CHECK_INT("first", get_spi(), 1);
	CHECK_INT("second", get_spi(), 2);
	CHECK_INT("no table, another try", get_again(0x1234), 3);
	source->destroy(source);
	CHECK("destroyed", !callback);
}

/**
 * Tell whether an SPI is random: minted ones count up
 */
static bool is_random(uint64_t spi)
{
	return spi > 0x1000000;
}

/**
 * A job begins another run: a handshake does not wait for the disk
 */
static void test_runs(void **state)
{
	qcd_spi_source_t *source = begin(NULL);

	played.left = 1;
	played.of_run = 2;
	played.runs = 1;
	CHECK_INT("last of the run", get_spi(), 1);
	CHECK_INT("last of the run", box_count_jobs(), 0);
	CHECK("used up", is_random(get_spi()));
	CHECK("used up", is_random(get_spi()));
	CHECK_INT("used up: the disk is not waited for", played.run, 0);
	CHECK_INT("used up: one job", box_count_jobs(), 1);
	CHECK_LOGGED("used up", "QCD: this run has used up its SPIs", 1);
	box_run_jobs();
	CHECK_INT("new run", played.set, 1);
	CHECK_LOGGED("new run", "QCD: another run has begun", 1);
	CHECK_INT("new run", get_spi(), 2);
	CHECK_INT("new run", get_spi(), 3);
	source->destroy(source);
}

/**
 * The number of a run can't be made durable: one line, and it is tried again
 */
static void test_run_fails(void **state)
{
	qcd_spi_source_t *source = begin(NULL);
	uint64_t begun = box_now;
	int i;

	played.left = 0;
	played.of_run = 2;
	CHECK("used up", is_random(get_spi()));
	box_run_jobs();
	for (i = 0; i < 10; i++)
	{
		CHECK("failed", is_random(get_spi()));
		CHECK_INT("failed", box_count_jobs(), 0);
		CHECK("tried again", box_run_scheduled());
	}
	/* 1 + 2 + 4 + 8 + 16 + 32 seconds, and then once a minute */
	CHECK_INT("pauses", (box_now - begun) / 1000, 63 + 4 * 60);
	CHECK_LOGGED("failed", "QCD: another run can't begin: the disk is full", 1);
	played.runs = 2;
	CHECK("works again", box_run_scheduled());
	CHECK_LOGGED("works again", "QCD: another run has begun", 1);
	CHECK_INT("works again", get_spi(), 1);
	CHECK_INT("works again", get_spi(), 2);
	CHECK("used up again", is_random(get_spi()));
	box_run_jobs();
	CHECK_INT("used up again", get_spi(), 3);
	source->destroy(source);
}

/**
 * A random SPI is none that could be taken for ours
 */
static void test_random(void **state)
{
	qcd_spi_source_t *source = begin(NULL);

	played.left = 0;
	played.known = 5;
	CHECK("random", get_spi() != 0);
	CHECK_INT("those of ours are passed over", played.known, 0);
	box_no_random = TRUE;
	CHECK_INT("no random numbers", get_spi(), 0);
	source->destroy(source);
}

/**
 * charon merges the low bits of the old SPI into that of another try
 */
static void test_kept_bits(void **state)
{
	static const struct {
		char *size;
		uint64_t bits;
		bool logged;
	} table[] = {
		{ NULL, 0, FALSE },
		{ "0", 0, FALSE },
		{ "1", 0, FALSE },
		{ "-4", 0, FALSE },
		{ "2", 0x1, FALSE },
		{ "3", 0x3, FALSE },
		{ "4", 0x3, FALSE },
		{ "5", 0x7, FALSE },
		{ "32", 0x1f, FALSE },
		{ "65536", 0xffff, FALSE },
		{ "65537", 0x1ffff, TRUE },
		{ "2147483647", 0x7fffffff, TRUE },
	};
	static const uint64_t olds[] = { 0xabcdef, 0x7fffffff00000000, 5, UINT64_MAX };
	qcd_spi_source_t *source;
	uint64_t spi;
	char *row;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		row = table[i].size ?: "default";
		box_forget_log();
		source = begin(table[i].size);
		CHECK_LOGGED(row, "ikesa_table_size is above 65536: an IKE_SA that "
					 "charon retries gets no token", table[i].logged);
		for (j = 0; j < countof(olds); j++)
		{
			spi = get_again(olds[j]);
			CHECK(row, (spi & table[i].bits) == (olds[j] & table[i].bits));
			/* minted ones count up, random ones do not */
			CHECK_INT(row, spi <= played.last && spi, !table[i].logged);
		}
		/* an SA that is new gets the next one */
		spi = played.last;
		CHECK_INT(row, get_spi(), spi + 1);
		source->destroy(source);
	}
}

/**
 * What is minted in a search serves later ones, once
 */
static void test_spares(void **state)
{
	qcd_spi_source_t *source = begin("8");

	CHECK_INT("search", get_again(7), 7);
	CHECK_INT("minted", played.last, 7);
	CHECK_INT("a spare", get_again(3), 3);
	CHECK_INT("a spare", get_again(0x100005), 5);
	CHECK_INT("none minted", played.last, 7);
	CHECK_INT("used up", get_again(3), 11);
	CHECK_INT("minted", played.last, 11);
	/* 8, 9 and 10 were passed over; 9 took the place of 1, 10 that of 2 */
	CHECK_INT("the latest spare", get_again(1), 9);
	CHECK_INT("one that was passed over twice", get_again(2), 10);
	CHECK_INT("none minted", played.last, 11);
	source->destroy(source);
}

/**
 * Which IKE_SA counts as one that is tried again
 */
static void test_whose(void **state)
{
	static const struct {
		char *row;
		ike_sa_state_t state;
		enum qcd_role role;
		uint64_t spi;
	} table[] = {
		{ "tried again", IKE_CONNECTING, QCD_INITIATOR, 7 },
		{ "as responder", IKE_CONNECTING, QCD_RESPONDER, 1 },
		{ "established", IKE_ESTABLISHED, QCD_INITIATOR, 1 },
		{ "created", IKE_CREATED, QCD_INITIATOR, 1 },
	};
	qcd_spi_source_t *source;
	played_ike_t *ike;
	qcd_ike_sa sa;
	uint64_t old = 7;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		source = begin("8");
		played_spis(&sa, table[i].role, 1);
		memcpy(&sa.spis.initiator, &old, sizeof(old));
		ike = played_ike_create(1, &sa);
		ike->state = table[i].state;
		charon->bus->set_sa(charon->bus, &ike->public);
		CHECK_INT(table[i].row, get_spi(), table[i].spi);
		charon->bus->set_sa(charon->bus, NULL);
		played_ike_destroy(ike);
		source->destroy(source);
	}
}

/**
 * Name of the one plugin that charon has loaded, NULL for none
 */
static char *loaded;

METHOD(plugin_t, get_name, char*,
	plugin_t *this)
{
	return loaded;
}

static plugin_t plugin;

METHOD(plugin_loader_t, create_plugin_enumerator, enumerator_t*,
	plugin_loader_t *this)
{
	return loaded ? enumerator_create_single(&plugin, NULL)
				  : enumerator_create_empty();
}

static void test_is_safe(void **state)
{
	static const struct {
		char *row, *mask, *label, *plugin, *local, *remote, *line;
	} table[] = {
		{ "nothing", NULL, NULL, NULL, NULL, NULL, NULL },
		{ "mask", "0xff", NULL, NULL, NULL, NULL,
		  "QCD: charon.spi_mask is set, which breaks the seal on our SPIs: the "
		  "token maker is off" },
		{ "mask of zero", "0", NULL, NULL, NULL, NULL, "spi_mask is set" },
		{ "label", NULL, "0xff", NULL, NULL, NULL, "spi_label is set" },
		{ "both", "0xff", "0xff", NULL, NULL, NULL, "spi_mask is set" },
		{ "ha, configured", NULL, NULL, "ha", "192.0.2.1", "192.0.2.2",
		  "QCD: the ha plugin is configured, which shares SAs between nodes: the "
		  "token maker is off. Set charon.plugins.ha.load = no" },
		{ "ha, not configured", NULL, NULL, "ha", NULL, NULL, NULL },
		{ "ha, one address", NULL, NULL, "ha", "192.0.2.1", NULL, NULL },
		{ "ha, the other address", NULL, NULL, "ha", NULL, "192.0.2.2", NULL },
		{ "ha, configured and not loaded", NULL, NULL, NULL, "192.0.2.1",
		  "192.0.2.2", NULL },
		{ "another plugin", NULL, NULL, "has", "192.0.2.1", "192.0.2.2", NULL },
	};
	int i;

	plugin.get_name = _get_name;
	lib->plugins->create_plugin_enumerator = _create_plugin_enumerator;
	for (i = 0; i < countof(table); i++)
	{
		box_forget_log();
		box_set("spi_mask", table[i].mask);
		box_set("spi_label", table[i].label);
		box_set("plugins.ha.local", table[i].local);
		box_set("plugins.ha.remote", table[i].remote);
		loaded = table[i].plugin;
		CHECK_INT(table[i].row, qcd_spi_source_is_safe(), table[i].line == NULL);
		CHECK_LOGGED(table[i].row, "", table[i].line != NULL);
		CHECK_LOGGED(table[i].row, table[i].line ?: "", table[i].line != NULL);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_is_safe),
		BOX_TEST(test_minted),
		BOX_TEST(test_runs),
		BOX_TEST(test_run_fails),
		BOX_TEST(test_random),
		BOX_TEST(test_kept_bits),
		BOX_TEST(test_spares),
		BOX_TEST(test_whose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
