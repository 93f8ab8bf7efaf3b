/* flatten.c - a map as a vector in PyTorch's order (torch.flatten(x, 1)).
 *
 * Forward:         y[n, (c*H + h)*W + w] = x[n,c,h,w]
 * Input gradient:  dx[n,c,h,w] = dy[n, (c*H + h)*W + w]
 * Tangent:         as forward
 */
#include "layer_real.h"

static cs_status infer_shape(const cs_node_attributes *a, const cs_shape *in, const char *node,
                             cs_shape *out, cs_error *err) {
    (void)a, (void)node, (void)err;
    *out = (cs_shape){in->c * in->h * in->w, 1, 1};
    return CS_OK;
}

/* Calls that differ in direction only: element i of the vector is value (c, h, w) of the map. */
static inline size_t map_index(cs_shape in, size_t vector_index) {
    const size_t w = vector_index % (size_t)in.w, rest = vector_index / (size_t)in.w;
    const size_t h = rest % (size_t)in.h, c = rest / (size_t)in.h;
    return (h * (size_t)in.w + w) * (size_t)in.c + c;
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const size_t size = (size_t)call->out.c;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)call->batch * size, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const REAL v =
            ((const REAL *)call->input[0])[i / size * size + map_index(call->in, i % size)];
        bad |= NAME(not_finite)(v);
        ((REAL *)call->output)[i] = v + 0;
    }
    return bad ? LAYER_OWN : 0U;
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const size_t size = (size_t)call->out.c;
    size_t begin, end;
    cs_share((size_t)call->batch * size, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        REAL *dx = (REAL *)call->dinput[0] + i / size * size + map_index(call->in, i % size);
        NAME(deliver)(dx, ((const REAL *)call->doutput)[i], call->add[0]);
    }
    return 0;
}

const layer NAME(layer_flatten) = {
    .op = "flatten",
    .inputs = 1,
    .infer_shape = infer_shape,
    .forward = forward,
    .tangent = forward,
    .backward = backward,
};
