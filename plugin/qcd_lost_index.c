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

METHOD(qcd_lost_index_t, clear, void,
	private_qcd_lost_index_t *this)
{
	enumerator_t *enumerator;
	lost_t *lost;

	this->mutex->lock(this->mutex);
	enumerator = this->lost->create_enumerator(this->lost);
	while (enumerator->enumerate(enumerator, NULL, &lost))
	{
		this->lost->remove_at(this->lost, enumerator);
		free(lost);
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_lost_index_t, destroy, void,
	private_qcd_lost_index_t *this)
{
	clear(this);
	this->lost->destroy(this->lost);
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
bool qcd_lost_peer_is_at(const qcd_lost_peer_t *peer, host_t *host)
{
	qcd_address address;

	qcd_address_from_host(host, &address);
	return memeq(&address, &peer->address, sizeof(address));
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
			.clear = _clear,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.lost = hashtable_create((hashtable_hash_t)qcd_spis_hash,
								 (hashtable_equals_t)qcd_spis_equals, 32),
	);
	return &this->public;
}
