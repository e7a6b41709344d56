/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_lost_index.h"

#include <nettle/sha2.h>

#include <collections/hashtable.h>
#include <collections/linked_list.h>
#include <threading/mutex.h>

typedef struct private_qcd_lost_index_t private_qcd_lost_index_t;

/**
 * A turn: an IKE_SA of each address, in the order of addition, NULL in place of
 * removed ones
 */
typedef struct {
	struct lost_t **sas;
	u_int count;
} turn_t;

/**
 * Private data
 */
struct private_qcd_lost_index_t {

	/**
	 * Public interface
	 */
	qcd_lost_index_t public;

	/**
	 * Mutex for what follows
	 */
	mutex_t *mutex;

	/**
	 * Lost IKE_SAs, as lost_t by their SPIs
	 */
	hashtable_t *lost;

	/**
	 * Their peers, as had_t by themselves
	 */
	hashtable_t *peers;

	/**
	 * The same IKE_SAs by turns, and their number at each address
	 */
	turn_t *turns;
	u_int num_turns;
	hashtable_t *counts;
};

/**
 * A peer and its lost IKE_SAs. Another peer with the same name may exist at
 * another address.
 */
typedef struct {
	qcd_peer_id_t id;
	qcd_address address;
	linked_list_t *sas;
} had_t;

/**
 * A lost IKE_SA
 */
typedef struct lost_t {
	qcd_spis spis;
	qcd_lost_peer_t peer;
	/** its CHILD_SAs, as qcd_child_spi */
	array_t *children;
	qcd_lost_place_t place;
} lost_t;

/**
 * Hash and compare peers
 */
static u_int had_hash(const void *key)
{
	const had_t *had = key;

	return chunk_hash_inc(chunk_create((u_char*)&had->address,
									   sizeof(had->address)),
						  chunk_hash(chunk_create((u_char*)&had->id,
												  sizeof(had->id))));
}

static bool had_equals(const void *key, const void *other)
{
	const had_t *a = key, *b = other;

	return memeq(&a->id, &b->id, sizeof(a->id)) &&
		   memeq(&a->address, &b->address, sizeof(a->address));
}

/**
 * Find the entry of a peer, with the mutex held
 */
static had_t *find_had(private_qcd_lost_index_t *this, const qcd_peer_id_t *id,
					   const qcd_address *address)
{
	had_t key = {
		.id = *id,
		.address = *address,
	};

	return this->peers->get(this->peers, &key);
}

/**
 * Add an IKE_SA to its peer
 */
static void add_had(private_qcd_lost_index_t *this, lost_t *lost)
{
	had_t *had;

	had = find_had(this, &lost->peer.id, &lost->peer.address);
	if (!had)
	{
		INIT(had,
			.id = lost->peer.id,
			.address = lost->peer.address,
			.sas = linked_list_create(),
		);
		this->peers->put(this->peers, had, had);
	}
	had->sas->insert_last(had->sas, lost);
}

/**
 * Remove an IKE_SA from its peer
 */
static void remove_had(private_qcd_lost_index_t *this, lost_t *lost)
{
	had_t *had;

	had = find_had(this, &lost->peer.id, &lost->peer.address);
	had->sas->remove(had->sas, lost, NULL);
	if (!had->sas->get_count(had->sas))
	{
		this->peers->remove(this->peers, had);
		had->sas->destroy(had->sas);
		free(had);
	}
}

/**
 * Make room for one more item in an array, which has room for a power of two
 */
static void *grow(void *array, u_int count, size_t size)
{
	return count & (count - 1) ? array :
								 realloc(array, max(count * 2, 1) * size);
}

/**
 * Give an IKE_SA the next turn of its address
 */
static void add_turn(private_qcd_lost_index_t *this, lost_t *lost)
{
	qcd_address *address = &lost->peer.address;
	turn_t *turn;
	u_int number;

	number = qcd_count_change(this->counts,
							  chunk_hash(chunk_from_thing(*address)), 1) - 1;
	if (number == this->num_turns)
	{
		this->turns = grow(this->turns, number, sizeof(*this->turns));
		this->turns[this->num_turns++] = (turn_t){};
	}
	turn = &this->turns[number];
	turn->sas = grow(turn->sas, turn->count, sizeof(*turn->sas));
	lost->place = (qcd_lost_place_t){ number, turn->count };
	turn->sas[turn->count++] = lost;
}

/**
 * Get an IKE_SA, creating it if necessary
 */
static lost_t *get_lost(private_qcd_lost_index_t *this,
						const qcd_samap_row *row)
{
	lost_t *lost;

	lost = this->lost->get(this->lost, &row->sa.spis);
	if (!lost)
	{
		INIT(lost,
			.spis = row->sa.spis,
			.peer = {
				.address = row->peer,
				.port = row->peer_port,
			},
			.children = array_create(sizeof(qcd_child_spi), 1),
		);
		memcpy(&lost->peer.id, row->peer_id, sizeof(lost->peer.id));
		this->lost->put(this->lost, &lost->spis, lost);
		add_had(this, lost);
		add_turn(this, lost);
	}
	return lost;
}

/**
 * Remove an IKE_SA
 */
static void remove_lost(private_qcd_lost_index_t *this, lost_t *lost)
{
	this->lost->remove(this->lost, &lost->spis);
	remove_had(this, lost);
	this->turns[lost->place.turn].sas[lost->place.count] = NULL;
	array_destroy(lost->children);
	free(lost);
}

METHOD(qcd_lost_index_t, add, void,
	private_qcd_lost_index_t *this, const qcd_samap_row *row)
{
	this->mutex->lock(this->mutex);
	array_insert(get_lost(this, row)->children, ARRAY_TAIL,
				 (void*)&row->child_spi);
	this->mutex->unlock(this->mutex);
}

/**
 * Find a CHILD_SA of an IKE_SA, -1 if not found
 */
static int find_child(lost_t *lost, const qcd_child_spi *spi)
{
	qcd_child_spi child;
	int i;

	for (i = array_count(lost->children) - 1; i >= 0; i--)
	{
		array_get(lost->children, i, &child);
		if (memeq(&child, spi, sizeof(child)))
		{
			break;
		}
	}
	return i;
}

METHOD(qcd_lost_index_t, remove_, void,
	private_qcd_lost_index_t *this, const qcd_samap_row *row)
{
	lost_t *lost;
	int i;

	this->mutex->lock(this->mutex);
	lost = this->lost->get(this->lost, &row->sa.spis);
	i = lost ? find_child(lost, &row->child_spi) : -1;
	if (i >= 0)
	{
		array_remove(lost->children, i, NULL);
		if (!array_count(lost->children))
		{
			remove_lost(this, lost);
		}
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_lost_index_t, find, bool,
	private_qcd_lost_index_t *this, const qcd_spis *spis,
	qcd_lost_peer_t *peer)
{
	lost_t *lost;

	this->mutex->lock(this->mutex);
	lost = this->lost->get(this->lost, spis);
	if (lost)
	{
		*peer = lost->peer;
	}
	this->mutex->unlock(this->mutex);
	return lost != NULL;
}

METHOD(qcd_lost_index_t, is_first, bool,
	private_qcd_lost_index_t *this, const qcd_spis *spis, host_t *host)
{
	qcd_lost_peer_t peer;

	return find(this, spis, &peer) && !peer.told &&
		   qcd_lost_peer_is_home(&peer, host);
}

METHOD(qcd_lost_index_t, note_told, void,
	private_qcd_lost_index_t *this, const qcd_spis *spis)
{
	lost_t *lost;

	this->mutex->lock(this->mutex);
	lost = this->lost->get(this->lost, spis);
	if (lost)
	{
		lost->peer.told = qcd_now();
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_lost_index_t, next, bool,
	private_qcd_lost_index_t *this, qcd_lost_place_t *place,
	qcd_child_spi *spi)
{
	lost_t *lost = NULL;

	this->mutex->lock(this->mutex);
	while (!lost && place->turn < this->num_turns)
	{
		if (place->count < this->turns[place->turn].count)
		{
			lost = this->turns[place->turn].sas[place->count++];
		}
		else
		{
			*place = (qcd_lost_place_t){ place->turn + 1, 0 };
		}
	}
	if (lost)
	{
		array_get(lost->children, ARRAY_HEAD, spi);
	}
	this->mutex->unlock(this->mutex);
	return lost != NULL;
}

METHOD(qcd_lost_index_t, find_replaced, array_t*,
	private_qcd_lost_index_t *this, const qcd_peer_id_t *id,
	const qcd_address *address, uint64_t silence, bool *others)
{
	array_t *spis = array_create(sizeof(qcd_child_spi), 0);
	enumerator_t *enumerator;
	uint64_t now = qcd_now();
	bool several, silent;
	lost_t *lost;
	had_t *had;
	qcd_child_spi spi;
	int i;

	*others = FALSE;
	this->mutex->lock(this->mutex);
	had = find_had(this, id, address);
	if (had)
	{
		several = had->sas->get_count(had->sas) > 1;
		enumerator = had->sas->create_enumerator(had->sas);
		while (enumerator->enumerate(enumerator, &lost))
		{
			silent = lost->peer.told && now >= lost->peer.told + silence;
			*others |= several && !silent;
			for (i = 0; (silent || !several) && i < array_count(lost->children);
				 i++)
			{
				array_get(lost->children, i, &spi);
				array_insert(spis, ARRAY_TAIL, &spi);
			}
		}
		enumerator->destroy(enumerator);
	}
	this->mutex->unlock(this->mutex);
	return spis;
}

/**
 * Remove the IKE_SAs of a turn
 */
static void clear_turn(private_qcd_lost_index_t *this, turn_t *turn)
{
	u_int i;

	for (i = 0; i < turn->count; i++)
	{
		if (turn->sas[i])
		{
			remove_lost(this, turn->sas[i]);
		}
	}
	free(turn->sas);
}

/**
 * Create a table for the numbers of IKE_SAs at addresses
 */
static hashtable_t *counts_create()
{
	return hashtable_create(qcd_number_hash, hashtable_equals_ptr, 32);
}

METHOD(qcd_lost_index_t, clear, void,
	private_qcd_lost_index_t *this)
{
	u_int i;

	this->mutex->lock(this->mutex);
	for (i = 0; i < this->num_turns; i++)
	{
		clear_turn(this, &this->turns[i]);
	}
	this->num_turns = 0;
	free(this->turns);
	this->turns = NULL;
	this->counts->destroy(this->counts);
	this->counts = counts_create();
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_lost_index_t, destroy, void,
	private_qcd_lost_index_t *this)
{
	clear(this);
	this->counts->destroy(this->counts);
	this->lost->destroy(this->lost);
	this->peers->destroy(this->peers);
	this->mutex->destroy(this->mutex);
	free(this);
}

/**
 * Add octets and their length to a digest
 */
static void add_octets(struct sha256_ctx *ctx, chunk_t octets)
{
	uint32_t len = htonl(octets.len);

	sha256_update(ctx, sizeof(len), (uint8_t*)&len);
	sha256_update(ctx, octets.len, octets.ptr);
}

/**
 * Add an identity to a digest. Not as text: a handshake waits for this, and
 * printing an identity takes longer than everything else.
 */
static void add_id(struct sha256_ctx *ctx, identification_t *id)
{
	uint8_t type = id->get_type(id);

	sha256_update(ctx, sizeof(type), &type);
	add_octets(ctx, id->get_encoding(id));
}

/*
 * Described in header
 */
void qcd_peer_digest(char *name, identification_t *my_id,
					 identification_t *other_id, qcd_peer_id_t *id)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	add_octets(&ctx, chunk_from_str(name));
	sha256_digest(&ctx, sizeof(id->name), id->name);
	memset(id->ids, 0, sizeof(id->ids));
	if (my_id && other_id)
	{
		sha256_init(&ctx);
		add_id(&ctx, my_id);
		add_id(&ctx, other_id);
		sha256_digest(&ctx, sizeof(id->ids), id->ids);
	}
}

/*
 * Described in header
 */
bool qcd_lost_peer_is_at(const qcd_lost_peer_t *peer, host_t *host)
{
	qcd_address address;

	qcd_address_from_host(host, &address);
	return memeq(&address, &peer->address, sizeof(address));
}

/*
 * Described in header
 */
bool qcd_lost_peer_is_home(const qcd_lost_peer_t *peer, host_t *host)
{
	return qcd_lost_peer_is_at(peer, host) &&
		   host->get_port(host) == peer->port;
}

/*
 * Described in header
 */
qcd_lost_index_t *qcd_lost_index_create()
{
	private_qcd_lost_index_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.remove = _remove_,
			.find = _find,
			.is_first = _is_first,
			.note_told = _note_told,
			.next = _next,
			.find_replaced = _find_replaced,
			.clear = _clear,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.lost = hashtable_create((hashtable_hash_t)qcd_spis_hash,
								 (hashtable_equals_t)qcd_spis_equals, 32),
		.peers = hashtable_create(had_hash, had_equals, 32),
		.counts = counts_create(),
	);
	return &this->public;
}
