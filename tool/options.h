/* SPDX-License-Identifier: Apache-2.0 */
/* options.h: reads what follows the name of a command. */
#ifndef QCD_TOOL_OPTIONS_H
#define QCD_TOOL_OPTIONS_H

#include <stdint.h>

#include "qcd.h"

/* option is a row of the table of options. */
typedef struct option {
    const char *name; /* with its dashes */
    unsigned int bit;
    const char *value; /* its value in the usage, NULL for none */
    const char *summary;
} option;

/* option_rows ends with a row without a name. */
extern const option option_rows[];

/* options_read reads `words`, which end with NULL, for the command `row`, whose
 * full name is `name`.  It keeps pointers into them.  After a mistake it prints
 * an error and returns false. */
bool options_read(options *out, const command *row, const char *name,
                  const char *const *words);

/* options_port returns the UDP or TCP port that a word names in decimal digits,
 * or 0 if it names none. */
uint16_t options_port(const char *word);

#endif
