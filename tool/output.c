/* SPDX-License-Identifier: Apache-2.0 */
/* output.c: what a command prints. */
#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* The longest sentence with every octet escaped. */
#define SAFE_MAX (4 * sizeof(sentence) + 1)

static void say(const char *format, va_list args)
{
    sentence what;
    char safe[SAFE_MAX];
    (void)vsnprintf(what.text, sizeof(what.text), format, args);
    text_safe(safe, sizeof(safe), what.text);
    (void)fflush(stdout); /* keeps the order of events */
    (void)fprintf(stderr, "qcd: %s\n", safe);
}

void sentence_set(sentence *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out->text, sizeof(out->text), format, args);
    va_end(args);
}

void output_misuse(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void output_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

int output_fail(const options *opts, const sentence *why)
{
    if (is_json(opts)) {
        /* Escaped, since a path in it may not be UTF-8. */
        char safe[SAFE_MAX];
        text_safe(safe, sizeof(safe), why->text);
        json_t *object = json_pack("{s:b, s:s}", "ok", 0, "error", safe);
        output_object(object);
        json_decref(object);
    }
    output_note("%s", why->text);
    return TOOL_FAILED;
}

void output_object(const json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII |
                                        JSON_REAL_PRECISION(15));
    if (line == NULL) {
        return;
    }
    for (const char *c = line; *c != '\0'; c++) {
        if (*c == '\x7f') { /* the only control character left */
            (void)fputs("\\u007f", stdout);
        } else {
            (void)putchar(*c);
        }
    }
    (void)putchar('\n');
    free(line);
}

void output_ok(const options *opts)
{
    if (is_json(opts)) {
        (void)puts("{\"ok\":true}");
    }
}

void output_take(const options *opts, json_t *object)
{
    output_ok(opts);
    if (is_json(opts)) {
        output_object(object);
    }
    json_decref(object);
}

int output_end(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return TOOL_OK;
    }
    output_note("cannot write the output: %s", describe_error(errno));
    return TOOL_FAILED;
}

bool is_json(const options *opts)
{
    return (opts->given & OPTION_JSON) != 0;
}

const char *describe_error(int why)
{
    const char *phrase = strerrordesc_np(why);
    return phrase != NULL ? phrase : "unknown error";
}
