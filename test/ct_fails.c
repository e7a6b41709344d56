/* SPDX-License-Identifier: Apache-2.0 */
/* ct_fails.c: mistakes that valgrind must notice, or the other tests of
 * constant time would say nothing.  The argument selects one. */
#include <stdio.h>
#include <string.h>

#include "ct.h"

static const unsigned char table[256] = {1, 2, 3};
static unsigned char secret[32];
static const unsigned char shown[32] = {1};
static volatile unsigned sink;

/* ends at the first octet that differs, as memcmp may; the volatile writes keep
 * a compiler from comparing all octets at once */
static int compare(void)
{
    for (size_t i = 0; i < sizeof(secret); i++) {
        if (secret[i] != shown[i]) {
            return 1;
        }
        sink = (unsigned)i;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *mistake = argc > 1 ? argv[1] : "";

    SECRET(secret, sizeof(secret));
    if (strcmp(mistake, "branch") == 0) {
        sink = (unsigned)compare();
    } else if (strcmp(mistake, "memcmp") == 0) {
        sink = (unsigned)memcmp(secret, shown, sizeof(secret));
    } else if (strcmp(mistake, "index") == 0) {
        sink = table[secret[3]];
    }
    return 0;
}
