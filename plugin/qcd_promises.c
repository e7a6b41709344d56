/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_promises.h"

#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct private_qcd_promises_t private_qcd_promises_t;

/**
 * Private data
 */
struct private_qcd_promises_t {

	/**
	 * Public interface
	 */
	qcd_promises_t public;

	/**
	 * Mutex for what follows. Listeners take it while they hold the bus, so
	 * nothing that needs the bus is called while it is held.
	 */
	mutex_t *mutex;

	/**
	 * Maker of libqcd
	 */
	qcd_maker *maker;

	/**
	 * Live SAs whose peer holds a token or must be given one, as entry_t by
	 * unique ID
	 */
	hashtable_t *promised;
};

/**
 * An IKE_SA and what its peer holds
 */
typedef struct {
	qcd_sa_t sa;
	qcd_promise promise;
} entry_t;

METHOD(qcd_promises_t, mint, bool,
	private_qcd_promises_t *this, qcd_spi *spi)
{
	bool minted;

	this->mutex->lock(this->mutex);
	minted = qcd_maker_mint(this->maker, spi) == QCD_OK;
	this->mutex->unlock(this->mutex);
	return minted;
}

METHOD(qcd_promises_t, set_run, void,
	private_qcd_promises_t *this, uint16_t run)
{
	this->mutex->lock(this->mutex);
	ignore_result(qcd_maker_next_run(this->maker, run));
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_promises_t, get_run, u_int,
	private_qcd_promises_t *this)
{
	u_int run;

	this->mutex->lock(this->mutex);
	run = qcd_maker_run(this->maker);
	this->mutex->unlock(this->mutex);
	return run;
}

METHOD(qcd_promises_t, knows, bool,
	private_qcd_promises_t *this, const qcd_spi *spi)
{
	bool knows;

	this->mutex->lock(this->mutex);
	knows = qcd_maker_knows(this->maker, spi);
	this->mutex->unlock(this->mutex);
	return knows;
}

METHOD(qcd_promises_t, owns, bool,
	private_qcd_promises_t *this, const qcd_ike_sa *sa)
{
	bool owns;

	this->mutex->lock(this->mutex);
	owns = qcd_maker_owns(this->maker, sa);
	this->mutex->unlock(this->mutex);
	return owns;
}

METHOD(qcd_promises_t, is_lost, bool,
	private_qcd_promises_t *this, const qcd_ike_sa *sa)
{
	bool lost;

	this->mutex->lock(this->mutex);
	lost = qcd_maker_is_lost(this->maker, sa);
	this->mutex->unlock(this->mutex);
	return lost;
}

/**
 * Find the entry of an IKE_SA, NULL if its SPIs differ from those of the entry
 */
static entry_t *find_entry(private_qcd_promises_t *this, qcd_sa_t *sa)
{
	entry_t *entry;

	entry = this->promised->get(this->promised,
								(void*)(uintptr_t)sa->unique_id);
	return entry && qcd_spis_equals(&entry->sa.ike.spis, &sa->ike.spis) ? entry
																		: NULL;
}

/**
 * Remove the entry of an IKE_SA, and bury the SA if its peer holds a token
 */
static entry_t *remove_entry(private_qcd_promises_t *this, uint32_t unique_id)
{
	entry_t *entry;

	entry = this->promised->remove(this->promised, (void*)(uintptr_t)unique_id);
	if (entry)
	{
		qcd_maker_bury(this->maker, &entry->sa.ike, &entry->promise);
	}
	return entry;
}

/**
 * Get the entry of an IKE_SA, creating it if we can recognize its SPI after a
 * crash
 */
static entry_t *get_entry(private_qcd_promises_t *this, qcd_sa_t *sa)
{
	entry_t *entry = find_entry(this, sa);

	if (!entry && qcd_maker_owns(this->maker, &sa->ike))
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

METHOD(qcd_promises_t, offer, bool,
	private_qcd_promises_t *this, qcd_sa_t *sa, host_t *taker,
	message_t *request, qcd_token *token)
{
	qcd_offer offer = {
		.is_request = request != NULL,
		.message_id = request ? request->get_message_id(request) : 0,
	};
	entry_t *entry;
	bool offered;

	qcd_address_from_host(taker, &offer.taker);
	this->mutex->lock(this->mutex);
	entry = get_entry(this, sa);
	offered = entry && qcd_maker_offer(this->maker, &entry->promise, token,
									   &sa->ike, &offer);
	this->mutex->unlock(this->mutex);
	return offered;
}

METHOD(qcd_promises_t, is_due, bool,
	private_qcd_promises_t *this, qcd_sa_t *sa, host_t *taker)
{
	qcd_address address;
	entry_t *entry;
	bool due;

	qcd_address_from_host(taker, &address);
	this->mutex->lock(this->mutex);
	entry = find_entry(this, sa);
	due = entry && qcd_maker_is_due(this->maker, &entry->promise, &sa->ike,
									&address);
	this->mutex->unlock(this->mutex);
	return due;
}

METHOD(qcd_promises_t, answered, bool,
	private_qcd_promises_t *this, qcd_sa_t *sa, message_t *response)
{
	entry_t *entry;
	bool answered;

	this->mutex->lock(this->mutex);
	entry = find_entry(this, sa);
	answered = entry && qcd_promise_answered(&entry->promise,
										response->get_message_id(response));
	this->mutex->unlock(this->mutex);
	return answered;
}

METHOD(qcd_promises_t, owe, void,
	private_qcd_promises_t *this, qcd_sa_t *sa)
{
	this->mutex->lock(this->mutex);
	get_entry(this, sa);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_promises_t, bury, void,
	private_qcd_promises_t *this, uint32_t unique_id)
{
	entry_t *entry;

	this->mutex->lock(this->mutex);
	entry = remove_entry(this, unique_id);
	this->mutex->unlock(this->mutex);
	free(entry);
}

METHOD(qcd_promises_t, is_given, bool,
	private_qcd_promises_t *this, qcd_sa_t *sa, u_int *age)
{
	entry_t *entry;
	bool given;

	this->mutex->lock(this->mutex);
	entry = find_entry(this, sa);
	given = entry && entry->promise.is_given;
	if (given)
	{
		*age = qcd_maker_age(this->maker, &entry->promise);
	}
	this->mutex->unlock(this->mutex);
	return given;
}

METHOD(qcd_promises_t, rotate, void,
	private_qcd_promises_t *this, const qcd_secret *newest)
{
	this->mutex->lock(this->mutex);
	qcd_maker_rotate(this->maker, newest);
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_promises_t, get_last, linked_list_t*,
	private_qcd_promises_t *this)
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
		if (qcd_maker_is_last(this->maker, &entry->promise))
		{
			sa = malloc_thing(qcd_sa_t);
			*sa = entry->sa;
			list->insert_last(list, sa);
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
	return list;
}

/**
 * Let a reply pass that is over the rates, if its caller limits it by the pace
 * and the rates do not disable replies
 */
static enum qcd_judgement pass_paced(private_qcd_promises_t *this,
									 enum qcd_judgement judgement, bool paced)
{
	qcd_maker_settings *settings = &this->maker->settings;

	return judgement == QCD_SILENT_LIMIT && paced && settings->reply_rate &&
		   settings->reply_burst && settings->source_rate ? QCD_ANSWER : judgement;
}

METHOD(qcd_promises_t, judge, enum qcd_judgement,
	private_qcd_promises_t *this, chunk_t message, host_t *src, host_t *dst,
	bool is_home, bool paced, qcd_header *request)
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
	judgement = qcd_maker_judge(this->maker, request, &packet, qcd_now());
	this->mutex->unlock(this->mutex);
	if (judgement == QCD_SILENT_LIMIT &&
		qcd_header_decode(request, message.ptr, message.len) == QCD_OK)
	{
		judgement = pass_paced(this, judgement, paced);
	}
	return judgement;
}

/**
 * Allocate a copy of a built message, and wipe the original
 */
static bool take_message(qcd_datagram *built, enum qcd_err err,
						 chunk_t *message)
{
	if (err != QCD_OK)
	{
		return FALSE;
	}
	*message = chunk_clone(chunk_create(built->octets, built->len));
	qcd_wipe(built, sizeof(*built));
	return TRUE;
}

METHOD(qcd_promises_t, build_reply, bool,
	private_qcd_promises_t *this, qcd_header *request, host_t *taker,
	chunk_t *reply)
{
	qcd_datagram built;
	qcd_address address;
	enum qcd_err err;

	qcd_address_from_host(taker, &address);
	this->mutex->lock(this->mutex);
	err = qcd_maker_reply(this->maker, &built, request, &address, qcd_now());
	this->mutex->unlock(this->mutex);
	return take_message(&built, err, reply);
}

METHOD(qcd_promises_t, judge_lost, enum qcd_judgement,
	private_qcd_promises_t *this, const qcd_lost *lost,
	const qcd_traffic *packet, bool paced)
{
	enum qcd_judgement judgement;

	this->mutex->lock(this->mutex);
	judgement = qcd_maker_judge_lost(this->maker, lost, packet, qcd_now());
	this->mutex->unlock(this->mutex);
	return pass_paced(this, judgement, paced);
}

METHOD(qcd_promises_t, build_tell, bool,
	private_qcd_promises_t *this, const qcd_lost *lost, const qcd_traffic *packet,
	chunk_t *message)
{
	qcd_datagram built;
	enum qcd_err err;

	this->mutex->lock(this->mutex);
	err = qcd_maker_tell(this->maker, &built, lost, packet, qcd_now());
	this->mutex->unlock(this->mutex);
	return take_message(&built, err, message);
}

METHOD(qcd_promises_t, destroy, void,
	private_qcd_promises_t *this)
{
	this->promised->destroy_function(this->promised, (void*)free);
	this->mutex->destroy(this->mutex);
	qcd_maker_wipe(this->maker);
	free(this->maker);
	free(this);
}

/*
 * Described in header
 */
qcd_promises_t *qcd_promises_create(qcd_config_t *config,
									const qcd_maker_state *state)
{
	private_qcd_promises_t *this;
	qcd_maker_settings settings = {
		.node = config->node,
		.token_len = config->token_length,
		.is_bound = config->bind_address,
		.reply_rate = config->reply_rate,
		.reply_burst = config->reply_burst,
		.source_rate = config->reply_rate_source,
		.takeover = config->takeover,
	};

	INIT(this,
		.public = {
			.mint = _mint,
			.set_run = _set_run,
			.get_run = _get_run,
			.knows = _knows,
			.owns = _owns,
			.is_lost = _is_lost,
			.offer = _offer,
			.is_due = _is_due,
			.answered = _answered,
			.owe = _owe,
			.bury = _bury,
			.is_given = _is_given,
			.rotate = _rotate,
			.get_last = _get_last,
			.judge = _judge,
			.build_reply = _build_reply,
			.judge_lost = _judge_lost,
			.build_tell = _build_tell,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.maker = calloc(1, sizeof(*this->maker)),
		.promised = hashtable_create(qcd_number_hash, hashtable_equals_ptr,
									 32),
	);

	if (qcd_maker_init(this->maker, &settings, state) != QCD_OK)
	{
		destroy(this);
		return NULL;
	}
	return &this->public;
}
