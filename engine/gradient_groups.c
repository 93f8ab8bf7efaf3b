/* gradient_groups.c - several consumers of a tensor: those inside a module before those outside it.
 *
 * A tensor's gradient is the sum of its consumers' contributions in reverse execution order; but
 * the consumers inside a module that does not hold the producer are summed by themselves first, and
 * their sum is one contribution (docs/arithmetic.md, section 3). So a backward hook on the module,
 * which is given that sum, changes no bit. Contributions that come first in their sum need no
 * memory of their own for this: a group that finds its parent empty is summed in the parent.
 */
#include "gradient_groups.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Growing list of groups. */
static cs_status add_group(gradient_groups *list, gradient_group group, cs_error *err) {
    if ((list->count & (list->count - 1)) == 0) { /* 0 or a power of two: full */
        const size_t size = list->count ? 2 * (size_t)list->count : 1;
        gradient_group *grown = realloc(list->groups, size * sizeof *grown);
        CS_CHECK(grown, CS_ERROR_MEMORY, "not enough memory for the plan");
        list->groups = grown;
    }
    list->groups[list->count++] = group;
    return CS_OK;
}

/* ------------------------------------------------------------------ modules -------------- */

/* The length of the longest module path that holds both nodes. */
static int shared_container(const cs_node_info *a, const cs_node_info *b) {
    const size_t m = module_container(a), n = module_container(b), least = m < n ? m : n;
    size_t shared = 0;
    for (size_t i = 0; i <= least; i++) {
        const bool a_ends = i == m || (i < m && a->module[i] == '.');
        const bool b_ends = i == n || (i < n && b->module[i] == '.');
        if (a_ends && b_ends)
            shared = i;
        if (i < least && a->module[i] != b->module[i])
            break;
    }
    return (int)shared;
}

/* Consumers of one tensor, in execution order, and how deep a module holds each together with the
 * one before it (the first: with the producer) and all nodes between. */
typedef struct readers {
    int count;
    int *node, *depth;
} readers;

/* The unbroken stretch of nodes around `node` that shares a module path of `depth`. */
static gradient_group stretch(const cs_model *model, const int *shared, int tensor, int node,
                              int depth) {
    gradient_group group = {.tensor = tensor,
                            .first = node,
                            .last = node,
                            .operand = -1,
                            .depth = depth,
                            .id = -1,
                            .input = -1};
    while (group.first > 1 && shared[group.first] >= depth)
        group.first--;
    while (group.last + 1 < model->node_count && shared[group.last + 1] >= depth)
        group.last++;
    return group;
}

/* Groups of one tensor: for each reader but the first, the readers around it that are as deep
 * together with it, unless the producer is (each stretch is found at its first such reader). */
static cs_status group_readers(gradient_groups *list, const cs_model *model, const int *shared,
                               int tensor, const readers *r, cs_error *err) {
    for (int j = 1; j < r->count; j++) {
        const int depth = r->depth[j];
        int left = j - 1; /* the nearest before it that is not deeper */
        while (left > 0 && r->depth[left] > depth)
            left--;
        const bool found_before = left > 0 && r->depth[left] == depth;
        const bool holds_producer = left == 0 && r->depth[0] >= depth;
        const bool alone = r->node[j] == r->node[j - 1];
        if (depth > 0 && !alone && !found_before && !holds_producer)
            CS_TRY(add_group(list, stretch(model, shared, tensor, r->node[j], depth), err));
    }
    return CS_OK;
}

/* Tensors with fewer than three consumers have none: two make one sum in any order. */
static cs_status find_modules(gradient_groups *list, const cs_model *model, int *work,
                              cs_error *err) {
    const int n = model->node_count;
    int *shared = work, *degree = work + n;
    readers r = {0, work + 2 * n, work + 4 * n};
    for (int i = 1; i < n; i++) {
        shared[i] = i > 1 ? shared_container(&model->nodes[i - 1], &model->nodes[i]) : 0;
        for (int k = 0; k < model->nodes[i].inputs; k++)
            degree[model->nodes[i].input[k]]++;
    }
    for (int tensor = 0; tensor < n; tensor++) {
        int depth = INT_MAX;
        r.count = 0;
        for (int i = tensor + 1; i < n && degree[tensor] > 2 && r.count < degree[tensor]; i++) {
            depth = shared[i] < depth ? shared[i] : depth;
            for (int k = 0; k < model->nodes[i].inputs; k++)
                if (model->nodes[i].input[k] == tensor) {
                    r.node[r.count] = i;
                    r.depth[r.count++] = depth;
                    depth = INT_MAX;
                }
        }
        CS_TRY(group_readers(list, model, shared, tensor, &r, err));
    }
    return CS_OK;
}

/* ------------------------------------------------------------------ hooks ---------------- */

static cs_status find_hooked(gradient_groups *list, const hook_list *hooks, cs_error *err) {
    int hook = 0, index = 0;
    for (hook_call *call; (call = hooks_next_call(hooks, &hook, &index));) {
        if (call->hook->kind != CS_HOOK_BACKWARD)
            continue;
        gradient_group group = {.tensor = -1,
                                .first = call->first,
                                .last = call->last,
                                .operand = -1,
                                .depth = call->depth,
                                .id = call->hook->id,
                                .call = call,
                                .input = -1};
        if (call->input_count == 0)
            CS_TRY(add_group(list, group, err));
        for (int i = 0; i < call->input_count; i++) {
            group.tensor = call->inputs[i].tensor;
            group.operand = call->inputs[i].single ? call->inputs[i].operand : -1;
            group.input = i;
            call->inputs[i].slot = -1;
            CS_TRY(add_group(list, group, err));
        }
    }
    return CS_OK;
}

/* By tensor, then from the outside inwards; the hook that was registered first is the innermost. */
static int by_tensor(const void *a, const void *b) {
    const gradient_group *x = a, *y = b;
    if (x->tensor != y->tensor)
        return x->tensor - y->tensor;
    if (x->first != y->first)
        return x->first - y->first;
    if (x->last != y->last)
        return y->last - x->last;
    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    return y->id - x->id;
}

/* In the order in which the backward pass completes them: the last to begin, and of those the
 * inner ones, first. */
static int by_closing(const void *a, const void *b) {
    const gradient_group *x = *(gradient_group *const *)a, *y = *(gradient_group *const *)b;
    if (x->first != y->first)
        return y->first - x->first;
    if (x->last != y->last)
        return x->last - y->last;
    if (x->depth != y->depth)
        return x->depth < y->depth ? 1 : -1;
    if (x->id != y->id)
        return x->id - y->id;
    return x->input - y->input;
}

static cs_status order_closing(gradient_groups *list, cs_error *err) {
    gradient_group **order = calloc((size_t)list->count + 1, sizeof *order);
    CS_CHECK(order, CS_ERROR_MEMORY, "not enough memory for the plan");
    for (int i = 0; i < list->count; i++)
        order[i] = &list->groups[i];
    qsort(order, (size_t)list->count, sizeof *order, by_closing);
    for (int i = 0; i < list->count; i++)
        list->closing[i] = (int)(order[i] - list->groups);
    free(order);
    return CS_OK;
}

/* ------------------------------------------------------------------ the list ------------- */

cs_status groups_create(const cs_model *model, const hook_list *hooks, gradient_groups *list,
                        cs_error *err) {
    const size_t n = (size_t)model->node_count;
    int *work = calloc(6 * n, sizeof *work);
    CS_CHECK(work, CS_ERROR_MEMORY, "not enough memory for the plan of %zu nodes", n);
    cs_status status = find_modules(list, model, work, err);
    free(work);
    CS_TRY(status);
    CS_TRY(find_hooked(list, hooks, err));
    list->first_of_tensor = calloc(n + 1, sizeof *list->first_of_tensor);
    list->closing = calloc((size_t)list->count + 1, sizeof *list->closing);
    CS_CHECK(list->first_of_tensor && list->closing, CS_ERROR_MEMORY,
             "not enough memory for the plan of %zu nodes", n);
    if (list->count > 0)
        qsort(list->groups, (size_t)list->count, sizeof *list->groups, by_tensor);
    int at = 0;
    for (int tensor = 0; tensor <= (int)n; tensor++) {
        while (at < list->count && list->groups[at].tensor < tensor)
            at++;
        list->first_of_tensor[tensor] = at;
    }
    list->slots = (int)n;
    return order_closing(list, err);
}

void groups_free(gradient_groups *list) {
    free(list->groups);
    free(list->first_of_tensor);
    free(list->closing);
}

int groups_slot(gradient_groups *list, const cs_model *model, int node, int k,
                const int *contributions) {
    const int tensor = model->nodes[node].input[k];
    int slot = tensor;
    for (int i = list->first_of_tensor[tensor]; i < list->first_of_tensor[tensor + 1]; i++) {
        gradient_group *group = &list->groups[i];
        if (node < group->first || node > group->last ||
            (group->operand >= 0 && group->operand != k))
            continue;
        if (!group->open) {
            group->open = true;
            group->parent = slot;
            group->slot = contributions[slot] == 0 ? slot : list->slots++;
        }
        slot = group->slot;
        if (group->call)
            group->call->inputs[group->input].slot = slot;
    }
    return slot;
}

gradient_group *groups_next_closed(gradient_groups *list, int node) {
    if (list->closed >= list->count)
        return NULL;
    gradient_group *group = &list->groups[list->closing[list->closed]];
    if (group->first < node)
        return NULL;
    list->closed++;
    return group;
}
