/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_setting.h"
#include "qcd_sa.h"

#include <errno.h>

#include <daemon.h>

/*
 * Described in header
 */
bool qcd_setting_parse_bool(char *value, bool *out)
{
	bool read = settings_value_as_bool(value, FALSE);

	if (read != settings_value_as_bool(value, TRUE))
	{	/* charon reads it as the default */
		return FALSE;
	}
	*out = read;
	return TRUE;
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
	qcd_takeover takeover = *out;
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
		qcd_takeover_add(&takeover, node);
	}
	enumerator->destroy(enumerator);
	if (valid)
	{
		*out = takeover;
	}
	return valid;
}

/**
 * Parse an IP address, or an empty value
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
 * Find a word among the choices, and get its index
 */
static bool parse_choice(char *value, const qcd_setting_t *setting, u_int *out)
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

/*
 * Described in header
 */
bool qcd_setting_parse(qcd_config_t *this, const qcd_setting_t *setting,
					   char *value)
{
	void *target = (char*)this + setting->offset;
	u_int choice;

	switch (setting->kind)
	{
		case QCD_KIND_BOOL:
			return qcd_setting_parse_bool(value, target);
		case QCD_KIND_NUMBER:
			return parse_number(value, setting->min, setting->max, target);
		case QCD_KIND_PATH:
			if (*value != '/')
			{
				return FALSE;
			}
			*(char**)target = value;
			return TRUE;
		case QCD_KIND_SOCKET:
			if (!strpfx(value, "unix:///"))
			{
				return FALSE;
			}
			*(char**)target = value + strlen("unix://");
			return TRUE;
		case QCD_KIND_TIME:
			return parse_time(value, target);
		case QCD_KIND_NODES:
			return parse_nodes(value, target);
		case QCD_KIND_ADDRESS:
			return parse_address(value, target);
		case QCD_KIND_CHOICE:
			if (!parse_choice(value, setting, &choice))
			{
				return FALSE;
			}
			if (setting->offset == offsetof(qcd_config_t, bind_address))
			{
				this->bind_address = choice;
			}
			else
			{
				this->recover = choice;
			}
			return TRUE;
	}
	return FALSE;
}

/*
 * Described in header
 */
void qcd_setting_describe(const qcd_setting_t *setting, char *buf, size_t len)
{
	int i, written;

	switch (setting->kind)
	{
		case QCD_KIND_BOOL:
			snprintf(buf, len, "yes or no");
			break;
		case QCD_KIND_NUMBER:
			snprintf(buf, len, "a number from %u to %u", setting->min,
					 setting->max);
			break;
		case QCD_KIND_PATH:
			snprintf(buf, len, "an absolute path");
			break;
		case QCD_KIND_SOCKET:
			snprintf(buf, len, "of the form unix:///path");
			break;
		case QCD_KIND_TIME:
			snprintf(buf, len, "a time such as 30d, 12h, 10m or 5s");
			break;
		case QCD_KIND_NODES:
			snprintf(buf, len, "a list of numbers from 0 to 255");
			break;
		case QCD_KIND_ADDRESS:
			snprintf(buf, len, "an IP address");
			break;
		case QCD_KIND_CHOICE:
			written = snprintf(buf, len, "one of");
			for (i = 0; setting->choices[i]; i++)
			{
				written += snprintf(buf + written, len - written, " %s",
									setting->choices[i]);
			}
			break;
	}
}
