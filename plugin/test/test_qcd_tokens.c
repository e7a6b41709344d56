/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_tokens.h"

#include "box.h"
#include "played.h"

#include <encoding/payloads/notify_payload.h>
#include <encoding/payloads/sa_payload.h>

/**
 * Exchange of RFC 9370, which older versions of charon have no name for
 */
#define IKE_FOLLOWUP_KE 44

/**
 * What a test begins with
 */
typedef struct {
	qcd_config_t config;
	qcd_tokens_t *tokens;
	played_ike_t *ike;
	qcd_sa_t sa;
	host_t *src;
	/** connection whose taker is off, or NULL */
	char *off;
} begun_t;

static begun_t begun;

METHOD(qcd_config_t, role_enabled, bool,
	qcd_config_t *this, char *name, char *role)
{
	return !streq(role, "taker") || !begun.off || !streq(name, begun.off);
}

static int begin(void **state)
{
	if (box_open(state))
	{
		return -1;
	}
	memset(&begun, 0, sizeof(begun));
	begun.config.verify_rate_source = 100;
	begun.config.role_enabled = _role_enabled;
	begun.tokens = qcd_tokens_create(&begun.config);
	played_spis(&begun.sa.ike, QCD_INITIATOR, 1);
	begun.sa.unique_id = 1;
	begun.ike = played_ike_create(1, &begun.sa.ike);
	begun.src = host_create_from_string("198.51.100.2", 500);
	return begun.tokens ? 0 : -1;
}

static int end(void **state)
{
	begun.tokens->destroy(begun.tokens);
	charon->bus->set_sa(charon->bus, NULL);
	played_ike_destroy(begun.ike);
	begun.src->destroy(begun.src);
	return box_close(state);
}

/**
 * Make a token of octets that count up
 */
static void make(qcd_token *token, uint8_t first)
{
	memset(token, 0, sizeof(*token));
	token->len = 32;
	count_up(token->octets, first, token->len);
}

static message_t *message_begin(exchange_type_t exchange, bool request)
{
	message_t *message;

	message = message_create(IKEV2_MAJOR_VERSION, IKEV2_MINOR_VERSION);
	message->set_exchange_type(message, exchange);
	message->set_request(message, request);
	return message;
}

/**
 * Add a notify with data
 */
static void add_notify(message_t *message, notify_type_t type, uint8_t first,
					   size_t len)
{
	uint8_t data[256];

	count_up(data, first, len);
	message->add_notify(message, FALSE, type, chunk_create(data, len));
}

/**
 * Add an SA payload for a protocol, as CREATE_CHILD_SA has
 */
static void add_proposal(message_t *message, protocol_id_t protocol)
{
	proposal_t *proposal = proposal_create(protocol, 1);

	proposal->add_algorithm(proposal, ENCRYPTION_ALGORITHM, ENCR_AES_CBC, 128);
	proposal->add_algorithm(proposal, INTEGRITY_ALGORITHM,
							AUTH_HMAC_SHA2_256_128, 0);
	message->add_payload(message, (payload_t*)
						 sa_payload_create_from_proposal_v2(proposal));
	proposal->destroy(proposal);
}

/**
 * Let a message come in, or out, on an IKE_SA, and destroy it
 */
static void pass(played_ike_t *ike, message_t *message, bool incoming,
				 bool plain)
{
	charon->bus->set_sa(charon->bus, &ike->public);
	charon->bus->message(charon->bus, message, incoming, plain);
	message->destroy(message);
}

/**
 * Let a token come in
 */
static void give(played_ike_t *ike, uint8_t first)
{
	message_t *message = message_begin(IKE_AUTH, FALSE);

	add_notify(message, QUICK_CRASH_DETECTION, first, 32);
	pass(ike, message, TRUE, TRUE);
}

/**
 * Verify a message about an SA that shows one token
 */
static qcd_event_t verify(const qcd_ike_sa *about, uint8_t first, qcd_sa_t *sa)
{
	qcd_message message = {
		.header.spis = about->spis,
		.cause = QCD_CAUSE_INVALID_IKE_SPI,
		.num_tokens = 1,
	};

	make(&message.tokens[0], first);
	memset(sa, 0, sizeof(*sa));
	return begun.tokens->verify(begun.tokens, &message, begun.src, sa);
}

static bool holds(qcd_sa_t *sa)
{
	return begun.tokens->holds(begun.tokens, sa);
}

/**
 * Of which messages tokens are taken
 */
static void test_messages(void **state)
{
	static const struct {
		char *row;
		int exchange;
		bool request, incoming, plain;
		protocol_id_t sa;
		ike_version_t version;
		bool half, held;
	} table[] = {
		{ "IKE_AUTH response", IKE_AUTH, FALSE, TRUE, TRUE, 0, IKEV2, FALSE,
		  TRUE },
		{ "IKE_AUTH request", IKE_AUTH, TRUE, TRUE, TRUE, 0, IKEV2, FALSE,
		  TRUE },
		{ "INFORMATIONAL", INFORMATIONAL, TRUE, TRUE, TRUE, 0, IKEV2, FALSE,
		  TRUE },
		{ "CREATE_CHILD_SA without SA", CREATE_CHILD_SA, TRUE, TRUE, TRUE, 0,
		  IKEV2, FALSE, TRUE },
		{ "CREATE_CHILD_SA of ESP", CREATE_CHILD_SA, TRUE, TRUE, TRUE,
		  PROTO_ESP, IKEV2, FALSE, TRUE },
		{ "rekeying of the IKE_SA, request", CREATE_CHILD_SA, TRUE, TRUE, TRUE,
		  PROTO_IKE, IKEV2, FALSE, FALSE },
		{ "rekeying of the IKE_SA, response", CREATE_CHILD_SA, FALSE, TRUE,
		  TRUE, PROTO_IKE, IKEV2, FALSE, FALSE },
		{ "IKE_FOLLOWUP_KE", IKE_FOLLOWUP_KE, FALSE, TRUE, TRUE, 0, IKEV2,
		  FALSE, FALSE },
		{ "IKE_SA_INIT", IKE_SA_INIT, FALSE, TRUE, TRUE, 0, IKEV2, FALSE,
		  FALSE },
		{ "outgoing", IKE_AUTH, FALSE, FALSE, TRUE, 0, IKEV2, FALSE, FALSE },
		{ "not decrypted", IKE_AUTH, FALSE, TRUE, FALSE, 0, IKEV2, FALSE,
		  FALSE },
		{ "IKEv1", INFORMATIONAL_V1, FALSE, TRUE, TRUE, 0, IKEV1, FALSE,
		  FALSE },
		{ "one SPI", IKE_AUTH, FALSE, TRUE, TRUE, 0, IKEV2, TRUE, FALSE },
	};
	message_t *message;
	qcd_ike_sa half = begun.sa.ike;
	qcd_sa_t sa;
	int i;

	memset(&half.spis.responder, 0, sizeof(half.spis.responder));
	for (i = 0; i < countof(table); i++)
	{
		begun.tokens->destroy(begun.tokens);
		begun.tokens = qcd_tokens_create(&begun.config);
		begun.ike->version = table[i].version;
		played_ike_rename(begun.ike, table[i].half ? &half : &begun.sa.ike);
		message = message_begin(table[i].exchange, table[i].request);
		if (table[i].sa)
		{
			add_proposal(message, table[i].sa);
		}
		add_notify(message, QUICK_CRASH_DETECTION, 1, 32);
		pass(begun.ike, message, table[i].incoming, table[i].plain);
		CHECK_INT(table[i].row, holds(&begun.sa), table[i].held);
		CHECK_INT(table[i].row, verify(&begun.sa.ike, 1, &sa) ==
				  QCD_EVENT_VERIFIED, table[i].held);
	}
}

/**
 * What is a token, and what the log says of what is none
 */
static void test_notifies(void **state)
{
	static const struct {
		char *row;
		notify_type_t type;
		size_t len, spi;
		bool held;
		char *line;
	} table[] = {
		{ "shortest", QUICK_CRASH_DETECTION, 16, 0, TRUE, NULL },
		{ "too short", QUICK_CRASH_DETECTION, 15, 0, FALSE,
		  "QCD: ignoring token of 198.51.100.2, it has 15 octets" },
		{ "longest", QUICK_CRASH_DETECTION, 128, 0, TRUE, NULL },
		{ "too long", QUICK_CRASH_DETECTION, 129, 0, FALSE,
		  "QCD: ignoring token of 198.51.100.2, it has 129 octets" },
		{ "empty", QUICK_CRASH_DETECTION, 0, 0, FALSE, "it has 0 octets" },
		{ "another notify", MOBIKE_SUPPORTED, 32, 0, FALSE, NULL },
		{ "an error", INVALID_SYNTAX, 32, 0, FALSE, NULL },
		{ "with an SPI", QUICK_CRASH_DETECTION, 32, 4, FALSE,
		  "QCD: ignoring token of 198.51.100.2, its notify has an SPI" },
		{ "with an SPI of IKE", QUICK_CRASH_DETECTION, 32, 8, FALSE,
		  "its notify has an SPI" },
	};
	notify_payload_t *notify;
	message_t *message;
	uint8_t data[256];
	int i;

	for (i = 0; i < countof(table); i++)
	{
		begun.tokens->destroy(begun.tokens);
		begun.tokens = qcd_tokens_create(&begun.config);
		box_forget_log();
		count_up(data, 1, sizeof(data));
		notify = notify_payload_create_from_protocol_and_type(PLV2_NOTIFY,
								table[i].spi == 4 ? PROTO_ESP : PROTO_IKE,
								table[i].type);
		if (table[i].spi == 4)
		{
			notify->set_spi(notify, htonl(0x01020304));
		}
		else if (table[i].spi)
		{
			notify->set_spi_data(notify, chunk_create(data, table[i].spi));
		}
		notify->set_notification_data(notify, chunk_create(data, table[i].len));
		message = message_begin(IKE_AUTH, FALSE);
		message->add_payload(message, (payload_t*)notify);
		pass(begun.ike, message, TRUE, TRUE);
		CHECK_INT(table[i].row, holds(&begun.sa), table[i].held);
		CHECK_LOGGED(table[i].row, "", table[i].line != NULL);
		CHECK_LOGGED(table[i].row, table[i].line ?: "", table[i].line != NULL);
	}
}

/**
 * Of a message eight tokens are looked at
 */
static void test_many_notifies(void **state)
{
	static const struct {
		char *row;
		u_int bad, others;
		bool held;
	} table[] = {
		{ "the first", 0, 0, TRUE },
		{ "the eighth", QCD_TOKENS_READ_MAX - 1, 0, TRUE },
		{ "the ninth", QCD_TOKENS_READ_MAX, 0, FALSE },
		{ "behind many others", QCD_TOKENS_READ_MAX - 1, 100, TRUE },
	};
	message_t *message;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		begun.tokens->destroy(begun.tokens);
		begun.tokens = qcd_tokens_create(&begun.config);
		box_forget_log();
		message = message_begin(IKE_AUTH, FALSE);
		for (j = 0; j < table[i].others; j++)
		{
			add_notify(message, MOBIKE_SUPPORTED, 1, 32);
		}
		for (j = 0; j < table[i].bad; j++)
		{
			add_notify(message, QUICK_CRASH_DETECTION, 1, 1);
		}
		add_notify(message, QUICK_CRASH_DETECTION, 1, 32);
		pass(begun.ike, message, TRUE, TRUE);
		CHECK_INT(table[i].row, holds(&begun.sa), table[i].held);
		CHECK_LOGGED(table[i].row, "it has 1 octets", table[i].bad);
	}
}

/**
 * The latest four are held
 */
static void test_latest(void **state)
{
	qcd_sa_t sa;
	char row[8];
	int i;

	for (i = 1; i <= QCD_HELD_MAX + 1; i++)
	{
		give(begun.ike, i);
	}
	/* a repeated one pushes none out */
	give(begun.ike, 2);
	CHECK_INT("1", verify(&begun.sa.ike, 1, &sa), QCD_EVENT_MISMATCHED);
	for (i = 2; i <= QCD_HELD_MAX + 1; i++)
	{
		snprintf(row, sizeof(row), "%d", i);
		CHECK_INT(row, verify(&begun.sa.ike, i, &sa),
				  i == 2 ? QCD_EVENT_VERIFIED : QCD_EVENT_MAX);
	}
}

static void test_verify(void **state)
{
	qcd_ike_sa other;
	qcd_sa_t sa;

	played_spis(&other, QCD_INITIATOR, 0x40);
	CHECK_INT("none held", verify(&begun.sa.ike, 1, &sa), QCD_EVENT_UNKNOWN);
	give(begun.ike, 1);
	CHECK_INT("wrong", verify(&begun.sa.ike, 2, &sa), QCD_EVENT_MISMATCHED);
	CHECK_ZERO("wrong", sa);
	CHECK_INT("other SA", verify(&other, 1, &sa), QCD_EVENT_UNKNOWN);
	CHECK_INT("right", verify(&begun.sa.ike, 1, &sa), QCD_EVENT_VERIFIED);
	CHECK_INT("right", sa.unique_id, 1);
	CHECK_INT("right", sa.ike.role, QCD_INITIATOR);
	CHECK("right", qcd_spis_equals(&sa.ike.spis, &begun.sa.ike.spis));
	CHECK_INT("again", verify(&begun.sa.ike, 1, &sa), QCD_EVENT_MAX);
	CHECK_INT("wrong again", verify(&begun.sa.ike, 2, &sa), QCD_EVENT_MISMATCHED);
}

static void test_several_tokens(void **state)
{
	static const struct {
		char *row;
		u_int num, right;
		qcd_event_t outcome;
	} table[] = {
		{ "none", 0, 0, QCD_EVENT_MISMATCHED },
		{ "the first", QCD_TOKENS_READ_MAX, 0, QCD_EVENT_VERIFIED },
		{ "the last", QCD_TOKENS_READ_MAX, QCD_TOKENS_READ_MAX - 1,
		  QCD_EVENT_VERIFIED },
		{ "behind the last", 4, 4, QCD_EVENT_MISMATCHED },
	};
	qcd_message message;
	qcd_sa_t sa;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		begun.tokens->destroy(begun.tokens);
		begun.tokens = qcd_tokens_create(&begun.config);
		give(begun.ike, 1);
		message = (qcd_message){
			.header.spis = begun.sa.ike.spis,
			.num_tokens = table[i].num,
		};
		for (j = 0; j < QCD_TOKENS_READ_MAX; j++)
		{
			make(&message.tokens[j], j == table[i].right ? 1 : 0x80 + j);
		}
		CHECK_INT(table[i].row, begun.tokens->verify(begun.tokens, &message,
												begun.src, &sa), table[i].outcome);
	}
}

/**
 * What is over the rate of a source is checked at the common rate
 */
static void test_rate(void **state)
{
	static const struct {
		char *row;
		u_int rate;
		u_int checked;
	} table[] = {
		{ "none at all", 0, 0 },
		{ "both rates", 100, 100 + QCD_VERIFY_RATE_COMMON },
	};
	qcd_ike_sa other;
	qcd_sa_t sa;
	u_int checked;
	int i;

	played_spis(&other, QCD_INITIATOR, 0x40);
	for (i = 0; i < countof(table); i++)
	{
		begun.tokens->destroy(begun.tokens);
		begun.config.verify_rate_source = table[i].rate;
		begun.tokens = qcd_tokens_create(&begun.config);
		give(begun.ike, 1);
		for (checked = 0; checked < 20000; checked++)
		{
			/* messages about others are for nothing */
			CHECK_INT(table[i].row, verify(&other, 1, &sa), QCD_EVENT_UNKNOWN);
			if (verify(&begun.sa.ike, 2, &sa) != QCD_EVENT_MISMATCHED)
			{
				break;
			}
		}
		CHECK_INT(table[i].row, checked, table[i].checked);
		CHECK_INT(table[i].row, verify(&begun.sa.ike, 1, &sa),
				  QCD_EVENT_UNCHECKED);
		box_now += 1000;
		CHECK_INT(table[i].row, verify(&begun.sa.ike, 1, &sa),
				  table[i].rate ? QCD_EVENT_VERIFIED : QCD_EVENT_UNCHECKED);
	}
}

/**
 * A token with INVALID_SPI: the SA is found by what its CHILD_SA sends to
 */
static void test_child_spi(void **state)
{
	static const struct {
		char *row;
		enum qcd_cause cause;
		uint32_t spi;
		qcd_event_t outcome;
	} table[] = {
		{ "inbound SPI", QCD_CAUSE_INVALID_SPI, 0xc0de, QCD_EVENT_UNKNOWN },
		{ "other SPI", QCD_CAUSE_INVALID_SPI, 0xc0ff, QCD_EVENT_UNKNOWN },
		{ "other cause", QCD_CAUSE_INVALID_IKE_SPI, 0xc0df, QCD_EVENT_UNKNOWN },
		{ "no cause", QCD_CAUSE_NONE, 0xc0df, QCD_EVENT_UNKNOWN },
		{ "outbound SPI", QCD_CAUSE_INVALID_SPI, 0xc0df, QCD_EVENT_VERIFIED },
	};
	played_child_t *child = played_child_create(1, 0xc0de);
	qcd_message message;
	qcd_sa_t sa;
	int i;

	give(begun.ike, 1);
	charon->bus->set_sa(charon->bus, &begun.ike->public);
	charon->bus->child_state_change(charon->bus, &child->public,
									CHILD_INSTALLED);
	for (i = 0; i < countof(table); i++)
	{
		message = (qcd_message){
			.cause = table[i].cause,
			.num_tokens = 1,
		};
		htoun32(message.child_spi.octets, table[i].spi);
		make(&message.tokens[0], 1);
		memset(&sa, 0, sizeof(sa));
		CHECK_INT(table[i].row, begun.tokens->verify(begun.tokens, &message,
												begun.src, &sa), table[i].outcome);
		CHECK_INT(table[i].row, sa.unique_id,
				  table[i].outcome == QCD_EVENT_VERIFIED);
	}
	played_child_destroy(child);
}

/**
 * Two IKE_SAs with CHILD_SAs that send to the same SPI, at two peers
 */
static void test_same_child_spi(void **state)
{
	played_child_t *child = played_child_create(1, 0xc0de);
	played_child_t *other_child = played_child_create(2, 0xc0de);
	played_ike_t *other;
	qcd_ike_sa spis;
	qcd_message message = {
		.cause = QCD_CAUSE_INVALID_SPI,
		.num_tokens = 1,
	};
	qcd_sa_t sa;
	int i;

	played_spis(&spis, QCD_RESPONDER, 0x40);
	other = played_ike_create(2, &spis);
	give(begun.ike, 1);
	give(other, 2);
	charon->bus->set_sa(charon->bus, &begun.ike->public);
	charon->bus->child_state_change(charon->bus, &child->public,
									CHILD_INSTALLED);
	charon->bus->set_sa(charon->bus, &other->public);
	charon->bus->child_state_change(charon->bus, &other_child->public,
									CHILD_INSTALLED);
	htoun32(message.child_spi.octets, 0xc0df);
	for (i = 1; i <= 2; i++)
	{
		make(&message.tokens[0], i);
		CHECK_INT(i == 1 ? "first" : "second", begun.tokens->verify(begun.tokens,
						&message, begun.src, &sa), QCD_EVENT_VERIFIED);
		CHECK_INT(i == 1 ? "first" : "second", sa.unique_id, i);
	}
	make(&message.tokens[0], 3);
	CHECK_INT("neither", begun.tokens->verify(begun.tokens, &message, begun.src,
											  &sa), QCD_EVENT_MISMATCHED);
	charon->bus->set_sa(charon->bus, NULL);
	played_ike_destroy(other);
	played_child_destroy(child);
	played_child_destroy(other_child);
}

/**
 * The taker is off for a connection, at some of: when the token comes, when the
 * IKE_SA is established, and when the token is shown. A responder knows the
 * connection from the second on.
 */
static void test_role(void **state)
{
	static const struct {
		char *row, *name, *given, *established, *shown;
		bool held, stored;
	} table[] = {
		{ "on", "gw", NULL, NULL, NULL, TRUE, TRUE },
		{ "another one is off", "gw", "gw2", "gw2", "gw2", TRUE, TRUE },
		{ "off", "gw", "gw", "gw", "gw", FALSE, FALSE },
		{ "switched on", "gw", "gw", NULL, NULL, FALSE, FALSE },
		{ "switched off", "gw", NULL, NULL, "gw", FALSE, TRUE },
		{ "switched off while it is rekeyed", "gw", NULL, "gw", "gw", FALSE, TRUE },
		{ "responder", "(unnamed)", NULL, NULL, NULL, TRUE, TRUE },
		{ "responder, off", "(unnamed)", "gw", "gw", "gw", FALSE, FALSE },
		{ "responder, switched on", "(unnamed)", "gw", "gw", NULL, FALSE, FALSE },
		{ "responder, switched off", "(unnamed)", NULL, NULL, "gw", FALSE, TRUE },
	};
	played_child_t *child = played_child_create(1, 0xc0de);
	qcd_message message = {
		.cause = QCD_CAUSE_INVALID_SPI,
		.num_tokens = 1,
	};
	qcd_sa_t sa;
	int i;

	htoun32(message.child_spi.octets, 0xc0df);
	make(&message.tokens[0], 1);
	for (i = 0; i < countof(table); i++)
	{
		begun.tokens->destroy(begun.tokens);
		begun.tokens = qcd_tokens_create(&begun.config);
		begun.ike->name = table[i].name;
		begun.off = table[i].given;
		give(begun.ike, 1);
		begun.ike->name = "gw";
		begun.off = table[i].established;
		charon->bus->ike_state_change(charon->bus, &begun.ike->public,
									  IKE_ESTABLISHED);
		charon->bus->child_state_change(charon->bus, &child->public,
										CHILD_INSTALLED);
		begun.off = table[i].shown;
		CHECK_INT(table[i].row, holds(&begun.sa), table[i].held);
		if (!table[i].held)
		{	/* it is not noted as shown, either */
			CHECK_INT(table[i].row, verify(&begun.sa.ike, 1, &sa),
					  QCD_EVENT_UNKNOWN);
			CHECK_INT(table[i].row, begun.tokens->verify(begun.tokens,
								&message, begun.src, &sa), QCD_EVENT_UNKNOWN);
		}
		begun.off = NULL;
		CHECK_INT(table[i].row, holds(&begun.sa), table[i].stored);
		CHECK_INT(table[i].row, verify(&begun.sa.ike, 1, &sa),
				  table[i].stored ? QCD_EVENT_VERIFIED : QCD_EVENT_UNKNOWN);
		/* a token that is given later counts */
		give(begun.ike, 2);
		CHECK(table[i].row, holds(&begun.sa));
		CHECK_INT(table[i].row, verify(&begun.sa.ike, 2, &sa),
				  table[i].stored ? QCD_EVENT_MAX : QCD_EVENT_VERIFIED);
	}
	played_child_destroy(child);
}

/**
 * Tokens go with their SA, or with its SPIs
 */
static void test_forgotten(void **state)
{
	static const struct {
		char *row;
		ike_sa_state_t state;
		uint32_t unique_id;
		bool other_spis, held;
	} table[] = {
		{ "established", IKE_ESTABLISHED, 1, FALSE, TRUE },
		{ "deleting", IKE_DELETING, 1, FALSE, TRUE },
		{ "rekeyed", IKE_REKEYED, 1, FALSE, TRUE },
		{ "destroying", IKE_DESTROYING, 1, FALSE, FALSE },
		{ "another one is destroyed", IKE_DESTROYING, 2, TRUE, TRUE },
		{ "reset", IKE_CREATED, 1, FALSE, FALSE },
		{ "reset, with other SPIs by now", IKE_CREATED, 1, TRUE, FALSE },
		{ "another one is reset", IKE_CREATED, 2, FALSE, TRUE },
	};
	played_ike_t *ike;
	qcd_ike_sa other;
	qcd_sa_t sa;
	int i;

	played_spis(&other, QCD_INITIATOR, 0x40);
	for (i = 0; i < countof(table); i++)
	{
		/* charon resets no IKE_SA that was established */
		begun.ike->state = IKE_CONNECTING;
		give(begun.ike, 1);
		ike = played_ike_create(table[i].unique_id,
							table[i].other_spis ? &other : &begun.sa.ike);
		charon->bus->ike_state_change(charon->bus, &ike->public,
									  table[i].state);
		CHECK_INT(table[i].row, holds(&begun.sa), table[i].held);
		CHECK_INT(table[i].row, verify(&begun.sa.ike, 2, &sa),
				  table[i].held ? QCD_EVENT_MISMATCHED : QCD_EVENT_UNKNOWN);
		charon->bus->ike_state_change(charon->bus, &begun.ike->public,
									  IKE_DESTROYING);
		CHECK_INT(table[i].row, holds(&begun.sa), FALSE);
		charon->bus->set_sa(charon->bus, NULL);
		played_ike_destroy(ike);
	}
}

/**
 * Let a token come in with the rekeying of the IKE_SA
 */
static void give_next(int exchange, bool request, uint8_t first)
{
	message_t *message = message_begin(exchange, request);

	if (exchange == CREATE_CHILD_SA)
	{
		add_proposal(message, PROTO_IKE);
	}
	if (first)
	{
		add_notify(message, QUICK_CRASH_DETECTION, first, 32);
	}
	pass(begun.ike, message, TRUE, TRUE);
}

/**
 * Tokens for the SA that replaces another one
 */
static void test_rekeyed(void **state)
{
	static const struct {
		char *row;
		struct {
			int exchange;
			bool request;
			uint8_t first;
		} messages[3];
		enum qcd_role role;
		bool rekey;
		/* the token that the new SA has, 0 for none */
		uint8_t held;
	} table[] = {
		{ "response", { { CREATE_CHILD_SA, FALSE, 5 } }, QCD_INITIATOR, TRUE,
		  5 },
		{ "request", { { CREATE_CHILD_SA, TRUE, 5 } }, QCD_INITIATOR, TRUE, 0 },
		{ "the peer rekeys", { { CREATE_CHILD_SA, FALSE, 5 } }, QCD_RESPONDER,
		  TRUE, 0 },
		{ "no rekeying", { { CREATE_CHILD_SA, FALSE, 5 } }, QCD_INITIATOR,
		  FALSE, 0 },
		{ "no token", { { CREATE_CHILD_SA, FALSE, 0 } }, QCD_INITIATOR, TRUE,
		  0 },
		{ "several key exchanges", { { CREATE_CHILD_SA, FALSE, 0 },
		  { IKE_FOLLOWUP_KE, FALSE, 0 }, { IKE_FOLLOWUP_KE, FALSE, 6 } },
		  QCD_INITIATOR, TRUE, 6 },
		{ "after one that failed", { { CREATE_CHILD_SA, FALSE, 5 },
		  { CREATE_CHILD_SA, FALSE, 7 } }, QCD_INITIATOR, TRUE, 7 },
		{ "after one that failed, no token", { { CREATE_CHILD_SA, FALSE, 5 },
		  { CREATE_CHILD_SA, FALSE, 0 } }, QCD_INITIATOR, TRUE, 0 },
	};
	played_ike_t *new;
	qcd_sa_t new_sa = { .unique_id = 2 }, sa;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		begun.tokens->destroy(begun.tokens);
		begun.tokens = qcd_tokens_create(&begun.config);
		played_spis(&new_sa.ike, table[i].role, 0x40);
		new = played_ike_create(2, &new_sa.ike);
		give(begun.ike, 1);
		for (j = 0; j < 3 && table[i].messages[j].exchange; j++)
		{
			give_next(table[i].messages[j].exchange,
					  table[i].messages[j].request, table[i].messages[j].first);
		}
		CHECK(table[i].row, !holds(&new_sa));
		begun.tokens->listener.ike_keys(&begun.tokens->listener, &new->public,
						NULL, chunk_empty, chunk_empty, chunk_empty,
						table[i].rekey ? &begun.ike->public : NULL, NULL, 0);
		CHECK_INT(table[i].row, holds(&new_sa), table[i].held != 0);
		if (table[i].held)
		{
			CHECK_INT(table[i].row, verify(&new_sa.ike, 1, &sa),
					  QCD_EVENT_MISMATCHED);
			CHECK_INT(table[i].row, verify(&new_sa.ike, 5, &sa),
					  table[i].held == 5 ? QCD_EVENT_VERIFIED
										 : QCD_EVENT_MISMATCHED);
			CHECK_INT(table[i].row, verify(&new_sa.ike, table[i].held, &sa),
					  table[i].held == 5 ? QCD_EVENT_MAX : QCD_EVENT_VERIFIED);
		}
		/* the old one has its own, and only that */
		CHECK_INT(table[i].row, verify(&begun.sa.ike, 5, &sa),
				  QCD_EVENT_MISMATCHED);
		CHECK_INT(table[i].row, verify(&begun.sa.ike, 1, &sa),
				  QCD_EVENT_VERIFIED);
		charon->bus->set_sa(charon->bus, NULL);
		played_ike_destroy(new);
	}
}

static void test_create(void **state)
{
	static const struct {
		char *row;
		uint32_t rate;
		bool no_random, created;
		char *line;
	} table[] = {
		{ "highest rate", QCD_RATE_MAX, FALSE, TRUE, NULL },
		{ "too high a rate", QCD_RATE_MAX + 1, FALSE, FALSE, NULL },
		{ "no random numbers", 100, TRUE, FALSE,
		  "QCD: no random numbers available: the token taker is off" },
	};
	qcd_config_t config = {};
	qcd_tokens_t *tokens;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		config.verify_rate_source = table[i].rate;
		box_no_random = table[i].no_random;
		tokens = qcd_tokens_create(&config);
		CHECK_INT(table[i].row, tokens != NULL, table[i].created);
		CHECK_LOGGED(table[i].row, "", table[i].line != NULL);
		CHECK_LOGGED(table[i].row, table[i].line ?: "", table[i].line != NULL);
		DESTROY_IF(tokens);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main()
{
	const struct CMUnitTest tests[] = {
		TEST(test_messages),
		TEST(test_notifies),
		TEST(test_many_notifies),
		TEST(test_latest),
		TEST(test_verify),
		TEST(test_several_tokens),
		TEST(test_rate),
		TEST(test_child_spi),
		TEST(test_same_child_spi),
		TEST(test_role),
		TEST(test_forgotten),
		TEST(test_rekeyed),
		TEST(test_create),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
