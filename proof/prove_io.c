/* SPDX-License-Identifier: Apache-2.0 */
/* prove_io.c: complete reads and writes of 0 to 8 octets, with a system that
 * transfers any part of what is left, fails or is interrupted at any time. */
#include "proof.h"
#include "store/io.h"

/* Nothing in io.c depends on a length otherwise than by comparison, so more are
 * not looked at one by one. */
#define LEN_MAX 8

int main(void)
{
    uint8_t octets[LEN_MAX];
    size_t len;
    int fd;

    if (io_open(&fd, 5, "name", 0) == 0) {
        //@ assert fd >= 0;
        (void)io_sync(fd);
        (void)io_close(&fd);
    }
    //@ assert fd == -1;
    (void)io_close(&fd);
    for (size_t cap = 0; cap <= LEN_MAX; cap++) {
        uint8_t *flush = octets + (LEN_MAX - cap);
        int why = io_read(3, flush, &len, cap, any_size(0, 1 << 30));
        //@ assert len <= cap && why >= 0;
        unknown(octets, sizeof(octets));
        why = io_write(3, flush, cap, any_size(0, 1 << 30));
        //@ assert why >= 0;
    }
    return 0;
}
