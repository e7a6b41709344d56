/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_doubts.h"

#include "box.h"

/**
 * IKE_SAs 1 to 4, of which some are up
 */
typedef struct {
	qcd_sa_t sas[4];
	linked_list_t *up;
	qcd_doubts_t *doubts;
} stage_t;

static void stage_init(stage_t *this, int count)
{
	int i;

	this->up = linked_list_create();
	this->doubts = qcd_doubts_create();
	for (i = 0; i < count; i++)
	{
		this->sas[i].unique_id = i + 1;
		this->up->insert_last(this->up, &this->sas[i]);
	}
}

static void stage_clear(stage_t *this)
{
	this->doubts->destroy(this->doubts);
	this->up->destroy(this->up);
}

/**
 * What is known of each IKE_SA: "l" lost or deleted, "d" doubtful, "." neither
 */
static char *describe(stage_t *this)
{
	static char text[countof(this->sas) + 1];
	qcd_doubts_t *doubts = this->doubts;
	int i;

	for (i = 0; i < countof(this->sas); i++)
	{
		text[i] = doubts->is_gone(doubts, i + 1) ? 'l' :
				  doubts->is_doubtful(doubts, i + 1, TRUE) ? 'd' : '.';
	}
	return text;
}

static void test_note_lost(void **state)
{
	static const struct {
		char *row;
		/* how many are up, which are lost one after the other */
		int up, lost[3];
		char *known;
	} table[] = {
		{ "none is lost", 4, {}, "...." },
		{ "the only one", 1, { 1 }, "l..." },
		{ "the oldest", 3, { 1 }, "ldd." },
		{ "the youngest", 3, { 3 }, "ddl." },
		{ "one that is not up any more", 2, { 4 }, "dd.l" },
		{ "two", 3, { 1, 3 }, "ldl." },
		{ "all", 3, { 2, 3, 1 }, "lll." },
		{ "again", 3, { 2, 2 }, "dld." },
		{ "one that is not up any more, as well", 2, { 1, 3 }, "ldl." },
	};
	stage_t stage;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		stage_init(&stage, table[i].up);
		for (j = 0; j < countof(table[i].lost) && table[i].lost[j]; j++)
		{
			stage.doubts->note_lost(stage.doubts, table[i].lost[j], stage.up);
		}
		CHECK_STR(table[i].row, describe(&stage), table[i].known);
		stage_clear(&stage);
	}
}

/**
 * A doubt ends if the peer was asked and has responded
 */
static void test_is_doubtful(void **state)
{
	static const struct {
		char *row;
		uint32_t unique_id;
		bool asked, busy, doubtful;
	} table[] = {
		{ "not asked", 2, FALSE, FALSE, TRUE },
		{ "not asked, but busy", 2, FALSE, TRUE, TRUE },
		{ "no response yet", 2, TRUE, TRUE, TRUE },
		{ "responded", 2, TRUE, FALSE, FALSE },
		{ "lost, and responds to nothing", 1, TRUE, FALSE, TRUE },
		{ "not up at the crash", 4, TRUE, FALSE, FALSE },
	};
	stage_t stage;
	qcd_doubts_t *doubts;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		stage_init(&stage, 3);
		doubts = stage.doubts;
		doubts->note_lost(doubts, 1, stage.up);
		if (table[i].asked)
		{
			doubts->take_question(doubts, table[i].unique_id);
		}
		CHECK_INT(table[i].row, doubts->is_doubtful(doubts, table[i].unique_id,
								table[i].busy), table[i].doubtful);
		CHECK_INT(table[i].row, doubts->is_doubtful(doubts, table[i].unique_id,
								TRUE), table[i].doubtful);
		stage_clear(&stage);
	}
}

/**
 * What the peer has confirmed is doubtful again with the next loss
 */
static void test_crash_again(void **state)
{
	stage_t stage;
	qcd_doubts_t *doubts;

	stage_init(&stage, 3);
	doubts = stage.doubts;
	doubts->note_lost(doubts, 1, stage.up);
	assert_true(doubts->take_question(doubts, 2));
	assert_false(doubts->take_question(doubts, 2));
	assert_false(doubts->is_doubtful(doubts, 2, FALSE));
	assert_string_equal(describe(&stage), "l.d.");
	doubts->note_lost(doubts, 3, stage.up);
	assert_string_equal(describe(&stage), "ldl.");
	assert_true(doubts->take_question(doubts, 2));
	stage_clear(&stage);
}

/**
 * What we delete is not asked about, and puts no other one in doubt
 */
static void test_note_deleted(void **state)
{
	stage_t stage;
	qcd_doubts_t *doubts;

	stage_init(&stage, 3);
	doubts = stage.doubts;
	doubts->note_deleted(doubts, 2);
	assert_string_equal(describe(&stage), ".l..");
	doubts->note_lost(doubts, 1, stage.up);
	assert_string_equal(describe(&stage), "lld.");
	doubts->note_deleted(doubts, 3);
	assert_string_equal(describe(&stage), "lll.");
	stage_clear(&stage);
}

static void test_take_question(void **state)
{
	stage_t stage;
	qcd_doubts_t *doubts;

	stage_init(&stage, 2);
	doubts = stage.doubts;
	assert_false(doubts->take_question(doubts, 1));
	doubts->note_lost(doubts, 1, stage.up);
	assert_true(doubts->take_question(doubts, 2));
	assert_false(doubts->take_question(doubts, 2));
	assert_false(doubts->take_question(doubts, 3));
	stage_clear(&stage);
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_note_lost),
		BOX_TEST(test_is_doubtful),
		BOX_TEST(test_crash_again),
		BOX_TEST(test_note_deleted),
		BOX_TEST(test_take_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
