/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_spi_source.h"
#include "qcd_sa.h"

#include <stdatomic.h>

#include <daemon.h>
#include <threading/mutex.h>

/**
 * Largest table of IKE_SAs for which SPIs are searched. A search then takes
 * about ten milliseconds.
 */
#define IKESA_TABLE_MAX 65536

/**
 * Seconds until another try to begin a run: the pause doubles up to the maximum
 */
#define PAUSE_MIN 1
#define PAUSE_MAX 60

typedef struct private_qcd_spi_source_t private_qcd_spi_source_t;

/**
 * Private data
 */
struct private_qcd_spi_source_t {

	/**
	 * Public interface
	 */
	qcd_spi_source_t public;

	/**
	 * As passed to qcd_spi_source_create()
	 */
	qcd_promises_t *promises;
	qcd_secrets_t *secrets;

	/**
	 * Whether a job is beginning another run, and seconds until it tries again
	 */
	_Atomic bool beginning;
	u_int pause;

	/**
	 * Bits of an IKE_SA's SPI that charon keeps when the SA gets a new SPI for
	 * another try, constant
	 */
	uint64_t kept_bits;

	/**
	 * Spare SPIs, indexed by their kept bits, which were minted while searching
	 * for other kept bits. 0 for none; NULL if SPIs are not searched. And their
	 * mutex.
	 */
	uint64_t *spares;
	mutex_t *mutex;
};

/**
 * Job that begins another run. If its number can't be made durable, that is tried
 * again.
 */
static job_requeue_t begin_run(private_qcd_spi_source_t *this)
{
	char error[512];
	uint16_t run;

	run = this->secrets->next_run(this->secrets, error, sizeof(error));
	if (run)
	{
		this->promises->set_run(this->promises, run);
		DBG1(DBG_IKE, "QCD: another run has begun: new IKE_SAs get a token");
		this->pause = PAUSE_MIN;
		this->beginning = FALSE;
		return JOB_REQUEUE_NONE;
	}
	if (this->pause == PAUSE_MIN)
	{
		DBG1(DBG_IKE, "QCD: another run can't begin: %s", error);
	}
	qcd_job_queue(begin_run, this, NULL, JOB_PRIO_MEDIUM, this->pause * 1000);
	this->pause = min(this->pause * 2, PAUSE_MAX);
	return JOB_REQUEUE_NONE;
}

/**
 * Mint an SPI. If the run has used up its SPIs, a job begins another one: a
 * handshake must not wait for the disk.
 */
static bool mint(private_qcd_spi_source_t *this, uint64_t *out)
{
	qcd_spi spi;

	if (!this->promises->mint(this->promises, &spi))
	{
		if (!atomic_exchange(&this->beginning, TRUE))
		{
			DBG1(DBG_IKE, "QCD: this run has used up its SPIs: new IKE_SAs get no "
				 "token until another one is on the disk of state_dir");
			qcd_job_queue(begin_run, this, NULL, JOB_PRIO_HIGH, 0);
		}
		return FALSE;
	}
	memcpy(out, &spi, sizeof(*out));
	return TRUE;
}

/**
 * Replace the spare SPI that has certain kept bits, and get the old one
 */
static uint64_t swap_spare(private_qcd_spi_source_t *this, uint64_t bits,
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
 * Mint an SPI that has the kept bits of another one. SPIs that are minted on
 * the way serve later searches, so searches are short where many are needed.
 */
static bool mint_like(private_qcd_spi_source_t *this, uint64_t old,
					  uint64_t *out)
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
 * Get a random SPI that nobody takes for one of ours, even after charon has
 * merged bits of the old one into it
 */
static uint64_t random_spi(private_qcd_spi_source_t *this, uint64_t old)
{
	uint64_t kept = old ? this->kept_bits : 0, out = 0, number;
	qcd_spi spi;
	rng_t *rng;

	rng = lib->crypto->create_rng(lib->crypto, RNG_WEAK);
	while (rng && rng->get_bytes(rng, sizeof(number), (uint8_t*)&number))
	{
		number = (old & kept) | (number & ~kept);
		memcpy(&spi, &number, sizeof(spi));
		if (!this->promises->knows(this->promises, &spi))
		{
			out = number;
			break;
		}
	}
	DESTROY_IF(rng);
	return out;
}

CALLBACK(get_spi, uint64_t,
	private_qcd_spi_source_t *this)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	ike_sa_id_t *id;
	uint64_t old = 0, spi = 0;
	bool minted;

	/* charon only replaces the SPI of an SA that this thread has checked out
	 * and that is connecting, see new_initiator_spi() of its manager. A new SA
	 * that is created meanwhile may look like that one, which is harmless. */
	if (ike_sa && ike_sa->get_state(ike_sa) == IKE_CONNECTING)
	{
		id = ike_sa->get_id(ike_sa);
		old = id->is_initiator(id) ? id->get_initiator_spi(id) : 0;
	}
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

METHOD(qcd_spi_source_t, destroy, void,
	private_qcd_spi_source_t *this)
{
	charon->ike_sa_manager->set_spi_cb(charon->ike_sa_manager, NULL, NULL);
	free(this->spares);
	this->mutex->destroy(this->mutex);
	free(this);
}

/**
 * Determine which bits of an SPI charon keeps when it retries an IKE_SA: as
 * many as index the rows of its table of IKE_SAs (new_initiator_spi() of its
 * manager)
 */
static void init_spares(private_qcd_spi_source_t *this)
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
			 "charon retries gets no token. Set it to %d or less", lib->ns,
			 IKESA_TABLE_MAX, IKESA_TABLE_MAX);
	}
	else if (rows > 1)
	{
		this->spares = calloc(rows, sizeof(*this->spares));
	}
}

/**
 * Check that no setting changes our SPIs. charon.spi_mask and spi_label
 * overwrite some of their bits, which breaks the seal. The maker is off where
 * it is not safe (RFC 6290 section 8.1).
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
 * Check that no other node shares our SAs. With the ha plugin, two nodes share
 * SAs that have the SPIs of one node. An SA that one node takes for lost may be
 * alive on the other one (RFC 6290 section 9.2). Debian always loads the
 * plugin, but it only works once it is configured.
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

/*
 * Described in header
 */
bool qcd_spi_source_is_safe(void)
{
	return spis_are_ours() && sas_are_ours();
}

/*
 * Described in header
 */
qcd_spi_source_t *qcd_spi_source_create(qcd_promises_t *promises,
										qcd_secrets_t *secrets)
{
	private_qcd_spi_source_t *this;

	INIT(this,
		.public = {
			.destroy = _destroy,
		},
		.promises = promises,
		.secrets = secrets,
		.pause = PAUSE_MIN,
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);

	init_spares(this);
	charon->ike_sa_manager->set_spi_cb(charon->ike_sa_manager, get_spi, this);
	return &this->public;
}
