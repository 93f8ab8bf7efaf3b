/* linear.c - fully connected layer (torch.nn.Linear) on vectors (h = w = 1).
 *
 * Forward:         y[n,k]  = b[k] + sum over c of  x[n,c] * w[k,c]
 * Input gradient:  dx[n,c] = sum over k of  dy[n,k] * w[k,c]
 * Tangent:         y'[n,k] = sum over c of  x'[n,c] * w[k,c]
 *                            + b'[k] + sum over c of  x[n,c] * w'[k,c]
 *
 * Weight gradient: dw[k,c] = sum over n of  dy[n,k] * x[n,c],   db[k] = sum over n of  dy[n,k]
 *
 * All sums ascend; forward's are made in double and rounded once: the features behind an average
 * pool are all positive, and a chain of thousands of them in float would lose more than all layers
 * before it (bench/RESULTS.md). It is a 1 x 1 convolution of 1 x 1 maps, and runs as one.
 */
#include "layer_real.h"

/* Panels [K/16][C][16] then the bias forward, [C/16][K][16] backward. */
static size_t panels_size(const cs_node_attributes *a, cs_shape in, layer_pass pass) {
    const int64_t lanes = pass == PASS_FORWARD ? a->out_channels : in.c;
    const int64_t inner = pass == PASS_FORWARD ? in.c : a->out_channels;
    return layer_gate_words(lanes) * (size_t)inner * CS_PANEL;
}

static size_t pack_size(const cs_node_attributes *a, cs_shape in, layer_pass pass) {
    return panels_size(a, in, pass) + (pass == PASS_FORWARD ? (size_t)a->out_channels : 0);
}

static void pack(const layer_pack_call *call, size_t part, size_t parts) {
    const size_t k = (size_t)call->attributes->out_channels, c = (size_t)call->in.c;
    const bool forward = call->pass == PASS_FORWARD;
    const size_t lanes = forward ? k : c, inner = forward ? c : k;
    const size_t lane_step = forward ? c : 1, inner_step = forward ? 1 : c;
    size_t begin, end;
    cs_share(layer_gate_words((int64_t)lanes), part, parts, &begin, &end);
    for (size_t panel = begin; panel < end; panel++) {
        const size_t first = panel * CS_PANEL;
        REAL *to = (REAL *)call->pack + panel * inner * CS_PANEL;
        const size_t filled = lanes - first < CS_PANEL ? lanes - first : CS_PANEL;
        NAME(pack_panel)(call->parameter[0] + first * lane_step, filled, lane_step, inner,
                         inner_step, 1, to);
    }
    if (part == 0 && forward)
        NAME(pack_bias)(call->parameter[1], k,
                        (REAL *)call->pack + panels_size(call->attributes, call->in, PASS_FORWARD));
}

static cs_status infer_shape(const cs_node_attributes *a, const cs_shape *in, const char *node,
                             cs_shape *out, cs_error *err) {
    if (in->h != 1 || in->w != 1)
        return cs_error_set(err, CS_ERROR_MISMATCH, node, -1,
                            "%s: a linear layer takes vectors, and its input is a map of %lld x "
                            "%lld; put a pooling or flatten before it",
                            node, (long long)in->h, (long long)in->w);
    *out = (cs_shape){a->out_channels, 1, 1};
    return CS_OK;
}

static int parameter_shape(const cs_node_attributes *a, cs_shape in, int i, int64_t shape[4]) {
    shape[0] = a->out_channels;
    shape[1] = in.c;
    return i == 0 ? 2 : i == 1 ? 1 : 0;
}

static size_t scratch_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch,
                           layer_pass pass) {
    (void)a, (void)in, (void)out, (void)batch, (void)pass;
    return NAME(strip_size)(1, 1, 0);
}

/* One tap at the pixel itself. */
static const int64_t here[1] = {0};
static const size_t no_offset[1] = {0};

static unsigned run(const layer_call *call, bool forward_pass, size_t part, size_t parts) {
    const cs_shape from = forward_pass ? call->in : call->out;
    const REAL *panels = call->pack;
    const NAME(convolve) work = {
        .kernels = call->kernels,
        .batch = call->batch,
        .groups = 1,
        .together = 1,
        .result = forward_pass ? call->out : call->in,
        .rows = 1,
        .cols = 1,
        .row_step = 1,
        .col_step = 1,
        .source = from,
        .row_step_in = 1,
        .col_step_in = 1,
        .taps = 1,
        .tap_row = here,
        .tap_col = here,
        .tap_panel = no_offset,
        .run = 1,
        .from = forward_pass ? call->input[0] : call->doutput,
        .zeros = call->zeros,
        .panels = panels,
        .panel_size = (size_t)from.c * CS_PANEL,
        .bias = forward_pass && !call->tangent
                    ? panels + panels_size(call->attributes, call->in, PASS_FORWARD)
                    : NULL,
        .double_sums = forward_pass,
        .epilogue = call->epilogue,
        .to = forward_pass ? call->output : call->dinput[0],
        .add = !forward_pass && call->add[0],
        .scratch = call->scratch,
    };
    return NAME(convolve_part)(&work, part, parts);
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    return run(call, true, part, parts);
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    return run(call, false, part, parts);
}

/* The weight's gradient is that of a convolution over one pixel. */
static cs_node_attributes as_convolution(const cs_node_attributes *a) {
    return (cs_node_attributes){.out_channels = a->out_channels,
                                .kernel_size = {1, 1},
                                .stride = {1, 1},
                                .dilation = {1, 1},
                                .groups = 1};
}

static int64_t params_images(const cs_node_attributes *a, cs_shape in, cs_shape out) {
    const cs_node_attributes conv = as_convolution(a);
    return NAME(weight_gradient_images)(&conv, in, out);
}

static size_t shared_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch) {
    const cs_node_attributes conv = as_convolution(a);
    return NAME(weight_gradient_shared)(&conv, in, out, batch);
}

static unsigned prepare_params(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes conv = as_convolution(call->attributes);
    return NAME(weight_gradient_copy)(call, &conv, part, parts);
}

static unsigned backward_params(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes conv = as_convolution(call->attributes);
    unsigned flags = 0;
    if (call->dparameter[0])
        flags |= NAME(weight_gradient_part)(call, &conv, part, parts);
    if (call->dparameter[1])
        flags |= NAME(bias_gradient_part)(call, part, parts);
    return flags;
}

/* One chain an output from b' on, c ascending, then added. */
static unsigned tangent_parameters(const layer_call *call, size_t part, size_t parts) {
    const size_t inputs = (size_t)call->in.c, outputs = (size_t)call->out.c;
    const REAL *x = call->input[0], *weight = call->parameter_tangent[0];
    const REAL *bias = call->parameter_tangent[1];
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)call->batch * outputs, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t k = i % outputs;
        REAL acc = bias ? bias[k] : 0;
        for (size_t c = 0; weight && c < inputs; c++)
            acc = NAME(fused)(x[i / outputs * inputs + c], weight[k * inputs + c], acc);
        bad |= NAME(not_finite)(acc);
        NAME(deliver)((REAL *)call->output + i, acc, true);
    }
    return bad ? LAYER_OWN : 0U;
}

const layer NAME(layer_linear) = {
    .op = "linear",
    .inputs = 1,
    .infer_shape = infer_shape,
    .parameter_shape = parameter_shape,
    .pack_size = pack_size,
    .pack = pack,
    .scratch_size = scratch_size,
    .forward = forward,
    .tangent = forward,
    .tangent_parameters = tangent_parameters,
    .backward = backward,
    .backward_params = backward_params,
    .params_images = params_images,
    .shared_size = shared_size,
    .prepare_params = prepare_params,
    .weight_reads_input = true,
    .has_epilogue = true,
};
