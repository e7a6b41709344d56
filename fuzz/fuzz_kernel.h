/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_kernel.h: a kernel that is played for fuzz_watch.c, by functions of
 * libmnl and of the system that the linker exchanges. */
#ifndef QCD_FUZZ_KERNEL_H
#define QCD_FUZZ_KERNEL_H

#include "fuzz.h"
#include "rd.h"

/* Descriptors that no file has are those of the sockets of the table and of the
 * log. */
enum {
    KERNEL_SPIS = 64,
    KERNEL_COPY = 128,
    KERNEL_TABLE_FD = 1 << 20,
    KERNEL_LOG_FD
};

typedef struct played_kernel {
    rd r; /* the rest of the input */
    bool has_table;
    bool has_spi[KERNEL_SPIS];
    bool has_lied; /* so nothing can be said of its table */
} played_kernel;

extern played_kernel kernel;

/* kernel_start begins with the input, kernel_stop frees what is left. */
void kernel_start(const uint8_t *in, size_t in_len);
void kernel_stop(void);

uint8_t next_u8(void);
const uint8_t *next_octets(size_t *out_len, size_t max_len);

/* kernel_choose reads how the next requests are answered; kernel_obey makes all
 * of them succeed. */
void kernel_choose(void);
void kernel_obey(void);

/* kernel_log adds a packet to the datagram that kernel_end_log sends.  It tells
 * whether there was room. */
void kernel_begin_log(void);
bool kernel_log(const uint8_t *octets, size_t len);
void kernel_end_log(void);

/* kernel_noise sends any octets, `is_kernel` or in the name of another
 * process, and then an error unless that is 0. */
void kernel_noise(const uint8_t *octets, size_t len, bool is_kernel, int error);

#endif
