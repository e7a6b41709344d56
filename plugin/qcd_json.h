/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_json qcd_json
 * @{ @ingroup qcd
 */

#ifndef QCD_JSON_H_
#define QCD_JSON_H_

#include <networking/host.h>
#include <utils/chunk.h>

typedef struct qcd_json_t qcd_json_t;

/**
 * Writes lines of JSON for the clients of our socket, one object on each line.
 * Strings are escaped, including octets that are not ASCII.
 */
struct qcd_json_t {

	/**
	 * Begin an object, after ending the line of the previous one.
	 *
	 * @param type			value of its first member "type", NULL to omit it
	 */
	void (*begin)(qcd_json_t *this, char *type);

	/**
	 * Add a member to the object.
	 *
	 * @param key			key, not escaped
	 * @param value			value
	 */
	void (*add_str)(qcd_json_t *this, char *key, char *value);
	void (*add_num)(qcd_json_t *this, char *key, uint64_t value);
	void (*add_bool)(qcd_json_t *this, char *key, bool value);

	/**
	 * Add an array of numbers.
	 *
	 * @param key			key, not escaped
	 * @param values		numbers
	 * @param count			how many
	 */
	void (*add_nums)(qcd_json_t *this, char *key, const uint64_t *values,
					 u_int count);

	/**
	 * Add an address and its port.
	 */
	void (*add_host)(qcd_json_t *this, char *key, host_t *host);

	/**
	 * Add an SPI of eight octets in network order, as hexadecimal digits.
	 */
	void (*add_spi)(qcd_json_t *this, char *key, const void *spi);

	/**
	 * Get the lines and destroy the qcd_json_t.
	 *
	 * @return				allocated lines
	 */
	chunk_t (*finish)(qcd_json_t *this);
};

/**
 * Create a qcd_json_t.
 *
 * @return				instance
 */
qcd_json_t *qcd_json_create(void);

#endif /** QCD_JSON_H_ @}*/
