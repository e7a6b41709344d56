/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_lost_index.h"

#include <nettle/sha2.h>

#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct private_qcd_lost_index_t private_qcd_lost_index_t;

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
	 * How many of them are at each address, as place_t by its address
	 */
	hashtable_t *places;
};

/**
 * A lost IKE_SA
 */
typedef struct {
	qcd_spis spis;
	qcd_lost_peer_t peer;
	/** number of its rows */
	u_int rows;
	/** when the peer was told the last time, 0 if never */
	uint64_t told;
} lost_t;

/**
 * An address with lost IKE_SAs
 */
typedef struct {
	qcd_address address;
	u_int count;
} place_t;

/**
 * Octets of an address that tell one source from another, as for libqcd's
 * limits: who has one address of an IPv6 /64 has them all
 */
static chunk_t source_of(const qcd_address *address)
{
	return chunk_create((u_char*)address->octets,
						address->len == 16 ? 8 : min(address->len, 16));
}

static u_int place_hash(const void *key)
{
	return chunk_hash(source_of(key));
}

static bool place_equals(const void *key, const void *other)
{
	return chunk_equals(source_of(key), source_of(other));
}

/**
 * Count one more IKE_SA at an address
 */
static void count_on(private_qcd_lost_index_t *this, const qcd_address *address)
{
	place_t *place;

	place = this->places->get(this->places, address);
	if (!place)
	{
		INIT(place,
			.address = *address,
		);
		this->places->put(this->places, &place->address, place);
	}
	place->count++;
}

/**
 * Count one IKE_SA less at an address
 */
static void count_off(private_qcd_lost_index_t *this,
					  const qcd_address *address)
{
	place_t *place;

	place = this->places->get(this->places, address);
	if (--place->count == 0)
	{
		this->places->remove(this->places, address);
		free(place);
	}
}

/**
 * Get an IKE_SA, make it if it is not known yet
 */
static lost_t *get_lost(private_qcd_lost_index_t *this,
						const qcd_samap_row *row)
{
	lost_t *lost;

	lost = this->lost->get(this->lost, &row->spis);
	if (!lost)
	{
		INIT(lost,
			.spis = row->spis,
			.peer = {
				.address = row->peer,
				.port = row->peer_port,
			},
		);
		memcpy(&lost->peer.id, row->peer_id, sizeof(lost->peer.id));
		this->lost->put(this->lost, &lost->spis, lost);
		count_on(this, &lost->peer.address);
	}
	return lost;
}

METHOD(qcd_lost_index_t, add, void,
	private_qcd_lost_index_t *this, const qcd_samap_row *row)
{
	this->mutex->lock(this->mutex);
	get_lost(this, row)->rows++;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_lost_index_t, remove_, void,
	private_qcd_lost_index_t *this, const qcd_samap_row *row)
{
	lost_t *lost;

	this->mutex->lock(this->mutex);
	lost = this->lost->get(this->lost, &row->spis);
	if (lost && --lost->rows == 0)
	{
		this->lost->remove(this->lost, &lost->spis);
		count_off(this, &lost->peer.address);
		free(lost);
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

METHOD(qcd_lost_index_t, note_told, void,
	private_qcd_lost_index_t *this, const qcd_spis *spis)
{
	lost_t *lost;

	this->mutex->lock(this->mutex);
	lost = this->lost->get(this->lost, spis);
	if (lost)
	{
		lost->told = qcd_now();
	}
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_lost_index_t, get_silence, uint64_t,
	private_qcd_lost_index_t *this, const qcd_spis *spis)
{
	uint64_t now = qcd_now(), silence = 0;
	lost_t *lost;

	this->mutex->lock(this->mutex);
	lost = this->lost->get(this->lost, spis);
	if (lost && lost->told)
	{
		silence = now - min(now, lost->told);
	}
	this->mutex->unlock(this->mutex);
	return silence;
}

METHOD(qcd_lost_index_t, count_at, u_int,
	private_qcd_lost_index_t *this, const qcd_address *address)
{
	place_t *place;
	u_int count;

	this->mutex->lock(this->mutex);
	place = this->places->get(this->places, address);
	count = place ? place->count : 0;
	this->mutex->unlock(this->mutex);
	return count;
}

/**
 * Remove and free all items of a table
 */
static void clear_table(hashtable_t *table)
{
	enumerator_t *enumerator;
	void *item;

	enumerator = table->create_enumerator(table);
	while (enumerator->enumerate(enumerator, NULL, &item))
	{
		table->remove_at(table, enumerator);
		free(item);
	}
	enumerator->destroy(enumerator);
}

METHOD(qcd_lost_index_t, clear, void,
	private_qcd_lost_index_t *this)
{
	this->mutex->lock(this->mutex);
	clear_table(this->lost);
	clear_table(this->places);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_lost_index_t, destroy, void,
	private_qcd_lost_index_t *this)
{
	clear(this);
	this->lost->destroy(this->lost);
	this->places->destroy(this->places);
	this->mutex->destroy(this->mutex);
	free(this);
}

/**
 * Take in octets, and how many there are
 */
static void add_octets(struct sha256_ctx *ctx, chunk_t octets)
{
	uint32_t len = htonl(octets.len);

	sha256_update(ctx, sizeof(len), (uint8_t*)&len);
	sha256_update(ctx, octets.len, octets.ptr);
}

/**
 * Take in an identity. Not as text: a handshake waits for this, and printing
 * one takes longer than all the rest.
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
qcd_lost_index_t *qcd_lost_index_create()
{
	private_qcd_lost_index_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.remove = _remove_,
			.find = _find,
			.note_told = _note_told,
			.get_silence = _get_silence,
			.count_at = _count_at,
			.clear = _clear,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.lost = hashtable_create((hashtable_hash_t)qcd_spis_hash,
								 (hashtable_equals_t)qcd_spis_equals, 32),
		.places = hashtable_create(place_hash, place_equals, 32),
	);
	return &this->public;
}
