/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_setting qcd_setting
 * @{ @ingroup qcd
 *
 * Values of settings, as written in strongswan.conf.
 */

#ifndef QCD_SETTING_H_
#define QCD_SETTING_H_

#include "qcd_config.h"

/**
 * Roles that need a setting
 */
typedef enum {
	QCD_MAKER = (1<<0),
	QCD_TAKER = (1<<1),
} qcd_role_t;

/**
 * Kinds of values
 */
typedef enum {
	QCD_KIND_BOOL,
	QCD_KIND_NUMBER,
	QCD_KIND_CHOICE,
	QCD_KIND_PATH,
	QCD_KIND_SOCKET,
	QCD_KIND_TIME,
	QCD_KIND_NODES,
	QCD_KIND_ADDRESS,
} qcd_kind_t;

/**
 * A setting: its key, where its value is stored, its default as written in
 * strongswan.conf, and the allowed values
 */
typedef struct {
	char *key;
	size_t offset;
	qcd_role_t roles;
	qcd_kind_t kind;
	char *def;
	/** for numbers */
	uint32_t min, max;
	/** for choices, in the order of their numeric values, which begin at 0 */
	char *choices[5];
	/** whether it can be changed at runtime */
	bool live;
} qcd_setting_t;

/**
 * Parse a boolean, using the words that strongswan.conf knows.
 *
 * @param value			value
 * @param out			boolean, unchanged on failure
 * @return				FALSE if the value is not a boolean
 */
bool qcd_setting_parse_bool(char *value, bool *out);

/**
 * Parse a value and store it. Strings are not cloned.
 *
 * @param config		settings
 * @param setting		setting
 * @param value			value
 * @return				FALSE if the value is invalid
 */
bool qcd_setting_parse(qcd_config_t *config, const qcd_setting_t *setting,
					   char *value);

/**
 * Describe the allowed values of a setting.
 *
 * @param setting		setting
 * @param buf			buffer for the text
 * @param len			size of buf
 */
void qcd_setting_describe(const qcd_setting_t *setting, char *buf, size_t len);

#endif /** QCD_SETTING_H_ @}*/
