/* softmax.c - softmax over the channels of each pixel (torch.nn.Softmax(dim=1)).
 *
 * Forward:         m = max over c of x[c];  e[c] = exp(x[c] - m);  y[c] = e[c] / sum over c of e[c]
 * Input gradient:  dx[c] = y[c] * (dy[c] - sum over c of dy[c] * y[c])
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

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    for (size_t pixel = begin; pixel < end; pixel++) {
        const REAL *y = (const REAL *)call->output + pixel * channels;
        const REAL *dy = (const REAL *)call->doutput + pixel * channels;
        REAL *dx = (REAL *)call->dinput[0] + pixel * channels;
        double sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += (double)dy[c] * (double)y[c];
        for (size_t c = 0; c < channels; c++) {
            const REAL v = (REAL)((double)y[c] * ((double)dy[c] - sum));
            bad |= NAME(not_finite)(v);
            NAME(deliver)(&dx[c], v, call->add[0]);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

const layer NAME(layer_softmax) = {
    .op = "softmax",
    .inputs = 1,
    .infer_shape = NAME(same_shape),
    .scratch_size = scratch_size,
    .forward = forward,
    .backward = backward,
    .needs_output = true,
};
