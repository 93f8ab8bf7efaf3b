/* memory_plan.c - info --memory: the steps of a run and the blocks of its memory. */
#include "memory_plan.h"
#include "common.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cs_status memory_question_parse(memory_question *question, const char *work, const char *size,
                                cs_error *err) {
    CS_CHECK(strcmp(work, "predict") == 0 || strcmp(work, "explain") == 0 ||
                 strcmp(work, "gradient") == 0,
             CS_ERROR_ARGUMENT, "--for %s is not known; predict, explain and gradient are", work);
    question->work = work;
    if (!size)
        return CS_OK;
    char *end = NULL;
    question->width = question->height = strtoll(size, &end, 10);
    if (*end == 'x')
        question->height = strtoll(end + 1, &end, 10);
    CS_CHECK(*end == '\0' && question->width > 0 && question->height > 0, CS_ERROR_ARGUMENT,
             "--size %s is neither a side nor WxH in pixels, as 224 or 320x240", size);
    return CS_OK;
}

/* Blocks in the order of their lives. */
static int by_life(const void *a, const void *b) {
    const cs_memory_block *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin - y->begin;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static cs_status sort_blocks(const cs_run *run, cs_memory_block **blocks, cs_error *err) {
    const int count = cs_run_block_count(run);
    *blocks = malloc(((size_t)count + 1) * sizeof **blocks);
    CS_CHECK(*blocks, CS_ERROR_MEMORY, "not enough memory to list %d blocks", count);
    for (int i = 0; i < count; i++)
        (*blocks)[i] = cs_run_block(run, i);
    qsort(*blocks, (size_t)count, sizeof **blocks, by_life);
    return CS_OK;
}

cs_status memory_plan_make(cs_model *model, cs_run_options how, memory_question *question,
                           cs_run **run, cs_error *err) {
    how.max_batch = question->batch;
    how.height = question->height;
    how.width = question->width;
    CS_TRY(cs_run_create(model, &how, run, err));
    if (strcmp(question->work, "explain") == 0)
        CS_TRY(cs_run_keep(*run, cs_model_default_layer(model), err));
    if (strcmp(question->work, "gradient") == 0)
        CS_TRY(cs_run_keep_gradient(*run, "input", err));
    CS_TRY(cs_run_prepare(*run, err));
    return sort_blocks(*run, &question->blocks, err);
}

static void print_steps(const cs_run *run) {
    char shown[VISIBLE_SIZE], other[VISIBLE_SIZE];
    printf("\n%6s  %-26s %s\n", "time", "step", "computed with it");
    for (int i = 0; i < cs_run_step_count(run); i++) {
        const cs_step_info step = cs_run_step(run, i);
        printf("%6d  %-26s", i + 1, visible(step.first, shown));
        for (int k = 0; k < 3; k++)
            if (step.fused[k])
                printf(" %s", visible(step.fused[k], other));
        printf("\n");
    }
}

void memory_plan_print(const cs_run *run, const memory_question *question) {
    char shown[VISIBLE_SIZE];
    const cs_run_memory memory = cs_run_memory_used(run);
    printf("memory         for %s, batch %" PRId64 ": %.1f MB for tensors, %.1f MB for packed "
           "weights\n",
           question->work, question->batch, (double)memory.arena / 1e6,
           (double)memory.packed / 1e6);
    printf("               the model's file of %.1f MB is %s\n", (double)memory.file / 1e6,
           memory.file_mapped ? "mapped, and handed back once it is packed" : "in memory, too");
    print_steps(run);
    printf("\n%-20s %-26s %12s %12s   %s\n", "block", "of", "offset", "bytes", "from - to time");
    for (int i = 0; i < cs_run_block_count(run); i++) {
        const cs_memory_block *b = &question->blocks[i];
        printf("%-20s %-26s %12zu %12zu   %4d - ", cs_memory_kind_name(b->kind),
               b->name ? visible(b->name, shown) : "", b->offset, b->size, b->begin);
        if (b->end < 0)
            printf("end\n");
        else
            printf("%d\n", b->end);
    }
    printf("%-20s %-26s %12s %12zu\n", "together", "", "", memory.arena);
}

void memory_plan_report(json_writer *json, const cs_run *run, const memory_question *question) {
    const cs_run_memory memory = cs_run_memory_used(run);
    put_object(json, "memory");
    put_text(json, "for", question->work);
    put_integer(json, "batch", question->batch);
    put_integer(json, "arena_bytes", (int64_t)memory.arena);
    put_integer(json, "packed_bytes", (int64_t)memory.packed);
    put_integer(json, "file_bytes", (int64_t)memory.file);
    put_boolean(json, "file_mapped", memory.file_mapped);
    put_array(json, "steps");
    for (int i = 0; i < cs_run_step_count(run); i++) {
        const cs_step_info step = cs_run_step(run, i);
        static const char *const keys[3] = {"batch_norm", "add", "relu"};
        put_object(json, NULL);
        put_integer(json, "time", i + 1);
        put_text(json, "node", step.first);
        for (int k = 0; k < 3; k++)
            if (step.fused[k])
                put_text(json, keys[k], step.fused[k]);
        put_close(json);
    }
    put_close(json);
    const cs_memory_block *blocks = question->blocks;
    put_array(json, "blocks");
    for (int i = 0; i < cs_run_block_count(run); i++) {
        put_object(json, NULL);
        put_text(json, "kind", cs_memory_kind_name(blocks[i].kind));
        put_text(json, "of", blocks[i].name);
        put_integer(json, "offset", (int64_t)blocks[i].offset);
        put_integer(json, "bytes", (int64_t)blocks[i].size);
        put_integer(json, "begin", blocks[i].begin);
        put_integer(json, "end", blocks[i].end);
        put_close(json);
    }
    put_close(json);
    put_close(json);
}
