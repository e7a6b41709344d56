/* SPDX-License-Identifier: Apache-2.0 */
/* decode.h: what the parts of qcd decode share. */
#ifndef QCD_TOOL_DECODE_H
#define QCD_TOOL_DECODE_H

#include "output.h"
#include "trace.h"

/* decoded is a capture that was read. */
typedef struct decoded {
    const char *path;
    char link[64]; /* its link type, by libpcap's name */
    uint64_t num_packets;
    uint64_t num_cut; /* packets of which the capture has not all octets */
    uint64_t num_no_ip;
    int64_t begin; /* of the packets, or TRACE_NEVER */
    int64_t end;
    trace trace;
} decoded;

/* DECODE_TEXT_MAX octets hold an address, an IKE SPI, a cause and so on. */
#define DECODE_TEXT_MAX 64

void decode_address(char out[DECODE_TEXT_MAX], const qcd_address *address);
void decode_spi(char out[DECODE_TEXT_MAX], const qcd_spi *spi);

/* decode_cause says what provoked a token. */
void decode_cause(char out[DECODE_TEXT_MAX], const trace_token *token);

/* decode_print prints tables; decode_print_json prints objects. */
void decode_print(const decoded *d);
void decode_print_json(const decoded *d);

/* decode_cursor goes through the tokens, those with the worst verdict first,
 * and otherwise in their order.  decode_next returns NULL at the end. */
typedef struct decode_cursor {
    int verdict;
    size_t number;
} decode_cursor;

decode_cursor decode_first(void);
const trace_token *decode_next(const decoded *d, decode_cursor *cursor);

/* decode_draw writes the picture.  If that is not possible it leaves an earlier
 * file as it is, and says why. */
bool decode_draw(const decoded *d, const char *path, sentence *why);

#endif
