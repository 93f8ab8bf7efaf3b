/* softmax.c - softmax over the channels of each pixel (torch.nn.Softmax(dim=1)).
 *
 * Forward:         m = max over c of x[c];  e[c] = exp(x[c] - m);  y[c] = e[c] / sum over c of e[c]
 * Input gradient:  dx[c] = y[c] * (dy[c] - sum over c of dy[c] * y[c])
 * Tangent:         y'[c] = y[c] * (x'[c] - sum over c of x'[c] * y[c])  (the Jacobian is symmetric)
 *
 * In double with cs_exp, sums ascending, rounded once.
 */
#include "layer_real.h"

static size_t scratch_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch,
                           layer_pass pass) {
    (void)a, (void)out, (void)batch, (void)pass;
    return cs_align64((size_t)in.c * sizeof(double));
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c;
    double *e = call->scratch;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    for (size_t pixel = begin; pixel < end; pixel++) {
        const REAL *x = (const REAL *)call->input[0] + pixel * channels;
        REAL *y = (REAL *)call->output + pixel * channels;
        double largest = (double)x[0], sum = 0;
        for (size_t c = 1; c < channels; c++)
            if (!((double)x[c] <= largest)) /* NaN takes over */
                largest = (double)x[c];
        for (size_t c = 0; c < channels; c++) {
            e[c] = cs_exp((double)x[c] - largest);
            sum += e[c];
        }
        for (size_t c = 0; c < channels; c++) {
            y[c] = (REAL)(e[c] / sum) + 0;
            bad |= NAME(not_finite)(y[c]);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

/* to = J from, with J the Jacobian at the output y. */
static unsigned jacobian(const layer_call *call, const REAL *y, const REAL *from, REAL *to,
                         bool add, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    for (size_t pixel = begin; pixel < end; pixel++) {
        const REAL *p = y + pixel * channels, *v = from + pixel * channels;
        double sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += (double)v[c] * (double)p[c];
        for (size_t c = 0; c < channels; c++) {
            const REAL result = (REAL)((double)p[c] * ((double)v[c] - sum));
            bad |= NAME(not_finite)(result);
            NAME(deliver)(&to[pixel * channels + c], result, add);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    return jacobian(call, call->output, call->doutput, call->dinput[0], call->add[0], part, parts);
}

static unsigned tangent(const layer_call *call, size_t part, size_t parts) {
    return jacobian(call, call->value, call->input[0], call->output, false, part, parts);
}

const layer NAME(layer_softmax) = {
    .op = "softmax",
    .inputs = 1,
    .infer_shape = NAME(same_shape),
    .scratch_size = scratch_size,
    .forward = forward,
    .backward = backward,
    .tangent = tangent,
    .needs_output = true,
};
