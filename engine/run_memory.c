/* run_memory.c - what a prepared run is made of: its steps, and the blocks of its memory. */
#include "run_state.h"

cs_run_memory cs_run_memory_used(const cs_run *run) {
    return (cs_run_memory){run->arena_size, params_packed_bytes(run->params) + run->passing_size,
                           run->model->bin_size, run->model->mapped};
}

int cs_run_block_count(const cs_run *run) { return run->plan.block_count; }

cs_memory_block cs_run_block(const cs_run *run, int index) {
    const plan_block *block = &run->plan.blocks[index];
    const char *name = NULL;
    if (block->node >= 0)
        name = block->kind == CS_MEMORY_PARAMETER_GRADIENT ? run->model->tensors[block->node].name
                                                           : run->model->nodes[block->node].name;
    return (cs_memory_block){block->kind, name,         block->offset,
                             block->size, block->begin, block->end == PLAN_END ? -1 : block->end};
}

const char *cs_memory_kind_name(cs_memory_kind kind) {
    switch (kind) {
    case CS_MEMORY_VALUE: return "value";
    case CS_MEMORY_GRADIENT: return "gradient";
    case CS_MEMORY_GATES: return "gates";
    case CS_MEMORY_PARAMETER_GRADIENT: return "parameter gradient";
    case CS_MEMORY_HOOK: return "hook";
    case CS_MEMORY_ZEROS: return "zeros";
    case CS_MEMORY_SCRATCH: return "scratch";
    }
    return "?";
}

int cs_run_step_count(const cs_run *run) { return run->plan.step_count; }

static const char *name_of(const cs_run *run, int node) {
    return node >= 0 ? run->model->nodes[node].name : NULL;
}

int cs_run_backward_count(const cs_run *run) { return run->plan.backward_count; }

cs_backward_info cs_run_backward_step(const cs_run *run, int index) {
    const plan_backward *op = &run->plan.backward[index];
    const bool node = op->kind == BACKWARD_NODE;
    return (cs_backward_info){
        node ? name_of(run, op->node) : NULL,
        op->node,
        op->seconds[0],
        op->seconds[1],
        {node ? name_of(run, op->relu) : NULL, node ? name_of(run, op->norm) : NULL},
    };
}

cs_step_info cs_run_step(const cs_run *run, int index) {
    const plan_step *step = &run->plan.steps[index];
    return (cs_step_info){
        name_of(run, step->first),
        name_of(run, step->last),
        step->first,
        step->last,
        step->seconds,
        {name_of(run, step->norm), name_of(run, step->add), name_of(run, step->relu)},
    };
}
