/* SPDX-License-Identifier: Apache-2.0 */
/* wipe.c: erasing secrets. */
#include <qcd/qcd.h>

#include <string.h>

void qcd_wipe(void *p, size_t len)
{
    if (len == 0) {
        return;
    }
    memset(p, 0, len);
    /* The compiler must assume that the octets at `p` are read here, so the
     * memset above is not a dead store. */
    __asm__ __volatile__("" : : "r"(p) : "memory");
}
