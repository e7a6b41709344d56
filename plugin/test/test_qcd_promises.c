/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_promises.h"

#include "box.h"
#include "played.h"

/**
 * Run of the promises under test
 */
#define RUN 7

/**
 * What most tests begin with: promises, and an IKE_SA that we own
 */
typedef struct {
	qcd_config_t config;
	qcd_promises_t *promises;
	qcd_sa_t sa;
	host_t *taker;
} begun_t;

static void begin(begun_t *this)
{
	memset(this, 0, sizeof(*this));
	this->promises = played_promises_create(&this->config, RUN);
	played_mint(&this->sa.ike, this->promises, QCD_RESPONDER);
	this->sa.unique_id = 1;
	this->taker = host_create_from_string("198.51.100.2", 500);
}

static void end(begun_t *this)
{
	this->promises->destroy(this->promises);
	this->taker->destroy(this->taker);
}

/**
 * Offer a token in a request with a message ID, or with -1 in something else
 */
static bool offer(begun_t *this, int id, qcd_token *token)
{
	message_t *request = NULL;
	bool offered;

	dirty(token, sizeof(*token));
	if (id >= 0)
	{
		request = message_create(IKEV2_MAJOR_VERSION, IKEV2_MINOR_VERSION);
		request->set_message_id(request, id);
	}
	offered = this->promises->offer(this->promises, &this->sa, this->taker,
									request, token);
	DESTROY_IF(request);
	return offered;
}

static bool answered(begun_t *this, int id)
{
	message_t *response;
	bool answered;

	response = message_create(IKEV2_MAJOR_VERSION, IKEV2_MINOR_VERSION);
	response->set_message_id(response, id);
	answered = this->promises->answered(this->promises, &this->sa, response);
	response->destroy(response);
	return answered;
}

static bool is_due(begun_t *this)
{
	return this->promises->is_due(this->promises, &this->sa, this->taker);
}

static bool is_given(begun_t *this, u_int *age)
{
	*age = 99;
	return this->promises->is_given(this->promises, &this->sa, age);
}

/**
 * Judge a request that a peer protected, for an IKE_SA
 */
static enum qcd_judgement judge(begun_t *this, qcd_ike_sa *sa, bool paced,
								qcd_header *request)
{
	host_t *me = host_create_from_string("192.0.2.1", 500);
	enum qcd_judgement judgement;
	uint8_t octets[QCD_HEADER_LEN + 300] = {};

	memcpy(octets, &sa->spis, sizeof(sa->spis));
	octets[16] = 46;	/* SK */
	octets[17] = 0x20;	/* IKEv2 */
	octets[18] = 37;	/* INFORMATIONAL */
	octets[19] = sa->role == QCD_RESPONDER ? QCD_FLAG_INITIATOR : 0;
	htoun32(octets + 20, 5);
	htoun32(octets + 24, sizeof(octets));
	htoun16(octets + QCD_HEADER_LEN + 2, sizeof(octets) - QCD_HEADER_LEN);
	judgement = this->promises->judge(this->promises, chunk_from_thing(octets),
									  this->taker, me, FALSE, paced,
									  request);
	me->destroy(me);
	return judgement;
}

static enum qcd_judgement judge_sa(begun_t *this)
{
	qcd_header request;

	return judge(this, &this->sa.ike, FALSE, &request);
}

static void test_create(void **state)
{
	static const struct {
		char *row;
		uint32_t token_length, reply_rate, secrets;
		uint16_t run;
		bool created;
	} table[] = {
		{ "shortest token", 16, 1000, 1, 1, TRUE },
		{ "too short a token", 15, 1000, 1, 1, FALSE },
		{ "longest token", 32, 1000, 1, 1, TRUE },
		{ "too long a token", 33, 1000, 1, 1, FALSE },
		{ "no replies", 32, 0, 1, 1, TRUE },
		{ "highest rate", 32, 1000000, 1, 1, TRUE },
		{ "too high a rate", 32, 1000001, 1, 1, FALSE },
		{ "four secrets", 32, 1000, 4, 1, TRUE },
		{ "five secrets", 32, 1000, 5, 1, FALSE },
		{ "no secret", 32, 1000, 0, 1, FALSE },
		{ "last run", 32, 1000, 1, UINT16_MAX, TRUE },
		{ "no run", 32, 1000, 1, 0, FALSE },
	};
	qcd_promises_t *promises;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		qcd_config_t config = {
			.token_length = table[i].token_length,
			.reply_rate = table[i].reply_rate,
		};
		qcd_maker_state state = {
			.num_secrets = table[i].secrets,
			.run = table[i].run,
		};

		promises = qcd_promises_create(&config, &state);
		CHECK_INT(table[i].row, promises != NULL, table[i].created);
		if (promises)
		{
			CHECK_INT(table[i].row, promises->get_run(promises), table[i].run);
			promises->destroy(promises);
		}
	}
}

static void test_runs(void **state)
{
	static const struct {
		char *row;
		uint16_t run, want;
	} table[] = {
		{ "next", RUN + 1, RUN + 1 },
		{ "same", RUN + 1, RUN + 1 },
		{ "earlier", RUN, RUN + 1 },
		{ "much later", UINT16_MAX, UINT16_MAX },
		{ "none", 0, UINT16_MAX },
	};
	begun_t begun;
	qcd_ike_sa sa;
	int i;

	begin(&begun);
	for (i = 0; i < countof(table); i++)
	{
		begun.promises->set_run(begun.promises, table[i].run);
		CHECK_INT(table[i].row, begun.promises->get_run(begun.promises),
				  table[i].want);
		/* SPIs of all runs of this process are its own */
		CHECK(table[i].row, begun.promises->owns(begun.promises,
												 &begun.sa.ike));
		played_mint(&sa, begun.promises, QCD_INITIATOR);
		CHECK(table[i].row, begun.promises->owns(begun.promises, &sa));
	}
	end(&begun);
}

/**
 * What we are told of an IKE_SA by its SPI
 */
static void test_evidence(void **state)
{
	static const struct {
		char *row;
		uint16_t run;
		bool knows, owns, lost;
	} table[] = {
		{ "of an earlier run", RUN - 1, TRUE, FALSE, TRUE },
		{ "of the first run", 1, TRUE, FALSE, TRUE },
		{ "of this run", RUN, TRUE, TRUE, FALSE },
		{ "of a later run", RUN + 1, TRUE, FALSE, FALSE },
		{ "not minted", 0, FALSE, FALSE, FALSE },
	};
	static const enum qcd_role roles[] = { QCD_INITIATOR, QCD_RESPONDER };
	qcd_config_t config = {};
	qcd_promises_t *minter;
	begun_t begun;
	qcd_ike_sa sa;
	int i, j;

	begin(&begun);
	for (i = 0; i < countof(table); i++)
	{
		for (j = 0; j < countof(roles); j++)
		{
			played_spis(&sa, roles[j], 0x80);
			if (table[i].run)
			{
				minter = played_promises_create(&config, table[i].run);
				played_mint(&sa, minter, roles[j]);
				minter->destroy(minter);
			}
			CHECK_INT(table[i].row, begun.promises->knows(begun.promises,
								qcd_ike_sa_local(&sa)), table[i].knows);
			CHECK(table[i].row, !begun.promises->knows(begun.promises,
								qcd_ike_sa_remote(&sa)));
			CHECK_INT(table[i].row, begun.promises->owns(begun.promises, &sa),
					  table[i].owns);
			CHECK_INT(table[i].row, begun.promises->is_lost(begun.promises, &sa),
					  table[i].lost);
			sa.role = roles[!j];
			CHECK(table[i].row, !begun.promises->owns(begun.promises, &sa));
			CHECK(table[i].row, !begun.promises->is_lost(begun.promises, &sa));
		}
	}
	end(&begun);
}

/**
 * A token that the peer has once it is sent, as in a response
 */
static void test_given_at_once(void **state)
{
	qcd_token token, other;
	begun_t begun;
	u_int age;

	begin(&begun);
	CHECK("new", !is_given(&begun, &age) && age == 99);
	CHECK("no entry", !is_due(&begun));
	CHECK("first", offer(&begun, -1, &token));
	CHECK_INT("first", token.len, QCD_TOKEN_MADE_MAX);
	CHECK("first", is_given(&begun, &age));
	CHECK_INT("first", age, 0);
	CHECK("first", !is_due(&begun));
	CHECK("again", !offer(&begun, -1, &other));
	CHECK("again", !offer(&begun, 1, &other));
	CHECK("no request", !answered(&begun, 0));

	played_mint(&begun.sa.ike, begun.promises, QCD_INITIATOR);
	begun.sa.unique_id = 2;
	CHECK("another SA", offer(&begun, -1, &other));
	CHECK("another SA", !memeq(token.octets, other.octets, token.len));
	end(&begun);
}

/**
 * A token that is on its way: the peer has it once the request is answered
 */
static void test_on_its_way(void **state)
{
	static const struct {
		char *row;
		int id;
		bool answers, given;
	} table[] = {
		{ "an earlier request", 4, FALSE, FALSE },
		{ "a later request", 6, FALSE, FALSE },
		{ "that request", 5, TRUE, TRUE },
		{ "that request again", 5, FALSE, TRUE },
	};
	qcd_token token;
	begun_t begun;
	u_int age;
	int i;

	begin(&begun);
	begun.promises->owe(begun.promises, &begun.sa);
	CHECK("owed", is_due(&begun));
	CHECK("sent", offer(&begun, 5, &token));
	CHECK("sent", !is_due(&begun));
	CHECK("sent once", !offer(&begun, 6, &token));
	CHECK("sent once", !offer(&begun, -1, &token));
	for (i = 0; i < countof(table); i++)
	{
		CHECK_INT(table[i].row, answered(&begun, table[i].id),
				  table[i].answers);
		CHECK_INT(table[i].row, is_given(&begun, &age), table[i].given);
		CHECK(table[i].row, !is_due(&begun));
	}
	end(&begun);
}

static void test_not_ours(void **state)
{
	qcd_token token;
	begun_t begun;
	u_int age;

	begin(&begun);
	played_spis(&begun.sa.ike, QCD_RESPONDER, 1);
	begun.promises->owe(begun.promises, &begun.sa);
	CHECK("owed", !is_due(&begun));
	CHECK("offered", !offer(&begun, -1, &token));
	CHECK("offered", !offer(&begun, 5, &token));
	CHECK("answered", !answered(&begun, 5));
	CHECK("given", !is_given(&begun, &age));
	begun.promises->bury(begun.promises, begun.sa.unique_id);
	CHECK_INT("buried", judge_sa(&begun), QCD_SILENT_NO_EVIDENCE);
	end(&begun);
}

/**
 * What is buried is answered from then on
 */
static void test_bury(void **state)
{
	static const struct {
		char *row;
		bool owed, sent, given;
		uint32_t unique_id;
		enum qcd_judgement judgement;
	} table[] = {
		{ "never owed", FALSE, FALSE, FALSE, 1, QCD_SILENT_NO_EVIDENCE },
		{ "owed", TRUE, FALSE, FALSE, 1, QCD_SILENT_NO_EVIDENCE },
		{ "on its way", FALSE, TRUE, FALSE, 1, QCD_ANSWER },
		{ "given", FALSE, FALSE, TRUE, 1, QCD_ANSWER },
		{ "another one", FALSE, FALSE, TRUE, 2, QCD_SILENT_NO_EVIDENCE },
	};
	qcd_token token;
	begun_t begun;
	u_int age;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		begin(&begun);
		if (table[i].owed)
		{
			begun.promises->owe(begun.promises, &begun.sa);
		}
		if (table[i].sent || table[i].given)
		{
			CHECK(table[i].row, offer(&begun, table[i].sent ? 5 : -1, &token));
		}
		CHECK_INT(table[i].row, judge_sa(&begun), QCD_SILENT_NO_EVIDENCE);
		begun.promises->bury(begun.promises, table[i].unique_id);
		CHECK_INT(table[i].row, judge_sa(&begun), table[i].judgement);
		CHECK_INT(table[i].row, is_given(&begun, &age), i == 4);
		begun.promises->bury(begun.promises, table[i].unique_id);
		end(&begun);
	}
}

/**
 * An IKE_SA of the same unique ID with other SPIs begins anew, and the old one is
 * buried where its peer may have a token
 */
static void test_other_spis(void **state)
{
	qcd_token token;
	begun_t begun;
	qcd_sa_t old;
	u_int age;

	begin(&begun);
	CHECK("old", offer(&begun, -1, &token));
	old = begun.sa;
	played_mint(&begun.sa.ike, begun.promises, QCD_RESPONDER);
	CHECK("new", !is_given(&begun, &age));
	CHECK("new", !is_due(&begun));
	begun.promises->owe(begun.promises, &begun.sa);
	CHECK("owed", is_due(&begun));
	CHECK_INT("new", judge_sa(&begun), QCD_SILENT_NO_EVIDENCE);
	begun.sa = old;
	CHECK("old", !is_given(&begun, &age));
	CHECK_INT("old", judge_sa(&begun), QCD_ANSWER);
	end(&begun);
}

static void test_rotate(void **state)
{
	/* after so many rotations */
	static const struct {
		bool due;
		int last;
	} table[] = { { FALSE, 0 }, { FALSE, 0 }, { FALSE, 0 }, { TRUE, 1 } };
	qcd_secret secret;
	qcd_token first, token;
	linked_list_t *list;
	begun_t begun;
	qcd_sa_t *sa;
	char row[16];
	u_int age;
	int i;

	begin(&begun);
	CHECK("first", offer(&begun, -1, &first));
	for (i = 0; i < countof(table); i++)
	{
		if (i)
		{
			count_up(&secret, 0x40 * i, sizeof(secret));
			begun.promises->rotate(begun.promises, &secret);
		}
		snprintf(row, sizeof(row), "%d", i);
		CHECK(row, is_given(&begun, &age));
		CHECK_INT(row, age, i);
		CHECK_INT(row, is_due(&begun), table[i].due);
		list = begun.promises->get_last(begun.promises);
		CHECK_INT(row, list->get_count(list), table[i].last);
		if (list->get_first(list, (void**)&sa) == SUCCESS)
		{
			CHECK_INT(row, sa->unique_id, begun.sa.unique_id);
			CHECK(row, qcd_spis_equals(&sa->ike.spis, &begun.sa.ike.spis));
		}
		list->destroy_function(list, free);
	}
	CHECK("renewed", offer(&begun, 9, &token));
	CHECK("renewed", !memeq(token.octets, first.octets, token.len));
	CHECK("on its way", is_given(&begun, &age));
	CHECK_INT("on its way", age, 3);
	CHECK("answered", answered(&begun, 9));
	CHECK("answered", is_given(&begun, &age));
	CHECK_INT("answered", age, 0);
	list = begun.promises->get_last(begun.promises);
	CHECK_INT("answered", list->get_count(list), 0);
	list->destroy(list);
	end(&begun);
}

/**
 * A token that is bound to the peer's address is due again where that changes
 */
static void test_bound(void **state)
{
	static const struct {
		char *row;
		bool bound;
		char *address;
		uint16_t port;
		bool due;
	} table[] = {
		{ "not bound", FALSE, "198.51.100.3", 500, FALSE },
		{ "bound, the same", TRUE, "198.51.100.2", 500, FALSE },
		{ "bound, another port", TRUE, "198.51.100.2", 4500, FALSE },
		{ "bound, another address", TRUE, "198.51.100.3", 500, TRUE },
		{ "bound, another family", TRUE, "2001:db8::2", 500, TRUE },
	};
	qcd_maker_state maker_state = { .num_secrets = 1, .run = RUN };
	qcd_token token;
	begun_t begun;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		begin(&begun);
		begun.promises->destroy(begun.promises);
		begun.config.bind_address = table[i].bound;
		begun.promises = qcd_promises_create(&begun.config, &maker_state);
		played_mint(&begun.sa.ike, begun.promises, QCD_RESPONDER);
		CHECK(table[i].row, offer(&begun, -1, &token));
		begun.taker->destroy(begun.taker);
		begun.taker = host_create_from_string(table[i].address, table[i].port);
		CHECK_INT(table[i].row, is_due(&begun), table[i].due);
		CHECK_INT(table[i].row, offer(&begun, -1, &token), table[i].due);
		end(&begun);
	}
}

/**
 * The reply has the token that the peer was given
 */
static void test_reply(void **state)
{
	qcd_header request;
	qcd_message message;
	qcd_token token;
	begun_t begun;
	chunk_t reply;

	begin(&begun);
	CHECK("offered", offer(&begun, -1, &token));
	begun.promises->bury(begun.promises, 1);
	CHECK_INT("judged", judge(&begun, &begun.sa.ike, FALSE, &request), QCD_ANSWER);
	CHECK("built", begun.promises->build_reply(begun.promises, &request,
											   begun.taker, &reply));
	CHECK_INT("decoded", qcd_message_decode(&message, reply.ptr, reply.len),
			  QCD_OK);
	CHECK_INT("decoded", message.cause, QCD_CAUSE_INVALID_IKE_SPI);
	CHECK_INT("decoded", message.num_tokens, 1);
	CHECK("decoded", qcd_spis_equals(&message.header.spis,
									 &begun.sa.ike.spis));
	CHECK_INT("decoded", message.tokens[0].len, token.len);
	CHECK_OCTETS("decoded", message.tokens[0].octets, token.octets, token.len);
	chunk_free(&reply);

	request.length = QCD_HEADER_LEN / QCD_AMPLIFICATION_MAX;
	CHECK("too short", !begun.promises->build_reply(begun.promises, &request,
													begun.taker, &reply));
	end(&begun);
}

static void test_tell(void **state)
{
	qcd_config_t config = {};
	qcd_promises_t *minter;
	qcd_traffic packet = { .len = 100 };
	qcd_lost lost = { .child_spi = { { 1, 2, 3, 4 }, QCD_ESP },
					  .peer_port = 500 };
	qcd_message message;
	begun_t begun;
	chunk_t octets;

	begin(&begun);
	qcd_address_from_host(begun.taker, &lost.peer);
	packet.source = lost.peer;
	packet.child_spi = lost.child_spi;
	lost.sa = begun.sa.ike;
	CHECK_INT("of this run", begun.promises->judge_lost(begun.promises, &lost,
												&packet, FALSE), QCD_SILENT_NO_EVIDENCE);
	minter = played_promises_create(&config, RUN - 1);
	played_mint(&lost.sa, minter, QCD_RESPONDER);
	minter->destroy(minter);
	CHECK_INT("lost", begun.promises->judge_lost(begun.promises, &lost, &packet, FALSE),
			  QCD_ANSWER);
	CHECK_INT("told", begun.promises->judge_lost(begun.promises, &lost, &packet, FALSE),
			  QCD_SILENT_TOLD);
	box_now += 2001;
	CHECK_INT("later", begun.promises->judge_lost(begun.promises, &lost,
												  &packet, FALSE), QCD_ANSWER);
	CHECK("built", begun.promises->build_tell(begun.promises, &lost, &packet,
											  &octets));
	CHECK_INT("built", qcd_message_decode(&message, octets.ptr, octets.len),
			  QCD_OK);
	CHECK_INT("built", message.cause, QCD_CAUSE_INVALID_SPI);
	CHECK_OCTETS("built", message.child_spi.octets, lost.child_spi.octets,
				 QCD_CHILD_SPI_LEN);
	chunk_free(&octets);
	packet.len = 1;
	CHECK_INT("no room", begun.promises->judge_lost(begun.promises, &lost,
											&packet, FALSE), QCD_SILENT_NO_REQUEST);
	CHECK("no room", !begun.promises->build_tell(begun.promises, &lost, &packet,
												 &octets));
	CHECK("not asked", begun.promises->build_tell(begun.promises, &lost, NULL,
												  &octets));
	chunk_free(&octets);
	end(&begun);
}

/**
 * Rates do not limit what the pace limits, but 0 disables it
 */
static void test_paced(void **state)
{
	static const struct {
		char *row;
		uint32_t rate, burst, source;
		enum qcd_judgement paced;
	} table[] = {
		{ "a low rate", 1, 1, 1, QCD_ANSWER },
		{ "no rate", 0, 1, 1, QCD_SILENT_LIMIT },
		{ "no burst", 1, 0, 1, QCD_SILENT_LIMIT },
		{ "no rate of a source", 1, 1, 0, QCD_SILENT_LIMIT },
	};
	qcd_config_t config = {};
	qcd_traffic packet = { .len = 500 };
	qcd_lost lost = { .peer_port = 500 };
	qcd_promises_t *minter;
	qcd_header request;
	begun_t begun;
	int i, n;

	minter = played_promises_create(&config, RUN - 1);
	played_mint(&lost.sa, minter, QCD_RESPONDER);
	minter->destroy(minter);
	for (i = 0; i < countof(table); i++)
	{
		begin(&begun);
		begun.promises->destroy(begun.promises);
		begun.config.reply_rate = table[i].rate;
		begun.config.reply_burst = table[i].burst;
		begun.config.reply_rate_source = table[i].source;
		begun.promises = played_promises_create(&begun.config, RUN);
		qcd_address_from_host(begun.taker, &lost.peer);
		packet.source = lost.peer;
		for (n = 0; n < 3; n++)
		{
			judge(&begun, &lost.sa, FALSE, &request);
		}
		CHECK_INT(table[i].row, judge(&begun, &lost.sa, FALSE, &request),
				  QCD_SILENT_LIMIT);
		CHECK_INT(table[i].row, begun.promises->judge_lost(begun.promises, &lost,
										&packet, FALSE), QCD_SILENT_LIMIT);
		memset(&request, 0, sizeof(request));
		CHECK_INT(table[i].row, judge(&begun, &lost.sa, TRUE, &request),
				  table[i].paced);
		CHECK("request", table[i].paced != QCD_ANSWER ||
			  qcd_spis_equals(&request.spis, &lost.sa.spis));
		CHECK_INT(table[i].row, begun.promises->judge_lost(begun.promises, &lost,
										&packet, TRUE), table[i].paced);
		end(&begun);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_create),
		BOX_TEST(test_runs),
		BOX_TEST(test_evidence),
		BOX_TEST(test_given_at_once),
		BOX_TEST(test_on_its_way),
		BOX_TEST(test_not_ours),
		BOX_TEST(test_bury),
		BOX_TEST(test_other_spis),
		BOX_TEST(test_rotate),
		BOX_TEST(test_bound),
		BOX_TEST(test_reply),
		BOX_TEST(test_tell),
		BOX_TEST(test_paced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
