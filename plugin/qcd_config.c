/* SPDX-License-Identifier: GPL-2.0-or-later */

#define _GNU_SOURCE /* for asprintf() */

#include "qcd_config.h"
#include "qcd_sa.h"
#include "qcd_setting.h"

#include <stdarg.h>

#include <daemon.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct private_qcd_config_t private_qcd_config_t;

static const qcd_setting_t settings[] = {
	{ "maker", offsetof(qcd_config_t, maker), QCD_MAKER, QCD_KIND_BOOL, "yes" },
	{ "taker", offsetof(qcd_config_t, taker), QCD_TAKER, QCD_KIND_BOOL, "yes" },
	{ "state_dir", offsetof(qcd_config_t, state_dir), QCD_MAKER, QCD_KIND_PATH,
		"/var/lib/strongswan-qcd" },
	{ "node", offsetof(qcd_config_t, node), QCD_MAKER, QCD_KIND_NUMBER, "0",
		.min = 0, .max = UINT8_MAX },
	{ "takes_over", offsetof(qcd_config_t, takeover), QCD_MAKER, QCD_KIND_NODES, "" },
	{ "takes_over_address", offsetof(qcd_config_t, takeover.address), QCD_MAKER,
		QCD_KIND_ADDRESS, "" },
	{ "token_length", offsetof(qcd_config_t, token_length), QCD_MAKER, QCD_KIND_NUMBER,
		"32", .min = QCD_TOKEN_MIN, .max = QCD_TOKEN_MADE_MAX },
	{ "bind", offsetof(qcd_config_t, bind_address), QCD_MAKER, QCD_KIND_CHOICE, "spi",
		.choices = { "spi", "address" } },
	{ "rotate", offsetof(qcd_config_t, rotate), QCD_MAKER, QCD_KIND_TIME, "0" },
	{ "reply_rate", offsetof(qcd_config_t, reply_rate), QCD_MAKER, QCD_KIND_NUMBER,
		"1000", .min = 0, .max = QCD_RATE_MAX },
	{ "reply_burst", offsetof(qcd_config_t, reply_burst), QCD_MAKER, QCD_KIND_NUMBER,
		"2000", .min = 0, .max = QCD_RATE_MAX },
	{ "reply_rate_source", offsetof(qcd_config_t, reply_rate_source), QCD_MAKER,
		QCD_KIND_NUMBER, "10", .min = 0, .max = QCD_RATE_MAX },
	{ "esp", offsetof(qcd_config_t, esp), QCD_MAKER, QCD_KIND_BOOL, "yes" },
	{ "announce", offsetof(qcd_config_t, announce), QCD_MAKER, QCD_KIND_BOOL, "no" },
	{ "verify_rate_source", offsetof(qcd_config_t, verify_rate_source), QCD_TAKER,
		QCD_KIND_NUMBER, "100", .min = 0, .max = QCD_RATE_MAX },
	{ "socket", offsetof(qcd_config_t, socket), 0, QCD_KIND_SOCKET,
		"unix:///run/strongswan-qcd.ctl" },
	{ "recover", offsetof(qcd_config_t, recover), QCD_TAKER, QCD_KIND_CHOICE, "auto",
		.choices = { "auto", "reconnect", "trap", "none" }, .live = TRUE },
};

/**
 * Private data
 */
struct private_qcd_config_t {

	/**
	 * Public interface, to which the offsets in settings[] refer
	 */
	qcd_config_t public;

	/**
	 * Values in use, as written in strongswan.conf; NULL for an invalid one
	 */
	char *values[countof(settings)];

	/**
	 * The same for connections, by "connections.<name>.<role>", and a mutex for
	 * it. Listeners take the mutex while they hold the bus.
	 */
	hashtable_t *connections;
	mutex_t *lock;

	/**
	 * Mutex for reload(), which both a signal and vici may call
	 */
	mutex_t *mutex;
};

/**
 * Get the value of a setting as written in strongswan.conf
 */
static char *get_value(const qcd_setting_t *setting)
{
	return lib->settings->get_str(lib->settings, "%s.plugins.qcd.%s",
								  setting->def, lib->ns, setting->key);
}

/**
 * Log an invalid value
 *
 * @param fate			what happens to the setting
 */
static void complain(const qcd_setting_t *setting, char *value, char *fate)
{
	char allowed[128];

	qcd_setting_describe(setting, allowed, sizeof(allowed));
	DBG1(DBG_CFG, "QCD: %s.plugins.qcd.%s = %s is not %s: %s", lib->ns,
		 setting->key, value, allowed, fate);
}

/**
 * Read a setting, and turn off its roles if the value is invalid
 *
 * @return				value in use, as written, NULL if it was invalid
 */
static char *load(qcd_config_t *this, const qcd_setting_t *setting, qcd_role_t *off)
{
	char *value = get_value(setting);

	if (qcd_setting_parse(this, setting, value))
	{
		return strdup(value);
	}
	complain(setting, value,
			 setting->roles & QCD_MAKER ? "the token maker is off" :
			 setting->roles & QCD_TAKER ? "the token taker is off" :
			 "the default is used");
	qcd_setting_parse(this, setting, setting->def);
	*off |= setting->roles;
	return NULL;
}

/**
 * Warn about an unknown key or section, which is most likely a typing error
 *
 * @param what			"key" or "section"
 * @param path			where it is, below the section of the plugin
 */
static void warn_unknown(char *what, char *path, char *name)
{
	DBG1(DBG_CFG, "QCD: %s.plugins.qcd.%s%s is not a %s that this version "
		 "knows: ignored. Check its spelling", lib->ns, path, name, what);
}

/**
 * Warn about all keys or sections but one
 *
 * @param enumerator	keys with values, or sections; destroyed
 * @param known			name of that one, NULL for none
 */
static void warn_others(enumerator_t *enumerator, char *what, char *path,
						char *known)
{
	char *name, *value;

	while (enumerator->enumerate(enumerator, &name, &value))
	{
		if (!known || !streq(name, known))
		{
			warn_unknown(what, path, name);
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * Warn about unknown keys and sections, except for those of connections
 */
static void check_names()
{
	enumerator_t *enumerator;
	char *key, *value;
	int i;

	enumerator = lib->settings->create_key_value_enumerator(lib->settings,
												"%s.plugins.qcd", lib->ns);
	while (enumerator->enumerate(enumerator, &key, &value))
	{
		bool known = streq(key, "load");

		for (i = 0; i < countof(settings); i++)
		{
			known |= streq(key, settings[i].key);
		}
		if (!known)
		{
			warn_unknown("key", "", key);
		}
	}
	enumerator->destroy(enumerator);
	warn_others(lib->settings->create_section_enumerator(lib->settings,
					"%s.plugins.qcd", lib->ns), "section", "", "connections");
}

/**
 * Check that a standby has both the address and the nodes to take over. If one
 * of them is missing, the configuration is incomplete.
 */
static bool takeover_is_whole(qcd_config_t *this)
{
	qcd_takeover *takeover = &this->takeover;
	uint64_t nodes = takeover->nodes[0] | takeover->nodes[1] |
					 takeover->nodes[2] | takeover->nodes[3];

	if (!nodes == !takeover->address.len)
	{
		return TRUE;
	}
	DBG1(DBG_CFG, "QCD: %s.plugins.qcd.takes_over and takes_over_address must "
		 "be set together: the token maker is off", lib->ns);
	return FALSE;
}

METHOD(qcd_config_t, role_enabled, bool,
	private_qcd_config_t *this, char *name, char *role)
{
	char key[256], *value;
	bool set, enabled = TRUE;

	/* RFC 6290 section 8.1: users can turn it off, also for one connection.
	 * Each handshake asks: the settings themselves take longer. */
	this->lock->lock(this->lock);
	set = this->connections->get_count(this->connections) != 0 &&
		  snprintf(key, sizeof(key), "connections.%s.%s", name,
				   role) < sizeof(key);
	value = set ? this->connections->get(this->connections, key) : NULL;
	if (value && !qcd_setting_parse_bool(value, &enabled))
	{
		enabled = FALSE;
	}
	this->lock->unlock(this->lock);
	return enabled;
}

/**
 * Check if an IKE_SA is at the address where all of our IKE_SAs have to be.
 *
 * In a pair of gateways, the one that holds the shared address takes all SAs of
 * the other one for lost (RFC 6290 section 9.2). An SA that the other gateway
 * has at an address of its own may be alive, so its peer never gets a token.
 */
static bool is_at_home(qcd_config_t *this, ike_sa_t *ike_sa)
{
	qcd_address *shared = &this->takeover.address, mine;

	if (!shared->len)
	{
		return TRUE;
	}
	qcd_address_from_host(ike_sa->get_my_host(ike_sa), &mine);
	return mine.len == shared->len &&
		   memeq(mine.octets, shared->octets, mine.len);
}

METHOD(qcd_config_t, makes_for, bool,
	private_qcd_config_t *this, ike_sa_t *ike_sa)
{
	return role_enabled(this, ike_sa->get_name(ike_sa), "maker") &&
		   is_at_home(&this->public, ike_sa);
}

/**
 * Read the settings of a connection
 */
static void read_connection(hashtable_t *found, char *name)
{
	enumerator_t *enumerator;
	char path[256], *role, *value, *key;
	bool enabled;

	snprintf(path, sizeof(path), "connections.%s.", name);
	enumerator = lib->settings->create_key_value_enumerator(lib->settings,
							"%s.plugins.qcd.connections.%s", lib->ns, name);
	while (enumerator->enumerate(enumerator, &role, &value))
	{
		if (!streq(role, "maker") && !streq(role, "taker"))
		{
			warn_unknown("key", path, role);
			continue;
		}
		if (!qcd_setting_parse_bool(value, &enabled))
		{
			DBG1(DBG_CFG, "QCD: %s.plugins.qcd.%s%s = %s is not yes or no: the "
				 "token %s is off for this connection", lib->ns, path, role,
				 value, role);
		}
		if (asprintf(&key, "%s%s", path, role) > 0)
		{
			found->put(found, key, strdup(value));
		}
	}
	enumerator->destroy(enumerator);
	warn_others(lib->settings->create_section_enumerator(lib->settings,
							"%s.plugins.qcd.connections.%s", lib->ns, name),
				"section", path, NULL);
}

/**
 * Read the settings of connections, and log those that are wrong. A connection
 * that does not exist may be loaded later.
 */
static hashtable_t *read_connections()
{
	enumerator_t *enumerator;
	hashtable_t *found;
	char *name;

	found = hashtable_create(hashtable_hash_str, hashtable_equals_str, 8);
	enumerator = lib->settings->create_section_enumerator(lib->settings,
									"%s.plugins.qcd.connections", lib->ns);
	while (enumerator->enumerate(enumerator, &name))
	{
		read_connection(found, name);
	}
	enumerator->destroy(enumerator);

	warn_others(lib->settings->create_key_value_enumerator(lib->settings,
									"%s.plugins.qcd.connections", lib->ns),
				"key", "connections.", NULL);
	return found;
}

CALLBACK(free_value, void,
	char *value, const void *key)
{
	free((void*)key);
	free(value);
}

/**
 * Changed keys for the log, up to the number that fits into a line
 */
typedef struct {
	char text[1024];
	size_t len;
	u_int more;
} changes_t;

/**
 * Add a key and a remark on it
 */
static void add_change(changes_t *this, char *fmt, ...)
{
	size_t left = sizeof(this->text) - this->len;
	char change[256];
	va_list args;
	int len;

	va_start(args, fmt);
	vsnprintf(change, sizeof(change), fmt, args);
	va_end(args);
	len = snprintf(this->text + this->len, left, "%s%s", this->len ? ", " : "",
				   change);
	if (this->more || len >= left)
	{
		this->text[this->len] = '\0';
		this->more++;
		return;
	}
	this->len += len;
}

/**
 * Log the changes, if any
 */
static void log_changes(changes_t *this, char *what)
{
	char more[32] = "";

	if (this->more)
	{
		snprintf(more, sizeof(more), " and %u more", this->more);
	}
	if (this->len || this->more)
	{
		DBG1(DBG_CFG, "QCD: %s: %s%s", what, this->text, more);
	}
}

/**
 * Find the settings of connections that one table has and the other one lacks
 * or has with another value
 *
 * @param missing		TRUE to find only those that the other one lacks
 */
static void compare(hashtable_t *one, hashtable_t *other, bool missing,
					changes_t *changes)
{
	enumerator_t *enumerator;
	char *key, *value, *was;

	enumerator = one->create_enumerator(one);
	while (enumerator->enumerate(enumerator, &key, &value))
	{
		was = other->get(other, key);
		if (!was || (!missing && !streq(was, value)))
		{
			add_change(changes, "%s", key);
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * Find changed settings of connections
 */
static void reload_connections(private_qcd_config_t *this, changes_t *applied)
{
	hashtable_t *connections = read_connections(), *old = this->connections;

	compare(connections, old, FALSE, applied);
	compare(old, connections, TRUE, applied);
	this->lock->lock(this->lock);
	this->connections = connections;
	this->lock->unlock(this->lock);
	old->destroy_function(old, free_value);
}

/**
 * Find out whether a setting has changed, and apply it if possible
 */
static void reload_setting(private_qcd_config_t *this, int i,
						   changes_t *applied, changes_t *waiting)
{
	const qcd_setting_t *setting = &settings[i];
	qcd_config_t ignored = {};
	char *value = get_value(setting), *old = this->values[i];

	if (old && streq(value, old))
	{
		return;
	}
	if (!qcd_setting_parse(old && setting->live ? &this->public : &ignored,
						   setting, value))
	{
		complain(setting, value, "nothing changes");
	}
	else if (!old)
	{	/* what needs it has been off since the start */
		add_change(waiting, "%s (was invalid)", setting->key);
	}
	else if (!setting->live)
	{
		add_change(waiting, "%s (still '%s')", setting->key, old);
	}
	else
	{
		add_change(applied, "%s", setting->key);
		this->values[i] = strdup(value);
		free(old);
	}
}

METHOD(qcd_config_t, reload, void,
	private_qcd_config_t *this)
{
	changes_t applied = {}, waiting = {};
	int i;

	this->mutex->lock(this->mutex);
	for (i = 0; i < countof(settings); i++)
	{
		reload_setting(this, i, &applied, &waiting);
	}
	reload_connections(this, &applied);
	log_changes(&applied, "changed settings that now apply");
	log_changes(&waiting, "changed settings that need a restart of the daemon");
	check_names();
	this->mutex->unlock(this->mutex);
}

METHOD(qcd_config_t, destroy, void,
	private_qcd_config_t *this)
{
	int i;

	for (i = 0; i < countof(settings); i++)
	{
		free(this->values[i]);
	}
	this->connections->destroy_function(this->connections, free_value);
	this->lock->destroy(this->lock);
	this->mutex->destroy(this->mutex);
	free(this->public.state_dir);
	free(this->public.socket);
	free(this);
}

/*
 * Described in header
 */
qcd_config_t *qcd_config_create()
{
	private_qcd_config_t *this;
	qcd_config_t *public;
	qcd_role_t off = 0;
	int i;

	INIT(this,
		.public = {
			.role_enabled = _role_enabled,
			.makes_for = _makes_for,
			.reload = _reload,
			.destroy = _destroy,
		},
		.connections = read_connections(),
		.lock = mutex_create(MUTEX_TYPE_DEFAULT),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	public = &this->public;

	for (i = 0; i < countof(settings); i++)
	{
		this->values[i] = load(public, &settings[i], &off);
	}
	public->state_dir = strdup(public->state_dir);
	public->socket = strdup(public->socket);
	public->maker_refused = public->maker && (off & QCD_MAKER ||
											  !takeover_is_whole(public));
	public->maker = public->maker && !public->maker_refused;
	public->taker = public->taker && !(off & QCD_TAKER);
	check_names();

	return public;
}
