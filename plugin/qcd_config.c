/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_config.h"
#include "qcd_sa.h"

#include <errno.h>

#include <daemon.h>

/**
 * Roles that a setting concerns
 */
typedef enum {
	MAKER = (1<<0),
	TAKER = (1<<1),
} role_t;

/**
 * Kinds of values
 */
typedef enum {
	KIND_BOOL,
	KIND_NUMBER,
	KIND_CHOICE,
	KIND_PATH,
	KIND_SOCKET,
	KIND_TIME,
	KIND_NODES,
	KIND_ADDRESS,
} kind_t;

/**
 * A setting: its key, where its value goes, its default as it would be written
 * in strongswan.conf, and what is allowed
 */
typedef struct {
	char *key;
	size_t offset;
	role_t roles;
	kind_t kind;
	char *def;
	/** for numbers */
	uint32_t min, max;
	/** for choices, in the order of their values from 0 */
	char *choices[5];
} setting_t;

static const setting_t settings[] = {
	{ "maker", offsetof(qcd_config_t, maker), MAKER, KIND_BOOL, "yes" },
	{ "taker", offsetof(qcd_config_t, taker), TAKER, KIND_BOOL, "yes" },
	{ "state_dir", offsetof(qcd_config_t, state_dir), MAKER, KIND_PATH,
		"/var/lib/strongswan-qcd" },
	{ "node", offsetof(qcd_config_t, node), MAKER, KIND_NUMBER, "0",
		.min = 0, .max = UINT8_MAX },
	{ "takes_over", offsetof(qcd_config_t, takeover), MAKER, KIND_NODES, "" },
	{ "takes_over_address", offsetof(qcd_config_t, takeover.address), MAKER,
		KIND_ADDRESS, "" },
	{ "token_length", offsetof(qcd_config_t, token_length), MAKER, KIND_NUMBER,
		"32", .min = QCD_TOKEN_MIN, .max = QCD_TOKEN_MADE_MAX },
	{ "bind", offsetof(qcd_config_t, bind_address), MAKER, KIND_CHOICE, "spi",
		.choices = { "spi", "address" } },
	{ "rotate", offsetof(qcd_config_t, rotate), MAKER, KIND_TIME, "0" },
	{ "reply_rate", offsetof(qcd_config_t, reply_rate), MAKER, KIND_NUMBER,
		"1000", .min = 0, .max = QCD_RATE_MAX },
	{ "reply_burst", offsetof(qcd_config_t, reply_burst), MAKER, KIND_NUMBER,
		"2000", .min = 0, .max = QCD_RATE_MAX },
	{ "reply_rate_source", offsetof(qcd_config_t, reply_rate_source), MAKER,
		KIND_NUMBER, "10", .min = 0, .max = QCD_RATE_MAX },
	{ "esp", offsetof(qcd_config_t, esp), MAKER, KIND_BOOL, "yes" },
	{ "announce", offsetof(qcd_config_t, announce), MAKER, KIND_BOOL, "no" },
	{ "verify_rate_source", offsetof(qcd_config_t, verify_rate_source), TAKER,
		KIND_NUMBER, "100", .min = 0, .max = QCD_RATE_MAX },
	{ "socket", offsetof(qcd_config_t, socket), 0, KIND_SOCKET,
		"unix:///run/strongswan-qcd.ctl" },
	{ "recover", offsetof(qcd_config_t, recover), TAKER, KIND_CHOICE, "auto",
		.choices = { "auto", "reconnect", "trap", "none" } },
};

/**
 * Parse a boolean, in the words that strongswan.conf knows
 */
static bool parse_bool(char *value, bool *out)
{
	static const struct {
		char *word;
		bool value;
	} words[] = {
		{ "yes", TRUE }, { "true", TRUE }, { "enabled", TRUE }, { "1", TRUE },
		{ "no", FALSE }, { "false", FALSE }, { "disabled", FALSE },
		{ "0", FALSE },
	};
	int i;

	for (i = 0; i < countof(words); i++)
	{
		if (strcaseeq(value, words[i].word))
		{
			*out = words[i].value;
			return TRUE;
		}
	}
	return FALSE;
}

/**
 * Parse a decimal number within bounds
 */
static bool parse_number(char *value, uint32_t min, uint32_t max, uint32_t *out)
{
	unsigned long number;
	char *end;

	if (!*value || strspn(value, "0123456789") != strlen(value))
	{
		return FALSE;
	}
	errno = 0;
	number = strtoul(value, &end, 10);
	if (errno || *end || number < min || number > max)
	{
		return FALSE;
	}
	*out = number;
	return TRUE;
}

/**
 * Parse a time in seconds, minutes, hours or days
 */
static bool parse_time(char *value, uint32_t *out)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char digits[16];
	size_t len = strlen(value);
	uint32_t factor = 1;
	int i;

	if (len >= sizeof(digits))
	{
		return FALSE;
	}
	strcpy(digits, value);
	for (i = 0; len && i < countof(units); i++)
	{
		if (digits[len - 1] == units[i].unit)
		{
			digits[len - 1] = '\0';
			factor = units[i].seconds;
			break;
		}
	}
	if (!parse_number(digits, 0, UINT32_MAX / factor, out))
	{
		return FALSE;
	}
	*out *= factor;
	return TRUE;
}

/**
 * Parse node numbers, separated by commas or spaces
 */
static bool parse_nodes(char *value, qcd_takeover *out)
{
	enumerator_t *enumerator;
	uint32_t node;
	char *word;
	bool valid = TRUE;

	enumerator = enumerator_create_token(value, ", ", " ");
	while (enumerator->enumerate(enumerator, &word))
	{
		if (!*word)
		{
			continue;
		}
		valid = parse_number(word, 0, UINT8_MAX, &node);
		if (!valid)
		{
			break;
		}
		qcd_takeover_add(out, node);
	}
	enumerator->destroy(enumerator);
	return valid;
}

/**
 * Parse an IP address, or none
 */
static bool parse_address(char *value, qcd_address *out)
{
	host_t *host;

	if (!*value)
	{
		return TRUE;
	}
	host = host_create_from_string(value, 0);
	if (!host)
	{
		return FALSE;
	}
	qcd_address_from_host(host, out);
	host->destroy(host);
	return TRUE;
}

/**
 * Find the index of a word
 */
static bool parse_choice(char *value, const setting_t *setting, u_int *out)
{
	u_int i;

	for (i = 0; setting->choices[i]; i++)
	{
		if (strcaseeq(value, setting->choices[i]))
		{
			*out = i;
			return TRUE;
		}
	}
	return FALSE;
}

/**
 * Parse a value and put it to its place
 */
static bool parse(qcd_config_t *this, const setting_t *setting, char *value)
{
	void *target = (char*)this + setting->offset;
	u_int choice;

	switch (setting->kind)
	{
		case KIND_BOOL:
			return parse_bool(value, target);
		case KIND_NUMBER:
			return parse_number(value, setting->min, setting->max, target);
		case KIND_PATH:
			if (*value != '/')
			{
				return FALSE;
			}
			*(char**)target = value;
			return TRUE;
		case KIND_SOCKET:
			if (!strpfx(value, "unix:///"))
			{
				return FALSE;
			}
			*(char**)target = value + strlen("unix://");
			return TRUE;
		case KIND_TIME:
			return parse_time(value, target);
		case KIND_NODES:
			return parse_nodes(value, target);
		case KIND_ADDRESS:
			return parse_address(value, target);
		case KIND_CHOICE:
			if (!parse_choice(value, setting, &choice))
			{
				return FALSE;
			}
			if (setting->offset == offsetof(qcd_config_t, bind_address))
			{
				*(bool*)target = choice;
			}
			else
			{
				*(qcd_recover_t*)target = choice;
			}
			return TRUE;
	}
	return FALSE;
}

/**
 * Describe what would have been a value
 */
static void describe(const setting_t *setting, char *buf, size_t len)
{
	int i, written;

	switch (setting->kind)
	{
		case KIND_BOOL:
			snprintf(buf, len, "yes or no");
			break;
		case KIND_NUMBER:
			snprintf(buf, len, "a number from %u to %u", setting->min,
					 setting->max);
			break;
		case KIND_PATH:
			snprintf(buf, len, "an absolute path");
			break;
		case KIND_SOCKET:
			snprintf(buf, len, "of the form unix:///path");
			break;
		case KIND_TIME:
			snprintf(buf, len, "a time such as 30d, 12h, 10m or 5s");
			break;
		case KIND_NODES:
			snprintf(buf, len, "a list of numbers from 0 to 255");
			break;
		case KIND_ADDRESS:
			snprintf(buf, len, "an IP address");
			break;
		case KIND_CHOICE:
			written = snprintf(buf, len, "one of");
			for (i = 0; setting->choices[i]; i++)
			{
				written += snprintf(buf + written, len - written, " %s",
									setting->choices[i]);
			}
			break;
	}
}

/**
 * Read a setting, turn its roles off where the value is bad
 */
static void load(qcd_config_t *this, const setting_t *setting, role_t *off)
{
	char *value, allowed[128];

	value = lib->settings->get_str(lib->settings, "%s.plugins.qcd.%s",
								   setting->def, lib->ns, setting->key);
	if (parse(this, setting, value))
	{
		return;
	}
	describe(setting, allowed, sizeof(allowed));
	DBG1(DBG_CFG, "QCD: %s.plugins.qcd.%s = %s is not %s: %s", lib->ns,
		 setting->key, value, allowed,
		 setting->roles & MAKER ? "the token maker is off" :
		 setting->roles & TAKER ? "the token taker is off" :
		 "the default is used");
	parse(this, setting, setting->def);
	*off |= setting->roles;
}

/**
 * Say so where a key is none of ours, most likely a typing error
 */
static void warn_unknown()
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
			DBG1(DBG_CFG, "QCD: %s.plugins.qcd.%s is no key that this version "
				 "knows, it is ignored", lib->ns, key);
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * A standby without the address, or the address without nodes to take over, is
 * a configuration that somebody has not finished
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
	DBG1(DBG_CFG, "QCD: %s.plugins.qcd.takes_over and takes_over_address need "
		 "each other: the token maker is off", lib->ns);
	return FALSE;
}

METHOD(qcd_config_t, role_enabled, bool,
	qcd_config_t *this, char *name, char *role)
{
	char *value;
	bool enabled;

	/* RFC 6290 section 8.1: the user's to switch, also for one connection */
	value = lib->settings->get_str(lib->settings,
								   "%s.plugins.qcd.connections.%s.%s", "yes",
								   lib->ns, name, role);
	if (parse_bool(value, &enabled))
	{
		return enabled;
	}
	DBG1(DBG_CFG, "QCD: %s.plugins.qcd.connections.%s.%s = %s is not yes or "
		 "no: the token %s is off for it", lib->ns, name, role, value, role);
	return FALSE;
}

/**
 * Is an IKE_SA where all of our IKE_SAs have to be?
 *
 * In a pair of gateways whoever holds the shared address takes all SAs of the
 * other for dead (RFC 6290 section 9.2). One that the other has at an address
 * of its own may live, so its peer is never given a token.
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
	qcd_config_t *this, ike_sa_t *ike_sa)
{
	return role_enabled(this, ike_sa->get_name(ike_sa), "maker") &&
		   is_at_home(this, ike_sa);
}

METHOD(qcd_config_t, destroy, void,
	qcd_config_t *this)
{
	free(this->state_dir);
	free(this->socket);
	free(this);
}

/*
 * Described in header
 */
qcd_config_t *qcd_config_create()
{
	qcd_config_t *this;
	role_t off = 0;
	int i;

	INIT(this,
		.role_enabled = _role_enabled,
		.makes_for = _makes_for,
		.destroy = _destroy,
	);

	for (i = 0; i < countof(settings); i++)
	{
		load(this, &settings[i], &off);
	}
	this->state_dir = strdup(this->state_dir);
	this->socket = strdup(this->socket);
	this->maker = this->maker && !(off & MAKER) && takeover_is_whole(this);
	this->taker = this->taker && !(off & TAKER);
	warn_unknown();

	return this;
}
