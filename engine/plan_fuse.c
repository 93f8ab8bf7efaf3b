/* plan_fuse.c - what of the following backward operations a convolution's own does while its
 * results are in registers, and which zeros of a gradient it may skip.
 *
 * The gradient that a convolution completes often goes on through a ReLU and a batch norm, in
 * place: closed gates make it zero, the scale is multiplied. Both are one step for each number, so
 * the convolution's epilogue does them. And the gradient that it starts from has passed gates
 * itself.
 */
#include "planner.h"

#include <string.h>

static bool is(const planner *p, int node, const char *op) {
    return strcmp(p->model->nodes[node].op, op) == 0;
}

/* Whether operation `next` takes the gradient of `node` on to the node's input, in its memory. */
static bool goes_on_in_place(const planner *p, const plan_backward *next, int node) {
    const int input = p->model->nodes[node].input[0];
    return next->node == node && next->wanted[0] && !next->add[0] && !next->params &&
           next->slot[0] == input && p->gradient_root[input] == p->gradient_root[node];
}

/* Whether gates, words of 16 channels, begin with each group of the convolution's inputs. */
static bool words_fit(const planner *p, int conv) {
    const cs_node_info *info = &p->model->nodes[conv];
    const int64_t channels = p->request->shapes[info->input[0]].c;
    return info->attributes.groups <= 1 ||
           channels / info->attributes.groups * layer_groups_together(&info->attributes, channels) %
                   CS_PANEL ==
               0;
}

/* How many operations behind operation j its convolution can do, which are marked in it. */
static int absorb(planner *p, int j) {
    plan_backward *op = &p->plan->backward[j];
    const plan_backward *next = op + 1;
    const int relu = p->model->nodes[op->node].input[0];
    if (!is(p, op->node, "conv2d") || !op->wanted[0] || op->slot[0] != relu ||
        j + 1 >= p->plan->backward_count || !is(p, relu, "relu") ||
        !goes_on_in_place(p, next, relu) || !words_fit(p, op->node))
        return 0;
    op->relu = relu;
    const int norm = p->model->nodes[relu].input[0];
    if (planner_layer(p, norm)->statistics) /* in training its gradient needs the whole batch's */
        return 1;
    if (j + 2 >= p->plan->backward_count || !is(p, norm, "batch_norm") ||
        !goes_on_in_place(p, next + 1, norm))
        return 1;
    op->norm = norm;
    return 2;
}

/* The ReLU whose closed gates make zeros of the gradient of a convolution's output, or -1: batch
 * norm in training takes something from every value. */
static int gate_behind(const planner *p, int conv) {
    for (int node = conv; p->consumers[node] == 1 && node != p->request->seed;) {
        node = p->consumer[node];
        if (node > p->request->seed)
            return -1;
        if (is(p, node, "relu"))
            return p->passed[node] ? node : -1;
        if (planner_layer(p, node)->statistics ||
            (!is(p, node, "batch_norm") && !is(p, node, "add")))
            return -1;
    }
    return -1;
}

void planner_fuse_backward(planner *p) {
    run_plan *plan = p->plan;
    bool plain = p->request->engine == LAYER_DIRECT;
    for (int j = 0; j < plan->backward_count; j++) {
        plan->backward[j].relu = plan->backward[j].norm = plan->backward[j].mask = -1;
        plain &= plan->backward[j].kind == BACKWARD_NODE; /* hooks see and replace gradients */
    }
    int kept = 0;
    for (int j = 0; plain && j < plan->backward_count; j++) {
        const int absorbed = absorb(p, j);
        plan_backward *op = &plan->backward[kept++];
        *op = plan->backward[j];
        if (is(p, op->node, "conv2d"))
            op->mask = gate_behind(p, op->node);
        j += absorbed;
    }
    if (plain)
        plan->backward_count = kept;
}
