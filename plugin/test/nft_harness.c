/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * qcd_nft by itself, without charon, for lab/test_nft.py:
 *
 *   nft_harness RATE NAT-PORT
 *
 * Reads commands, a line each, and writes lines:
 *
 *   ready | none                what qcd_nft_create() gave
 *   add FIRST COUNT             -> done 1|0 COUNT-OF-ALL SECONDS
 *   remove FIRST COUNT          -> done 1 COUNT-OF-ALL SECONDS
 *   EOF                         destroys it -> end
 *   packet HEX                  a packet that was brought
 *   log TEXT                    what was logged
 *
 * SPIs are FIRST, FIRST + 1, and so on.
 */

#include "qcd_nft.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/**
 * Write a line of the log
 */
static void write_log(debug_t group, level_t level, char *fmt, ...)
{
	char line[1024];
	va_list args;

	if (level > 1)
	{
		return;
	}
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	printf("log %s\n", line);
}

/**
 * Write a packet
 */
static void write_packet(void *user, chunk_t packet)
{
	chunk_t hex = chunk_to_hex(packet, NULL, FALSE);

	printf("packet %s\n", (char*)hex.ptr);
	chunk_free(&hex);
}

/**
 * Seconds of a clock that only goes on
 */
static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/**
 * Do a command
 */
static bool execute(qcd_nft_t *nft, char *line)
{
	uint32_t first, spi;
	qcd_child_spi *spis;
	u_int count, i;
	double begin;
	char verb[8];
	bool ok = TRUE;

	if (sscanf(line, "%7s %" SCNu32 " %u", verb, &first, &count) != 3)
	{
		return FALSE;
	}
	spis = calloc(count, sizeof(*spis));
	for (i = 0; i < count; i++)
	{
		spi = htonl(first + i);
		memcpy(spis[i].octets, &spi, sizeof(spi));
	}
	begin = now();
	if (streq(verb, "add"))
	{
		ok = nft->add(nft, spis, count);
	}
	else
	{
		nft->remove(nft, spis, count);
	}
	begin = now() - begin;
	free(spis);
	printf("done %d %u %.6f\n", ok, nft->get_count(nft), begin);
	return TRUE;
}

int main(int argc, char *argv[])
{
	qcd_nft_t *nft;
	char line[128];
	int status = 0;

	if (argc != 3)
	{
		fprintf(stderr, "usage: nft_harness RATE NAT-PORT\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	dbg = write_log;
	if (!library_init(NULL, "nft_harness"))
	{
		library_deinit();
		return 1;
	}
	lib->processor->set_threads(lib->processor, 4);

	nft = qcd_nft_create(atoi(argv[1]), atoi(argv[2]), write_packet, NULL);
	printf(nft ? "ready\n" : "none\n");
	while (nft && status == 0 && fgets(line, sizeof(line), stdin))
	{
		status = execute(nft, line) ? 0 : 2;
	}
	DESTROY_IF(nft);
	printf("end\n");
	lib->processor->cancel(lib->processor);
	library_deinit();
	return status;
}
