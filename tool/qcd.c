/* SPDX-License-Identifier: Apache-2.0 */
/* qcd.c: shows and controls quick crash detection on this gateway (RFC
 * 6290). */
#include "qcd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "help.h"
#include "options.h"
#include "output.h"

const command commands[] = {
    {"status", "Show the gateway, its connections and their tokens",
     status_main, OPTION_JSON | OPTION_SOCKET, "", 0, NULL},
    {"top", "Show a live view of connections and recoveries", top_main,
     OPTION_SOCKET, "", 0, NULL},
    {"events", "Show crashes, refusals and recoveries as they happen",
     events_main, OPTION_JSON | OPTION_SOCKET, "", 0, NULL},
    {"metrics", "Print or serve metrics for Prometheus", metrics_main,
     OPTION_SOCKET | OPTION_LISTEN, "", 0, NULL},
    {"probe", "Ask a gateway from outside whether it shows tokens, and when",
     probe_main, OPTION_JSON | OPTION_PORT, "HOST [SPIS]", 2, NULL},
    {"decode", "Show the tokens, recoveries and leaks in a capture",
     decode_main, OPTION_JSON | OPTION_SVG, "FILE", 1, NULL},
    {"secret", "Show, renew, share and adopt the secrets", NULL, 0, "", 0,
     secret_commands},
    {"help", "Show how a command is used", help_main, 0, "[COMMAND...]", 2,
     NULL},
    {"version", "Show the version", version_main, OPTION_JSON, "", 0, NULL},
    {0},
};

const command *command_find(const command *table, const char *name)
{
    for (const command *row = table; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

/* run_row reads what follows the name of a command, and runs the command. */
static int run_row(const command *row, const char *name,
                   const char *const *words)
{
    options opts;
    if (!options_read(&opts, row, name, words)) {
        return TOOL_MISUSE;
    }
    if ((opts.given & OPTION_HELP) != 0) {
        help_show(row, name);
        return output_end();
    }
    int code = row->run(&opts);
    int end = output_end();
    return code != TOOL_OK ? code : end;
}

/* run_sub runs a command of two words. */
static int run_sub(const command *group, const char *const *words)
{
    if (words[0] == NULL || strcmp(words[0], "--help") == 0) {
        help_show(group, group->name);
        return words[0] == NULL ? TOOL_MISUSE : output_end();
    }
    const command *row = command_find(group->subcommands, words[0]);
    if (row == NULL) {
        output_misuse("unknown command \"%s %s\". See: qcd help %s",
                      group->name, words[0], group->name);
        return TOOL_MISUSE;
    }
    char name[64];
    (void)snprintf(name, sizeof(name), "%s %s", group->name, row->name);
    return run_row(row, name, words + 1);
}

/* hold_standard_files opens what is closed of standard input, output and error,
 * so that no socket or file gets its number, and with it our messages.  Who
 * uses them still fails: they are opened the wrong way. */
static void hold_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
        }
    }
}

int main(int argc, char *argv[])
{
    tzset();
    hold_standard_files();
    /* Write no core file and let nobody read our memory: it may hold
     * secrets. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    const char *const *words = (const char *const *)argv;
    if (argc < 2) {
        help_overview(stderr);
        return TOOL_MISUSE;
    }
    const char *first = words[1];
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        first = "help";
    }
    if (strcmp(first, "--version") == 0) {
        first = "version";
    }
    const command *row = command_find(commands, first);
    if (row == NULL) {
        output_misuse("unknown command \"%s\". See: qcd help", first);
        return TOOL_MISUSE;
    }
    return row->subcommands != NULL ? run_sub(row, words + 2)
                                    : run_row(row, row->name, words + 2);
}
