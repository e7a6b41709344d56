/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_secrets.h"
#include "qcd_sa.h"

#include <qcd/store.h>

#include <time.h>

#include <daemon.h>
#include <threading/mutex.h>

typedef struct private_qcd_secrets_t private_qcd_secrets_t;

/**
 * Private data
 */
struct private_qcd_secrets_t {

	/**
	 * Public interface
	 */
	qcd_secrets_t public;

	/**
	 * Mutex for the store, held while waiting for the disk
	 */
	mutex_t *writing;

	/**
	 * Secrets and runs on disk
	 */
	qcd_store *store;

	/**
	 * Mutex for what follows, which must not wait for the disk: an administrator
	 * who looks for the reason asks for it
	 */
	mutex_t *mutex;

	/**
	 * Number of secrets, and when they were made, the newest first
	 */
	u_int generations;
	uint64_t made_at[QCD_GENERATIONS_MAX];

	/**
	 * Age of the newest secret in seconds, and the time of the monotonic clock
	 * at which it had that age: steps of the wall clock neither hasten nor
	 * delay a rotation
	 */
	uint64_t age_offset;
	uint64_t age_since;
};

/**
 * Note when the secrets were made, and the age of the newest one. Nobody else
 * uses the store meanwhile.
 */
static void note_ages(private_qcd_secrets_t *this, uint64_t age)
{
	const qcd_secrets *secrets = qcd_store_secrets(this->store);

	this->mutex->lock(this->mutex);
	this->generations = secrets->num_generations;
	memcpy(this->made_at, secrets->made_at, sizeof(this->made_at));
	this->age_offset = age;
	this->age_since = qcd_now();
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_secrets_t, next_run, uint16_t,
	private_qcd_secrets_t *this, char *error, size_t len)
{
	qcd_store_report report = {};
	uint16_t run = 0;

	this->writing->lock(this->writing);
	if (qcd_store_next_run(this->store, &report) == QCD_STORE_OK)
	{
		run = qcd_store_run(this->store);
	}
	else
	{
		snprintf(error, len, "%s", report.text);
	}
	this->writing->unlock(this->writing);
	return run;
}

METHOD(qcd_secrets_t, rotate, bool,
	private_qcd_secrets_t *this, qcd_secret *newest, char *error, size_t len)
{
	qcd_store_report report = {};
	bool success;

	this->writing->lock(this->writing);
	success = qcd_store_rotate(this->store, &report,
							   time(NULL)) == QCD_STORE_OK;
	if (success)
	{
		*newest = qcd_store_secrets(this->store)->generations[0];
		note_ages(this, 0);
	}
	else
	{
		snprintf(error, len, "%s", report.text);
	}
	this->writing->unlock(this->writing);
	return success;
}

METHOD(qcd_secrets_t, get_age, uint64_t,
	private_qcd_secrets_t *this)
{
	uint64_t age;

	this->mutex->lock(this->mutex);
	age = this->age_offset + (qcd_now() - this->age_since) / 1000;
	this->mutex->unlock(this->mutex);
	return age;
}

METHOD(qcd_secrets_t, get_generations, u_int,
	private_qcd_secrets_t *this, uint64_t made_at[QCD_GENERATIONS_MAX])
{
	u_int count;

	this->mutex->lock(this->mutex);
	count = this->generations;
	memcpy(made_at, this->made_at, count * sizeof(made_at[0]));
	this->mutex->unlock(this->mutex);
	return count;
}

METHOD(qcd_secrets_t, destroy, void,
	private_qcd_secrets_t *this)
{
	qcd_store_close(this->store);
	this->writing->destroy(this->writing);
	this->mutex->destroy(this->mutex);
	free(this);
}

/**
 * Log what an administrator should know about the open store
 */
static void log_store(private_qcd_secrets_t *this, qcd_config_t *config,
					  qcd_store_report *report)
{
	if (*report->text)
	{
		DBG1(DBG_CFG, "QCD: %s", report->text);
	}
	if (qcd_store_is_volatile(this->store))
	{
		DBG1(DBG_CFG, "QCD: %s is in memory (tmpfs): after a reboot, peers of "
			 "earlier SAs get no reply. Set state_dir to a folder on a disk",
			 config->state_dir);
	}
}

/**
 * Open the store. Its files belong to the user that charon runs as after it has
 * dropped its privileges.
 */
static bool open_store(private_qcd_secrets_t *this, qcd_config_t *config)
{
	qcd_store_report report = {};
	qcd_store_user user = {
		.uid = lib->caps->get_uid(lib->caps),
		.gid = lib->caps->get_gid(lib->caps),
	};
	qcd_store_settings settings = {
		.path = config->state_dir,
		.user = &user,
		.node = config->node,
	};

	if (qcd_store_open(&this->store, &report, &settings,
					   time(NULL)) != QCD_STORE_OK)
	{
		DBG1(DBG_CFG, "QCD: the token maker is off: %s", report.text);
		return FALSE;
	}
	log_store(this, config, &report);
	note_ages(this, qcd_store_age(this->store, time(NULL)));
	return TRUE;
}

/**
 * Get the state that a maker starts with
 */
static bool get_state(private_qcd_secrets_t *this, qcd_maker_state *state)
{
	qcd_store_report report;

	if (qcd_store_state(this->store, &report, state) != QCD_STORE_OK)
	{
		DBG1(DBG_CFG, "QCD: the token maker is off: %s", report.text);
		return FALSE;
	}
	return TRUE;
}

/*
 * Described in header
 */
qcd_secrets_t *qcd_secrets_create(qcd_config_t *config, qcd_maker_state *state)
{
	private_qcd_secrets_t *this;

	INIT(this,
		.public = {
			.next_run = _next_run,
			.rotate = _rotate,
			.get_age = _get_age,
			.get_generations = _get_generations,
			.destroy = _destroy,
		},
		.writing = mutex_create(MUTEX_TYPE_DEFAULT),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);

	if (!open_store(this, config) || !get_state(this, state))
	{
		destroy(this);
		return NULL;
	}
	return &this->public;
}
