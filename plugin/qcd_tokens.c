/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_tokens.h"
#include "qcd_compat.h"
#include "qcd_listeners.h"
#include "qcd_outbound.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <encoding/payloads/notify_payload.h>
#include <encoding/payloads/sa_payload.h>
#include <threading/mutex.h>

/**
 * Octets of a notify payload before its SPI and data, RFC 7296 section 3.10
 */
#define NOTIFY_HEADER_LEN 8

typedef struct private_qcd_tokens_t private_qcd_tokens_t;

/**
 * Private data
 */
struct private_qcd_tokens_t {

	/**
	 * Public interface
	 */
	qcd_tokens_t public;

	/**
	 * As passed to qcd_tokens_create()
	 */
	qcd_config_t *config;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus, so
	 * nothing that needs the bus is called while it is held.
	 */
	mutex_t *mutex;

	/**
	 * SAs whose peer gave us a token, as entry_t by SPIs
	 */
	hashtable_t *held;

	/**
	 * Those that we initiate and that are not established yet: charon may reset
	 * them for another try, with other SPIs
	 */
	linked_list_t *open;

	/**
	 * Taker of libqcd
	 */
	qcd_taker *taker;

	/**
	 * IKE_SAs by the SPIs to which their CHILD_SAs send
	 */
	qcd_outbound_t *outbound;
};

/**
 * An IKE_SA, and the tokens of its peer that we hold
 */
typedef struct {
	qcd_sa_t sa;
	/** connection; a responder knows it once the IKE_SA is established */
	char *name;
	qcd_held held;
	/** tokens for the SA that replaces this one, until the SPIs of that are
	 * known */
	qcd_held next;
} entry_t;

/**
 * Check if the taker is on for a connection
 */
static bool is_on(private_qcd_tokens_t *this, char *name)
{
	return this->config->role_enabled(this->config, name, "taker");
}

/**
 * Find the entry of an IKE_SA, unless the taker is off for its connection
 */
static entry_t *find_entry(private_qcd_tokens_t *this, const qcd_spis *spis)
{
	entry_t *entry = this->held->get(this->held, spis);

	return entry && is_on(this, entry->name) ? entry : NULL;
}

/**
 * Get the entry of an IKE_SA, creating it if necessary
 */
static entry_t *get_entry(private_qcd_tokens_t *this, ike_sa_t *ike_sa,
						  qcd_sa_t *sa)
{
	entry_t *entry;

	entry = this->held->get(this->held, &sa->ike.spis);
	if (!entry)
	{
		INIT(entry,
			.sa = *sa,
			.name = strdup(ike_sa->get_name(ike_sa)),
		);
		this->held->put(this->held, &entry->sa.ike.spis, entry);
		if (sa->ike.role == QCD_INITIATOR &&
			ike_sa->get_state(ike_sa) == IKE_CONNECTING)
		{
			this->open->insert_last(this->open, entry);
		}
	}
	return entry;
}

/**
 * Wipe and free an entry, which may be NULL (RFC 6290 section 9.1)
 */
static void entry_destroy(entry_t *entry)
{
	if (entry)
	{
		free(entry->name);
		qcd_wipe(entry, sizeof(*entry));
		free(entry);
	}
}

/**
 * Store a token with its IKE_SA, or with the one that is about to replace it
 */
static void store(private_qcd_tokens_t *this, ike_sa_t *ike_sa, qcd_sa_t *sa,
				  qcd_token *token, bool next)
{
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = get_entry(this, ike_sa, sa);
	qcd_taker_store(this->taker, next ? &entry->next : &entry->held, token);
	this->mutex->unlock(this->mutex);
}

/**
 * Forget the tokens for the next SA, which came with a rekeying that failed
 */
static void forget_next(private_qcd_tokens_t *this, qcd_sa_t *sa)
{
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = this->held->get(this->held, &sa->ike.spis);
	if (entry)
	{
		qcd_wipe(&entry->next, sizeof(entry->next));
	}
	this->mutex->unlock(this->mutex);
}

/**
 * Store the tokens of a protected message
 */
static void store_all(private_qcd_tokens_t *this, ike_sa_t *ike_sa, qcd_sa_t *sa,
					  message_t *message, bool next)
{
	enumerator_t *enumerator;
	payload_t *payload;
	qcd_token token;
	chunk_t data;
	int left = QCD_TOKENS_READ_MAX;

	/* RFC 6290 section 3: without the role, tokens are silently ignored */
	if (!is_on(this, ike_sa->get_name(ike_sa)))
	{
		return;
	}
	enumerator = message->create_payload_enumerator(message);
	while (left && enumerator->enumerate(enumerator, &payload))
	{
		notify_payload_t *notify = (notify_payload_t*)payload;

		if (payload->get_type(payload) != PLV2_NOTIFY ||
			notify->get_notify_type(notify) != QUICK_CRASH_DETECTION)
		{
			continue;
		}
		left--;
		data = notify->get_notification_data(notify);
		/* RFC 6290 section 4.1: the SPI size MUST be zero. charon only returns
		 * SPIs that it expects, but also the length of the whole payload. */
		if (payload->get_length(payload) != NOTIFY_HEADER_LEN + data.len)
		{
			DBG1(DBG_IKE, "QCD: ignoring token of %H, its notify has an SPI",
				 ike_sa->get_other_host(ike_sa));
		}
		else if (qcd_token_read(&token, data.ptr, data.len) == QCD_OK)
		{
			store(this, ike_sa, sa, &token, next);
			DBG2(DBG_IKE, "QCD: got token of %H",
				 ike_sa->get_other_host(ike_sa));
		}
		else
		{
			DBG1(DBG_IKE, "QCD: ignoring token of %H, it has %zu octets",
				 ike_sa->get_other_host(ike_sa), data.len);
		}
		qcd_wipe(&token, sizeof(token));
	}
	enumerator->destroy(enumerator);
}

/**
 * Tell whether a CREATE_CHILD_SA message rekeys the IKE_SA
 */
static bool is_ike_rekeying(message_t *message)
{
	sa_payload_t *payload;
	linked_list_t *proposals;
	proposal_t *proposal;
	bool is_ike;

	payload = (sa_payload_t*)message->get_payload(message,
												  PLV2_SECURITY_ASSOCIATION);
	if (!payload)
	{
		return FALSE;
	}
	proposals = payload->get_proposals(payload);
	is_ike = proposals->get_first(proposals, (void**)&proposal) == SUCCESS &&
			 proposal->get_protocol(proposal) == PROTO_IKE;
	proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
	return is_ike;
}

/**
 * Store the tokens of a protected message with the SA that they belong to.
 * charon rejects notifies of these exchanges that were not encrypted before it
 * calls us.
 */
static void store_incoming(private_qcd_tokens_t *this, ike_sa_t *ike_sa,
						   qcd_sa_t *sa, message_t *message)
{
	exchange_type_t type = message->get_exchange_type(message);

	if (type == CREATE_CHILD_SA && is_ike_rekeying(message))
	{
		/* RFC 6290 section 4.3: the token of the responder, for the new SA. The
		 * initiator can't have a token for that SA yet. */
		if (!message->get_request(message))
		{
			forget_next(this, sa);
			store_all(this, ike_sa, sa, message, TRUE);
		}
	}
	else if ((int)type == QCD_IKE_FOLLOWUP_KE)
	{
		/* it ends a rekeying with several key exchanges */
		store_all(this, ike_sa, sa, message, TRUE);
	}
	else if (type == IKE_AUTH || type == CREATE_CHILD_SA ||
			 type == INFORMATIONAL)
	{
		/* RFC 6290 sections 4.2 and 4.4 */
		store_all(this, ike_sa, sa, message, FALSE);
	}
}

METHOD(listener_t, message_hook, bool,
	private_qcd_tokens_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	qcd_sa_t sa;

	if (incoming && plain && qcd_sa_identify(ike_sa, &sa))
	{
		store_incoming(this, ike_sa, &sa, message);
	}
	return TRUE;
}

METHOD(listener_t, ike_keys, bool,
	private_qcd_tokens_t *this, ike_sa_t *ike_sa, QCD_IKE_KEYS_ARGS,
	ike_sa_t *rekey, shared_key_t *shared, auth_method_t method)
{
	entry_t *entry, *next;
	qcd_sa_t old, new;

	if (!rekey || !qcd_sa_identify(rekey, &old) ||
		!qcd_sa_identify(ike_sa, &new) || new.ike.role != QCD_INITIATOR)
	{
		return TRUE;
	}
	/* the SPIs of the SA that replaces the old one are now known */
	this->mutex->lock(this->mutex);
	entry = this->held->get(this->held, &old.ike.spis);
	if (entry && entry->next.num)
	{
		next = get_entry(this, ike_sa, &new);
		next->held = entry->next;
		qcd_wipe(&entry->next, sizeof(entry->next));
	}
	this->mutex->unlock(this->mutex);
	return TRUE;
}

/**
 * Remove the entries that an IKE_SA has under its former SPIs
 */
static void remove_former(private_qcd_tokens_t *this, uint32_t unique_id)
{
	enumerator_t *enumerator;
	entry_t *entry;

	this->mutex->lock(this->mutex);
	enumerator = this->open->create_enumerator(this->open);
	while (enumerator->enumerate(enumerator, &entry))
	{
		if (entry->sa.unique_id == unique_id)
		{
			this->open->remove_at(this->open, enumerator);
			this->held->remove(this->held, &entry->sa.ike.spis);
			entry_destroy(entry);
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
}

/**
 * Remove the entry of an IKE_SA, with the mutex held
 *
 * @return				entry to destroy, NULL if there is none
 */
static entry_t *take_out(private_qcd_tokens_t *this, qcd_sa_t *sa)
{
	entry_t *entry;

	entry = this->held->remove(this->held, &sa->ike.spis);
	this->open->remove(this->open, entry, NULL);
	return entry;
}

/**
 * Note the connection of an IKE_SA that is established. If the taker is off for
 * it, forget the tokens that came before a responder knew that.
 */
static void note_name(private_qcd_tokens_t *this, ike_sa_t *ike_sa, qcd_sa_t *sa)
{
	entry_t *entry, *ignored = NULL;
	char *name = ike_sa->get_name(ike_sa);

	this->mutex->lock(this->mutex);
	entry = this->held->get(this->held, &sa->ike.spis);
	this->open->remove(this->open, entry, NULL);
	if (entry && !streq(entry->name, name))
	{
		free(entry->name);
		entry->name = strdup(name);
		if (!is_on(this, entry->name))
		{
			ignored = take_out(this, sa);
		}
	}
	this->mutex->unlock(this->mutex);
	entry_destroy(ignored);
}

METHOD(listener_t, ike_state_change, bool,
	private_qcd_tokens_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	entry_t *entry;
	qcd_sa_t sa;

	if (state == IKE_CREATED)
	{	/* it is reset */
		remove_former(this, ike_sa->get_unique_id(ike_sa));
	}
	else if (state == IKE_ESTABLISHED && qcd_sa_identify(ike_sa, &sa))
	{
		note_name(this, ike_sa, &sa);
	}
	/* RFC 6290 section 5.3: the token is deleted with its SA */
	else if (state == IKE_DESTROYING && qcd_sa_identify(ike_sa, &sa))
	{
		this->mutex->lock(this->mutex);
		entry = take_out(this, &sa);
		this->mutex->unlock(this->mutex);
		entry_destroy(entry);
	}
	return TRUE;
}

/**
 * Find the SAs that a message may be about. That is the SA with its IKE SPIs.
 * If there is none and the message names an ESP SPI, these are the SAs that
 * send to that SPI (RFC 6290 section 8.2).
 */
static u_int find_entries(private_qcd_tokens_t *this, qcd_message *message,
						  entry_t *entries[QCD_OUTBOUND_MAX])
{
	qcd_spis spis[QCD_OUTBOUND_MAX];
	u_int i, found, count = 0;

	entries[0] = find_entry(this, &message->header.spis);
	if (entries[0])
	{
		return 1;
	}
	if (message->cause != QCD_CAUSE_INVALID_SPI)
	{
		return 0;
	}
	found = this->outbound->find(this->outbound, &message->child_spi, spis);
	for (i = 0; i < found; i++)
	{
		entries[count] = find_entry(this, &spis[i]);
		count += entries[count] != NULL;
	}
	return count;
}

/**
 * Find the SA, out of several, whose peer gave us a token of a message
 */
static qcd_event_t check(private_qcd_tokens_t *this, qcd_message *message,
						 entry_t **entries, u_int count, qcd_sa_t *sa)
{
	u_int i;

	for (i = 0; i < count; i++)
	{
		switch (qcd_taker_check(this->taker, &entries[i]->held, message))
		{
			case QCD_MATCH:
				*sa = entries[i]->sa;
				return QCD_EVENT_VERIFIED;
			case QCD_MATCHED:
				return QCD_EVENT_MAX;
			case QCD_NO_MATCH:
				break;
		}
	}
	return QCD_EVENT_MISMATCHED;
}

METHOD(qcd_tokens_t, verify, qcd_event_t,
	private_qcd_tokens_t *this, qcd_message *message, host_t *src, qcd_sa_t *sa)
{
	qcd_event_t outcome = QCD_EVENT_UNKNOWN;
	entry_t *entries[QCD_OUTBOUND_MAX];
	qcd_address source;
	u_int count;

	/* RFC 6290 section 3: the token may come from any address, which is only a
	 * part of the limit's key. Messages about SAs that we don't have are not
	 * limited (RFC 6290 sections 8.1 and 8.2, RFC 7296 section 2.4). */
	qcd_address_from_host(src, &source);

	this->mutex->lock(this->mutex);
	count = find_entries(this, message, entries);
	if (count)
	{
		outcome = qcd_taker_may_check(this->taker, &source,
									  &entries[0]->sa.ike.spis, qcd_now()) ?
				  check(this, message, entries, count, sa) :
				  QCD_EVENT_UNCHECKED;
	}
	this->mutex->unlock(this->mutex);
	return outcome;
}

METHOD(qcd_tokens_t, holds, bool,
	private_qcd_tokens_t *this, qcd_sa_t *sa)
{
	entry_t *entry;
	bool holds;

	this->mutex->lock(this->mutex);
	entry = find_entry(this, &sa->ike.spis);
	holds = entry && entry->held.num;
	this->mutex->unlock(this->mutex);
	return holds;
}

METHOD(qcd_tokens_t, destroy, void,
	private_qcd_tokens_t *this)
{
	qcd_listeners_remove(&this->outbound->listener);
	qcd_listeners_remove(&this->public.listener);
	this->outbound->destroy(this->outbound);
	this->open->destroy(this->open);
	this->held->destroy_function(this->held, (void*)entry_destroy);
	qcd_taker_wipe(this->taker);
	free(this->taker);
	this->mutex->destroy(this->mutex);
	free(this);
}

/**
 * Initialize the taker with fresh keys
 */
static bool init_taker(private_qcd_tokens_t *this, qcd_config_t *config)
{
	uint8_t random[QCD_RANDOM_KEY_LEN];
	bool success = FALSE;

	if (qcd_random(random, sizeof(random)))
	{
		success = qcd_taker_init(this->taker, config->verify_rate_source,
								 random) == QCD_OK;
	}
	else
	{
		DBG1(DBG_CFG, "QCD: no random numbers available: the token taker is "
			 "off");
	}
	qcd_wipe(random, sizeof(random));
	return success;
}

/*
 * Described in header
 */
qcd_tokens_t *qcd_tokens_create(qcd_config_t *config)
{
	private_qcd_tokens_t *this;

	INIT(this,
		.public = {
			.listener = {
				.message = _message_hook,
				.ike_keys = _ike_keys,
				.ike_state_change = _ike_state_change,
			},
			.verify = _verify,
			.holds = _holds,
			.destroy = _destroy,
		},
		.config = config,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.held = hashtable_create(qcd_spis_hash, qcd_spis_equals, 32),
		.open = linked_list_create(),
		.taker = calloc(1, sizeof(*this->taker)),
		.outbound = qcd_outbound_create(),
	);

	if (!init_taker(this, config))
	{
		destroy(this);
		return NULL;
	}
	qcd_listeners_add(&this->public.listener);
	qcd_listeners_add(&this->outbound->listener);
	return &this->public;
}
