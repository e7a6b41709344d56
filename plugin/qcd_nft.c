/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_nft.h"
#include "qcd_nflog.h"
#include "qcd_nft_table.h"

#include <errno.h>
#include <linux/capability.h>

#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct private_qcd_nft_t private_qcd_nft_t;

/**
 * Private data
 */
struct private_qcd_nft_t {

	/**
	 * Public interface
	 */
	qcd_nft_t public;

	/**
	 * Mutex for what follows, but the packets
	 */
	mutex_t *mutex;

	/**
	 * SPIs that the table has, as keys
	 */
	hashtable_t *spis;

	/**
	 * Table, installed while there are SPIs
	 */
	qcd_nft_table_t *table;

	/**
	 * Packets
	 */
	qcd_nflog_t *nflog;
};

/**
 * Get an SPI as a key
 */
static void *key(uint32_t spi)
{
	return (void*)(uintptr_t)spi;
}

/**
 * Get the number of an SPI, in network order
 */
static uint32_t number(const qcd_child_spi *spi)
{
	uint32_t number;

	memcpy(&number, spi->octets, sizeof(number));
	return number;
}

/**
 * Install the table anew, with all SPIs. One without owner may have been
 * removed by anybody.
 */
static int install(private_qcd_nft_t *this)
{
	enumerator_t *enumerator;
	uint32_t *spis;
	u_int count = 0;
	void *spi;
	int error;

	spis = calloc(this->spis->get_count(this->spis), sizeof(*spis));
	if (!spis)
	{
		return ENOMEM;
	}
	enumerator = this->spis->create_enumerator(this->spis);
	while (enumerator->enumerate(enumerator, &spi, NULL))
	{
		spis[count++] = (uintptr_t)spi;
	}
	enumerator->destroy(enumerator);
	error = this->table->install(this->table,
						this->nflog->get_group(this->nflog), spis, count);
	free(spis);
	return error;
}

/**
 * Note SPIs as watched, and get those that were not
 */
static u_int note(private_qcd_nft_t *this, const qcd_child_spi *spis,
				  u_int count, uint32_t *fresh)
{
	u_int i, found = 0;
	uint32_t spi;

	for (i = 0; i < count; i++)
	{	/* 0 is no SPI of ESP, and as it begins IKE behind NAT it would bring
		 * us all of that */
		spi = number(&spis[i]);
		if (spi && !this->spis->get(this->spis, key(spi)))
		{
			this->spis->put(this->spis, key(spi), this);
			fresh[found++] = spi;
		}
	}
	return found;
}

/**
 * Note SPIs as not watched, and get those that were
 */
static u_int forget(private_qcd_nft_t *this, const qcd_child_spi *spis,
					u_int count, uint32_t *gone)
{
	u_int i, found = 0;
	uint32_t spi;

	for (i = 0; i < count; i++)
	{
		spi = number(&spis[i]);
		if (this->spis->remove(this->spis, key(spi)))
		{
			gone[found++] = spi;
		}
	}
	return found;
}

METHOD(qcd_nft_t, add, bool,
	private_qcd_nft_t *this, const qcd_child_spi *spis, u_int count)
{
	uint32_t *fresh = calloc(count, sizeof(*fresh));
	u_int found, i;
	int error = 0;

	if (!fresh && count)
	{
		this->table->complain(this->table, ENOMEM);
		return FALSE;
	}
	this->mutex->lock(this->mutex);
	found = note(this, spis, count, fresh);
	if (found)
	{
		error = ENOENT;
		if (found < this->spis->get_count(this->spis))
		{
			error = this->table->add(this->table, fresh, found);
		}
		if (error == ENOENT)
		{
			error = install(this);
		}
	}
	if (error)
	{
		for (i = 0; i < found; i++)
		{
			this->spis->remove(this->spis, key(fresh[i]));
		}
		this->table->complain(this->table, error);
	}
	this->mutex->unlock(this->mutex);
	free(fresh);
	return !error;
}

METHOD(qcd_nft_t, remove_, void,
	private_qcd_nft_t *this, const qcd_child_spi *spis, u_int count)
{
	uint32_t *gone = calloc(count, sizeof(*gone));
	u_int found;
	int error = 0;

	if (!gone && count)
	{
		this->table->complain(this->table, ENOMEM);
		return;
	}
	this->mutex->lock(this->mutex);
	found = forget(this, spis, count, gone);
	if (found && this->spis->get_count(this->spis) == 0)
	{
		error = this->table->uninstall(this->table);
		if (error == ENOENT)
		{
			error = 0;
		}
	}
	else if (found)
	{
		error = this->table->remove(this->table, gone, found);
		if (error)
		{
			error = install(this);
		}
	}
	if (error)
	{
		this->table->complain(this->table, error);
	}
	this->mutex->unlock(this->mutex);
	free(gone);
}

METHOD(qcd_nft_t, get_count, u_int,
	private_qcd_nft_t *this)
{
	u_int count;

	this->mutex->lock(this->mutex);
	count = this->spis->get_count(this->spis);
	this->mutex->unlock(this->mutex);
	return count;
}

METHOD(qcd_nft_t, destroy, void,
	private_qcd_nft_t *this)
{
	/* first what logs, then what it logs to: the group may be another's then */
	DESTROY_IF(this->table);
	DESTROY_IF(this->nflog);
	this->spis->destroy(this->spis);
	this->mutex->destroy(this->mutex);
	free(this);
}

/*
 * Described in header
 */
qcd_nft_t *qcd_nft_create(u_int rate, uint16_t nat_port,
						  qcd_nft_packet_t packet, void *user)
{
	private_qcd_nft_t *this;

	/* also when charon runs as another user later */
	if (!lib->caps->keep(lib->caps, CAP_NET_ADMIN))
	{
		DBG1(DBG_CFG, "QCD: not allowed to use nftables: ESP of lost SAs is not "
			 "seen. It needs the capability CAP_NET_ADMIN");
		return NULL;
	}
	INIT(this,
		.public = {
			.add = _add,
			.remove = _remove_,
			.get_count = _get_count,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.spis = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 64),
		.table = qcd_nft_table_create(max(rate, 1), nat_port),
	);
	if (this->table)
	{	/* only now: the table can tell what was not permitted */
		this->nflog = qcd_nflog_create(packet, user);
	}
	if (!this->nflog)
	{
		destroy(this);
		return NULL;
	}
	return &this->public;
}
