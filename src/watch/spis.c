/* SPDX-License-Identifier: Apache-2.0 */
/* spis.c: a set of SPIs: open addressing, without tombstones.  The SPIs are our
 * own, so nobody chooses where they stand. */
#include "spis.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 16 };

static size_t home_of(const spis *set, uint32_t number)
{
    uint64_t product = number * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(product >> 32) & (set->num_slots - 1);
}

static size_t after(const spis *set, size_t slot)
{
    return (slot + 1) & (set->num_slots - 1);
}

/* The slot of `number`, or the free one where it would stand. */
static size_t slot_of(const spis *set, uint32_t number)
{
    size_t slot = home_of(set, number);

    while (set->slots[slot] != 0 && set->slots[slot] != number) {
        slot = after(set, slot);
    }
    return slot;
}

uint32_t spis_number(const qcd_child_spi *spi)
{
    uint32_t number;

    memcpy(&number, spi->octets, sizeof(number));
    return number;
}

bool spis_reserve(spis *set, size_t num)
{
    spis grown = {.num_slots = SLOTS_MIN};

    if (num > SIZE_MAX / 4 - set->num) {
        return false;
    }
    while (grown.num_slots < 2 * (set->num + num)) {
        grown.num_slots *= 2;
    }
    if (grown.num_slots <= set->num_slots) {
        return true;
    }
    grown.slots = calloc(grown.num_slots, sizeof(*grown.slots));
    if (grown.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < set->num_slots; i++) {
        if (set->slots[i] != 0) {
            (void)spis_put(&grown, set->slots[i]);
        }
    }
    spis_free(set);
    *set = grown;
    return true;
}

bool spis_put(spis *set, uint32_t number)
{
    size_t slot = slot_of(set, number);

    if (set->slots[slot] == number) {
        return false;
    }
    set->slots[slot] = number;
    set->num++;
    return true;
}

bool spis_take(spis *set, uint32_t number)
{
    if (number == 0 || set->num == 0) {
        return false;
    }
    size_t hole = slot_of(set, number);
    if (set->slots[hole] == 0) {
        return false;
    }
    /* What follows, up to the next free slot, moves into the hole unless that
     * is before its home. */
    for (size_t slot = after(set, hole); set->slots[slot] != 0;
         slot = after(set, slot)) {
        size_t way = slot - home_of(set, set->slots[slot]);

        if ((way & (set->num_slots - 1)) >=
            ((slot - hole) & (set->num_slots - 1))) {
            set->slots[hole] = set->slots[slot];
            hole = slot;
        }
    }
    set->slots[hole] = 0;
    set->num--;
    return true;
}

void spis_list(const spis *set, uint32_t *out)
{
    size_t num = 0;

    for (size_t i = 0; i < set->num_slots; i++) {
        if (set->slots[i] != 0) {
            out[num++] = set->slots[i];
        }
    }
}

void spis_free(spis *set)
{
    free(set->slots);
    memset(set, 0, sizeof(*set));
}
