/* conv2d.c - convolution (torch.nn.Conv2d): any kernel, stride, padding, dilation, groups, bias.
 *
 * Forward, for output channel k of group g, channels c of that group:
 *
 *   y[n,k,oy,ox] = b[k] + sum over r, s, c of
 *                  x[n, c, oy*stride - pad + r*dil, ox*stride - pad + s*dil] * w[k,c,r,s]
 *
 * Input gradient: x at (iy, ix) enters every y whose tap (r, s) lands on it, that is
 * oy = (iy + pad - r*dil) / stride where this divides without remainder and lies in the map:
 *
 *   dx[n,c,iy,ix] = sum over r, s that reach an output, over k of the group of
 *                   dy[n,k,oy,ox] * w[k,c,r,s]
 *
 * Tangent: forward without the bias over x', plus forward over x with the weights w' and bias b'.
 *
 * Pixels of the same phase (iy mod stride, ix mod stride) are reached by the same taps, so each
 * phase is a convolution of its own over the transposed panels; where x has few channels (a stem's
 * image), all phases side by side fill one panel. The order of both sums, r, s, then channel, is
 * fixed by docs/arithmetic.md; w's indices are never flipped.
 *
 * Parameter gradients (weight_gradient.c), over outputs whose tap lies inside the map:
 *
 *   dw[k,c,r,s] = sum over n, oy, ox of dy[n,k,oy,ox] * x[n,c,iy,ix]
 *   db[k]       = sum over n, oy, ox of dy[n,k,oy,ox]
 */
#include "layer_real.h"

#include <string.h>

/* Whether all phases of the input gradient are computed side by side. */
static bool phases_together(const cs_node_attributes *a, int64_t c) {
    const int64_t phases = a->stride[0] * a->stride[1];
    return phases > 1 && phases <= CS_PANEL / c && a->groups == 1 && a->dilation[0] == 1 &&
           a->dilation[1] == 1;
}

/* The outputs, along one axis, that an input of any phase enters: from `first` (for phase 0, and
 * counted from the block's own position) on. */
typedef struct reach {
    int64_t first, count;
} reach;

static reach reach_of(const cs_node_attributes *a, int axis) {
    const int64_t stride = a->stride[axis], behind = a->kernel_size[axis] - 1 - a->padding[axis];
    const int64_t last = (stride - 1 + a->padding[axis]) / stride;
    const int64_t first = behind >= 0 ? -(behind / stride) : (stride - 1 - behind) / stride;
    return (reach){first, last - first + 1};
}

/* Panels: forward [groups][K/groups/16][R][S][C/groups][16], then the bias;
 * backward [groups][C/groups/16][R][S][K/groups][16]. Narrow groups lie side by side in a panel
 * (layer_groups_together): forward [K/16][R][S][C/groups][16]. Phases side by side: backward
 * [rows reached, the last first][columns, likewise][K][16]. */
static size_t panels_size(const cs_node_attributes *a, cs_shape in, layer_pass pass) {
    if (pass == PASS_BACKWARD && phases_together(a, in.c))
        return (size_t)(reach_of(a, 0).count * reach_of(a, 1).count * a->out_channels) * CS_PANEL;
    const size_t c = (size_t)(in.c / a->groups), k = (size_t)(a->out_channels / a->groups);
    const size_t taps = (size_t)(a->kernel_size[0] * a->kernel_size[1]);
    const size_t lanes = pass == PASS_FORWARD ? k : c, inner = pass == PASS_FORWARD ? c : k;
    const size_t sets = (size_t)(a->groups / layer_groups_together(a, in.c));
    return sets * layer_gate_words((int64_t)lanes) * taps * inner * CS_PANEL;
}

static size_t pack_size(const cs_node_attributes *a, cs_shape in, layer_pass pass) {
    return panels_size(a, in, pass) + (pass == PASS_FORWARD ? (size_t)a->out_channels : 0);
}

/* The kernel's row or column through which an input of a phase enters output `at`, or -1. */
static int64_t tap_of(const cs_node_attributes *a, int axis, int64_t phase, int64_t at) {
    const int64_t tap = phase + a->padding[axis] - at * a->stride[axis];
    return tap >= 0 && tap < a->kernel_size[axis] ? tap : -1;
}

/* The tap of lane l = (py*stride + px)*C + c at output (y, x), as r*S + s, or -1. */
static int64_t lane_tap(const cs_node_attributes *a, int64_t phase, int64_t y, int64_t x) {
    const int64_t r = tap_of(a, 0, phase / a->stride[1], y);
    const int64_t s = tap_of(a, 1, phase % a->stride[1], x);
    return r < 0 || s < 0 ? -1 : r * a->kernel_size[1] + s;
}

/* Phases side by side. */
static void pack_phases(const layer_pack_call *call, size_t part, size_t parts) {
    const cs_node_attributes *a = call->attributes;
    const reach high = reach_of(a, 0), wide = reach_of(a, 1);
    const int64_t c = call->in.c, taps = a->kernel_size[0] * a->kernel_size[1];
    size_t begin, end;
    cs_share((size_t)(high.count * wide.count * a->out_channels), part, parts, &begin, &end);
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        const int64_t tap = i / a->out_channels, k = i % a->out_channels;
        const int64_t y = high.first + high.count - 1 - tap / wide.count;
        const int64_t x = wide.first + wide.count - 1 - tap % wide.count;
        REAL *to = (REAL *)call->pack + i * CS_PANEL;
        for (int64_t l = 0; l < CS_PANEL; l++) {
            const int64_t phase = l / c, from = lane_tap(a, phase, y, x);
            const bool has = phase < a->stride[0] * a->stride[1] && from >= 0;
            to[l] = has ? (REAL)call->parameter[0][(k * c + l % c) * taps + from] + 0 : 0;
        }
    }
}

static void pack(const layer_pack_call *call, size_t part, size_t parts) {
    const cs_node_attributes *a = call->attributes;
    if (call->pass == PASS_BACKWARD && phases_together(a, call->in.c)) {
        pack_phases(call, part, parts);
        return;
    }
    const bool forward = call->pass == PASS_FORWARD;
    const size_t c = (size_t)(call->in.c / a->groups), k = (size_t)(a->out_channels / a->groups);
    const size_t taps = (size_t)(a->kernel_size[0] * a->kernel_size[1]);
    const size_t lanes = forward ? k : c, inner = forward ? c : k;
    const size_t together = (size_t)layer_groups_together(a, call->in.c);
    const size_t panels = layer_gate_words((int64_t)lanes);
    /* Steps in O, I, R, S from one lane, and from one inner channel, to the next. */
    const size_t lane_step = forward ? c * taps : taps, inner_step = forward ? taps : c * taps;
    size_t begin, end;
    cs_share((size_t)a->groups * panels, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t group = i / panels, first = i % panels * CS_PANEL;
        const size_t filled = lanes - first < CS_PANEL ? lanes - first : CS_PANEL;
        const float *from = call->parameter[0] + group * k * c * taps + first * lane_step;
        REAL *to = (REAL *)call->pack + i / together * taps * inner * CS_PANEL;
        NAME(pack_panel)
        (from, filled, lane_step, inner, inner_step, taps, to + i % together * lanes);
    }
    if (part == 0 && forward)
        NAME(pack_bias)(call->parameter[1], (size_t)a->out_channels,
                        (REAL *)call->pack + panels_size(a, call->in, PASS_FORWARD));
}

static cs_status infer_shape(const cs_node_attributes *a, const cs_shape *in, const char *node,
                             cs_shape *out, cs_error *err) {
    if (in->c % a->groups != 0 || a->out_channels % a->groups != 0)
        return cs_error_set(err, CS_ERROR_MISMATCH, node, -1,
                            "%s: %lld input and %lld output channels cannot be divided into %lld "
                            "groups",
                            node, (long long)in->c, (long long)a->out_channels,
                            (long long)a->groups);
    out->c = a->out_channels;
    out->h = NAME(window_count)(in->h, a->kernel_size[0], a->stride[0], a->padding[0],
                                a->dilation[0], false);
    out->w = NAME(window_count)(in->w, a->kernel_size[1], a->stride[1], a->padding[1],
                                a->dilation[1], false);
    if (out->h <= 0 || out->w <= 0)
        return cs_error_set(err, CS_ERROR_MISMATCH, node, -1,
                            "%s: the kernel of %lld x %lld (dilation %lld x %lld) is larger than "
                            "the padded input of %lld x %lld",
                            node, (long long)a->kernel_size[0], (long long)a->kernel_size[1],
                            (long long)a->dilation[0], (long long)a->dilation[1],
                            (long long)(in->h + 2 * a->padding[0]),
                            (long long)(in->w + 2 * a->padding[1]));
    return CS_OK;
}

static int parameter_shape(const cs_node_attributes *a, cs_shape in, int i, int64_t shape[4]) {
    shape[0] = a->out_channels;
    if (i == 1)
        return 1;
    shape[1] = in.c / a->groups;
    shape[2] = a->kernel_size[0];
    shape[3] = a->kernel_size[1];
    return i == 0 ? 4 : 0;
}

/* A row of the kernel whose input has few channels (a stem) is read as one run of pixels, which lie
 * side by side in memory. Source pixels of a run; 1: taps are single pixels. */
#define RUN_LIMIT 64 /* values; the plan's zeros are at least as many */
static int64_t run_length(const cs_node_attributes *a, cs_shape in) {
    const int64_t columns = a->kernel_size[1];
    return a->groups == 1 && a->dilation[1] == 1 && columns * in.c <= RUN_LIMIT ? columns : 1;
}

/* Scratch: the driver's, then the taps' rows, columns, panel offsets and lanes. */
static size_t taps_offset(const cs_node_attributes *a, cs_shape in) {
    return NAME(strip_size)((size_t)(a->kernel_size[0] * a->kernel_size[1]),
                            (size_t)run_length(a, in), (size_t)in.c);
}

static size_t scratch_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch,
                           layer_pass pass) {
    (void)out, (void)batch;
    const size_t forward =
        taps_offset(a, in) + cs_align64((size_t)(a->kernel_size[0] * a->kernel_size[1]) *
                                        (2 * sizeof(int64_t) + sizeof(size_t) + sizeof(uint16_t)));
    const size_t parameters = pass == PASS_BACKWARD ? NAME(weight_gradient_scratch)() : 0;
    return parameters > forward ? parameters : forward;
}

typedef struct NAME(taps) {
    int64_t *row, *col;
    size_t *panel;
    uint16_t *lanes; /* of phases side by side */
    size_t count;
} NAME(taps);

static NAME(taps) taps_in_scratch(const layer_call *call) {
    const size_t limit =
        (size_t)(call->attributes->kernel_size[0] * call->attributes->kernel_size[1]);
    NAME(taps) taps;
    taps.row = (int64_t *)(void *)((char *)call->scratch + taps_offset(call->attributes, call->in));
    taps.col = taps.row + limit;
    taps.panel = (size_t *)(void *)(taps.col + limit);
    taps.lanes = (uint16_t *)(void *)(taps.panel + limit);
    taps.count = 0;
    return taps;
}

static void add_tap(NAME(taps) *taps, int64_t row, int64_t col, size_t panel) {
    taps->row[taps->count] = row;
    taps->col[taps->count] = col;
    taps->panel[taps->count++] = panel;
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes *a = call->attributes;
    const size_t inner = (size_t)(call->in.c / a->groups);
    const size_t kernel = (size_t)(a->kernel_size[0] * a->kernel_size[1]);
    const int64_t run = run_length(a, call->in);
    NAME(taps) taps = taps_in_scratch(call);
    for (int64_t r = 0; r < a->kernel_size[0]; r++)
        for (int64_t s = 0; s < a->kernel_size[1]; s += run)
            add_tap(&taps, r * a->dilation[0] - a->padding[0], s * a->dilation[1] - a->padding[1],
                    (size_t)(r * a->kernel_size[1] + s) * inner * CS_PANEL);
    const REAL *panels = call->pack;
    const NAME(convolve) work = {
        .kernels = call->kernels,
        .batch = call->batch,
        .groups = a->groups / layer_groups_together(a, call->in.c),
        .together = layer_groups_together(a, call->in.c),
        .result = call->out,
        .rows = call->out.h,
        .cols = call->out.w,
        .row_step = 1,
        .col_step = 1,
        .source = call->in,
        .row_step_in = a->stride[0],
        .col_step_in = a->stride[1],
        .taps = taps.count,
        .tap_row = taps.row,
        .tap_col = taps.col,
        .tap_panel = taps.panel,
        .run = run,
        .from = call->input[0],
        .zeros = call->zeros,
        .nonzero = call->nonzero,
        .kernel = call->kernel,
        .panels = panels,
        .panel_size = kernel * inner * CS_PANEL,
        .bias = call->tangent ? NULL : panels + panels_size(a, call->in, PASS_FORWARD),
        .epilogue = call->epilogue,
        .to = call->output,
        .scratch = call->scratch,
    };
    return NAME(convolve_part)(&work, part, parts);
}

/* The taps that reach pixels of phase (py, px). */
static NAME(taps) phase_taps(const layer_call *call, int64_t py, int64_t px, size_t inner) {
    const cs_node_attributes *a = call->attributes;
    NAME(taps) taps = taps_in_scratch(call);
    size_t tap = 0;
    for (int64_t r = 0; r < a->kernel_size[0]; r++)
        for (int64_t s = 0; s < a->kernel_size[1]; s++, tap++) {
            const int64_t y = py + a->padding[0] - r * a->dilation[0];
            const int64_t x = px + a->padding[1] - s * a->dilation[1];
            if (y % a->stride[0] == 0 && x % a->stride[1] == 0)
                add_tap(&taps, y / a->stride[0], x / a->stride[1], tap * inner * CS_PANEL);
        }
    return taps;
}

/* The input gradient as a convolution of dy, all but its results and taps. */
static NAME(convolve) input_gradient(const layer_call *call) {
    const cs_node_attributes *a = call->attributes;
    return (NAME(convolve)){
        .kernels = call->kernels,
        .batch = call->batch,
        .groups = a->groups / layer_groups_together(a, call->in.c),
        .together = layer_groups_together(a, call->in.c),
        .result = call->in,
        .row_step = a->stride[0],
        .col_step = a->stride[1],
        .source = call->out,
        .row_step_in = 1,
        .col_step_in = 1,
        .run = 1,
        .from = call->doutput,
        .zeros = call->zeros,
        .nonzero = call->nonzero,
        .kernel = call->kernel,
        .panels = call->pack,
        .epilogue = call->epilogue,
        .backward = true,
        .to = call->dinput[0],
        .add = call->add[0],
        .scratch = call->scratch,
    };
}

/* Results of phase (py, px), or of blocks that begin there. */
static unsigned run_phase(NAME(convolve) work, const NAME(taps) *taps, const cs_node_attributes *a,
                          int64_t py, int64_t px, size_t part, size_t parts) {
    work.row0 = py;
    work.col0 = px;
    work.rows = (work.result.h - py + a->stride[0] - 1) / a->stride[0];
    work.cols = (work.result.w - px + a->stride[1] - 1) / a->stride[1];
    work.taps = taps->count;
    work.tap_row = taps->row;
    work.tap_col = taps->col;
    work.tap_panel = taps->panel;
    return NAME(convolve_part)(&work, part, parts);
}

/* A phase that no tap reaches. */
static void clear_phase(const layer_call *call, int64_t py, int64_t px, size_t part, size_t parts) {
    const cs_node_attributes *a = call->attributes;
    const cs_shape in = call->in;
    const int64_t rows = (in.h - py + a->stride[0] - 1) / a->stride[0];
    size_t begin, end;
    cs_share((size_t)(call->batch * rows), part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const int64_t n = (int64_t)i / rows, iy = (int64_t)i % rows * a->stride[0] + py;
        REAL *row = (REAL *)call->dinput[0] + NAME(row_at)(in, n, iy);
        for (int64_t ix = px; ix < in.w; ix += a->stride[1])
            memset(row + ix * in.c, 0, (size_t)in.c * sizeof *row);
    }
}

/* Outputs from the last to the first, which is the order of a phase's taps. */
static unsigned backward_together(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes *a = call->attributes;
    const reach high = reach_of(a, 0), wide = reach_of(a, 1);
    const size_t tap_size = (size_t)a->out_channels * CS_PANEL;
    const int64_t phases = a->stride[0] * a->stride[1];
    NAME(convolve) work = input_gradient(call);
    NAME(taps) taps = taps_in_scratch(call);
    for (int64_t y = high.first + high.count - 1; y >= high.first; y--)
        for (int64_t x = wide.first + wide.count - 1; x >= wide.first; x--) {
            unsigned lanes = 0;
            for (int64_t l = 0; l < phases * call->in.c; l++)
                lanes |= (lane_tap(a, l / call->in.c, y, x) >= 0 ? 1U : 0U) << l;
            taps.lanes[taps.count] = (uint16_t)lanes;
            add_tap(&taps, y, x, taps.count * tap_size);
        }
    work.phases = &(NAME(phases)){a->stride[0], a->stride[1], taps.lanes};
    work.panel_size = taps.count * tap_size;
    return run_phase(work, &taps, a, 0, 0, part, parts);
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes *a = call->attributes;
    const size_t inner = (size_t)(a->out_channels / a->groups);
    unsigned flags = 0;
    if (phases_together(a, call->in.c))
        return backward_together(call, part, parts);
    NAME(convolve) work = input_gradient(call);
    work.panel_size = (size_t)(a->kernel_size[0] * a->kernel_size[1]) * inner * CS_PANEL;
    for (int64_t py = 0; py < a->stride[0] && py < call->in.h; py++)
        for (int64_t px = 0; px < a->stride[1] && px < call->in.w; px++) {
            const NAME(taps) taps = phase_taps(call, py, px, inner);
            if (taps.count == 0 && !call->add[0] && !call->epilogue.gates &&
                !call->epilogue.scale_shift)
                clear_phase(call, py, px, part, parts);
            else
                flags |= run_phase(work, &taps, a, py, px, part, parts);
        }
    return flags;
}

static unsigned prepare_params(const layer_call *call, size_t part, size_t parts) {
    return NAME(weight_gradient_copy)(call, call->attributes, part, parts);
}

static unsigned backward_params(const layer_call *call, size_t part, size_t parts) {
    unsigned flags = 0;
    if (call->dparameter[0])
        flags |= NAME(weight_gradient_part)(call, call->attributes, part, parts);
    if (call->dparameter[1])
        flags |= NAME(bias_gradient_part)(call, part, parts);
    return flags;
}

/* One output's chain over the parameters' tangents. */
static REAL parameter_chain(const layer_call *call, int64_t n, int64_t oy, int64_t ox, int64_t k) {
    const cs_node_attributes *a = call->attributes;
    const int64_t inner = call->in.c / a->groups, taps = a->kernel_size[0] * a->kernel_size[1];
    const int64_t first = k / (a->out_channels / a->groups) * inner;
    const REAL *weight = call->parameter_tangent[0], *bias = call->parameter_tangent[1];
    REAL acc = bias ? bias[k] : 0;
    for (int64_t tap = 0; weight && tap < taps; tap++) {
        const int64_t iy =
            oy * a->stride[0] - a->padding[0] + tap / a->kernel_size[1] * a->dilation[0];
        const int64_t ix =
            ox * a->stride[1] - a->padding[1] + tap % a->kernel_size[1] * a->dilation[1];
        if (iy < 0 || iy >= call->in.h || ix < 0 || ix >= call->in.w)
            continue;
        const REAL *x = (const REAL *)call->input[0] + NAME(row_at)(call->in, n, iy) +
                        (size_t)(ix * call->in.c + first);
        for (int64_t c = 0; c < inner; c++)
            acc = NAME(fused)(x[c], weight[(k * taps + tap) * inner + c], acc);
    }
    return acc;
}

static unsigned tangent_parameters(const layer_call *call, size_t part, size_t parts) {
    const int64_t per_image = call->out.h * call->out.w;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * per_image), part, parts, &begin, &end);
    for (size_t pixel = begin; pixel < end; pixel++)
        for (int64_t k = 0; k < call->out.c; k++) {
            const int64_t n = (int64_t)pixel / per_image, rest = (int64_t)pixel % per_image;
            const REAL v = parameter_chain(call, n, rest / call->out.w, rest % call->out.w, k);
            bad |= NAME(not_finite)(v);
            NAME(deliver)((REAL *)call->output + pixel * (size_t)call->out.c + k, v, true);
        }
    return bad ? LAYER_OWN : 0U;
}

const layer NAME(layer_conv2d) = {
    .op = "conv2d",
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
    .params_images = NAME(weight_gradient_images),
    .shared_size = NAME(weight_gradient_shared),
    .prepare_params = prepare_params,
    .weight_reads_input = true,
    .has_epilogue = true,
};
