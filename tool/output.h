/* SPDX-License-Identifier: Apache-2.0 */
/* output.h: what a command prints.  Results go to standard output, and
 * sentences for people go to standard error.  With --json every command first
 * prints {"ok":true} or {"ok":false,"error":"..."}, and then its objects, one a
 * line. */
#ifndef QCD_TOOL_OUTPUT_H
#define QCD_TOOL_OUTPUT_H

#include <jansson.h>

#include "qcd.h"

/* sentence says what is wrong and what to do. */
typedef struct sentence {
    char text[1024];
} sentence;

/* sentence_set writes a sentence, cut off if it is too long. */
__attribute__((format(printf, 2, 3))) void
sentence_set(sentence *out, const char *format, ...);

/* output_misuse says what is wrong with the command line. */
__attribute__((format(printf, 1, 2))) void output_misuse(const char *format,
                                                         ...);

/* output_note prints a remark. */
__attribute__((format(printf, 1, 2))) void output_note(const char *format, ...);

/* output_fail says why the command failed, and returns TOOL_FAILED. */
int output_fail(const options *opts, const sentence *why);

/* output_object prints an object as one line of ASCII without control
 * characters. */
void output_object(const json_t *object);

/* output_ok prints {"ok":true} with --json. */
void output_ok(const options *opts);

/* output_take prints `object` after {"ok":true} with --json, and nothing
 * otherwise.  It takes the reference. */
void output_take(const options *opts, json_t *object);

/* output_end flushes.  If not everything could be written, it says so and
 * returns TOOL_FAILED. */
int output_end(void);

/* is_json tells whether --json was given. */
bool is_json(const options *opts);

/* describe_error returns a phrase for an errno value. */
const char *describe_error(int why);

#endif
