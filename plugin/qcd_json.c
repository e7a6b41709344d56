/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qcd_json.h"

#include <inttypes.h>

#include <bio/bio_writer.h>

typedef struct private_qcd_json_t private_qcd_json_t;

/**
 * Private data
 */
struct private_qcd_json_t {

	/**
	 * Public interface
	 */
	qcd_json_t public;

	/**
	 * Lines written so far
	 */
	bio_writer_t *writer;

	/**
	 * Whether an object is open, and whether it has members
	 */
	bool open, members;
};

/**
 * Write characters without escaping
 */
static void write_raw(private_qcd_json_t *this, char *text)
{
	this->writer->write_data(this->writer, chunk_from_str(text));
}

/**
 * Write a string in quotes
 */
static void write_str(private_qcd_json_t *this, char *value)
{
	char escaped[8];

	write_raw(this, "\"");
	for (; *value; value++)
	{
		u_char c = *value;

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
		{
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
			write_raw(this, escaped);
		}
		else
		{
			this->writer->write_uint8(this->writer, c);
		}
	}
	write_raw(this, "\"");
}

/**
 * End the open object
 */
static void end(private_qcd_json_t *this)
{
	if (this->open)
	{
		write_raw(this, "}\n");
	}
	this->open = FALSE;
}

/**
 * Write the key of a member
 */
static void write_key(private_qcd_json_t *this, char *key)
{
	write_raw(this, this->members ? ",\"" : "\"");
	write_raw(this, key);
	write_raw(this, "\":");
	this->members = TRUE;
}

METHOD(qcd_json_t, add_str, void,
	private_qcd_json_t *this, char *key, char *value)
{
	write_key(this, key);
	write_str(this, value);
}

METHOD(qcd_json_t, begin, void,
	private_qcd_json_t *this, char *type)
{
	end(this);
	write_raw(this, "{");
	this->open = TRUE;
	this->members = FALSE;
	if (type)
	{
		add_str(this, "type", type);
	}
}

/**
 * Write a number
 */
static void write_num(private_qcd_json_t *this, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%"PRIu64, value);
	write_raw(this, digits);
}

METHOD(qcd_json_t, add_num, void,
	private_qcd_json_t *this, char *key, uint64_t value)
{
	write_key(this, key);
	write_num(this, value);
}

METHOD(qcd_json_t, add_nums, void,
	private_qcd_json_t *this, char *key, const uint64_t *values, u_int count)
{
	u_int i;

	write_key(this, key);
	write_raw(this, "[");
	for (i = 0; i < count; i++)
	{
		write_raw(this, i ? "," : "");
		write_num(this, values[i]);
	}
	write_raw(this, "]");
}

METHOD(qcd_json_t, add_bool, void,
	private_qcd_json_t *this, char *key, bool value)
{
	write_key(this, key);
	write_raw(this, value ? "true" : "false");
}

METHOD(qcd_json_t, add_host, void,
	private_qcd_json_t *this, char *key, host_t *host)
{
	char address[64];

	snprintf(address, sizeof(address), "%#H", host);
	add_str(this, key, address);
}

METHOD(qcd_json_t, add_spi, void,
	private_qcd_json_t *this, char *key, const void *spi)
{
	char digits[2 * sizeof(uint64_t) + 1];

	chunk_to_hex(chunk_create((u_char*)spi, sizeof(uint64_t)), digits, FALSE);
	add_str(this, key, digits);
}

METHOD(qcd_json_t, finish, chunk_t,
	private_qcd_json_t *this)
{
	chunk_t lines;

	end(this);
	lines = this->writer->extract_buf(this->writer);
	this->writer->destroy(this->writer);
	free(this);
	return lines;
}

/*
 * Described in header
 */
qcd_json_t *qcd_json_create()
{
	private_qcd_json_t *this;

	INIT(this,
		.public = {
			.begin = _begin,
			.add_str = _add_str,
			.add_num = _add_num,
			.add_nums = _add_nums,
			.add_bool = _add_bool,
			.add_host = _add_host,
			.add_spi = _add_spi,
			.finish = _finish,
		},
		.writer = bio_writer_create(256),
	);

	return &this->public;
}
