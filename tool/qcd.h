/* SPDX-License-Identifier: Apache-2.0 */
/* qcd.h: what the subcommands of the qcd command share. */
#ifndef QCD_TOOL_H
#define QCD_TOOL_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes. */
enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_MISUSE = 2 };

/* Further ones of qcd decode. */
enum { TOOL_LEAK = 3, TOOL_SUSPECTED = 4 };

/* Options, as bits of the set that a command takes. */
enum {
    OPTION_JSON = 1,
    OPTION_SOCKET = 2,
    OPTION_STATE_DIR = 4,
    OPTION_PASSPHRASE_FILE = 8,
    OPTION_HELP = 16, /* all commands take it */
    OPTION_SVG = 32,
    OPTION_LISTEN = 64,
    OPTION_PORT = 128
};

/* options is a parsed command line. */
typedef struct options {
    unsigned int given;  /* bits */
    const char *command; /* "secret show", for messages */
    const char *socket;
    const char *state_dir;
    const char *listen;          /* "ADDRESS:PORT" */
    const char *passphrase_file; /* NULL: ask at the terminal */
    const char *port;            /* NULL: all ports of IKE */
    const char *svg;             /* NULL: draw nothing */
    const char *const *arguments;
    size_t num_arguments;
} options;

/* command is a row of the table of subcommands. */
typedef struct command {
    const char *name;
    const char *summary;             /* one line */
    int (*run)(const options *opts); /* returns exit code */
    unsigned int options;            /* bits of its options */
    const char *arguments;           /* for the usage, "" for none */
    size_t num_arguments_max;
    const struct command *subcommands; /* instead of `run`, or NULL */
} command;

/* commands and secret_commands end with a row without a name. */
extern const command commands[];
extern const command secret_commands[];

int decode_main(const options *opts);
int events_main(const options *opts);
int help_main(const options *opts);
int metrics_main(const options *opts);
int probe_main(const options *opts);
int secret_adopt_main(const options *opts);
int secret_export_main(const options *opts);
int secret_import_main(const options *opts);
int secret_rotate_main(const options *opts);
int secret_show_main(const options *opts);
int status_main(const options *opts);
int top_main(const options *opts);
int version_main(const options *opts);

/* command_find returns the row of `name`, or NULL. */
const command *command_find(const command *table, const char *name);

#endif
