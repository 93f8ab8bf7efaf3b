/* names.c - a fixed table from names to indices (open addressing, FNV-1a). */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static const char *name_at(const void *names, size_t stride, int i) {
    const char *name;
    memcpy(&name, (const char *)names + (size_t)i * stride, sizeof name);
    return name;
}

static size_t hash(const char *name) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32);
}

cs_status name_index_create(name_index *index, size_t count, cs_error *err) {
    size_t slots = 16;
    while (slots < count * 2)
        slots *= 2;
    index->slot = malloc(slots * sizeof *index->slot);
    CS_CHECK(index->slot, CS_ERROR_MEMORY, "not enough memory for an index of %zu names", count);
    index->slots = slots;
    for (size_t i = 0; i < slots; i++)
        index->slot[i] = -1;
    return CS_OK;
}

void name_index_free(name_index *index) {
    free(index->slot);
    *index = (name_index){NULL, 0};
}

/* The slot that holds `name`, or the free one where it belongs. */
static size_t find_slot(const name_index *index, const void *names, size_t stride,
                        const char *name) {
    size_t at = hash(name) & (index->slots - 1);
    while (index->slot[at] >= 0 && strcmp(name_at(names, stride, index->slot[at]), name) != 0)
        at = (at + 1) & (index->slots - 1);
    return at;
}

bool name_index_add(name_index *index, const void *names, size_t stride, int i) {
    size_t at = find_slot(index, names, stride, name_at(names, stride, i));
    if (index->slot[at] >= 0)
        return false;
    index->slot[at] = i;
    return true;
}

int name_index_find(const name_index *index, const void *names, size_t stride, const char *name) {
    return index->slots == 0 ? -1 : index->slot[find_slot(index, names, stride, name)];
}
