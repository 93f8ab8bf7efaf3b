/* plan.c - turns graph and watches into steps, backward operations and memory (plan.h). */
#include "planner.h"

#include <stdlib.h>
#include <string.h>

static bool stored_anyway(const planner *p, int node) {
    return (p->request->watch[node] & (WATCH_ACTIVATION | WATCH_STORED)) ||
           node == p->model->output;
}

/* ------------------------------------------------------------------ steps ---------------- */

static bool may_save_gates(const planner *p, int node) {
    const cs_node_info *info = &p->model->nodes[node];
    return layer_may_save_gates(&info->attributes, p->request->shapes[info->input[0]].c);
}

/* Extends a step by the node behind its last one, if the epilogue can compute it. */
static bool absorb_next(planner *p, plan_step *step) {
    if (stored_anyway(p, step->last) || p->consumers[step->last] != 1)
        return false;
    const int next = p->consumer[step->last];
    const cs_node_info *node = &p->model->nodes[next];
    if (p->absorbed[next] || step->relu >= 0)
        return false;
    if (strcmp(node->op, "batch_norm") == 0) {
        if (p->request->training || step->norm >= 0 || step->add >= 0 ||
            planner_keeps_input(p, next))
            return false;
        step->norm = next;
    } else if (strcmp(node->op, "add") == 0 && step->add < 0) {
        step->add = next;
        step->residual = node->input[0] == step->last ? node->input[1] : node->input[0];
    } else if (strcmp(node->op, "relu") == 0 && !p->request->imposed &&
               may_save_gates(p, step->first)) {
        step->relu = next;
    } else {
        return false;
    }
    p->absorbed[next] = true;
    step->last = next;
    return true;
}

static int by_last_node(const void *a, const void *b) {
    const plan_step *x = a, *y = b;
    return x->last - y->last;
}

/* A step runs where its last node stands: then a residual that is computed between its nodes (a
 * block's downsample) is there. Every value that it reads is the last of an earlier step. */
static void make_steps(planner *p) {
    for (int i = 0; i < p->model->node_count; i++)
        for (int k = 0; k < p->model->nodes[i].inputs; k++) {
            p->consumers[p->model->nodes[i].input[k]]++;
            p->consumer[p->model->nodes[i].input[k]] = i;
        }
    for (int i = 1; i < p->model->node_count; i++) {
        if (p->absorbed[i])
            continue;
        plan_step step = {i, -1, -1, -1, i, -1, 0};
        while (planner_layer(p, i)->has_epilogue && absorb_next(p, &step))
            ;
        p->plan->steps[p->plan->step_count++] = step;
    }
    qsort(p->plan->steps, (size_t)p->plan->step_count, sizeof *p->plan->steps, by_last_node);
}

/* ------------------------------------------------------------------ memory --------------- */

static size_t value_bytes(const planner *p, int node) {
    return cs_align64((size_t)p->request->batch * planner_image_bytes(p, node));
}

/* A block, and where its offset is to be told. */
typedef struct block_list {
    plan_block *blocks;
    size_t **target;
    size_t count;
} block_list;

static void add_block(block_list *list, size_t *target, size_t size, int32_t begin, int32_t end) {
    list->blocks[list->count] = (plan_block){cs_align64(size), 0, begin, end, CS_MEMORY_HOOK, -1};
    list->target[list->count++] = target;
}

/* A block of so many bytes an image. */
static void add_images(const planner *p, block_list *list, size_t *target, bool *sliced,
                       size_t bytes, int32_t begin, int32_t end) {
    *sliced = planner_in_slices(p, &begin, &end);
    add_block(list, target, (size_t)(*sliced ? p->plan->slice : p->request->batch) * bytes, begin,
              end);
}

static void read_until(planner *p, int node, int32_t time) {
    if (p->last_read[node] < time)
        p->last_read[node] = time;
}

/* A forward hook is called behind the step of the call's last node and is given the inputs, too. */
static void read_by_hooks(planner *p) {
    int hook = 0, index = 0;
    for (hook_call *call; (call = hooks_next_call(p->request->hooks, &hook, &index));) {
        int32_t time = 1;
        while (time <= p->plan->step_count && p->plan->steps[time - 1].last < call->last)
            time++;
        for (int i = 0; i < call->input_count && call->hook->kind == CS_HOOK_FORWARD; i++)
            read_until(p, call->inputs[i].tensor, time);
    }
}

/* What hooks put in the place of values and gradients, which stays until the next forward. */
static void list_replacements(planner *p, block_list *list) {
    int hook = 0, index = 0;
    for (hook_call *call; (call = hooks_next_call(p->request->hooks, &hook, &index));) {
        const cs_hook_kind kind = call->hook->kind;
        const int last = call->last;
        for (int i = 0; i < call->input_count && kind == CS_HOOK_FORWARD_PRE; i++)
            add_block(list, &call->inputs[i].memory, value_bytes(p, call->inputs[i].tensor), 0,
                      PLAN_END);
        if (kind == CS_HOOK_BACKWARD_PRE && call->reached)
            add_block(list, &call->memory, value_bytes(p, last), p->plan->step_count + 1, PLAN_END);
        if (kind == CS_HOOK_FORWARD && planner_layer(p, last)->needs_output && p->passed[last] &&
            p->plan->output[last] == PLAN_NOWHERE) {
            p->plan->output[last] = 0; /* once for all hooks of the node */
            add_block(list, &p->plan->output[last], value_bytes(p, last), 0, PLAN_END);
        }
    }
}

/* Values that steps store: from their step to their last reader. */
static void list_values(planner *p, block_list *list) {
    const run_plan *plan = p->plan;
    int32_t *last_read = p->last_read;
    read_by_hooks(p);
    for (int s = 0; s < plan->step_count; s++) {
        const plan_step *step = &plan->steps[s];
        const cs_node_info *node = &p->model->nodes[step->first];
        for (int k = 0; k < node->inputs; k++)
            read_until(p, node->input[k], s + 1);
        if (step->residual >= 0)
            read_until(p, step->residual, s + 1);
    }
    for (int i = 1; i < p->model->node_count; i++)
        if (p->passed[i] && planner_keeps_input(p, i))
            last_read[p->model->nodes[i].input[0]] = PLAN_END;
    for (int s = -1; s < plan->step_count; s++) {
        const int node = s < 0 ? 0 : plan->steps[s].last;
        const bool stays = (p->request->watch[node] & WATCH_ACTIVATION) ||
                           node == p->model->output ||
                           (planner_layer(p, node)->needs_output && p->passed[node]);
        const int32_t born = s + 1;
        add_images(p, list, &plan->value[node], &plan->sliced_value[node],
                   planner_image_bytes(p, node), born,
                   stays ? PLAN_END : (last_read[node] > born ? last_read[node] : born));
    }
}

/* Gates and winners: from their step to the end, for a forward may be followed by many backwards.
 */
static void list_saved(planner *p, block_list *list) {
    for (int s = 0; s < p->plan->step_count; s++) {
        const plan_step *step = &p->plan->steps[s];
        const int nodes[2] = {step->first, step->relu};
        for (int k = 0; k < 2; k++) {
            const int node = nodes[k];
            if (node < 0 || !planner_layer(p, node)->saved_size)
                continue;
            if (!planner_layer(p, node)->statistics &&
                (p->request->imposed || !(p->passed[node] || p->request->keep_gates)))
                continue;
            const cs_node_info *info = &p->model->nodes[node];
            int32_t begin = s + 1, end = PLAN_END;
            (void)planner_in_slices(p, &begin, &end);
            add_block(list, &p->plan->saved[node],
                      planner_layer(p, node)->saved_size(
                          &info->attributes, p->request->shapes[info->input[0]],
                          p->request->shapes[node], p->request->batch),
                      begin, end);
        }
    }
}

/* Whether a convolution reads the node's value and can skip its zeros: whole words of gates. */
static bool has_skipping_reader(const planner *p, int node) {
    for (int i = node + 1; i < p->model->node_count; i++) {
        const cs_node_info *info = &p->model->nodes[i];
        if (info->inputs > 0 && info->input[0] == node && strcmp(info->op, "conv2d") == 0 &&
            p->request->shapes[node].c / info->attributes.groups % CS_PANEL == 0)
            return true;
    }
    return false;
}

/* Whether a hook may put another value in the place of the node's, whose zeros lie elsewhere. */
static bool may_be_replaced(const planner *p, int node) {
    int hook = 0, index = 0;
    for (const hook_call *call; (call = hooks_next_call(p->request->hooks, &hook, &index));) {
        if (call->hook->kind == CS_HOOK_FORWARD && call->last == node)
            return true;
        for (int i = 0; i < call->input_count && call->hook->kind == CS_HOOK_FORWARD_PRE; i++)
            if (call->inputs[i].tensor == node)
                return true;
    }
    return false;
}

/* Masks for skipping: from their step to its value's last reader. */
static void list_masks(planner *p, block_list *list) {
    const int32_t *last_read = p->last_read;
    for (int s = 0; s < p->plan->step_count && p->request->engine == LAYER_DIRECT; s++) {
        const plan_step *step = &p->plan->steps[s];
        const int node = step->last;
        if (strcmp(p->model->nodes[node].op, "relu") != 0 || p->passed[node] ||
            !has_skipping_reader(p, node) || may_be_replaced(p, node))
            continue;
        const cs_shape shape = p->request->shapes[node];
        add_images(p, list, &p->plan->mask[node], &p->plan->sliced_mask[node],
                   (size_t)(shape.h * shape.w) * layer_gate_words(shape.c) * sizeof(uint16_t),
                   s + 1, last_read[node]);
    }
}

/* Gradients: one block for all slots that share memory. */
static void list_gradients(planner *p, block_list *list) {
    const int count = p->groups.slots;
    for (int i = 0; i < count; i++) {
        const int root = p->gradient_root[i];
        if (root >= 0 && p->gradient_end[i] > p->gradient_end[root])
            p->gradient_end[root] = p->gradient_end[i];
    }
    for (int i = 0; i < count; i++)
        if (p->gradient_root[i] == i)
            add_images(p, list, &p->plan->gradient[i], &p->plan->sliced_gradient[i],
                       planner_image_bytes(p, p->slot_tensor[i]), p->gradient_begin[i],
                       p->gradient_end[i]);
}

/* Gradients of parameters live as long as the plan. */
static void list_parameters(planner *p, block_list *list) {
    for (int i = 0; i < p->model->tensor_count; i++) {
        p->plan->parameter[i] = PLAN_NOWHERE;
        if (p->request->parameter[i])
            add_block(list, &p->plan->parameter[i],
                      (size_t)p->model->tensors[i].count * cs_dtype_size(p->request->dtype), 0,
                      PLAN_END);
    }
}

static size_t most_scratch(const planner *p) {
    size_t most = 64;
    for (int i = 1; i < p->model->node_count; i++) {
        const layer *kind = planner_layer(p, i);
        const cs_node_info *info = &p->model->nodes[i];
        const cs_shape in = p->request->shapes[info->input[0]], out = p->request->shapes[i];
        for (int pass = 0;
             kind->scratch_size && pass < (p->passed[i] || p->request->single_nodes ? 2 : 1);
             pass++) {
            const size_t size =
                kind->scratch_size(&info->attributes, in, out, p->request->batch, (layer_pass)pass);
            most = size > most ? size : most;
        }
    }
    return cs_align64(most);
}

/* What all threads share while they make the gradients of a node's parameters. */
static size_t most_shared(const planner *p) {
    size_t most = 0;
    for (int i = 1; i < p->model->node_count; i++) {
        const layer *kind = planner_layer(p, i);
        const cs_node_info *info = &p->model->nodes[i];
        if (!kind->shared_size || !(planner_wants(p, i, 0) || p->request->single_nodes))
            continue;
        const size_t size = kind->shared_size(&info->attributes, p->request->shapes[info->input[0]],
                                              p->request->shapes[i], p->request->batch);
        most = size > most ? size : most;
    }
    return most;
}

/* Says of every block what it is for, by where its offset was to be told. */
static void describe_blocks(const planner *p, const block_list *list) {
    const run_plan *plan = p->plan;
    const size_t nodes = (size_t)p->model->node_count, slots = (size_t)p->groups.slots;
    const struct {
        const size_t *first;
        size_t count;
        cs_memory_kind kind;
    } tables[] = {
        {plan->value, nodes, CS_MEMORY_VALUE},
        {plan->output, nodes, CS_MEMORY_VALUE},
        {plan->saved, nodes, CS_MEMORY_GATES},
        {plan->mask, nodes, CS_MEMORY_GATES},
        {plan->gradient, slots, CS_MEMORY_GRADIENT},
        {plan->parameter, (size_t)p->model->tensor_count, CS_MEMORY_PARAMETER_GRADIENT},
        {&plan->zeros, 1, CS_MEMORY_ZEROS},
        {&plan->scratch, 1, CS_MEMORY_SCRATCH},
        {&plan->shared, 1, CS_MEMORY_SCRATCH},
    };
    for (size_t i = 0; i < list->count; i++)
        for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
            const uintptr_t at = (uintptr_t)list->target[i], first = (uintptr_t)tables[t].first;
            if (at < first || at >= first + tables[t].count * sizeof(size_t))
                continue;
            plan_block *block = &list->blocks[i];
            const int index = (int)((at - first) / sizeof(size_t));
            block->kind = tables[t].kind;
            block->node = block->kind == CS_MEMORY_GRADIENT ? p->slot_tensor[index]
                          : tables[t].count > 1             ? index
                                                            : -1;
        }
}

static cs_status place_all(planner *p, block_list *list, cs_error *err) {
    run_plan *plan = p->plan;
    const int count = p->model->node_count;
    int64_t channels = 64; /* and as many as a convolution may read as one run */
    for (int i = 0; i < count; i++)
        channels = p->request->shapes[i].c > channels ? p->request->shapes[i].c : channels;
    for (int i = 0; i < count; i++)
        plan->value[i] = plan->mask[i] = plan->saved[i] = plan->output[i] = PLAN_NOWHERE;
    for (int i = 0; i < p->groups.slots; i++)
        plan->gradient[i] = PLAN_NOWHERE;
    list_replacements(p, list);
    list_values(p, list);
    list_saved(p, list);
    list_masks(p, list);
    list_gradients(p, list);
    list_parameters(p, list);
    plan->scratch_stride = most_scratch(p);
    plan->zeros_size = (size_t)channels * cs_dtype_size(p->request->dtype);
    add_block(list, &plan->zeros, plan->zeros_size, 0, PLAN_END);
    add_block(list, &plan->scratch, plan->scratch_stride * (size_t)p->request->threads, 0,
              PLAN_END);
    plan->shared = PLAN_NOWHERE;
    const size_t shared = most_shared(p);
    if (shared > 0)
        add_block(list, &plan->shared, shared, plan->step_count + 1, PLAN_END);
    CS_TRY(memory_place(list->blocks, list->count, &plan->total, err));
    for (size_t i = 0; i < list->count; i++)
        *list->target[i] = list->blocks[i].offset;
    describe_blocks(p, list);
    for (int i = 0; i < count; i++) {
        if (plan->output[i] == PLAN_NOWHERE)
            plan->output[i] = plan->value[i];
        if (strcmp(p->model->nodes[i].op, "relu") == 0 && plan->saved[i] != PLAN_NOWHERE &&
            !may_be_replaced(p, i))
            plan->mask[i] = plan->saved[i];
    }
    for (int i = 0; i < p->groups.slots; i++)
        if (p->gradient_root[i] >= 0) {
            plan->gradient[i] = plan->gradient[p->gradient_root[i]];
            plan->sliced_gradient[i] = plan->sliced_gradient[p->gradient_root[i]];
        }
    return CS_OK;
}

/* ------------------------------------------------------------------ create, free --------- */

static cs_status allocate_plan(planner *p, block_list *list, cs_error *err) {
    const size_t n = (size_t)p->model->node_count, tensors = (size_t)p->model->tensor_count;
    const size_t groups = (size_t)p->groups.count, slots = n + groups;
    size_t hooked = 0; /* inputs of hooked calls, and the calls */
    int hook = 0, index = 0;
    for (hook_call *call; (call = hooks_next_call(p->request->hooks, &hook, &index));)
        hooked += 1 + (size_t)call->input_count;
    run_plan *plan = p->plan;
    plan->parameter = calloc(tensors + 1, sizeof *plan->parameter);
    plan->steps = calloc(n, sizeof *plan->steps);
    plan->backward = calloc(n + hooked + 2 * groups, sizeof *plan->backward);
    plan->value = calloc(4 * n + slots, sizeof *plan->value);
    plan->sliced_value = calloc(2 * n + slots, sizeof *plan->sliced_value);
    plan->sliced_mask = plan->sliced_value ? plan->sliced_value + n : NULL;
    plan->sliced_gradient = plan->sliced_value ? plan->sliced_value + 2 * n : NULL;
    plan->saved = plan->value ? plan->value + n : NULL;
    plan->output = plan->value ? plan->value + 2 * n : NULL;
    plan->mask = plan->value ? plan->value + 3 * n : NULL;
    plan->gradient = plan->value ? plan->value + 4 * n : NULL;
    p->consumers = calloc(2 * n + 3 * slots, sizeof *p->consumers);
    p->absorbed = calloc(3 * n + slots, sizeof *p->absorbed);
    p->last_read = calloc(n + 2 * slots, sizeof *p->last_read);
    list->blocks = calloc(4 * n + slots + hooked + tensors + 3, sizeof *list->blocks);
    list->target = calloc(4 * n + slots + hooked + tensors + 3, sizeof *list->target);
    CS_CHECK(plan->parameter && plan->steps && plan->backward && plan->value &&
                 plan->sliced_value && p->consumers && p->absorbed && p->last_read &&
                 list->blocks && list->target,
             CS_ERROR_MEMORY, "not enough memory for the plan of %zu nodes", n);
    p->consumer = p->consumers + n;
    p->slot_tensor = p->consumer + n;
    p->contributions = p->slot_tensor + slots;
    p->gradient_root = p->contributions + slots;
    p->needed = p->absorbed + n;
    p->passed = p->absorbed + 2 * n;
    p->lent = p->absorbed + 3 * n;
    p->gradient_begin = p->last_read + n;
    p->gradient_end = p->gradient_begin + slots;
    for (size_t i = 0; i < slots; i++) {
        p->slot_tensor[i] = (int)i; /* but for groups, which say */
        p->gradient_root[i] = -1;
    }
    return CS_OK;
}

cs_status plan_create(const plan_request *request, run_plan *result, cs_error *err) {
    memset(result, 0, sizeof *result);
    planner p = {.request = request, .model = request->model, .plan = result};
    block_list list = {NULL, NULL, 0};
    cs_status status = groups_create(request->model, request->hooks, &p.groups, err);
    if (status == CS_OK)
        status = allocate_plan(&p, &list, err);
    if (status == CS_OK) {
        make_steps(&p);
        status = planner_make_backward(&p, err);
        planner_fuse_backward(&p);
        planner_slice(&p);
    }
    if (status == CS_OK)
        status = place_all(&p, &list, err);
    groups_free(&p.groups);
    free(p.consumers);
    free(p.absorbed);
    free(p.last_read);
    result->blocks = list.blocks;
    result->block_count = (int)list.count;
    free(list.target);
    if (status != CS_OK)
        plan_free(result);
    return status;
}

void plan_free(run_plan *plan) {
    free(plan->steps);
    free(plan->backward);
    free(plan->value);
    free(plan->sliced_value);
    free(plan->parameter);
    free(plan->blocks);
    memset(plan, 0, sizeof *plan);
}
