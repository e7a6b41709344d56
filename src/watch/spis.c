/* SPDX-License-Identifier: Apache-2.0 */
/* spis.c: a set of SPIs. */
#include "spis.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;

    return (*x > *y) - (*x < *y);
}

static bool has(const spis *set, uint32_t number)
{
    return set->num > 0 && bsearch(&number, set->numbers, set->num,
                                   sizeof(number), compare) != NULL;
}

static bool reserve(spis *out, size_t num)
{
    out->num = 0;
    out->numbers = calloc(num > 0 ? num : 1, sizeof(*out->numbers));
    return out->numbers != NULL;
}

static void sort(spis *set)
{
    size_t num = 0;

    if (set->num > 0) {
        qsort(set->numbers, set->num, sizeof(*set->numbers), compare);
    }
    for (size_t i = 0; i < set->num; i++) {
        if (num == 0 || set->numbers[num - 1] != set->numbers[i]) {
            set->numbers[num++] = set->numbers[i];
        }
    }
    set->num = num;
}

bool spis_new(spis *out, const spis *known, bool is_known,
              const qcd_child_spi *in, size_t num)
{
    if (!reserve(out, num)) {
        return false;
    }
    for (size_t i = 0; i < num; i++) {
        uint32_t number;

        memcpy(&number, in[i].octets, sizeof(number));
        if (number != 0 && has(known, number) == is_known) {
            out->numbers[out->num++] = number;
        }
    }
    sort(out);
    return true;
}

bool spis_unite(spis *out, const spis *a, const spis *b)
{
    size_t i = 0;
    size_t k = 0;

    if (!reserve(out, a->num + b->num)) {
        return false;
    }
    while (i < a->num || k < b->num) {
        bool is_a =
            k == b->num || (i < a->num && a->numbers[i] < b->numbers[k]);

        out->numbers[out->num++] = is_a ? a->numbers[i++] : b->numbers[k++];
    }
    return true;
}

void spis_subtract(spis *set, const spis *other)
{
    size_t num = 0;

    for (size_t i = 0; i < set->num; i++) {
        if (!has(other, set->numbers[i])) {
            set->numbers[num++] = set->numbers[i];
        }
    }
    set->num = num;
}

void spis_free(spis *set)
{
    free(set->numbers);
    memset(set, 0, sizeof(*set));
}
