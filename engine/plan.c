/* plan.c - turns graph and watches into steps, backward operations and memory (plan.h). */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

/* Scratch of planning itself, one entry a node. */
typedef struct planner {
    const plan_request *request;
    const cs_model *model;
    run_plan *plan;
    int *consumers;     /* how many nodes read it */
    int *consumer;      /* the last of them */
    bool *absorbed;     /* computed by an earlier node's step */
    bool *needed;       /* its gradient, or that of something before it, is asked for */
    bool *passed;       /* it has a backward operation */
    int *contributions; /* gradient contributions planned so far */
    int *gradient_root; /* the node whose gradient memory it shares */
    int32_t *gradient_begin, *gradient_end;
} planner;

static const layer *layer_of(const planner *p, int node) {
    return plan_layer(p->model, node, p->request->engine, p->request->dtype, p->request->training);
}

/* Parameter `i` of a node (0 weight, 1 bias) is there and its gradient is asked for. */
static bool parameter_wanted(const planner *p, int node, int i) {
    const cs_node_info *info = &p->model->nodes[node];
    return i < info->parameters && layer_of(p, node)->backward_params &&
           p->request->parameter[info->parameter[i]];
}

static bool parameters_wanted(const planner *p, int node) {
    return parameter_wanted(p, node, 0) || parameter_wanted(p, node, 1);
}

/* The backward pass through a node reads the node's input. */
static bool input_kept(const planner *p, int node) {
    const layer *kind = layer_of(p, node);
    return kind->needs_input || (kind->weight_reads_input && parameter_wanted(p, node, 0));
}

static bool stored_anyway(const planner *p, int node) {
    return (p->request->watch[node] & WATCH_ACTIVATION) || node == p->model->output;
}

/* ------------------------------------------------------------------ steps ---------------- */

/* Extends a step by the node behind its last one, if the epilogue can compute it. */
static bool absorb_next(planner *p, plan_step *step) {
    if (stored_anyway(p, step->last) || p->consumers[step->last] != 1)
        return false;
    const int next = p->consumer[step->last];
    const cs_node_info *node = &p->model->nodes[next];
    if (p->absorbed[next] || step->relu >= 0)
        return false;
    if (strcmp(node->op, "batch_norm") == 0) {
        if (p->request->training || step->norm >= 0 || step->add >= 0 || input_kept(p, next))
            return false;
        step->norm = next;
    } else if (strcmp(node->op, "add") == 0 && step->add < 0) {
        step->add = next;
        step->residual = node->input[0] == step->last ? node->input[1] : node->input[0];
    } else if (strcmp(node->op, "relu") == 0 && !p->request->imposed &&
               layer_may_save_gates(&p->model->nodes[step->first].attributes)) {
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
        while (layer_of(p, i)->has_epilogue && absorb_next(p, &step))
            ;
        p->plan->steps[p->plan->step_count++] = step;
    }
    qsort(p->plan->steps, (size_t)p->plan->step_count, sizeof *p->plan->steps, by_last_node);
}

/* ------------------------------------------------------------------ backward ------------- */

/* Lets the gradient of input 0 live in the memory of the node's own, where nobody can tell. */
static void share_memory(planner *p, int node, int32_t time) {
    const cs_node_info *info = &p->model->nodes[node];
    const int input = info->input[0];
    const bool twice = info->inputs == 2 && info->input[1] == input;
    if (!layer_of(p, node)->in_place || (p->request->watch[node] & WATCH_GRADIENT) || twice)
        return;
    /* Only where this is the input's one contribution. */
    int readers = 0;
    for (int i = input + 1; i <= p->request->seed && readers < 2; i++)
        for (int k = 0; k < p->model->nodes[i].inputs; k++)
            readers += p->model->nodes[i].input[k] == input;
    if (readers == 1) {
        p->gradient_root[input] = p->gradient_root[node];
        p->gradient_begin[input] = time;
    }
}

/* Plans one node's backward operation at `time`. */
static void plan_node_backward(planner *p, int node, int32_t time) {
    const cs_node_info *info = &p->model->nodes[node];
    plan_backward op = {.node = node};
    for (int k = info->inputs - 1; k >= 0; k--) {
        const int input = info->input[k];
        if (!p->needed[input])
            continue;
        op.wanted[k] = true;
        op.add[k] = p->contributions[input]++ > 0;
        if (!op.add[k]) {
            p->gradient_root[input] = input;
            p->gradient_begin[input] = time;
            p->gradient_end[input] = time;
        }
        if (k == 0 && !op.add[k])
            share_memory(p, node, time);
    }
    op.params = parameters_wanted(p, node);
    p->passed[node] = op.wanted[0] || op.wanted[1] || op.params;
    if (p->passed[node])
        p->plan->backward[p->plan->backward_count++] = op;
}

static cs_status make_backward(planner *p, cs_error *err) {
    const int seed = p->request->seed, count = p->model->node_count;
    bool any = false;
    for (int i = 0; i < count; i++) {
        p->needed[i] = (p->request->watch[i] & WATCH_GRADIENT) || parameters_wanted(p, i);
        any |= p->needed[i];
        for (int k = 0; k < p->model->nodes[i].inputs; k++)
            p->needed[i] |= p->needed[p->model->nodes[i].input[k]];
    }
    if (!any)
        return CS_OK;
    int32_t time = p->plan->step_count + 1;
    p->contributions[seed] = 1;
    p->gradient_root[seed] = seed;
    p->gradient_begin[seed] = p->gradient_end[seed] = time;
    for (int i = seed; i >= 0; i--) {
        if (p->contributions[i] == 0 || !p->needed[i])
            continue;
        plan_node_backward(p, i, ++time);
        p->gradient_end[i] = p->request->watch[i] & WATCH_GRADIENT ? PLAN_END : time;
    }
    for (int i = 0; i < count; i++)
        if ((p->request->watch[i] & WATCH_GRADIENT) && p->contributions[i] == 0)
            return cs_error_set(err, CS_ERROR_ARGUMENT, p->model->nodes[i].name, -1,
                                "the gradient of \"%s\" was asked for, and \"%s\", where the "
                                "backward pass starts, does not depend on it",
                                p->model->nodes[i].name, p->model->nodes[seed].name);
    return CS_OK;
}

/* ------------------------------------------------------------------ memory --------------- */

static size_t value_bytes(const planner *p, int node) {
    const cs_shape s = p->request->shapes[node];
    return cs_align64((size_t)p->request->batch * (size_t)(s.c * s.h * s.w) *
                      cs_dtype_size(p->request->dtype));
}

/* A block, and where its offset is to be told. */
typedef struct block_list {
    plan_block *blocks;
    size_t **target;
    size_t count;
} block_list;

static void add_block(block_list *list, size_t *target, size_t size, int32_t begin, int32_t end) {
    list->blocks[list->count] = (plan_block){cs_align64(size), 0, begin, end};
    list->target[list->count++] = target;
}

/* Values that steps store: from their step to their last reader. */
static void list_values(planner *p, block_list *list) {
    const run_plan *plan = p->plan;
    int32_t *last_read = p->gradient_end + p->model->node_count; /* a second half of that array */
    for (int s = 0; s < plan->step_count; s++) {
        const plan_step *step = &plan->steps[s];
        const cs_node_info *node = &p->model->nodes[step->first];
        for (int k = 0; k < node->inputs; k++)
            last_read[node->input[k]] = s + 1;
        if (step->residual >= 0)
            last_read[step->residual] = s + 1;
    }
    for (int i = 1; i < p->model->node_count; i++)
        if (p->passed[i] && input_kept(p, i))
            last_read[p->model->nodes[i].input[0]] = PLAN_END;
    for (int s = -1; s < plan->step_count; s++) {
        const int node = s < 0 ? 0 : plan->steps[s].last;
        const bool stays =
            stored_anyway(p, node) || (layer_of(p, node)->needs_output && p->passed[node]);
        const int32_t born = s + 1;
        add_block(list, &plan->value[node], value_bytes(p, node), born,
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
            if (node < 0 || !layer_of(p, node)->saved_size)
                continue;
            if (!layer_of(p, node)->statistics &&
                (p->request->imposed || !(p->passed[node] || p->request->keep_gates)))
                continue;
            const cs_node_info *info = &p->model->nodes[node];
            add_block(list, &p->plan->saved[node],
                      layer_of(p, node)->saved_size(&info->attributes,
                                                    p->request->shapes[info->input[0]],
                                                    p->request->shapes[node], p->request->batch),
                      s + 1, PLAN_END);
        }
    }
}

/* Gradients: one block for all nodes that share memory. */
static void list_gradients(planner *p, block_list *list) {
    const int count = p->model->node_count;
    for (int i = 0; i < count; i++) {
        const int root = p->gradient_root[i];
        if (root >= 0 && p->gradient_end[i] > p->gradient_end[root])
            p->gradient_end[root] = p->gradient_end[i];
    }
    for (int i = 0; i < count; i++)
        if (p->gradient_root[i] == i)
            add_block(list, &p->plan->gradient[i], value_bytes(p, i), p->gradient_begin[i],
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
        const layer *kind = layer_of(p, i);
        const cs_node_info *info = &p->model->nodes[i];
        const cs_shape in = p->request->shapes[info->input[0]], out = p->request->shapes[i];
        for (int pass = 0; kind->scratch_size && pass < (p->passed[i] ? 2 : 1); pass++) {
            const size_t size =
                kind->scratch_size(&info->attributes, in, out, p->request->batch, (layer_pass)pass);
            most = size > most ? size : most;
        }
    }
    return cs_align64(most);
}

static cs_status place_all(planner *p, block_list *list, cs_error *err) {
    run_plan *plan = p->plan;
    const int count = p->model->node_count;
    int64_t channels = 16;
    for (int i = 0; i < count; i++)
        channels = p->request->shapes[i].c > channels ? p->request->shapes[i].c : channels;
    for (int i = 0; i < count; i++)
        plan->value[i] = plan->gradient[i] = plan->saved[i] = PLAN_NOWHERE;
    list_values(p, list);
    list_saved(p, list);
    list_gradients(p, list);
    list_parameters(p, list);
    plan->scratch_stride = most_scratch(p);
    plan->zeros_size = (size_t)channels * cs_dtype_size(p->request->dtype);
    add_block(list, &plan->zeros, plan->zeros_size, 0, PLAN_END);
    add_block(list, &plan->scratch, plan->scratch_stride * (size_t)p->request->threads, 0,
              PLAN_END);
    CS_TRY(memory_place(list->blocks, list->count, &plan->total, err));
    for (size_t i = 0; i < list->count; i++)
        *list->target[i] = list->blocks[i].offset;
    for (int i = 0; i < count; i++)
        if (p->gradient_root[i] >= 0)
            plan->gradient[i] = plan->gradient[p->gradient_root[i]];
    return CS_OK;
}

/* ------------------------------------------------------------------ create, free --------- */

static cs_status allocate_plan(planner *p, block_list *list, cs_error *err) {
    const size_t n = (size_t)p->model->node_count, tensors = (size_t)p->model->tensor_count;
    run_plan *plan = p->plan;
    plan->parameter = calloc(tensors + 1, sizeof *plan->parameter);
    plan->steps = calloc(n, sizeof *plan->steps);
    plan->backward = calloc(n, sizeof *plan->backward);
    plan->value = calloc(3 * n, sizeof *plan->value);
    plan->gradient = plan->value ? plan->value + n : NULL;
    plan->saved = plan->value ? plan->value + 2 * n : NULL;
    p->consumers = calloc(4 * n, sizeof *p->consumers);
    p->absorbed = calloc(3 * n, sizeof *p->absorbed);
    p->gradient_begin = calloc(3 * n, sizeof *p->gradient_begin);
    list->blocks = calloc(4 * n + tensors + 2, sizeof *list->blocks);
    list->target = calloc(4 * n + tensors + 2, sizeof *list->target);
    CS_CHECK(plan->parameter && plan->steps && plan->backward && plan->value && p->consumers &&
                 p->absorbed && p->gradient_begin && list->blocks && list->target,
             CS_ERROR_MEMORY, "not enough memory for the plan of %zu nodes", n);
    p->consumer = p->consumers + n;
    p->contributions = p->consumers + 2 * n;
    p->gradient_root = p->consumers + 3 * n;
    p->needed = p->absorbed + n;
    p->passed = p->absorbed + 2 * n;
    p->gradient_end = p->gradient_begin + n; /* and list_values' last_read behind it */
    for (size_t i = 0; i < n; i++)
        p->gradient_root[i] = -1;
    return CS_OK;
}

cs_status plan_create(const plan_request *request, run_plan *result, cs_error *err) {
    memset(result, 0, sizeof *result);
    planner p = {.request = request, .model = request->model, .plan = result};
    block_list list = {NULL, NULL, 0};
    cs_status status = allocate_plan(&p, &list, err);
    if (status == CS_OK) {
        make_steps(&p);
        status = make_backward(&p, err);
    }
    if (status == CS_OK)
        status = place_all(&p, &list, err);
    free(p.consumers);
    free(p.absorbed);
    free(p.gradient_begin);
    free(list.blocks);
    free(list.target);
    if (status != CS_OK)
        plan_free(result);
    return status;
}

void plan_free(run_plan *plan) {
    free(plan->steps);
    free(plan->backward);
    free(plan->value);
    free(plan->parameter);
    memset(plan, 0, sizeof *plan);
}
