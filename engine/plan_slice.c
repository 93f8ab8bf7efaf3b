/* plan_slice.c - which steps run for a few images of a batch at a time.
 *
 * A network's first layers have large maps and few weights: ResNet-50's layer1 reads and writes
 * 7 MB an image and 16 to 147 KB of weights. All images through one layer and then the next would
 * send each map to memory and back; image by image it stays in the caches, and its memory is used
 * again for the next image. Behind them weights are larger than maps, and are read once for all
 * images. Bits do not depend on it: images are independent of each other.
 */
#include "planner.h"

/* What a step of a slice may read and write besides weights: about what the caches hold. */
#define SLICE_BYTES ((int64_t)4 << 20)

/* What a step reads and writes of one image. */
static int64_t step_bytes(const planner *p, const plan_step *step) {
    const cs_node_info *info = &p->model->nodes[step->first];
    int64_t bytes = (int64_t)planner_image_bytes(p, step->last);
    for (int k = 0; k < info->inputs; k++)
        bytes += (int64_t)planner_image_bytes(p, info->input[k]);
    return bytes + (step->residual >= 0 ? (int64_t)planner_image_bytes(p, step->residual) : 0);
}

static int64_t weight_bytes(const planner *p, const plan_step *step) {
    const cs_node_info *info = &p->model->nodes[step->first];
    return info->parameters > 0 ? p->model->tensors[info->parameter[0]].count *
                                      (int64_t)cs_dtype_size(p->request->dtype)
                                : 0;
}

/* Training takes statistics of the whole batch, hooks are told of it, and the gradients of
 * parameters read what would be gone. */
static bool may_slice(const planner *p) {
    const plan_request *r = p->request;
    for (int i = 0; i < p->model->tensor_count; i++)
        if (r->parameter[i])
            return false;
    return r->batch > 1 && r->engine == LAYER_DIRECT && !r->training && !r->imposed &&
           !r->single_nodes && r->hooks->count == 0;
}

void planner_slice(planner *p) {
    run_plan *plan = p->plan;
    int64_t most = 1;
    plan->slice = p->request->batch;
    plan->sliced_backward = plan->backward_count;
    if (!may_slice(p))
        return;
    int steps = 0;
    for (; steps < plan->step_count; steps++) {
        const int64_t bytes = step_bytes(p, &plan->steps[steps]);
        if (weight_bytes(p, &plan->steps[steps]) > bytes)
            break;
        most = bytes > most ? bytes : most;
    }
    const int64_t images = most < SLICE_BYTES ? SLICE_BYTES / most : 1;
    if (steps == 0 || images >= p->request->batch)
        return;
    plan->slice = images;
    plan->sliced = steps;
    /* Nodes of the sliced steps are those up to the last one's. */
    while (plan->sliced_backward > 0 &&
           plan->backward[plan->sliced_backward - 1].node <= plan->steps[steps - 1].last)
        plan->sliced_backward--;
}

/* A stretch of time that is gone through once a slice. */
static bool within(int32_t from, int32_t to, int32_t *begin, int32_t *end) {
    if (*begin >= from && *end <= to)
        return true;
    if (*begin > from && *begin <= to)
        *begin = from;
    if (*end >= from && *end < to)
        *end = to;
    return false;
}

bool planner_in_slices(const planner *p, int32_t *begin, int32_t *end) {
    const run_plan *plan = p->plan;
    if (plan->sliced > 0 && within(1, plan->sliced, begin, end))
        return true;
    return plan->sliced_backward < plan->backward_count &&
           within(plan->backward[plan->sliced_backward].time, p->last_time, begin, end);
}
