/* SPDX-License-Identifier: Apache-2.0 */
/* help.h: how to use the commands. */
#ifndef QCD_TOOL_HELP_H
#define QCD_TOOL_HELP_H

#include <stdio.h>

#include "qcd.h"

/* help_overview prints all commands. */
void help_overview(FILE *out);

/* help_show prints how to use the command `row`, whose full name is `name`. */
void help_show(const command *row, const char *name);

#endif
