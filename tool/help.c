/* SPDX-License-Identifier: Apache-2.0 */
/* help.c: qcd help, how to use the commands. */
#include "help.h"

#include <string.h>

#include "options.h"
#include "output.h"

static void list_row(FILE *out, const char *group, const command *row)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s%s%s", group,
                   *group != '\0' ? " " : "", row->name);
    (void)fprintf(out, "  %-15s %s\n", name, row->summary);
}

static void list_group(FILE *out, const command *group)
{
    for (const command *row = group->subcommands; row->name != NULL; row++) {
        list_row(out, group->name, row);
    }
}

void help_overview(FILE *out)
{
    (void)fprintf(out, "usage: qcd COMMAND [OPTION...]\n");
    for (const command *row = commands; row->name != NULL; row++) {
        if (row->subcommands != NULL) {
            list_group(out, row);
        } else {
            list_row(out, "", row);
        }
    }
    (void)fprintf(out, "See: qcd help COMMAND, man qcd\n");
}

static void list_options(const command *row)
{
    for (const option *o = option_rows; o->name != NULL; o++) {
        if ((row->options & o->bit) == 0 && o->bit != OPTION_HELP) {
            continue;
        }
        char name[64];
        (void)snprintf(name, sizeof(name), "%s%s%s", o->name,
                       o->value != NULL ? " " : "",
                       o->value != NULL ? o->value : "");
        (void)printf("  %-23s %s\n", name, o->summary);
    }
}

void help_show(const command *row, const char *name)
{
    if (row->subcommands != NULL) {
        (void)printf("usage: qcd %s COMMAND [OPTION...]\n%s.\n", name,
                     row->summary);
        list_group(stdout, row);
    } else {
        (void)printf("usage: qcd %s [OPTION...]%s%s\n%s.\n", name,
                     *row->arguments != '\0' ? " " : "", row->arguments,
                     row->summary);
        list_options(row);
    }
}

int help_main(const options *opts)
{
    const command *row = NULL;
    const command *table = commands;
    char name[64] = "";
    for (size_t i = 0; i < opts->num_arguments; i++) {
        row = table != NULL ? command_find(table, opts->arguments[i]) : NULL;
        if (row == NULL) {
            output_misuse("unknown command \"%s%s%s\". See: qcd help", name,
                          *name != '\0' ? " " : "", opts->arguments[i]);
            return TOOL_MISUSE;
        }
        size_t len = strlen(name);
        (void)snprintf(name + len, sizeof(name) - len, "%s%s",
                       len > 0 ? " " : "", row->name);
        table = row->subcommands;
    }
    if (row == NULL) {
        help_overview(stdout);
    } else {
        help_show(row, name);
    }
    return TOOL_OK;
}
