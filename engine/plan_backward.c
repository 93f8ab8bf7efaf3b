/* plan_backward.c - the backward operations of a plan: which gradients are needed, where each
 * node's contributions go, and when hooks are called.
 */
#include "planner.h"

/* Its gradient stands in memory of its own until somebody has looked at it. */
static bool gradient_watched(const planner *p, int node) {
    return p->request->watch[node] & (WATCH_GRADIENT | WATCH_STORED_GRADIENT);
}

/* Lets the gradient of input 0 live in the memory of the node's own, where nobody can tell. */
static void share_memory(planner *p, int node, int32_t time) {
    const cs_node_info *info = &p->model->nodes[node];
    const int input = info->input[0];
    const bool twice = info->inputs == 2 && info->input[1] == input;
    if (!planner_layer(p, node)->in_place || gradient_watched(p, node) || p->lent[node] || twice)
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

/* Lets the gradient of a sum's second input live there, too, where the first's is only read and
 * gone before anybody adds to the second's: the branch around a residual block is not copied. */
static void lend_memory(planner *p, int node, const plan_backward *op) {
    const cs_node_info *info = &p->model->nodes[node];
    const int first = info->input[0], second = info->input[1];
    if (info->inputs != 2 || !op->wanted[0] || !op->wanted[1] || op->add[0] || op->add[1] ||
        op->slot[0] != first || op->slot[1] != second || p->request->hooks->count > 0 ||
        p->gradient_root[first] != p->gradient_root[node] || p->gradient_root[second] != second ||
        gradient_watched(p, first))
        return;
    for (int i = first; i < node; i++)
        for (int k = 0; k < p->model->nodes[i].inputs; k++)
            if (p->model->nodes[i].input[k] == second)
                return;
    p->gradient_root[second] = p->gradient_root[node];
    p->lent[first] = true;
    p->lent[second] = second > first; /* whose operation comes before the first's */
}

/* Plans one node's backward operation at `time`. */
static void plan_node_backward(planner *p, int node, int32_t time) {
    const cs_node_info *info = &p->model->nodes[node];
    plan_backward op = {.kind = BACKWARD_NODE, .node = node, .time = time};
    for (int k = info->inputs - 1; k >= 0; k--) {
        const int input = info->input[k];
        if (!p->needed[input])
            continue;
        const int slot = groups_slot(&p->groups, p->model, node, k, p->contributions);
        op.wanted[k] = true;
        op.slot[k] = slot;
        op.add[k] = p->contributions[slot]++ > 0;
        if (!op.add[k]) {
            p->slot_tensor[slot] = input;
            p->gradient_root[slot] = slot;
            p->gradient_begin[slot] = time;
            p->gradient_end[slot] = time;
        }
        if (k == 0 && !op.add[k] && slot == input)
            share_memory(p, node, time);
    }
    lend_memory(p, node, &op);
    op.params = planner_wants_any(p, node);
    p->passed[node] = op.wanted[0] || op.wanted[1] || op.params;
    if (p->passed[node])
        p->plan->backward[p->plan->backward_count++] = op;
}

/* Before a node's backward operation: the hooks of the calls whose output it gives, as outer
 * modules come first and pre-hooks before those that are told of the same gradient. */
static void open_calls(planner *p, int node) {
    const int begin = p->plan->backward_count;
    int hook = 0, index = 0;
    for (hook_call *call; (call = hooks_next_call(p->request->hooks, &hook, &index));) {
        if (call->hook->kind < CS_HOOK_BACKWARD_PRE || call->last != node)
            continue;
        call->reached = true;
        int at = p->plan->backward_count++;
        for (; at > begin; at--) {
            const hook_call *before = p->plan->backward[at - 1].call;
            if (before->depth < call->depth ||
                (before->depth == call->depth && before->hook->kind <= call->hook->kind))
                break;
            p->plan->backward[at] = p->plan->backward[at - 1];
        }
        p->plan->backward[at] = (plan_backward){.kind = BACKWARD_OPEN, .node = node, .call = call};
    }
}

/* Behind a node's backward operation: groups of contributions that are complete. */
static void close_groups(planner *p, int node, int32_t *time) {
    const hook_call *closed = NULL;
    for (gradient_group *group; (group = groups_next_closed(&p->groups, node));) {
        plan_backward op = {.kind = BACKWARD_CLOSE, .node = group->last, .call = group->call};
        if (group->call && group->call != closed && group->call->reached) {
            closed = group->call;
            p->plan->backward[p->plan->backward_count++] = op;
            if (p->gradient_end[group->last] < ++*time)
                p->gradient_end[group->last] = *time;
            for (int i = 0; i < closed->input_count; i++) /* theirs are looked at, too */
                if (closed->inputs[i].slot >= 0 && p->gradient_end[closed->inputs[i].slot] < *time)
                    p->gradient_end[closed->inputs[i].slot] = *time;
        }
        if (!group->open || group->slot == group->parent)
            continue;
        op = (plan_backward){
            .kind = BACKWARD_MERGE, .node = group->tensor, .slot = {group->slot, group->parent}};
        p->plan->backward[p->plan->backward_count++] = op;
        p->contributions[group->parent]++;
        p->gradient_end[group->slot] = ++*time;
    }
}

/* The nodes whose gradient, or that of something before them, is asked for; false for none. */
static bool find_needed(planner *p) {
    bool any = false;
    int hook = 0, index = 0;
    for (int i = 0; i < p->model->node_count; i++)
        p->needed[i] = (p->request->watch[i] & WATCH_GRADIENT) || planner_wants_any(p, i);
    for (hook_call *call; (call = hooks_next_call(p->request->hooks, &hook, &index));) {
        call->reached = false;
        for (int i = 0; i < call->input_count && call->hook->kind >= CS_HOOK_BACKWARD_PRE; i++)
            p->needed[call->inputs[i].tensor] = true;
        if (call->hook->kind >= CS_HOOK_BACKWARD_PRE && call->input_count == 0)
            p->needed[call->last] = true;
    }
    for (int i = 0; i < p->model->node_count; i++) {
        for (int k = 0; k < p->model->nodes[i].inputs; k++)
            p->needed[i] |= p->needed[p->model->nodes[i].input[k]];
        any |= p->needed[i];
    }
    return any;
}

static cs_status not_reached(const planner *p, const char *name, cs_error *err) {
    return cs_error_set(err, CS_ERROR_ARGUMENT, name, -1,
                        "the gradient of \"%s\" was asked for, and \"%s\", where the backward "
                        "pass starts, does not depend on it",
                        name, p->model->nodes[p->request->seed].name);
}

/* Everything that is watched has a gradient: each kept node, and of each hook one call. */
static cs_status check_reached(const planner *p, cs_error *err) {
    const hook_list *hooks = p->request->hooks;
    for (int i = 0; i < p->model->node_count; i++)
        if ((p->request->watch[i] & WATCH_GRADIENT) && p->contributions[i] == 0)
            return not_reached(p, p->model->nodes[i].name, err);
    for (int i = 0; i < hooks->count; i++) {
        bool reached = hooks->hooks[i]->kind < CS_HOOK_BACKWARD_PRE;
        for (int j = 0; j < hooks->hooks[i]->call_count; j++)
            reached |= hooks->hooks[i]->calls[j].reached;
        if (!reached)
            return not_reached(p, hooks->hooks[i]->path, err);
    }
    return CS_OK;
}

cs_status planner_make_backward(planner *p, cs_error *err) {
    const int seed = p->request->seed;
    if (!find_needed(p))
        return CS_OK;
    int32_t time = p->plan->step_count + 1;
    p->contributions[seed] = 1;
    p->gradient_root[seed] = seed;
    p->gradient_begin[seed] = p->gradient_end[seed] = time;
    for (int i = seed; i >= 0; i--) {
        if (p->contributions[i] > 0 && p->needed[i]) {
            open_calls(p, i);
            plan_node_backward(p, i, ++time);
            p->gradient_end[i] = p->request->watch[i] & WATCH_GRADIENT ? PLAN_END : time;
        }
        close_groups(p, i, &time);
    }
    p->last_time = time;
    return check_reached(p, err);
}
