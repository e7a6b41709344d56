/* SPDX-License-Identifier: Apache-2.0 */
/* samap_index.c: SPIs and slots of the SA map. */
#include "samap_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MIN 64

/* ---- SPIs -------------------------------------------------------------- */

/* home is the place where `spi` is, or from which the search for it starts.
 * SPIs may be from a narrow range, or consecutive, so all bits of an SPI
 * count. */
static size_t home(const samap_index *index, const qcd_child_spi *spi)
{
    uint32_t number;
    memcpy(&number, spi->octets, sizeof(number));
    number = (number ^ number >> 16) * 0x7feb352du;
    number = (number ^ number >> 15) * 0x846ca68bu;
    return (number ^ number >> 16) & (index->num_places - 1);
}

static qcd_child_spi spi_of(const samap_place *place)
{
    qcd_child_spi spi = {.protocol = place->protocol};
    memcpy(spi.octets, place->octets, QCD_CHILD_SPI_LEN);
    return spi;
}

static bool is_of(const samap_place *place, const qcd_child_spi *spi)
{
    return memcmp(place->octets, spi->octets, QCD_CHILD_SPI_LEN) == 0 &&
           place->protocol == spi->protocol;
}

/* seek finds the place of `spi`, or the empty place where it belongs. */
static size_t seek(const samap_index *index, const qcd_child_spi *spi)
{
    size_t i = home(index, spi);
    while (index->places[i].slot != 0 && !is_of(&index->places[i], spi)) {
        i = (i + 1) & (index->num_places - 1);
    }
    return i;
}

static void put(samap_index *index, const qcd_child_spi *spi, uint32_t slot)
{
    samap_place *place = &index->places[seek(index, spi)];
    memcpy(place->octets, spi->octets, QCD_CHILD_SPI_LEN);
    place->protocol = spi->protocol;
    place->slot = slot & 0xffffff;
}

/* grow doubles the number of places. */
static bool grow(samap_index *index)
{
    samap_index old = *index;
    size_t num = old.num_places == 0 ? PLACES_MIN : old.num_places * 2;
    samap_place *places = calloc(num, sizeof(*places));
    if (places == NULL) {
        return false;
    }
    index->places = places;
    index->num_places = num;
    for (size_t i = 0; i < old.num_places; i++) {
        if (old.places[i].slot != 0) {
            const qcd_child_spi spi = spi_of(&old.places[i]);
            put(index, &spi, old.places[i].slot);
        }
    }
    free(old.places);
    return true;
}

uint32_t samap_index_find(const samap_index *index, const qcd_child_spi *spi)
{
    return index->num == 0 ? 0 : index->places[seek(index, spi)].slot;
}

void samap_index_add(samap_index *index, const qcd_child_spi *spi,
                     uint32_t slot)
{
    assert(index->num * 2 < index->num_places && slot != 0);
    put(index, spi, slot);
    index->num++;
}

void samap_index_remove(samap_index *index, const qcd_child_spi *spi)
{
    size_t mask = index->num_places - 1;
    size_t gap = seek(index, spi);
    assert(index->places[gap].slot != 0);
    /* The following places move up, unless a place would move before its
     * home. */
    for (size_t i = (gap + 1) & mask; index->places[i].slot != 0;
         i = (i + 1) & mask) {
        const qcd_child_spi other = spi_of(&index->places[i]);
        size_t from_home = (i - home(index, &other)) & mask;
        if (from_home >= ((i - gap) & mask)) {
            index->places[gap] = index->places[i];
            gap = i;
        }
    }
    memset(&index->places[gap], 0, sizeof(index->places[gap]));
    index->num--;
}

/* ---- Slots ------------------------------------------------------------- */

/* make_room makes room to list all slots as free. */
static bool make_room(samap_index *index)
{
    size_t room = index->free_room == 0 ? PLACES_MIN : index->free_room * 2;
    uint32_t *slots = calloc(room, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    if (index->num_free > 0) {
        memcpy(slots, index->free, index->num_free * sizeof(*slots));
    }
    free(index->free);
    index->free = slots;
    index->free_room = room;
    return true;
}

bool samap_index_reserve(samap_index *index)
{
    return ((index->num + 1) * 2 <= index->num_places || grow(index)) &&
           ((size_t)index->end + 1 <= index->free_room || make_room(index));
}

uint32_t samap_index_take(samap_index *index)
{
    assert(index->num_free > 0 || index->end < index->free_room);
    return index->num_free > 0 ? index->free[--index->num_free] : ++index->end;
}

void samap_index_give(samap_index *index, uint32_t slot)
{
    assert(index->num_free < index->free_room);
    index->free[index->num_free++] = slot;
}

void samap_index_free(samap_index *index)
{
    free(index->places);
    free(index->free);
    memset(index, 0, sizeof(*index));
}
