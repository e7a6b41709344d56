/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_plugin.h"
#include "qcd_abi.h"
#include "qcd_config.h"
#include "qcd_events.h"
#include "qcd_pending.h"
#include "qcd_receiver.h"
#include "qcd_socket.h"
#include "qcd_starter.h"
#include "qcd_taker.h"

#include <daemon.h>

typedef struct private_qcd_plugin_t private_qcd_plugin_t;

/**
 * Private data of qcd plugin
 */
struct private_qcd_plugin_t {

	/**
	 * Implements plugin interface
	 */
	qcd_plugin_t public;

	/**
	 * Settings
	 */
	qcd_config_t *config;

	/**
	 * Events of both roles
	 */
	qcd_events_t *events;

	/**
	 * Passes packets to both roles
	 */
	qcd_receiver_t *receiver;

	/**
	 * IKE_SAs that we initiate
	 */
	qcd_pending_t *pending;

	/**
	 * Starts the token maker
	 */
	qcd_starter_t *starter;

	/**
	 * Token taker, NULL if off
	 */
	qcd_taker_t *taker;

	/**
	 * Socket for commands of administrators, NULL if there is none
	 */
	qcd_socket_t *socket;
};

METHOD(plugin_t, get_name, char*,
	private_qcd_plugin_t *this)
{
	return "qcd";
}

/**
 * Start both roles, as configured. A failure to start is logged, while charon
 * continues. Without a taker, tokens are ignored (RFC
 * 6290 section 3).
 */
static void start(private_qcd_plugin_t *this)
{
	qcd_control_t control;
	qcd_maker_t *maker;
	char error[1];

	this->config = qcd_config_create();
	this->events = qcd_events_create();
	this->receiver = qcd_receiver_create();
	this->pending = qcd_pending_create();
	this->starter = qcd_starter_create(this->config, this->events,
									   this->receiver, this->pending);
	if (this->config->taker)
	{
		this->taker = qcd_taker_create(this->config, this->events,
									   this->receiver, this->pending);
	}
	control = (qcd_control_t){
		.events = this->events,
		.starter = this->starter,
		.taker = this->taker,
	};
	this->socket = qcd_socket_create(this->config->socket, &control);
	maker = this->starter->get_maker(this->starter, error, sizeof(error));
	DBG1(DBG_CFG, "QCD: token maker is %s, token taker is %s",
		 maker ? "on" : "off", this->taker ? "on" : "off");
}

/**
 * Stop both roles
 */
static void stop(private_qcd_plugin_t *this)
{
	DESTROY_IF(this->socket);
	DESTROY_IF(this->starter);
	DESTROY_IF(this->receiver);
	DESTROY_IF(this->taker);
	DESTROY_IF(this->pending);
	DESTROY_IF(this->events);
	DESTROY_IF(this->config);
	*this = (private_qcd_plugin_t){ .public = this->public };
}

/**
 * Depends on the managers whose SPIs we mint and on the receiver whose packets
 * we see, so that both outlive the plugin.
 */
static bool plugin_cb(private_qcd_plugin_t *this,
					  plugin_feature_t *feature, bool reg, void *cb_data)
{
	if (reg)
	{
		start(this);
	}
	else
	{
		stop(this);
	}
	return TRUE;
}

METHOD(plugin_t, get_features, int,
	private_qcd_plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK((plugin_feature_callback_t)plugin_cb, NULL),
			PLUGIN_PROVIDE(CUSTOM, "qcd"),
				PLUGIN_DEPENDS(CUSTOM, "libcharon-sa-managers"),
				PLUGIN_DEPENDS(CUSTOM, "libcharon-receiver"),
	};
	*features = f;
	return countof(f);
}

METHOD(plugin_t, reload, bool,
	private_qcd_plugin_t *this)
{
	if (this->config)
	{
		this->config->reload(this->config);
	}
	return TRUE;
}

METHOD(plugin_t, destroy, void,
	private_qcd_plugin_t *this)
{
	free(this);
}

/*
 * Described in header
 */
const char *qcd_plugin_version = VERSION;

/**
 * Plugin constructor
 */
plugin_t *qcd_plugin_create()
{
	private_qcd_plugin_t *this;

	if (!qcd_abi_fits())
	{
		return NULL;
	}

	INIT(this,
		.public = {
			.plugin = {
				.get_name = _get_name,
				.get_features = _get_features,
				.reload = _reload,
				.destroy = _destroy,
			},
		},
	);

	return &this->public.plugin;
}
