/* add.c - elementwise sum of two tensors of one shape.
 *
 * Forward:          y = a + b    (in the manifest's order)
 * Input gradients:  da = dy, db = dy
 * Tangent:          y' = a' + b'
 */
#include "layer_real.h"

static cs_status infer_shape(const cs_node_attributes *a, const cs_shape *in, const char *node,
                             cs_shape *out, cs_error *err) {
    (void)a;
    if (in[0].c != in[1].c || in[0].h != in[1].h || in[0].w != in[1].w)
        return cs_error_set(err, CS_ERROR_MISMATCH, node, -1,
                            "%s: its inputs differ in shape: %lld x %lld x %lld and %lld x %lld x "
                            "%lld",
                            node, (long long)in[0].c, (long long)in[0].h, (long long)in[0].w,
                            (long long)in[1].c, (long long)in[1].h, (long long)in[1].w);
    *out = in[0];
    return CS_OK;
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const REAL *a = call->input[0], *b = call->input[1];
    REAL *y = call->output;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)call->batch * (size_t)call->in.h * NAME(row_size)(call->in), part, parts,
             &begin, &end);
    for (size_t i = begin; i < end; i++) {
        y[i] = (a[i] + b[i]) + 0;
        bad |= NAME(not_finite)(y[i]);
    }
    return bad ? LAYER_OWN : 0U;
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const REAL *dy = call->doutput;
    size_t begin, end;
    cs_share((size_t)call->batch * (size_t)call->in.h * NAME(row_size)(call->in), part, parts,
             &begin, &end);
    /* The second input first: the first may be the gradient's own memory. */
    for (int input = 1; input >= 0; input--) {
        REAL *dx = call->dinput[input];
        for (size_t i = begin; dx && dx != dy && i < end; i++)
            NAME(deliver)(&dx[i], dy[i], call->add[input]);
    }
    return 0;
}

const layer NAME(layer_add) = {
    .op = "add",
    .inputs = 2,
    .infer_shape = infer_shape,
    .forward = forward,
    .tangent = forward,
    .backward = backward,
    .in_place = true,
};
