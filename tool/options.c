/* SPDX-License-Identifier: Apache-2.0 */
/* options.c: reads what follows the name of a command. */
#include "options.h"

#include <stdlib.h>
#include <string.h>

#include "output.h"

#define DEFAULT_SOCKET "/run/strongswan-qcd.ctl"
#define DEFAULT_STATE_DIR "/var/lib/strongswan-qcd"

const option option_rows[] = {
    {"--json", OPTION_JSON, NULL, "print JSON, one object a line"},
    {"--socket", OPTION_SOCKET, "PATH",
     "socket of the gateway (" DEFAULT_SOCKET ")"},
    {"--state-dir", OPTION_STATE_DIR, "DIR",
     "folder of the secrets (" DEFAULT_STATE_DIR ")"},
    {"--passphrase-file", OPTION_PASSPHRASE_FILE, "FILE",
     "take the passphrase from the first line of FILE"},
    {"--listen", OPTION_LISTEN, "ADDRESS:PORT",
     "serve at this address of loopback by HTTP"},
    {"--port", OPTION_PORT, "PORT", "ask this port (500 and 4500)"},
    {"--svg", OPTION_SVG, "FILE", "draw the recoveries into FILE"},
    {"--help", OPTION_HELP, NULL, "show this text"},
    {0},
};

/* option_find returns the option of `word`, "--name" or "--name=value", or
 * NULL. */
static const option *option_find(const char *word)
{
    size_t len = strcspn(word, "=");
    for (const option *row = option_rows; row->name != NULL; row++) {
        if (strlen(row->name) == len && strncmp(row->name, word, len) == 0) {
            return row;
        }
    }
    return NULL;
}

static void set_value(options *out, unsigned int bit, const char *value)
{
    if (bit == OPTION_SOCKET) {
        out->socket = value;
    } else if (bit == OPTION_STATE_DIR) {
        out->state_dir = value;
    } else if (bit == OPTION_PASSPHRASE_FILE) {
        out->passphrase_file = value;
    } else if (bit == OPTION_LISTEN) {
        out->listen = value;
    } else if (bit == OPTION_PORT) {
        out->port = value;
    } else if (bit == OPTION_SVG) {
        out->svg = value;
    }
}

/* take_option reads the option at `words` and returns how many words it used.
 * It returns 0 after a mistake. */
static size_t take_option(options *out, const command *row,
                          const char *const *words)
{
    const option *found = option_find(words[0]);
    if (found == NULL) {
        output_misuse("unknown option %s. See: qcd help %s", words[0],
                      out->command);
        return 0;
    }
    if (found->bit != OPTION_HELP && (row->options & found->bit) == 0) {
        output_misuse("\"qcd %s\" does not take %s. See: qcd help %s",
                      out->command, found->name, out->command);
        return 0;
    }
    out->given |= found->bit;
    const char *value = strchr(words[0], '=');
    if (found->value == NULL) {
        if (value != NULL) {
            output_misuse("%s takes no value", found->name);
        }
        return value == NULL ? 1 : 0;
    }
    size_t num_words = value != NULL ? 1 : 2;
    value = value != NULL ? value + 1 : words[1];
    if (value == NULL || *value == '\0') {
        output_misuse("%s needs a value: %s %s", found->name, found->name,
                      found->value);
        return 0;
    }
    set_value(out, found->bit, value);
    return num_words;
}

bool options_read(options *out, const command *row, const char *name,
                  const char *const *words)
{
    *out = (options){.command = name,
                     .socket = DEFAULT_SOCKET,
                     .state_dir = DEFAULT_STATE_DIR};
    while (*words != NULL && words[0][0] == '-' && words[0][1] != '\0') {
        size_t num_words = take_option(out, row, words);
        if (num_words == 0) {
            return false;
        }
        words += num_words;
    }
    out->arguments = words;
    for (size_t i = 0; words[i] != NULL; i++) {
        out->num_arguments++;
    }
    if (out->num_arguments > row->num_arguments_max) {
        output_misuse("unexpected argument to \"qcd %s\": \"%s\". Options come "
                      "first; see: qcd help %s",
                      name, words[row->num_arguments_max], name);
        return false;
    }
    return true;
}

uint16_t options_port(const char *word)
{
    size_t len = strlen(word);
    if (len == 0 || len > 5 || strspn(word, "0123456789") != len) {
        return 0;
    }
    unsigned long port = strtoul(word, NULL, 10);
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}
