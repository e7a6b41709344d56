/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_lost_index.h"

#include <nettle/sha2.h>

#include <collections/hashtable.h>
#include <collections/linked_list.h>
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
	 * Their peers, as had_t by themselves
	 */
	hashtable_t *peers;

	/**
	 * The same IKE_SAs in the order of addition, NULL in place of removed ones
	 */
	struct lost_t **order;
	u_int count, room;
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
	/** its position in the order */
	u_int place;
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
 * Append an IKE_SA to the order
 */
static void add_order(private_qcd_lost_index_t *this, lost_t *lost)
{
	if (this->count == this->room)
	{
		this->room = this->room ? this->room * 2 : 32;
		this->order = realloc(this->order, this->room * sizeof(*this->order));
	}
	lost->place = this->count++;
	this->order[lost->place] = lost;
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
		add_order(this, lost);
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
	this->order[lost->place] = NULL;
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
	private_qcd_lost_index_t *this, u_int *place, qcd_child_spi *spi)
{
	lost_t *lost = NULL;

	this->mutex->lock(this->mutex);
	while (!lost && *place < this->count)
	{
		lost = this->order[(*place)++];
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

METHOD(qcd_lost_index_t, clear, void,
	private_qcd_lost_index_t *this)
{
	u_int i;

	this->mutex->lock(this->mutex);
	for (i = 0; i < this->count; i++)
	{
		if (this->order[i])
		{
			remove_lost(this, this->order[i]);
		}
	}
	this->count = 0;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_lost_index_t, destroy, void,
	private_qcd_lost_index_t *this)
{
	clear(this);
	this->lost->destroy(this->lost);
	this->peers->destroy(this->peers);
	free(this->order);
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
	);
	return &this->public;
}
