/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_lost_index.h"

#include "box.h"
#include "played.h"

/**
 * Make a row of an IKE_SA, with the peer's number in its identity and address
 */
static void make(qcd_samap_row *row, uint8_t sa, uint32_t spi, uint8_t peer)
{
	memset(row, 0, sizeof(*row));
	played_spis(&row->sa, QCD_RESPONDER, sa);
	htoun32(row->child_spi.octets, spi);
	row->child_spi.protocol = QCD_ESP;
	row->peer.len = 4;
	row->peer.octets[0] = 198;
	row->peer.octets[3] = peer;
	row->peer_port = 4500 + peer;
	memset(row->peer_id, peer, sizeof(row->peer_id));
}

static void add(qcd_lost_index_t *index, uint8_t sa, uint32_t spi, uint8_t peer)
{
	qcd_samap_row row;

	make(&row, sa, spi, peer);
	index->add(index, &row);
}

static void take_out(qcd_lost_index_t *index, uint8_t sa, uint32_t spi,
					 uint8_t protocol)
{
	qcd_samap_row row;

	make(&row, sa, spi, 0);
	row.child_spi.protocol = protocol;
	index->remove(index, &row);
}

/**
 * Get the port of the peer of an IKE_SA, 0 if it is not known
 */
static u_int find(qcd_lost_index_t *index, uint8_t sa)
{
	qcd_lost_peer_t peer;
	qcd_ike_sa ike;

	played_spis(&ike, QCD_RESPONDER, sa);
	return index->find(index, &ike.spis, &peer) ? peer.port : 0;
}

/**
 * Write down the SPIs that next() gets, one of each IKE_SA
 */
static char *walk(qcd_lost_index_t *index)
{
	static char text[256];
	qcd_child_spi spi;
	qcd_lost_place_t place = {};
	size_t len = 0;

	text[0] = '\0';
	while (index->next(index, &place, &spi))
	{
		len += snprintf(text + len, sizeof(text) - len, "%s%u",
						len ? " " : "", untoh32(spi.octets));
	}
	return text;
}

/**
 * Write down what is replaced where a peer is back, with "others" at the end if it
 * has others
 */
static char *replaced(qcd_lost_index_t *index, uint8_t id, uint8_t address,
					  uint64_t silence)
{
	static char text[256];
	qcd_samap_row row;
	qcd_peer_id_t peer;
	qcd_child_spi spi;
	array_t *spis;
	size_t len = 0;
	bool others;
	int i;

	make(&row, 0, 0, address);
	memset(&peer, id, sizeof(peer));
	spis = index->find_replaced(index, &peer, &row.peer, silence, &others);
	text[0] = '\0';
	for (i = 0; i < array_count(spis); i++)
	{
		array_get(spis, i, &spi);
		len += snprintf(text + len, sizeof(text) - len, "%s%u",
						len ? " " : "", untoh32(spi.octets));
	}
	snprintf(text + len, sizeof(text) - len, "%s", others ? " others" : "");
	array_destroy(spis);
	return text;
}

static void note_told(qcd_lost_index_t *index, uint8_t sa)
{
	qcd_ike_sa ike;

	played_spis(&ike, QCD_RESPONDER, sa);
	index->note_told(index, &ike.spis);
}

static bool is_first(qcd_lost_index_t *index, uint8_t sa, char *address,
					 uint16_t port)
{
	host_t *host = host_create_from_string(address, port);
	qcd_ike_sa ike;
	bool first;

	played_spis(&ike, QCD_RESPONDER, sa);
	first = index->is_first(index, &ike.spis, host);
	host->destroy(host);
	return first;
}

static void test_find(void **state)
{
	qcd_lost_index_t *index = qcd_lost_index_create();
	qcd_lost_peer_t peer;
	qcd_ike_sa ike;

	CHECK_INT("empty", find(index, 1), 0);
	add(index, 1, 11, 1);
	add(index, 2, 21, 2);
	CHECK_INT("first", find(index, 1), 4501);
	CHECK_INT("second", find(index, 2), 4502);
	CHECK_INT("third", find(index, 3), 0);

	played_spis(&ike, QCD_RESPONDER, 2);
	CHECK("peer", index->find(index, &ike.spis, &peer));
	CHECK_INT("peer", peer.address.octets[3], 2);
	CHECK_INT("peer", peer.id.name[0], 2);
	CHECK_INT("peer", peer.id.ids[0], 2);
	CHECK("first", is_first(index, 2, "198.0.0.2", 4502));
	CHECK("other port", !is_first(index, 2, "198.0.0.2", 4501));
	CHECK("other address", !is_first(index, 2, "198.0.0.1", 4502));
	CHECK("not lost", !is_first(index, 3, "198.0.0.3", 4503));
	note_told(index, 2);
	CHECK("told", !is_first(index, 2, "198.0.0.2", 4502));
	CHECK("other one", is_first(index, 1, "198.0.0.1", 4501));
	/* the SPIs in the other order are those of another IKE_SA */
	ike.spis = (qcd_spis){ ike.spis.responder, ike.spis.initiator };
	CHECK("swapped", !index->find(index, &ike.spis, &peer));
	index->destroy(index);
}

/**
 * An IKE_SA is known as long as one of its rows is
 */
static void test_remove(void **state)
{
	static const struct {
		char *row;
		uint8_t sa;
		uint32_t spi;
		uint8_t protocol;
		u_int first, second;
		char *walk;
	} table[] = {
		{ "other SPI", 1, 99, QCD_ESP, 4501, 4502, "11 21" },
		{ "other SA", 3, 11, QCD_ESP, 4501, 4502, "11 21" },
		{ "SPI of another SA", 1, 21, QCD_ESP, 4501, 4502, "11 21" },
		{ "other protocol", 1, 11, QCD_AH, 4501, 4502, "11 21" },
		{ "one of two", 1, 11, QCD_ESP, 4501, 4502, "12 21" },
		{ "the same again", 1, 11, QCD_ESP, 4501, 4502, "12 21" },
		{ "the last one", 1, 12, QCD_ESP, 0, 4502, "21" },
		{ "all are gone", 1, 12, QCD_ESP, 0, 4502, "21" },
		{ "the only one", 2, 21, QCD_ESP, 0, 0, "" },
	};
	qcd_lost_index_t *index = qcd_lost_index_create();
	int i;

	add(index, 1, 11, 1);
	add(index, 1, 12, 1);
	add(index, 2, 21, 2);
	for (i = 0; i < countof(table); i++)
	{
		take_out(index, table[i].sa, table[i].spi, table[i].protocol);
		CHECK_INT(table[i].row, find(index, 1), table[i].first);
		CHECK_INT(table[i].row, find(index, 2), table[i].second);
		CHECK_STR(table[i].row, walk(index), table[i].walk);
	}
	index->destroy(index);
}

/**
 * A walk goes on where it was, whatever is removed meanwhile
 */
static void test_walk(void **state)
{
	qcd_lost_index_t *index = qcd_lost_index_create();
	qcd_lost_place_t place = {};
	qcd_child_spi spi;
	int i;

	CHECK("empty", !index->next(index, &place, &spi));
	for (i = 1; i <= 5; i++)
	{
		add(index, i, 10 * i, i);
	}
	CHECK("first", index->next(index, &place, &spi));
	CHECK_INT("first", untoh32(spi.octets), 10);
	take_out(index, 1, 10, QCD_ESP);
	take_out(index, 2, 20, QCD_ESP);
	CHECK("third", index->next(index, &place, &spi));
	CHECK_INT("third", untoh32(spi.octets), 30);
	take_out(index, 5, 50, QCD_ESP);
	add(index, 6, 60, 6);
	CHECK("fourth", index->next(index, &place, &spi));
	CHECK_INT("fourth", untoh32(spi.octets), 40);
	CHECK("new", index->next(index, &place, &spi));
	CHECK_INT("new", untoh32(spi.octets), 60);
	CHECK("end", !index->next(index, &place, &spi));
	CHECK("end", !index->next(index, &place, &spi));
	index->destroy(index);
}

/**
 * Addresses take turns, so that nobody waits for all peers behind a NAT
 */
static void test_turns(void **state)
{
	static const struct {
		char *row;
		/* peer of each IKE_SA, whose SPIs count up from 1 */
		uint8_t peers[8];
		/* SPI of one that is removed before the walk */
		uint32_t removed;
		char *walk;
	} table[] = {
		{ "one each", { 1, 2, 3 }, 0, "1 2 3" },
		{ "many behind a NAT", { 1, 1, 1, 1, 2, 3 }, 0, "1 5 6 2 3 4" },
		{ "two NATs", { 1, 1, 1, 2, 2, 3 }, 0, "1 4 6 2 5 3" },
		{ "mixed", { 1, 2, 1, 2, 1, 3 }, 0, "1 2 6 3 4 5" },
		{ "the first is gone", { 1, 1, 1, 2 }, 1, "4 2 3" },
		{ "the last of a turn is gone", { 1, 1, 1, 2, 2 }, 5, "1 4 2 3" },
	};
	qcd_lost_index_t *index;
	int i, j;

	for (i = 0; i < countof(table); i++)
	{
		index = qcd_lost_index_create();
		for (j = 0; j < 8 && table[i].peers[j]; j++)
		{
			add(index, j + 1, j + 1, table[i].peers[j]);
		}
		take_out(index, table[i].removed, table[i].removed, QCD_ESP);
		CHECK_STR(table[i].row, walk(index), table[i].walk);
		index->destroy(index);
	}
}

static void test_many(void **state)
{
	/* turns grow at powers of two, and there are 256 addresses */
	static const u_int counts[] = { 1, 2, 31, 32, 33, 255, 256, 257, 512, 513,
									5000 };
	qcd_lost_index_t *index = qcd_lost_index_create();
	qcd_samap_row row;
	qcd_child_spi spi;
	qcd_lost_place_t place;
	u_int n;
	char text[16];
	int i;

	for (i = 0; i < countof(counts); i++)
	{
		snprintf(text, sizeof(text), "%u", counts[i]);
		index->clear(index);
		for (n = 0; n < counts[i]; n++)
		{
			make(&row, 1, n, n);
			htoun32(row.sa.spis.initiator.octets, n);
			index->add(index, &row);
		}
		place = (qcd_lost_place_t){};
		for (n = 0; index->next(index, &place, &spi); n++)
		{
			CHECK_INT(text, untoh32(spi.octets), n);
		}
		CHECK_INT(text, n, counts[i]);
	}
	index->clear(index);
	CHECK_STR("cleared", walk(index), "");
	CHECK_INT("cleared", find(index, 1), 0);
	add(index, 1, 11, 1);
	CHECK_STR("again", walk(index), "11");
	index->destroy(index);
}

/**
 * What a peer that is back has replaced
 */
static void test_replaced(void **state)
{
	qcd_lost_index_t *index = qcd_lost_index_create();

	CHECK_STR("nothing", replaced(index, 1, 1, 500), "");
	add(index, 1, 11, 1);
	add(index, 1, 12, 1);
	CHECK_STR("all of one", replaced(index, 1, 1, 500), "11 12");
	CHECK_STR("other identity", replaced(index, 2, 1, 500), "");
	CHECK_STR("other address", replaced(index, 1, 2, 500), "");
	add(index, 2, 21, 2);
	CHECK_STR("other peer", replaced(index, 1, 1, 500), "11 12");

	/* of several, those of which it was told and about which it is silent */
	add(index, 3, 31, 1);
	CHECK_STR("several", replaced(index, 1, 1, 500), " others");
	note_told(index, 3);
	note_told(index, 99);
	CHECK_STR("just told", replaced(index, 1, 1, 500), " others");
	box_now += 499;
	CHECK_STR("not long ago", replaced(index, 1, 1, 500), " others");
	box_now++;
	CHECK_STR("silent", replaced(index, 1, 1, 500), "31 others");
	note_told(index, 3);
	CHECK_STR("told again", replaced(index, 1, 1, 500), " others");
	note_told(index, 1);
	box_now += 500;
	CHECK_STR("all silent", replaced(index, 1, 1, 500), "11 12 31");
	CHECK_STR("at once", replaced(index, 1, 1, 0), "11 12 31");

	take_out(index, 1, 11, QCD_ESP);
	take_out(index, 1, 12, QCD_ESP);
	note_told(index, 3);
	CHECK_STR("one is left", replaced(index, 1, 1, 500), "31");
	take_out(index, 3, 31, QCD_ESP);
	CHECK_STR("none is left", replaced(index, 1, 1, 500), "");
	index->destroy(index);
}

static void test_digest(void **state)
{
	static const struct {
		char *row, *name, *mine, *other;
		/* whether they are those of the first row */
		bool same_name, same_ids, no_ids;
	} table[] = {
		{ "first", "gw", "us.example", "peer.example", TRUE, TRUE, FALSE },
		{ "the same", "gw", "us.example", "peer.example", TRUE, TRUE, FALSE },
		{ "other connection", "gw2", "us.example", "peer.example", FALSE, TRUE,
		  FALSE },
		{ "no name", "", "us.example", "peer.example", FALSE, TRUE, FALSE },
		{ "other identity", "gw", "us.example", "peer2.example", TRUE, FALSE,
		  FALSE },
		{ "other one of ours", "gw", "us2.example", "peer.example", TRUE, FALSE,
		  FALSE },
		{ "both swapped", "gw", "peer.example", "us.example", TRUE, FALSE,
		  FALSE },
		{ "other type", "gw", "us.example", "@peer.example", TRUE, TRUE, FALSE },
		{ "key ID", "gw", "us.example", "keyid:peer.example", TRUE, FALSE,
		  FALSE },
		{ "peer not certain", "gw", "us.example", NULL, TRUE, FALSE, TRUE },
		{ "ours not certain", "gw", NULL, "peer.example", TRUE, FALSE, TRUE },
		{ "neither is certain", "gw", NULL, NULL, TRUE, FALSE, TRUE },
	};
	qcd_peer_id_t first = {}, id;
	identification_t *mine, *other;
	int i;

	for (i = 0; i < countof(table); i++)
	{
		mine = table[i].mine ? identification_create_from_string(
										table[i].mine) : NULL;
		other = table[i].other ? identification_create_from_string(
										table[i].other) : NULL;
		dirty(&id, sizeof(id));
		qcd_peer_digest(table[i].name, mine, other, &id);
		if (i == 0)
		{
			first = id;
		}
		CHECK_INT(table[i].row, memeq(id.name, first.name, sizeof(id.name)),
				  table[i].same_name);
		CHECK_INT(table[i].row, memeq(id.ids, first.ids, sizeof(id.ids)),
				  table[i].same_ids);
		CHECK_INT(table[i].row, is_zero(id.ids, sizeof(id.ids)),
				  table[i].no_ids);
		CHECK(table[i].row, !is_zero(id.name, sizeof(id.name)));
		DESTROY_IF(mine);
		DESTROY_IF(other);
	}
}

/**
 * Digest two identities of type ID_FQDN with such octets
 */
static void digest(char *mine, char *other, qcd_peer_id_t *out)
{
	identification_t *my_id, *other_id;

	my_id = identification_create_from_encoding(ID_FQDN, chunk_from_str(mine));
	other_id = identification_create_from_encoding(ID_FQDN,
												   chunk_from_str(other));
	qcd_peer_digest("gw", my_id, other_id, out);
	my_id->destroy(my_id);
	other_id->destroy(other_id);
}

/**
 * No identity can have octets in it that make it look like two
 */
static void test_digest_border(void **state)
{
	qcd_peer_id_t one, other;

	assert_int_equal(ID_FQDN, 2);
	digest("a", "b\2c", &one);
	digest("a\2b", "c", &other);
	CHECK("border", !memeq(one.ids, other.ids, sizeof(one.ids)));
}

static void test_is_at(void **state)
{
	static const struct {
		char *address;
		uint16_t port;
		bool at, home;
	} table[] = {
		{ "198.51.100.2", 500, TRUE, TRUE },
		{ "198.51.100.2", 4500, TRUE, FALSE },
		{ "198.51.100.3", 500, FALSE, FALSE },
		{ "2001:db8::2", 500, FALSE, FALSE },
	};
	qcd_lost_peer_t peer = { .port = 500 };
	host_t *host;
	int i;

	host = host_create_from_string("198.51.100.2", 500);
	qcd_address_from_host(host, &peer.address);
	host->destroy(host);
	for (i = 0; i < countof(table); i++)
	{
		host = host_create_from_string(table[i].address, table[i].port);
		CHECK_INT(table[i].address, qcd_lost_peer_is_at(&peer, host),
				  table[i].at);
		CHECK_INT(table[i].address, qcd_lost_peer_is_home(&peer, host),
				  table[i].home);
		host->destroy(host);
	}
}

int main()
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(test_find),
		BOX_TEST(test_remove),
		BOX_TEST(test_walk),
		BOX_TEST(test_turns),
		BOX_TEST(test_many),
		BOX_TEST(test_replaced),
		BOX_TEST(test_digest),
		BOX_TEST(test_digest_border),
		BOX_TEST(test_is_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
