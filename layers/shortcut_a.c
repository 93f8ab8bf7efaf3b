/* shortcut_a.c - the parameter-free shortcut of the CIFAR ResNets (option A of He et al. 2015):
 * every stride-th pixel, and zero channels before (P) and behind.
 *
 * Forward:         y[n,k,oy,ox] = x[n, k - P, oy*stride, ox*stride] where 0 <= k - P < C, else +0
 * Input gradient:  dx[n,c,iy,ix] = dy[n, c + P, iy/stride, ix/stride] where both divide, else +0
 * Tangent:         as forward
 *
 * PyTorch: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, P, P)).
 */
#include "layer_real.h"

static cs_status infer_shape(const cs_node_attributes *a, const cs_shape *in, const char *node,
                             cs_shape *out, cs_error *err) {
    (void)node, (void)err;
    out->c = in->c + a->pad_channels[0] + a->pad_channels[1];
    out->h = (in->h + a->stride[0] - 1) / a->stride[0];
    out->w = (in->w + a->stride[1] - 1) / a->stride[1];
    return CS_OK;
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes *a = call->attributes;
    const int64_t before = a->pad_channels[0];
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->out.h * call->out.w), part, parts, &begin, &end);
    for (size_t q = begin; q < end; q++) {
        const int64_t ox = (int64_t)q % call->out.w, row = (int64_t)q / call->out.w;
        const int64_t oy = row % call->out.h;
        const REAL *x = (const REAL *)call->input[0] +
                        NAME(row_at)(call->in, row / call->out.h, oy * a->stride[0]) +
                        (size_t)(ox * a->stride[1] * call->in.c);
        REAL *y = (REAL *)call->output + q * (size_t)call->out.c;
        for (int64_t k = 0; k < call->out.c; k++) {
            const bool inside = k >= before && k - before < call->in.c;
            y[k] = (inside ? x[k - before] : 0) + 0;
            bad |= NAME(not_finite)(y[k]);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes *a = call->attributes;
    size_t begin, end;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    for (size_t q = begin; q < end; q++) {
        const int64_t ix = (int64_t)q % call->in.w, row = (int64_t)q / call->in.w;
        const int64_t iy = row % call->in.h;
        const bool taken = iy % a->stride[0] == 0 && ix % a->stride[1] == 0;
        const REAL *dy = (const REAL *)call->doutput +
                         NAME(row_at)(call->out, row / call->in.h, iy / a->stride[0]) +
                         (size_t)(ix / a->stride[1] * call->out.c + a->pad_channels[0]);
        REAL *dx = (REAL *)call->dinput[0] + q * (size_t)call->in.c;
        for (int64_t c = 0; c < call->in.c; c++)
            NAME(deliver)(&dx[c], taken ? dy[c] : 0, call->add[0]);
    }
    return 0;
}

const layer NAME(layer_shortcut_a) = {
    .op = "shortcut_a",
    .inputs = 1,
    .infer_shape = infer_shape,
    .forward = forward,
    .tangent = forward,
    .backward = backward,
};
