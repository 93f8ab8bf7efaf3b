/* planted.c - see planted.h. */
#include "planted.h"
#include "layer.h"
#include "test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const layer *__real_layer_find(const char *op, layer_engine engine, cs_dtype dtype);
const layer *__wrap_layer_find(const char *op, layer_engine engine, cs_dtype dtype);

static planted_error planted;
static const char *planted_op;
static const cs_node_attributes *planted_at; /* of the node; NULL: of every one */
static layer faulty[2], faulty_training[2];  /* batch norm's in training */
static const layer *real[2];

/* The layer without the error. Batch norm saves something only in training. */
static const layer *right(const layer_call *call, cs_dtype dtype) {
    const layer *training = real[dtype]->training;
    return training && call->saved ? training : real[dtype];
}

static bool is_planted(const layer_call *call) {
    return !planted_at || call->attributes == planted_at;
}

static size_t count_of(cs_shape s, int64_t batch) { return (size_t)(batch * s.c * s.h * s.w); }

static void *copy_of(const void *from, size_t size) {
    void *to = aligned_alloc(64, cs_align64(size + 1));
    ck_assert_ptr_nonnull(to);
    if (from)
        memcpy(to, from, size);
    else
        memset(to, 0, size);
    return to;
}

static double at(const void *values, size_t i, cs_dtype dtype) {
    return dtype == CS_F64 ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

static void set(void *values, size_t i, double v, cs_dtype dtype) {
    if (dtype == CS_F64)
        ((double *)values)[i] = v;
    else
        ((float *)values)[i] = (float)v;
}

/* Zeroes a value in the middle, the next one that is not zero already. */
static void drop_one(void *values, size_t count, cs_dtype dtype) {
    size_t i = count / 2;
    while (i + 1 < count && fpclassify(at(values, i, dtype)) == FP_ZERO)
        i++;
    set(values, i, 0, dtype);
}

/* ------------------------------------------------------------------ input gradient ------- */

/* A convolution's packed weights without its first tap: [groups][C/groups/16][R][S][K/groups][16].
 */
static void *drop_tap(const layer_call *call, cs_dtype dtype) {
    const cs_node_attributes *a = call->attributes;
    const size_t elements = real[dtype]->pack_size(a, call->in, PASS_BACKWARD);
    const size_t taps = (size_t)(a->kernel_size[0] * a->kernel_size[1]);
    const size_t tap = (size_t)(a->out_channels / a->groups) * CS_PANEL;
    void *pack = copy_of(call->pack, elements * cs_dtype_size(dtype));
    for (size_t i = 0; i < elements; i++)
        if (i / tap % taps == 0)
            set(pack, i, 0, dtype);
    return pack;
}

/* What stands in the wrong gradient's place: the right one of a call that is wrong, or changed. */
static void spoil(layer_call *call, layer_function function, cs_dtype dtype) {
    const size_t dy = count_of(call->out, call->batch), dx = count_of(call->in, call->batch);
    const size_t size = cs_dtype_size(dtype);
    void *own = NULL;
    if (planted == PLANTED_DROP && strcmp(planted_op, "conv2d") == 0)
        call->pack = own = drop_tap(call, dtype);
    else if (planted == PLANTED_DROP) {
        call->doutput = own = copy_of(call->doutput, dy * size);
        drop_one(own, dy, dtype);
    }
    function(call, 0, 1);
    for (int k = 0; k < 2 && planted == PLANTED_DROP; k++)
        if (call->dinput[k] && (strcmp(planted_op, "relu") == 0 ||
                                strcmp(planted_op, "batch_norm") == 0)) /* gate, scale unused */
            memcpy(call->dinput[k], call->doutput, dx * size);
    for (int k = 0; k < 2 && planted == PLANTED_SIGN; k++)
        for (size_t i = 0; call->dinput[k] && i < dx; i++)
            set(call->dinput[k], i, 0 - at(call->dinput[k], i, dtype), dtype);
    free(own);
}

/* The first part does all of the work. */
static unsigned backward(const layer_call *call, size_t part, size_t parts, cs_dtype dtype) {
    if (!is_planted(call))
        return right(call, dtype)->backward(call, part, parts);
    if (part != 0)
        return 0;
    layer_call wrong = *call;
    const size_t count = count_of(call->in, call->batch), size = count * cs_dtype_size(dtype);
    void *dy = copy_of(call->doutput, count_of(call->out, call->batch) * cs_dtype_size(dtype));
    wrong.doutput = dy; /* dinput may be the same memory */
    for (int k = 0; k < 2; k++) {
        wrong.add[k] = false;
        wrong.dinput[k] = call->dinput[k] ? copy_of(NULL, size) : NULL;
    }
    spoil(&wrong, right(call, dtype)->backward, dtype);
    for (int k = 0; k < 2; k++) {
        const bool add = call->add[k] && planted != PLANTED_STORE;
        for (size_t i = 0; call->dinput[k] && i < count; i++)
            set(call->dinput[k], i,
                (add ? at(call->dinput[k], i, dtype) : 0) + at(wrong.dinput[k], i, dtype) + 0,
                dtype);
        free(wrong.dinput[k]);
    }
    free(dy);
    return 0;
}

static unsigned backward_f32(const layer_call *call, size_t part, size_t parts) {
    return backward(call, part, parts, CS_F32);
}
static unsigned backward_f64(const layer_call *call, size_t part, size_t parts) {
    return backward(call, part, parts, CS_F64);
}

/* ------------------------------------------------------------------ parameters ----------- */

static size_t parameter_count(const layer_call *call, cs_dtype dtype, int i) {
    int64_t shape[4] = {1, 1, 1, 1};
    const int dims = real[dtype]->parameter_shape(call->attributes, call->in, i, shape);
    size_t count = 1;
    for (int k = 0; k < dims; k++)
        count *= (size_t)shape[k];
    return count;
}

static unsigned backward_params(const layer_call *call, size_t part, size_t parts, cs_dtype dtype) {
    if (!is_planted(call))
        return right(call, dtype)->backward_params(call, part, parts);
    if (part != 0)
        return 0;
    layer_call wrong = *call;
    const size_t dy = count_of(call->out, call->batch);
    void *own = copy_of(call->doutput, dy * cs_dtype_size(dtype));
    if (planted == PLANTED_PARAMETER_DROP)
        drop_one(own, dy, dtype);
    wrong.doutput = own;
    for (int i = 0; i < 2; i++)
        if (call->dparameter[i])
            wrong.dparameter[i] =
                copy_of(NULL, parameter_count(call, dtype, i) * cs_dtype_size(dtype));
    if (real[dtype]->prepare_params && wrong.dparameter[0])
        real[dtype]->prepare_params(&wrong, 0, 1); /* the copies were of the right gradient */
    right(call, dtype)->backward_params(&wrong, 0, 1);
    for (int i = 0; i < 2; i++) {
        if (!call->dparameter[i])
            continue;
        const bool add = planted != PLANTED_PARAMETER_STORE;
        const double sign = planted == PLANTED_PARAMETER_SIGN ? -1 : 1;
        for (size_t j = 0; j < parameter_count(call, dtype, i); j++)
            set(call->dparameter[i], j,
                (add ? at(call->dparameter[i], j, dtype) : 0) +
                    sign * at(wrong.dparameter[i], j, dtype) + 0,
                dtype);
        free(wrong.dparameter[i]);
    }
    free(own);
    return 0;
}

static unsigned backward_params_f32(const layer_call *call, size_t part, size_t parts) {
    return backward_params(call, part, parts, CS_F32);
}
static unsigned backward_params_f64(const layer_call *call, size_t part, size_t parts) {
    return backward_params(call, part, parts, CS_F64);
}

/* ------------------------------------------------------------------ forward -------------- */

static unsigned forward_f32(const layer_call *call, size_t part, size_t parts) {
    if (!is_planted(call))
        return real[CS_F32]->forward(call, part, parts);
    const unsigned flags = part == 0 ? real[CS_F32]->forward(call, 0, 1) : 0;
    float *y = call->output;
    for (int64_t i = 0; part == 0 && i < call->out.c; i++)
        y[i] += 0x1p-10f * (y[i] != 0 ? y[i] : 1);
    return flags;
}

/* ------------------------------------------------------------------ planting ------------- */

bool planted_fits(const cs_model *model, int node, planted_error error) {
    const cs_node_info *info = cs_model_node(model, node);
    const bool product = strcmp(info->op, "conv2d") == 0 || strcmp(info->op, "linear") == 0 ||
                         strcmp(info->op, "batch_norm") == 0;
    if (node == 0)
        return false;
    return error == PLANTED_PARAMETER_SIGN || error == PLANTED_PARAMETER_DROP ||
                   error == PLANTED_PARAMETER_STORE
               ? product
               : true;
}

static void set_backward(layer tables[2], planted_error error) {
    if (error >= PLANTED_PARAMETER_SIGN) {
        tables[CS_F32].backward_params = backward_params_f32;
        tables[CS_F64].backward_params = backward_params_f64;
    } else {
        tables[CS_F32].backward = backward_f32;
        tables[CS_F64].backward = backward_f64;
    }
}

void planted_set(const cs_model *model, int node, planted_error error) {
    planted = error;
    planted_op = cs_model_node(model, node)->op;
    planted_at = &cs_model_node(model, node)->attributes;
    for (int dtype = 0; dtype < 2; dtype++) {
        real[dtype] = __real_layer_find(planted_op, LAYER_DIRECT, (cs_dtype)dtype);
        faulty[dtype] = *real[dtype];
    }
    if (error == PLANTED_FORWARD) {
        faulty[CS_F32].forward = forward_f32;
        return;
    }
    set_backward(faulty, error);
    for (int dtype = 0; dtype < 2 && real[dtype]->training; dtype++) {
        faulty_training[dtype] = *real[dtype]->training;
        faulty[dtype].training = &faulty_training[dtype];
    }
    set_backward(faulty_training, error);
}

void planted_anywhere(void) { planted_at = NULL; }

void planted_clear(void) { planted = PLANTED_NOTHING; }

const layer *__wrap_layer_find(const char *op, layer_engine engine, cs_dtype dtype) {
    if (planted != PLANTED_NOTHING && engine == LAYER_DIRECT && strcmp(op, planted_op) == 0)
        return &faulty[dtype];
    return __real_layer_find(op, engine, dtype);
}
