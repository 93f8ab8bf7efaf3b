/* memory.c - places blocks in one arena so that blocks that live at the same time do not overlap.
 *
 * Largest first, each at the lowest offset that is free during its whole life.
 */
#include "plan.h"

#include <stdlib.h>

static int larger_first(const void *a, const void *b) {
    const plan_block *x = *(plan_block *const *)a, *y = *(plan_block *const *)b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return x < y ? -1 : x > y; /* the order given: the same plan every time */
}

static int lower_first(const void *a, const void *b) {
    const plan_block *x = *(plan_block *const *)a, *y = *(plan_block *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The lowest offset where `block` fits between the `count` placed blocks that it meets in time. */
static size_t lowest_offset(const plan_block *block, plan_block **met, size_t count) {
    size_t offset = 0;
    qsort(met, count, sizeof *met, lower_first);
    for (size_t i = 0; i < count; i++) {
        if (met[i]->offset >= offset && met[i]->offset - offset >= block->size)
            break;
        const size_t end = met[i]->offset + met[i]->size;
        offset = end > offset ? end : offset;
    }
    return offset;
}

cs_status memory_place(plan_block *blocks, size_t count, size_t *total, cs_error *err) {
    cs_status status = CS_OK;
    plan_block **order = malloc((count + 1) * sizeof(plan_block *));
    plan_block **met = malloc((count + 1) * sizeof(plan_block *));
    *total = 0;
    if (!order || !met) {
        status = cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "not enough memory for the plan");
        goto cleanup;
    }
    for (size_t i = 0; i < count; i++)
        order[i] = &blocks[i];
    qsort(order, count, sizeof *order, larger_first);
    for (size_t i = 0; i < count; i++) {
        plan_block *block = order[i];
        size_t overlaps = 0, end;
        for (size_t j = 0; j < i; j++)
            if (order[j]->begin <= block->end && block->begin <= order[j]->end)
                met[overlaps++] = order[j];
        block->offset = lowest_offset(block, met, overlaps);
        if (!cs_size_add(block->offset, block->size, &end) || end > SIZE_MAX / 4) {
            status = cs_error_set(err, CS_ERROR_LIMIT, NULL, -1,
                                  "the run needs more memory than can be addressed; use a smaller "
                                  "batch or input");
            goto cleanup;
        }
        *total = end > *total ? end : *total;
    }
cleanup:
    free(order);
    free(met);
    return status;
}
