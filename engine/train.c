/* train.c - parameter gradients, batch norm's statistics in training, cross-entropy: what the API
 * says of them; the arithmetic of the first two is in layers/.
 */
#include "run_state.h"

#include <string.h>

/* ------------------------------------------------------------------ parameters ----------- */

/* The tensor's role: its place among the parameters of the first node that uses it, or -1. */
static int role_of(const cs_model *model, int tensor) {
    for (int i = 0; i < model->node_count; i++)
        for (int k = 0; k < model->nodes[i].parameters; k++)
            if (model->nodes[i].parameter[k] == tensor)
                return k;
    return -1;
}

/* Weights and biases are learned, running statistics are not. */
static bool is_learned(const cs_model *model, int tensor) {
    const int role = role_of(model, tensor);
    return role == 0 || role == 1;
}

static cs_status find_tensor(const cs_model *model, const char *name, int *tensor, cs_error *err) {
    *tensor = name_index_find(&model->tensor_names, &model->tensors[0].name, sizeof *model->tensors,
                              name);
    return *tensor < 0 ? graph_unknown_tensor(model, name, err) : CS_OK;
}

cs_status cs_run_keep_parameter_gradient(cs_run *run, const char *name, cs_error *err) {
    const cs_model *model = run->model;
    int tensor = -1;
    bool changed = false;
    CS_TRY(run_may_be_told(run, err));
    if (name) {
        CS_TRY(find_tensor(model, name, &tensor, err));
        if (!is_learned(model, tensor))
            return cs_error_set(
                err, CS_ERROR_ARGUMENT, name, -1,
                "\"%s\" has no gradient: it is a running statistic or belongs to no "
                "node; weights and biases have one",
                name);
    }
    for (int i = 0; i < model->tensor_count; i++)
        if ((name ? i == tensor : is_learned(model, i)) && !run->parameter[i])
            run->parameter[i] = changed = true;
    if (changed)
        run_unprepare(run);
    return CS_OK;
}

cs_status cs_run_parameter_gradient(cs_run *run, const char *name, cs_tensor *gradient,
                                    cs_error *err) {
    int tensor;
    CS_TRY(find_tensor(run->model, name, &tensor, err));
    CS_CHECK(run->parameter[tensor], CS_ERROR_ARGUMENT,
             "the gradient of \"%s\" was not asked for: call cs_run_keep_parameter_gradient first",
             name);
    CS_CHECK(run->prepared, CS_ERROR_STATE, "there is no gradient of \"%s\" before cs_run_prepare",
             name);
    const cs_tensor_info *info = &run->model->tensors[tensor];
    int64_t shape[4] = {1, 1, 1, 1};
    for (int i = 0; i < info->dims; i++)
        shape[info->dims == 1 ? 1 : i] = info->shape[i];
    *gradient = (cs_tensor){run->dtype, shape[0], shape[1],
                            shape[2],   shape[3], run_at(run, run->plan.parameter[tensor])};
    return CS_OK;
}

void train_zero(cs_run *run) {
    for (int i = 0; i < run->model->tensor_count; i++)
        if (run->plan.parameter[i] != PLAN_NOWHERE)
            memset(run_at(run, run->plan.parameter[i]), 0,
                   (size_t)run->model->tensors[i].count * cs_dtype_size(run->dtype));
}

void cs_run_zero_parameter_gradients(cs_run *run) {
    if (run->prepared)
        train_zero(run);
}

/* ------------------------------------------------------------------ batch norm ----------- */

void cs_run_set_training(cs_run *run, bool training) {
    if (run->hooks.busy)
        return;
    if (run->training != training)
        run_unprepare(run);
    run->training = training;
}

/* The next node from `node` on that has batch statistics, or -1. */
static int next_norm(const cs_run *run, int node) {
    for (int i = node; run->training && i < run->model->node_count; i++)
        if (plan_layer(run->model, i, run->engine, run->dtype, true)->statistics)
            return i;
    return -1;
}

cs_status train_check_batch(const cs_run *run, int64_t batch, cs_error *err) {
    for (int i = next_norm(run, 0); i >= 0; i = next_norm(run, i + 1))
        if (batch * run->shapes[i].h * run->shapes[i].w <= 1)
            return cs_error_set(
                err, CS_ERROR_ARGUMENT, run->model->nodes[i].name, -1,
                "%s has one value a channel and so no variance: in training mode it "
                "needs more images or larger ones",
                run->model->nodes[i].name);
    return CS_OK;
}

static void update_vector(float *running, const double *batch, double divisor, double momentum,
                          int64_t channels) {
    for (int64_t c = 0; c < channels; c++)
        running[c] = (float)((1 - momentum) * (double)running[c] + momentum * (batch[c] / divisor));
}

cs_status cs_run_update_statistics(cs_run *run, double momentum, cs_error *err) {
    CS_CHECK(run->training && run->batch > 0, CS_ERROR_STATE,
             "running statistics are those of a forward pass in training mode: call "
             "cs_run_set_training, cs_run_prepare and cs_run_forward first");
    CS_CHECK(momentum >= 0 && momentum <= 1, CS_ERROR_ARGUMENT,
             "a momentum of %g; 0 to 1 was expected", momentum);
    CS_CHECK(run->params != run->model->params, CS_ERROR_ARGUMENT,
             "the model's own parameters are read-only: run on a private copy (cs_params_copy)");
    const bool current = run->packed_version == params_version(run->params);
    for (int i = next_norm(run, 0); i >= 0; i = next_norm(run, i + 1)) {
        const cs_node_info *info = &run->model->nodes[i];
        const int64_t channels = run->shapes[i].c;
        const double count = (double)(run->batch * run->shapes[i].h * run->shapes[i].w);
        /* The layer leaves means and sums of squares there (layer.h). */
        const double *saved = run_at(run, run->plan.saved[i]);
        update_vector(cs_params_tensor(run->params, info->parameter[2]), saved, 1, momentum,
                      channels);
        update_vector(cs_params_tensor(run->params, info->parameter[3]), saved + channels,
                      count - 1, momentum, channels);
        params_node_changed(run->params, i);
    }
    if (current) /* this run packs no batch norm */
        run->packed_version = params_version(run->params);
    return CS_OK;
}

/* ------------------------------------------------------------------ cross-entropy -------- */

/* Image n: softmax as cs_softmax makes it, but the sum of the other classes is taken by itself:
 * 1 - p would have no digits left where the network is sure. */
static double image_entropy(const cs_tensor *logits, int64_t n, int64_t label, double divisor,
                            cs_tensor *seed) {
    double most = cs_tensor_at(logits, n, 0, 0, 0), sum = 0, others = 0;
    for (int64_t c = 1; c < logits->c; c++) {
        const double v = cs_tensor_at(logits, n, c, 0, 0);
        most = v > most || v != v ? v : most;
    }
    for (int64_t c = 0; c < logits->c; c++) {
        const double e = cs_exp(cs_tensor_at(logits, n, c, 0, 0) - most);
        sum = sum + e;
        others = c == label ? others : others + e;
    }
    for (int64_t c = 0; seed && c < logits->c; c++) {
        const double e = cs_exp(cs_tensor_at(logits, n, c, 0, 0) - most);
        cs_tensor_set(seed, n, c, 0, 0, (c == label ? -others : e) / sum / divisor + 0);
    }
    return cs_log(sum) - (cs_tensor_at(logits, n, label, 0, 0) - most);
}

cs_status cs_cross_entropy(const cs_tensor *logits, const int64_t *labels, cs_reduction reduction,
                           double *loss, cs_tensor *seed, cs_error *err) {
    CS_CHECK(logits && labels && logits->h == 1 && logits->w == 1 && logits->n >= 1,
             CS_ERROR_ARGUMENT, "cross-entropy takes logits of N x C, and a label for each image");
    CS_CHECK(!seed || (seed->dtype == logits->dtype && seed->n == logits->n &&
                       seed->c == logits->c && seed->h == 1 && seed->w == 1),
             CS_ERROR_ARGUMENT, "the seed must have the shape and type of the logits");
    for (int64_t n = 0; n < logits->n; n++)
        CS_CHECK(labels[n] >= 0 && labels[n] < logits->c, CS_ERROR_ARGUMENT,
                 "the label of image %lld is %lld; 0 to %lld was expected", (long long)n,
                 (long long)labels[n], (long long)(logits->c - 1));
    const double divisor = reduction == CS_REDUCTION_MEAN ? (double)logits->n : 1;
    double total = 0;
    for (int64_t n = 0; n < logits->n; n++)
        total = total + image_entropy(logits, n, labels[n], divisor, seed);
    if (loss)
        *loss = total / divisor;
    return CS_OK;
}
