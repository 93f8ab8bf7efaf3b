/* relu.c - rectified linear unit (torch.nn.ReLU).
 *
 * Forward:         y  = x <= 0 ? +0 : x        (so NaN stays NaN)
 * Gate:            open where !(x <= 0), one bit a value
 * Input gradient:  dx = gate open ? dy : +0     (at x = 0 the gate is closed, as in PyTorch)
 * Tangent:         y' = gate open ? x' : +0
 */
#include "layer_real.h"

static size_t saved_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch) {
    (void)a, (void)out;
    return (size_t)(batch * in.h * in.w) * layer_gate_words(in.c) * sizeof(uint16_t);
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c, words = layer_gate_words(call->in.c);
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    for (size_t pixel = begin; pixel < end; pixel++) {
        const REAL *x = (const REAL *)call->input[0] + pixel * channels;
        REAL *y = (REAL *)call->output + pixel * channels;
        uint16_t *gates = call->saved ? (uint16_t *)call->saved + pixel * words : NULL;
        for (size_t c = 0; gates && c < words; c++)
            gates[c] = 0;
        for (size_t c = 0; c < channels; c++) {
            if (gates && !(x[c] <= 0))
                gates[c / CS_PANEL] |= (uint16_t)(1U << c % CS_PANEL);
            bad |= NAME(not_finite)(x[c]);
            y[c] = (x[c] <= 0 ? 0 : x[c]) + 0;
        }
    }
    return bad ? LAYER_OWN : 0U;
}

/* y = gate open ? x : +0, whatever x is: forward by imposed gates, and the tangent. */
static unsigned forward_imposed(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c, words = layer_gate_words(call->in.c);
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    for (size_t pixel = begin; pixel < end; pixel++) {
        const REAL *x = (const REAL *)call->input[0] + pixel * channels;
        REAL *y = (REAL *)call->output + pixel * channels;
        const uint16_t *gates = (const uint16_t *)call->saved + pixel * words;
        for (size_t c = 0; c < channels; c++) {
            const bool open = gates[c / CS_PANEL] >> c % CS_PANEL & 1;
            bad |= NAME(not_finite)(x[c]);
            y[c] = (open ? x[c] : 0) + 0;
        }
    }
    return bad ? LAYER_OWN : 0U;
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c, words = layer_gate_words(call->in.c);
    size_t begin, end;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    ((const NAME(kernels) *)call->kernels)
        ->gate_rows(end - begin, channels, (const REAL *)call->doutput + begin * channels,
                    (const uint16_t *)call->saved + begin * words,
                    (REAL *)call->dinput[0] + begin * channels, call->add[0]);
    return 0;
}

const layer NAME(layer_relu) = {
    .op = "relu",
    .inputs = 1,
    .infer_shape = NAME(same_shape),
    .saved_size = saved_size,
    .forward = forward,
    .forward_imposed = forward_imposed,
    .tangent = forward_imposed,
    .backward = backward,
    .in_place = true,
};
