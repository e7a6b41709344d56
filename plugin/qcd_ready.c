/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_ready.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

/**
 * Loading has settled once nothing has changed for a quarter of the time that
 * loading took so far, within these bounds
 */
#define SETTLE_SHARE 4
#define SETTLE_MIN_MS 250
#define SETTLE_MAX_MS 2000

/**
 * Time without a change after which a missing connection is no longer expected
 */
#define MISSING_TIME_MS 10000

/**
 * Time for which a peer that asks about a connection with start_action waits
 * after the connection was loaded. charon initiates such a connection soon
 * after loading it, and we want to see that first.
 */
#define START_TIME_MS 100

typedef struct private_qcd_ready_t private_qcd_ready_t;

/**
 * References to connections, in the order in which they were loaded
 */
typedef struct {
	peer_cfg_t **cfgs;
	u_int count, room;
} snapshot_t;

/**
 * Private data
 */
struct private_qcd_ready_t {

	/**
	 * Public interface
	 */
	qcd_ready_t public;

	/**
	 * Last snapshot
	 */
	snapshot_t last;

	/**
	 * Data of these connections, as conn_t by peer_cfg_t
	 */
	hashtable_t *conns;

	/**
	 * The same connections by the digest of their name
	 */
	hashtable_t *by_name;

	/**
	 * Configured addresses of peers, as host_t by itself
	 */
	hashtable_t *by_address;

	/**
	 * Whether a connection has a peer that may be anywhere, in a subnet or has
	 * a name
	 */
	bool open;

	/**
	 * When loading began, and when something last changed
	 */
	uint64_t began;
	uint64_t changed;

	/**
	 * Whether loading has settled, and its mutex
	 */
	bool settled;
	mutex_t *mutex;
};

/**
 * A connection
 */
typedef struct {
	/** owned by the snapshot, which holds the reference */
	peer_cfg_t *cfg;
	/** identifies its peer, as far as certain */
	qcd_peer_id_t id;
	/** whether we initiate it when it is loaded, and when it was first seen */
	bool started;
	uint64_t seen;
	/** addresses of its peer as host_t, and whether it may have other ones */
	linked_list_t *addresses;
	bool open;
} conn_t;

static u_int name_hash(const void *key)
{
	const qcd_peer_id_t *id = key;

	return chunk_hash(chunk_from_thing(id->name));
}

static bool name_equals(const void *key, const void *other)
{
	const qcd_peer_id_t *a = key, *b = other;

	return memeq(a->name, b->name, sizeof(a->name));
}

/**
 * Check if a digest is known
 */
static bool is_known(const uint8_t *digest, size_t len)
{
	size_t i;

	for (i = 0; i < len && !digest[i]; i++);
	return i < len;
}

/**
 * Get the identity of a side that authenticates once and not with EAP; NULL if
 * it may be another one in the IKE_SA
 */
static identification_t *get_id(peer_cfg_t *cfg, bool local)
{
	identification_t *id = NULL;
	enumerator_t *enumerator;
	auth_cfg_t *auth;
	u_int rounds = 0;

	enumerator = cfg->create_auth_cfg_enumerator(cfg, local);
	while (enumerator->enumerate(enumerator, &auth))
	{
		rounds++;
		id = auth->get(auth, AUTH_RULE_IDENTITY);
		if (auth->get(auth, AUTH_RULE_IDENTITY_LOOSE) ||
			auth->get(auth, AUTH_RULE_EAP_IDENTITY) ||
			(uintptr_t)auth->get(auth, AUTH_RULE_AUTH_CLASS) == AUTH_CLASS_EAP)
		{
			id = NULL;
		}
	}
	enumerator->destroy(enumerator);
	return rounds == 1 && id && !id->contains_wildcards(id) ? id : NULL;
}

/**
 * Check if a connection has a CHILD_SA that is started when it is loaded
 */
static bool is_started(peer_cfg_t *cfg)
{
	enumerator_t *enumerator;
	child_cfg_t *child_cfg;
	bool started = FALSE;

	enumerator = cfg->create_child_cfg_enumerator(cfg);
	while (enumerator->enumerate(enumerator, &child_cfg))
	{
		started |= (child_cfg->get_start_action(child_cfg) & ACTION_START) != 0;
	}
	enumerator->destroy(enumerator);
	return started;
}

/**
 * Note the addresses of a connection's peer. Names are not looked up: this must
 * not wait for a DNS server.
 */
static void note_addresses(conn_t *conn, char *addresses)
{
	enumerator_t *enumerator;
	char *word;
	host_t *host;

	enumerator = enumerator_create_token(addresses, ",", " ");
	while (enumerator->enumerate(enumerator, &word))
	{
		/* a subnet, a range, %any or a name may match anybody */
		host = host_create_from_string(word, 0);
		if (!host || host->is_anyaddr(host))
		{
			conn->open = TRUE;
			DESTROY_IF(host);
			continue;
		}
		conn->addresses->insert_last(conn->addresses, host);
	}
	enumerator->destroy(enumerator);
}

/**
 * Collect the data of a connection
 */
static conn_t *conn_create(peer_cfg_t *cfg)
{
	ike_cfg_t *ike_cfg = cfg->get_ike_cfg(cfg);
	conn_t *conn;

	INIT(conn,
		.started = is_started(cfg),
		.seen = qcd_now(),
		.addresses = linked_list_create(),
	);
	note_addresses(conn, ike_cfg->get_other_addr(ike_cfg));
	qcd_peer_digest(cfg->get_name(cfg), get_id(cfg, TRUE), get_id(cfg, FALSE),
					&conn->id);
	return conn;
}

/**
 * Destroy a connection
 */
static void conn_destroy(conn_t *conn)
{
	conn->addresses->destroy_offset(conn->addresses,
									offsetof(host_t, destroy));
	free(conn);
}

/**
 * Add a reference to a snapshot
 */
static void add_cfg(snapshot_t *snapshot, peer_cfg_t *cfg)
{
	if (snapshot->count == snapshot->room)
	{
		snapshot->room = snapshot->room ? snapshot->room * 2 : 32;
		snapshot->cfgs = realloc(snapshot->cfgs,
								 snapshot->room * sizeof(*snapshot->cfgs));
	}
	snapshot->cfgs[snapshot->count++] = cfg->get_ref(cfg);
}

/**
 * Release the references of a snapshot
 */
static void release(snapshot_t *snapshot)
{
	u_int i;

	for (i = 0; i < snapshot->count; i++)
	{
		snapshot->cfgs[i]->destroy(snapshot->cfgs[i]);
	}
	free(snapshot->cfgs);
}

/**
 * Get the loaded connections
 */
static snapshot_t get_loaded()
{
	snapshot_t snapshot = {};
	enumerator_t *enumerator;
	peer_cfg_t *cfg;

	enumerator = charon->backends->create_peer_cfg_enumerator(charon->backends,
												NULL, NULL, NULL, NULL, IKEV2);
	while (enumerator->enumerate(enumerator, &cfg))
	{
		if (cfg->get_ike_version(cfg) != IKEV1)
		{
			add_cfg(&snapshot, cfg);
		}
	}
	enumerator->destroy(enumerator);
	return snapshot;
}

/**
 * Check if two snapshots are equal. Both hold references, so equal pointers are
 * the same connection.
 */
static bool is_same(snapshot_t *a, snapshot_t *b)
{
	return a->count == b->count &&
		   (!a->count ||
			memeq(a->cfgs, b->cfgs, a->count * sizeof(*a->cfgs)));
}

/**
 * Add a connection to the tables
 */
static void add_conn(private_qcd_ready_t *this, conn_t *conn)
{
	enumerator_t *enumerator;
	host_t *host;

	this->conns->put(this->conns, conn->cfg, conn);
	this->open |= conn->open;
	this->by_name->put(this->by_name, &conn->id, conn);
	enumerator = conn->addresses->create_enumerator(conn->addresses);
	while (enumerator->enumerate(enumerator, &host))
	{
		this->by_address->put(this->by_address, host, host);
	}
	enumerator->destroy(enumerator);
}

/**
 * Replace the last snapshot, keeping the data of known connections
 */
static void replace(private_qcd_ready_t *this, snapshot_t *loaded)
{
	hashtable_t *known = this->conns;
	peer_cfg_t *cfg;
	conn_t *conn;
	u_int i;

	this->by_name->destroy(this->by_name);
	this->by_address->destroy(this->by_address);
	this->conns = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
								   32);
	this->by_name = hashtable_create(name_hash, name_equals, 32);
	this->by_address = hashtable_create(qcd_host_hash, qcd_host_equals, 32);
	this->open = FALSE;
	for (i = 0; i < loaded->count; i++)
	{
		cfg = loaded->cfgs[i];
		conn = known->remove(known, cfg) ?: conn_create(cfg);
		conn->cfg = cfg;
		add_conn(this, conn);
	}
	known->destroy_function(known, (void*)conn_destroy);
	release(&this->last);
	this->last = *loaded;
}

/**
 * Note whether something has changed, and update whether loading has settled
 */
static void note_change(private_qcd_ready_t *this, bool changed)
{
	uint64_t now = qcd_now(), pause;

	this->mutex->lock(this->mutex);
	if (changed)
	{
		if (this->settled || !this->began)
		{
			this->began = now;
		}
		this->changed = now;
	}
	pause = (this->changed - this->began) / SETTLE_SHARE;
	pause = max(SETTLE_MIN_MS, min(pause, SETTLE_MAX_MS));
	this->settled = this->last.count && now - this->changed >= pause;
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_ready_t, look, void,
	private_qcd_ready_t *this)
{
	snapshot_t loaded = get_loaded();
	bool changed;

	changed = !is_same(&loaded, &this->last);
	if (changed)
	{
		replace(this, &loaded);
	}
	else
	{
		release(&loaded);
	}
	note_change(this, changed);
}

METHOD(qcd_ready_t, is_settled, bool,
	private_qcd_ready_t *this)
{
	bool settled;

	this->mutex->lock(this->mutex);
	settled = this->settled;
	this->mutex->unlock(this->mutex);
	return settled;
}

/**
 * Find the connection of a peer
 */
static conn_t *find_conn(private_qcd_ready_t *this, const qcd_peer_id_t *id)
{
	conn_t *conn;

	conn = this->by_name->get(this->by_name, id);
	if (conn && is_known(conn->id.ids, sizeof(conn->id.ids)) &&
		!memeq(conn->id.ids, id->ids, sizeof(id->ids)))
	{	/* the configuration was changed meanwhile */
		return NULL;
	}
	return conn;
}

/**
 * Check if nothing has changed for long enough to consider a connection missing
 */
static bool is_missing(private_qcd_ready_t *this)
{
	bool missing;

	this->mutex->lock(this->mutex);
	missing = qcd_now() - this->changed >= MISSING_TIME_MS;
	this->mutex->unlock(this->mutex);
	return missing;
}

METHOD(qcd_ready_t, judge, bool,
	private_qcd_ready_t *this, host_t *peer, const qcd_peer_id_t *id,
	char **name)
{
	conn_t *conn;

	if (id && !is_known(id->name, sizeof(id->name)))
	{
		id = NULL;
	}
	conn = id ? find_conn(this, id) : NULL;
	*name = conn ? conn->cfg->get_name(conn->cfg) : NULL;
	if (conn)
	{
		return !conn->started || qcd_now() - conn->seen >= START_TIME_MS;
	}
	if (!is_settled(this))
	{
		return FALSE;
	}
	return this->by_address->get(this->by_address, peer) ||
		   (this->open && (!id || is_missing(this)));
}

METHOD(qcd_ready_t, destroy, void,
	private_qcd_ready_t *this)
{
	this->by_name->destroy(this->by_name);
	this->by_address->destroy(this->by_address);
	this->conns->destroy_function(this->conns, (void*)conn_destroy);
	release(&this->last);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_ready_t *qcd_ready_create()
{
	private_qcd_ready_t *this;

	INIT(this,
		.public = {
			.look = _look,
			.judge = _judge,
			.is_settled = _is_settled,
			.destroy = _destroy,
		},
		.conns = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 8),
		.by_name = hashtable_create(name_hash, name_equals, 8),
		.by_address = hashtable_create(qcd_host_hash, qcd_host_equals, 8),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	return &this->public;
}
