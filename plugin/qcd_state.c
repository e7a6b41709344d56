/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_state.h"

#include <store/store.h>

#include <time.h>

#include <daemon.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

/**
 * Largest table of IKE_SAs for which SPIs are searched, a search costs about
 * ten milliseconds then
 */
#define IKESA_TABLE_MAX 65536

typedef struct private_qcd_state_t private_qcd_state_t;

/**
 * Private data of a maker's state
 */
struct private_qcd_state_t {

	/**
	 * Public interface
	 */
	qcd_state_t public;

	/**
	 * Settings
	 */
	qcd_config_t *config;

	/**
	 * SPIs' key, constant
	 */
	qcd_seal seal;

	/**
	 * Secrets and runs on disk, and their mutex. The disk may be slow, so the
	 * other mutex is taken with this one held, never the other way round.
	 */
	qcd_store *store;
	mutex_t *store_mutex;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus, so
	 * nothing that needs the bus is called with it.
	 */
	mutex_t *mutex;

	/**
	 * Tokens' keys
	 */
	qcd_keys keys;

	/**
	 * Age of the newest secret in seconds, at that time of the monotonic clock
	 */
	uint64_t age_offset;
	uint64_t age_since;

	/**
	 * SPIs of this process
	 */
	qcd_mint mint;

	/**
	 * Set when run numbers can't be made durable any more
	 */
	bool mint_failed;

	/**
	 * Bits of an IKE_SA's SPI that charon keeps when the SA gets a new one for
	 * another try, constant
	 */
	uint64_t kept_bits;

	/**
	 * SPIs that were minted in search of one with certain kept bits, by their
	 * own, 0 where there is none; NULL if no SPIs are searched
	 */
	uint64_t *spares;

	/**
	 * Live SAs whose peer holds a token or must be given one, as entry_t by
	 * its unique ID
	 */
	hashtable_t *promised;

	/**
	 * SAs whose peer holds a token, and that are no more
	 */
	qcd_graveyard *graveyard;

	/**
	 * Rate limits of replies, and of those about lost SAs that IKE doesn't ask
	 * for
	 */
	qcd_reply_limit *limit;
	qcd_lost_limit *lost_limit;
};

/**
 * An IKE_SA and what its peer holds
 */
typedef struct {
	qcd_sa_t sa;
	/** the token that the peer surely holds */
	qcd_promise promise;
	/** one that is on its way, in the request with that message ID */
	bool sent;
	uint32_t message_id;
	qcd_promise next;
} entry_t;

/**
 * Our SPI of an IKE_SA
 */
static qcd_spi *local_spi(qcd_sa_t *sa)
{
	return sa->role == QCD_INITIATOR ? &sa->spis.initiator
									 : &sa->spis.responder;
}

/**
 * Get the address that a peer's token is bound to, NULL if to none
 */
static qcd_address *bound_to(private_qcd_state_t *this, host_t *taker,
							 qcd_address *buf)
{
	if (!this->config->bind_address)
	{
		return NULL;
	}
	qcd_address_from_host(taker, buf);
	return buf;
}

/**
 * Mint a sealed SPI
 */
static bool mint_sealed(private_qcd_state_t *this, qcd_spi *spi)
{
	bool minted;

	this->mutex->lock(this->mutex);
	minted = qcd_mint_spi(spi, &this->mint, &this->seal) == QCD_OK;
	this->mutex->unlock(this->mutex);
	return minted;
}

/**
 * Mint a sealed SPI with a new run number, as the current run has used up its
 * own, unless another thread was faster
 */
static bool mint_in_new_run(private_qcd_state_t *this, qcd_spi *spi)
{
	qcd_store_report report = {};
	bool minted;

	this->store_mutex->lock(this->store_mutex);
	minted = mint_sealed(this, spi);
	if (!minted && !this->mint_failed)
	{
		if (qcd_store_next_run(this->store, &report) == QCD_STORE_OK)
		{
			this->mutex->lock(this->mutex);
			ignore_result(qcd_mint_next_run(&this->mint,
											qcd_store_run(this->store)));
			this->mutex->unlock(this->mutex);
			minted = mint_sealed(this, spi);
		}
		else
		{
			this->mint_failed = TRUE;
			DBG1(DBG_IKE, "QCD: no more IKE_SAs with a token until the next "
				 "start: %s", report.text);
		}
	}
	this->store_mutex->unlock(this->store_mutex);
	return minted;
}

/**
 * Mint a sealed SPI, in a new run where necessary
 */
static bool mint(private_qcd_state_t *this, uint64_t *out)
{
	qcd_spi spi;

	if (!mint_sealed(this, &spi) && !mint_in_new_run(this, &spi))
	{
		return FALSE;
	}
	memcpy(out, &spi, sizeof(*out));
	return TRUE;
}

/**
 * Exchange the spare SPI that has certain kept bits
 */
static uint64_t swap_spare(private_qcd_state_t *this, uint64_t bits,
						   uint64_t spi)
{
	uint64_t spare;

	this->mutex->lock(this->mutex);
	spare = this->spares[bits];
	this->spares[bits] = spi;
	this->mutex->unlock(this->mutex);
	return spare;
}

/**
 * Mint a sealed SPI that has the kept bits of another one. What is minted on
 * the way serves later searches, so that they are short where they are many.
 */
static bool mint_like(private_qcd_state_t *this, uint64_t old, uint64_t *out)
{
	uint64_t bits = old & this->kept_bits;

	*out = swap_spare(this, bits, 0);
	while (!*out)
	{
		if (!mint(this, out))
		{
			return FALSE;
		}
		if ((*out & this->kept_bits) != bits)
		{
			swap_spare(this, *out & this->kept_bits, *out);
			*out = 0;
		}
	}
	return TRUE;
}

/**
 * Get a random SPI that nobody takes for one of ours, also once charon has
 * merged bits of the old one into it
 */
static uint64_t random_spi(private_qcd_state_t *this, uint64_t old)
{
	uint64_t kept = old ? this->kept_bits : 0, out = 0, number;
	qcd_origin origin;
	qcd_spi spi;
	rng_t *rng;

	rng = lib->crypto->create_rng(lib->crypto, RNG_WEAK);
	while (rng && rng->get_bytes(rng, sizeof(number), (uint8_t*)&number))
	{
		number = (old & kept) | (number & ~kept);
		memcpy(&spi, &number, sizeof(spi));
		if (!qcd_spi_open(&origin, &this->seal, &spi))
		{
			out = number;
			break;
		}
	}
	DESTROY_IF(rng);
	return out;
}

METHOD(qcd_state_t, mint_spi, uint64_t,
	private_qcd_state_t *this, uint64_t old)
{
	uint64_t spi;
	bool minted;

	if (old && this->kept_bits)
	{
		minted = this->spares && mint_like(this, old, &spi);
	}
	else
	{
		minted = mint(this, &spi);
	}
	return minted ? spi : random_spi(this, old);
}

/**
 * Find the entry of an IKE_SA, none if it had other SPIs then
 */
static entry_t *find_entry(private_qcd_state_t *this, qcd_sa_t *sa)
{
	entry_t *entry;

	entry = this->promised->get(this->promised,
								(void*)(uintptr_t)sa->unique_id);
	return entry && qcd_spis_equals(&entry->sa.spis, &sa->spis) ? entry : NULL;
}

/**
 * Take out the entry of an IKE_SA, bury the SA if its peer holds a token
 */
static entry_t *remove_entry(private_qcd_state_t *this, uint32_t unique_id)
{
	entry_t *entry;

	entry = this->promised->remove(this->promised, (void*)(uintptr_t)unique_id);
	if (entry && (entry->promise.is_given || entry->sent))
	{
		qcd_graveyard_bury(this->graveyard, &entry->sa.spis, entry->sa.role);
	}
	return entry;
}

/**
 * Get the entry of an IKE_SA, make one if its SPI is one that we can know again
 */
static entry_t *get_entry(private_qcd_state_t *this, qcd_sa_t *sa)
{
	entry_t *entry = find_entry(this, sa);

	if (!entry && qcd_mint_owns(&this->mint, &this->seal, local_spi(sa)))
	{
		free(remove_entry(this, sa->unique_id));
		INIT(entry,
			.sa = *sa,
		);
		this->promised->put(this->promised, (void*)(uintptr_t)sa->unique_id,
							entry);
	}
	return entry;
}

METHOD(qcd_state_t, give, bool,
	private_qcd_state_t *this, qcd_sa_t *sa, host_t *taker, message_t *request,
	qcd_token *token)
{
	qcd_address buf, *bound = bound_to(this, taker, &buf);
	entry_t *entry;
	bool given = FALSE;

	this->mutex->lock(this->mutex);
	entry = get_entry(this, sa);
	if (entry && !entry->sent &&
		qcd_promise_is_due(&entry->promise, &this->keys, bound) &&
		qcd_token_make(token, &this->keys, 0, &sa->spis, sa->role, bound,
					   this->config->token_length) == QCD_OK)
	{
		if (request)
		{
			qcd_promise_give(&entry->next, &this->keys, bound);
			entry->message_id = request->get_message_id(request);
			entry->sent = TRUE;
		}
		else
		{
			qcd_promise_give(&entry->promise, &this->keys, bound);
		}
		given = TRUE;
	}
	this->mutex->unlock(this->mutex);
	return given;
}

METHOD(qcd_state_t, is_due, bool,
	private_qcd_state_t *this, qcd_sa_t *sa, host_t *taker)
{
	qcd_address buf, *bound = bound_to(this, taker, &buf);
	entry_t *entry;
	bool due;

	this->mutex->lock(this->mutex);
	entry = find_entry(this, sa);
	due = entry && !entry->sent &&
		  qcd_promise_is_due(&entry->promise, &this->keys, bound);
	this->mutex->unlock(this->mutex);
	return due;
}

METHOD(qcd_state_t, answered, bool,
	private_qcd_state_t *this, qcd_sa_t *sa, message_t *response)
{
	entry_t *entry;
	bool answered;

	this->mutex->lock(this->mutex);
	entry = find_entry(this, sa);
	answered = entry && entry->sent &&
			   entry->message_id == response->get_message_id(response);
	if (answered)
	{
		entry->promise = entry->next;
		entry->sent = FALSE;
	}
	this->mutex->unlock(this->mutex);
	return answered;
}

METHOD(qcd_state_t, owe, void,
	private_qcd_state_t *this, qcd_sa_t *sa)
{
	this->mutex->lock(this->mutex);
	get_entry(this, sa);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_state_t, bury, void,
	private_qcd_state_t *this, uint32_t unique_id)
{
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = remove_entry(this, unique_id);
	this->mutex->unlock(this->mutex);
	free(entry);
}

METHOD(qcd_state_t, judge, enum qcd_judgement,
	private_qcd_state_t *this, chunk_t message, host_t *src, host_t *dst,
	bool is_home, qcd_header *request)
{
	enum qcd_judgement judgement;
	qcd_packet packet = {
		.octets = message.ptr,
		.len = message.len,
		.is_home = is_home,
	};

	qcd_address_from_host(src, &packet.source);
	qcd_address_from_host(dst, &packet.destination);
	this->mutex->lock(this->mutex);
	judgement = qcd_maker_judge(request, this->limit, this->graveyard,
								&this->seal, &this->mint,
								&this->config->takeover, &packet, qcd_now());
	this->mutex->unlock(this->mutex);
	return judgement;
}

/**
 * Allocate a built message, and wipe what it was built in
 */
static bool take_message(uint8_t *octets, size_t len, enum qcd_err err,
						 chunk_t *message)
{
	if (err != QCD_OK)
	{
		return FALSE;
	}
	*message = chunk_clone(chunk_create(octets, len));
	qcd_wipe(octets, len);
	return TRUE;
}

/**
 * What the tokens of a message to a peer are made of; the keys may be used
 * only with the mutex
 */
static qcd_show show_to(private_qcd_state_t *this, host_t *taker,
						qcd_address *buf)
{
	return (qcd_show){
		.keys = &this->keys,
		.taker = bound_to(this, taker, buf),
		.token_len = this->config->token_length,
		.now_ms = qcd_now(),
	};
}

METHOD(qcd_state_t, build_reply, bool,
	private_qcd_state_t *this, qcd_header *request, host_t *taker,
	chunk_t *reply)
{
	uint8_t octets[QCD_MESSAGE_MAX];
	enum qcd_err err;
	qcd_address buf;
	qcd_show show;
	size_t len;

	show = show_to(this, taker, &buf);
	this->mutex->lock(this->mutex);
	err = qcd_maker_reply(octets, &len, sizeof(octets), request, &show);
	this->mutex->unlock(this->mutex);
	return take_message(octets, len, err, reply);
}

METHOD(qcd_state_t, owns, bool,
	private_qcd_state_t *this, qcd_sa_t *sa)
{
	bool owns;

	this->mutex->lock(this->mutex);
	owns = qcd_mint_owns(&this->mint, &this->seal, local_spi(sa));
	this->mutex->unlock(this->mutex);
	return owns;
}

METHOD(qcd_state_t, is_lost, bool,
	private_qcd_state_t *this, const qcd_spis *spis, enum qcd_role role)
{
	bool lost;

	this->mutex->lock(this->mutex);
	lost = qcd_evidence_weigh_lost(spis, role, &this->seal,
								   &this->mint) != QCD_EVIDENCE_NONE;
	this->mutex->unlock(this->mutex);
	return lost;
}

METHOD(qcd_state_t, judge_lost, enum qcd_judgement,
	private_qcd_state_t *this, const qcd_lost *lost, const qcd_esp *packet)
{
	enum qcd_judgement judgement;

	this->mutex->lock(this->mutex);
	judgement = qcd_maker_judge_lost(this->limit, this->lost_limit, &this->seal,
									 &this->mint, lost, packet,
									 this->config->token_length, qcd_now());
	this->mutex->unlock(this->mutex);
	return judgement;
}

METHOD(qcd_state_t, build_tell, bool,
	private_qcd_state_t *this, const qcd_lost *lost, size_t esp_len,
	host_t *taker, chunk_t *message)
{
	uint8_t octets[QCD_MESSAGE_MAX];
	enum qcd_err err;
	qcd_address buf;
	qcd_show show;
	size_t len;

	show = show_to(this, taker, &buf);
	this->mutex->lock(this->mutex);
	err = qcd_maker_tell(octets, &len, sizeof(octets), lost, esp_len, &show);
	this->mutex->unlock(this->mutex);
	return take_message(octets, len, err, message);
}

/**
 * Would a rotation leave a live SA's peer with a token that can't be made?
 */
static u_int count_blocking(private_qcd_state_t *this)
{
	enumerator_t *enumerator;
	entry_t *entry;
	u_int blocking = 0;

	enumerator = this->promised->create_enumerator(this->promised);
	while (enumerator->enumerate(enumerator, NULL, &entry))
	{
		blocking += qcd_promise_blocks_rotation(&entry->promise, &this->keys);
	}
	enumerator->destroy(enumerator);
	return blocking;
}

METHOD(qcd_state_t, rotate, bool,
	private_qcd_state_t *this, char *error, size_t len)
{
	qcd_store_report report;
	u_int blocking;
	bool success = FALSE;

	this->store_mutex->lock(this->store_mutex);
	this->mutex->lock(this->mutex);
	blocking = count_blocking(this);
	this->mutex->unlock(this->mutex);
	/* what is given meanwhile is of the newest generation and does not block */
	if (blocking)
	{
		snprintf(error, len, "%u peers hold a token of the oldest secret and "
				 "are just being sent a new one, try again later", blocking);
	}
	else if (qcd_store_rotate(this->store, &report, time(NULL)) != QCD_STORE_OK)
	{
		snprintf(error, len, "%s", report.text);
	}
	else
	{
		this->mutex->lock(this->mutex);
		qcd_keys_rotate(&this->keys,
						&qcd_store_secrets(this->store)->generations[0]);
		this->age_offset = 0;
		this->age_since = qcd_now();
		this->mutex->unlock(this->mutex);
		success = TRUE;
	}
	this->store_mutex->unlock(this->store_mutex);
	return success;
}

METHOD(qcd_state_t, get_outdated, linked_list_t*,
	private_qcd_state_t *this)
{
	enumerator_t *enumerator;
	linked_list_t *list;
	entry_t *entry;
	qcd_sa_t *sa;

	list = linked_list_create();
	this->mutex->lock(this->mutex);
	enumerator = this->promised->create_enumerator(this->promised);
	while (enumerator->enumerate(enumerator, NULL, &entry))
	{
		if (qcd_promise_blocks_rotation(&entry->promise, &this->keys))
		{
			INIT(sa,
				.spis = entry->sa.spis,
				.role = entry->sa.role,
				.unique_id = entry->sa.unique_id,
			);
			list->insert_last(list, sa);
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
	return list;
}

METHOD(qcd_state_t, get_age, uint64_t,
	private_qcd_state_t *this)
{
	uint64_t age;

	/* by the monotonic clock since the start: steps of the other one neither
	 * hasten nor delay a rotation */
	this->mutex->lock(this->mutex);
	age = this->age_offset + (qcd_now() - this->age_since) / 1000;
	this->mutex->unlock(this->mutex);
	return age;
}

METHOD(qcd_state_t, get_generations, u_int,
	private_qcd_state_t *this, uint64_t made_at[QCD_GENERATIONS_MAX])
{
	const qcd_secrets *secrets;
	u_int count;

	this->store_mutex->lock(this->store_mutex);
	secrets = qcd_store_secrets(this->store);
	count = secrets->num_generations;
	memcpy(made_at, secrets->made_at, count * sizeof(made_at[0]));
	this->store_mutex->unlock(this->store_mutex);
	return count;
}

METHOD(qcd_state_t, get_run, u_int,
	private_qcd_state_t *this)
{
	u_int run;

	this->mutex->lock(this->mutex);
	run = this->mint.run;
	this->mutex->unlock(this->mutex);
	return run;
}

METHOD(qcd_state_t, is_given, bool,
	private_qcd_state_t *this, qcd_sa_t *sa, u_int *generation)
{
	entry_t *entry;
	bool given;

	this->mutex->lock(this->mutex);
	entry = find_entry(this, sa);
	given = entry && entry->promise.is_given;
	if (given)
	{
		*generation = this->keys.newest - entry->promise.generation;
	}
	this->mutex->unlock(this->mutex);
	return given;
}

METHOD(qcd_state_t, destroy, void,
	private_qcd_state_t *this)
{
	enumerator_t *enumerator;
	entry_t *entry;

	enumerator = this->promised->create_enumerator(this->promised);
	while (enumerator->enumerate(enumerator, NULL, &entry))
	{
		free(entry);
	}
	enumerator->destroy(enumerator);
	this->promised->destroy(this->promised);
	this->mutex->destroy(this->mutex);
	this->store_mutex->destroy(this->store_mutex);
	free(this->graveyard);
	free(this->limit);
	free(this->lost_limit);
	free(this->spares);
	qcd_store_close(this->store);
	qcd_keys_wipe(&this->keys);
	qcd_seal_wipe(&this->seal);
	free(this);
}

/**
 * charon.spi_mask and spi_label overwrite bits of our SPIs, which then don't
 * open any more. RFC 6290 section 8.1: off where it is not safe.
 */
static bool spis_are_ours()
{
	char *keys[] = { "spi_mask", "spi_label" };
	int i;

	for (i = 0; i < countof(keys); i++)
	{
		if (lib->settings->get_str(lib->settings, "%s.%s", NULL, lib->ns,
								   keys[i]))
		{
			DBG1(DBG_CFG, "QCD: %s.%s is set, which breaks the seal on our "
				 "SPIs: the token maker is off. Remove it to use QCD", lib->ns,
				 keys[i]);
			return FALSE;
		}
	}
	return TRUE;
}

/**
 * With the ha plugin, two nodes share SAs that carry one node's SPIs: what one
 * takes for dead may live on the other (RFC 6290 section 9.2). Debian loads the
 * plugin always, it is at work once it is configured.
 */
static bool sas_are_ours()
{
	enumerator_t *enumerator;
	plugin_t *plugin;
	bool ours = TRUE;

	enumerator = lib->plugins->create_plugin_enumerator(lib->plugins);
	while (enumerator->enumerate(enumerator, &plugin, NULL))
	{
		if (streq(plugin->get_name(plugin), "ha") &&
			lib->settings->get_str(lib->settings, "%s.plugins.ha.local", NULL,
								   lib->ns) &&
			lib->settings->get_str(lib->settings, "%s.plugins.ha.remote", NULL,
								   lib->ns))
		{
			DBG1(DBG_CFG, "QCD: the ha plugin is configured, which shares SAs "
				 "between nodes: the token maker is off. Set "
				 "%s.plugins.ha.load = no to use QCD", lib->ns);
			ours = FALSE;
		}
	}
	enumerator->destroy(enumerator);
	return ours;
}

/**
 * Log what an administrator should know of the open store
 */
static void log_store(private_qcd_state_t *this, qcd_store_identity *identity,
					  qcd_store_report *report)
{
	if (*report->text)
	{
		DBG1(DBG_CFG, "QCD: %s", report->text);
	}
	if (qcd_store_is_volatile(this->store))
	{
		DBG1(DBG_CFG, "QCD: %s is in memory (tmpfs): after a reboot, peers of "
			 "earlier SAs get no answer. Set state_dir to a folder on a disk",
			 this->config->state_dir);
	}
	if (!identity->len && !identity->product_len)
	{
		DBG1(DBG_CFG, "QCD: this machine has no %s: if a clone of its disk ran "
			 "elsewhere, nobody would notice, and tokens of live SAs would be "
			 "shown", QCD_STORE_MACHINE_ID);
	}
}

/**
 * Open the store and take its secrets in. Its files belong to the user that
 * charon will be once it has dropped its privileges.
 */
static bool open_store(private_qcd_state_t *this)
{
	const qcd_secrets *secrets;
	qcd_store_identity identity;
	qcd_store_report report;
	qcd_store_user user = {
		.uid = lib->caps->get_uid(lib->caps),
		.gid = lib->caps->get_gid(lib->caps),
	};
	qcd_store_settings settings = {
		.path = this->config->state_dir,
		.identity = &identity,
		.user = &user,
		.node = this->config->node,
	};

	if (qcd_store_identity_read(&identity, &report, QCD_STORE_MACHINE_ID,
								QCD_STORE_PRODUCT_UUID) != QCD_STORE_OK ||
		qcd_store_open(&this->store, &report, &settings,
					   time(NULL)) != QCD_STORE_OK)
	{
		DBG1(DBG_CFG, "QCD: the token maker is off: %s", report.text);
		return FALSE;
	}
	log_store(this, &identity, &report);
	this->age_offset = qcd_store_age(this->store, time(NULL));
	this->age_since = qcd_now();
	secrets = qcd_store_secrets(this->store);
	qcd_seal_init(&this->seal, secrets->seal_key);
	qcd_mint_init(&this->mint, this->config->node, qcd_store_run(this->store));
	return qcd_keys_init(&this->keys, secrets->generations,
						 secrets->num_generations) == QCD_OK;
}

/**
 * Find out which bits of an SPI charon keeps when an IKE_SA is tried again: so
 * many as its table of IKE_SAs has rows (new_initiator_spi() of its manager)
 */
static void init_spares(private_qcd_state_t *this)
{
	uint64_t rows = 1;
	int size;

	size = lib->settings->get_int(lib->settings, "%s.ikesa_table_size", 1,
								  lib->ns);
	while (rows < (uint64_t)max(size, 1))
	{
		rows <<= 1;
	}
	this->kept_bits = rows - 1;
	if (rows > IKESA_TABLE_MAX)
	{
		DBG1(DBG_CFG, "QCD: %s.ikesa_table_size is above %d: an IKE_SA that "
			 "charon tries again gets no token. Set it to %d or less", lib->ns,
			 IKESA_TABLE_MAX, IKESA_TABLE_MAX);
	}
	else if (rows > 1)
	{
		this->spares = calloc(rows, sizeof(*this->spares));
	}
}

/**
 * Set up the rate limits
 */
static bool init_limit(private_qcd_state_t *this)
{
	uint8_t key[QCD_RANDOM_KEY_LEN];
	bool success = FALSE;

	if (qcd_random(key, sizeof(key)))
	{
		success = qcd_reply_limit_init(this->limit, this->config->reply_rate,
									   this->config->reply_burst,
									   this->config->reply_rate_source,
									   key) == QCD_OK;
		qcd_lost_limit_init(this->lost_limit, key);
	}
	else
	{
		DBG1(DBG_CFG, "QCD: no random numbers to be had: the token maker is "
			 "off");
	}
	qcd_wipe(key, sizeof(key));
	return success;
}

/*
 * Described in header
 */
qcd_state_t *qcd_state_create(qcd_config_t *config)
{
	private_qcd_state_t *this;

	INIT(this,
		.public = {
			.mint_spi = _mint_spi,
			.give = _give,
			.is_due = _is_due,
			.answered = _answered,
			.owe = _owe,
			.bury = _bury,
			.judge = _judge,
			.build_reply = _build_reply,
			.owns = _owns,
			.is_lost = _is_lost,
			.judge_lost = _judge_lost,
			.build_tell = _build_tell,
			.rotate = _rotate,
			.get_outdated = _get_outdated,
			.get_age = _get_age,
			.get_generations = _get_generations,
			.get_run = _get_run,
			.is_given = _is_given,
			.destroy = _destroy,
		},
		.config = config,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.store_mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.promised = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr,
									 32),
		.graveyard = calloc(1, sizeof(*this->graveyard)),
		.limit = calloc(1, sizeof(*this->limit)),
		.lost_limit = calloc(1, sizeof(*this->lost_limit)),
	);

	if (!spis_are_ours() || !sas_are_ours() || !open_store(this) || !init_limit(this))
	{
		destroy(this);
		return NULL;
	}
	init_spares(this);
	return &this->public;
}
