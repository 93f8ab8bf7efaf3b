/* gemm.c - the second engine: convolution as im2col and one matrix product, as textbooks draw it.
 *
 * For one image and group, with P = OH*OW pixels and Q = C/groups * R * S:
 *
 *   columns[P x Q]:  columns[p][(c, r, s)] = x at tap (r, s) of pixel p, channel c; 0 outside
 *   forward          y[P x K]  = columns * W^T + b          W is PyTorch's [K x Q], used as stored
 *   input gradient   dcolumns[P x Q] = dy[P x K] * W,  then col2im: entries are added to pixels
 *   weight gradient  dW[K x Q] = dy^T * columns for each image, then added to the gradient
 *
 * The products are OpenBLAS's (cblas_sgemm, cblas_dgemm), one call an image and group, on one
 * OpenBLAS thread; our threads take images and groups. It is a second opinion on every number of
 * the `direct` engine, with bits of this CPU's OpenBLAS, not the canonical ones.
 */
#include "layer_real.h"

#if CS_HAVE_BLAS

#include <cblas.h>
#include <string.h>

#if REAL_IS_FLOAT
#define BLAS_GEMM cblas_sgemm

void layer_blas_one_thread(void) { openblas_set_num_threads(1); }
#else
#define BLAS_GEMM cblas_dgemm
#endif

/* Both layers as a convolution: a linear layer is a 1 x 1 one on a 1 x 1 map. */
static cs_node_attributes as_convolution(const cs_node_attributes *a) {
    cs_node_attributes conv = *a;
    if (a->kernel_size[0] == 0) {
        conv.kernel_size[0] = conv.kernel_size[1] = conv.groups = 1;
        conv.stride[0] = conv.stride[1] = conv.dilation[0] = conv.dilation[1] = 1;
    }
    return conv;
}

static size_t row_length(const cs_node_attributes *a, cs_shape in) {
    return (size_t)(in.c / a->groups * a->kernel_size[0] * a->kernel_size[1]);
}

/* The pack is PyTorch's weight and bias in this type; both passes use the same. */
static size_t pack_size(const cs_node_attributes *attributes, cs_shape in, layer_pass pass) {
    const cs_node_attributes a = as_convolution(attributes);
    return pass == PASS_FORWARD ? (size_t)a.out_channels * (row_length(&a, in) + 1) : 0;
}

static void pack(const layer_pack_call *call, size_t part, size_t parts) {
    const cs_node_attributes a = as_convolution(call->attributes);
    const size_t outputs = (size_t)a.out_channels, count = outputs * row_length(&a, call->in);
    REAL *to = call->pack;
    size_t begin, end;
    cs_share(count, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++)
        to[i] = (REAL)call->parameter[0][i];
    if (part == 0 && call->parameter[1])
        for (size_t i = 0; i < outputs; i++)
            to[count + i] = (REAL)call->parameter[1][i];
}

/* Rows of the weight gradient that one product makes: fixed, so that threads change no bit. */
#define GRADIENT_ROWS 64

static size_t scratch_size(const cs_node_attributes *attributes, cs_shape in, cs_shape out,
                           int64_t batch, layer_pass pass) {
    const cs_node_attributes a = as_convolution(attributes);
    (void)batch;
    const size_t columns = (size_t)(out.h * out.w) * row_length(&a, in);
    if (pass == PASS_FORWARD)
        return cs_align64(columns * sizeof(REAL));
    /* Backward adds columns into a map of this group's channels; or a weight gradient's rows. */
    const size_t map = (size_t)(in.h * in.w * (in.c / a.groups));
    const size_t rows = GRADIENT_ROWS * row_length(&a, in);
    return cs_align64((columns + (map > rows ? map : rows)) * sizeof(REAL));
}

/* Where tap (r, s) of pixel (oy, ox) lies in the map, or -1 outside. */
static int64_t tap_pixel(const cs_node_attributes *a, cs_shape in, int64_t oy, int64_t ox,
                         int64_t r, int64_t s) {
    const int64_t y = oy * a->stride[0] - a->padding[0] + r * a->dilation[0];
    const int64_t x = ox * a->stride[1] - a->padding[1] + s * a->dilation[1];
    return y < 0 || y >= in.h || x < 0 || x >= in.w ? -1 : y * in.w + x;
}

/* image points to the group's first channel of pixel (0, 0). */
static void im2col(const cs_node_attributes *a, cs_shape in, cs_shape out, const REAL *image,
                   REAL *columns) {
    const int64_t channels = in.c / a->groups, taps = a->kernel_size[0] * a->kernel_size[1];
    for (int64_t p = 0; p < out.h * out.w; p++)
        for (int64_t t = 0; t < taps; t++) {
            const int64_t at = tap_pixel(a, in, p / out.w, p % out.w, t / a->kernel_size[1],
                                         t % a->kernel_size[1]);
            REAL *column = columns + (size_t)(p * channels * taps + t);
            for (int64_t c = 0; c < channels; c++)
                column[c * taps] = at < 0 ? 0 : image[at * in.c + c];
        }
}

/* The reverse: map[pixel][channels] receives the sum of all entries that were taken from it. */
static void col2im(const cs_node_attributes *a, cs_shape in, cs_shape out, const REAL *columns,
                   REAL *map) {
    const int64_t channels = in.c / a->groups, taps = a->kernel_size[0] * a->kernel_size[1];
    memset(map, 0, (size_t)(in.h * in.w * channels) * sizeof(REAL));
    for (int64_t p = 0; p < out.h * out.w; p++)
        for (int64_t t = 0; t < taps; t++) {
            const int64_t at = tap_pixel(a, in, p / out.w, p % out.w, t / a->kernel_size[1],
                                         t % a->kernel_size[1]);
            const REAL *column = columns + (size_t)(p * channels * taps + t);
            for (int64_t c = 0; at >= 0 && c < channels; c++)
                map[at * channels + c] += column[c * taps];
        }
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes a = as_convolution(call->attributes);
    const int64_t outputs = a.out_channels / a.groups;
    const size_t pixels = (size_t)(call->out.h * call->out.w), row = row_length(&a, call->in);
    const REAL *weight = call->pack, *bias = weight + (size_t)a.out_channels * row;
    REAL *columns = call->scratch;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * a.groups), part, parts, &begin, &end);
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t n = (int64_t)unit / a.groups, g = (int64_t)unit % a.groups;
        im2col(&a, call->in, call->out,
               (const REAL *)call->input[0] + NAME(row_at)(call->in, n, 0) +
                   (size_t)(g * (call->in.c / a.groups)),
               columns);
        REAL *y = (REAL *)call->output + NAME(row_at)(call->out, n, 0) + (size_t)(g * outputs);
        BLAS_GEMM(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)pixels, (blasint)outputs,
                  (blasint)row, 1, columns, (blasint)row, weight + (size_t)(g * outputs) * row,
                  (blasint)row, 0, y, (blasint)call->out.c);
        for (size_t p = 0; p < pixels; p++)
            for (int64_t k = 0; k < outputs; k++) {
                REAL *v = &y[p * (size_t)call->out.c + (size_t)k];
                *v = (*v + (call->tangent ? 0 : bias[g * outputs + k])) + 0;
                bad |= NAME(not_finite)(*v);
            }
    }
    return bad ? LAYER_OWN : 0U;
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes a = as_convolution(call->attributes);
    const int64_t outputs = a.out_channels / a.groups, channels = call->in.c / a.groups;
    const size_t pixels = (size_t)(call->out.h * call->out.w), row = row_length(&a, call->in);
    const REAL *weight = call->pack;
    REAL *columns = call->scratch, *map = columns + pixels * row;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(call->batch * a.groups), part, parts, &begin, &end);
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t n = (int64_t)unit / a.groups, g = (int64_t)unit % a.groups;
        const REAL *dy =
            (const REAL *)call->doutput + NAME(row_at)(call->out, n, 0) + (size_t)(g * outputs);
        BLAS_GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)pixels, (blasint)row,
                  (blasint)outputs, 1, dy, (blasint)call->out.c,
                  weight + (size_t)(g * outputs) * row, (blasint)row, 0, columns, (blasint)row);
        col2im(&a, call->in, call->out, columns, map);
        REAL *dx = (REAL *)call->dinput[0] + NAME(row_at)(call->in, n, 0) + (size_t)(g * channels);
        for (int64_t p = 0; p < call->in.h * call->in.w; p++)
            for (int64_t c = 0; c < channels; c++) {
                bad |= NAME(not_finite)(map[p * channels + c]);
                NAME(deliver)(&dx[p * call->in.c + c], map[p * channels + c], call->add[0]);
            }
    }
    return bad ? LAYER_OWN : 0U;
}

/* Adds outputs [first, end) of the layer's weight gradient, made for one image as [k][(c, r, s)],
 * to the gradient, which lies as K x R x S x C. */
static bool add_weight_gradient(const layer_call *call, const cs_node_attributes *a, int64_t first,
                                int64_t end, const REAL *made) {
    const int64_t taps = a->kernel_size[0] * a->kernel_size[1], channels = call->in.c / a->groups;
    REAL *dw = (REAL *)call->dparameter[0] + (size_t)(first * taps * channels);
    bool bad = false;
    for (int64_t k = 0; k < end - first; k++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = 0; c < channels; c++, dw++) {
                *dw = (*dw + made[(k * channels + c) * taps + t]) + 0;
                bad |= NAME(not_finite)(*dw);
            }
    return bad;
}

static unsigned backward_params(const layer_call *call, size_t part, size_t parts) {
    const cs_node_attributes a = as_convolution(call->attributes);
    const int64_t outputs = a.out_channels / a.groups, channels = call->in.c / a.groups;
    const int64_t blocks = (outputs + GRADIENT_ROWS - 1) / GRADIENT_ROWS;
    const size_t pixels = (size_t)(call->out.h * call->out.w), row = row_length(&a, call->in);
    REAL *columns = call->scratch, *made = columns + pixels * row;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)(a.groups * blocks), part, parts, &begin, &end);
    for (size_t unit = begin; call->dparameter[0] && unit < end; unit++) {
        const int64_t g = (int64_t)unit / blocks, k = (int64_t)unit % blocks * GRADIENT_ROWS;
        const int64_t count = outputs - k < GRADIENT_ROWS ? outputs - k : GRADIENT_ROWS;
        for (int64_t n = 0; n < call->batch; n++) {
            im2col(&a, call->in, call->out,
                   (const REAL *)call->input[0] + NAME(row_at)(call->in, n, 0) +
                       (size_t)(g * channels),
                   columns);
            BLAS_GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)count, (blasint)row,
                      (blasint)pixels, 1,
                      (const REAL *)call->doutput + NAME(row_at)(call->out, n, 0) +
                          (size_t)(g * outputs + k),
                      (blasint)call->out.c, columns, (blasint)row, 0, made, (blasint)row);
            bad |= add_weight_gradient(call, &a, g * outputs + k, g * outputs + k + count, made);
        }
    }
    unsigned flags = bad ? LAYER_OWN : 0U;
    if (call->dparameter[1])
        flags |= NAME(bias_gradient_part)(call, part, parts);
    return flags;
}

static cs_status infer_conv2d(const cs_node_attributes *a, const cs_shape *in, const char *node,
                              cs_shape *out, cs_error *err) {
    return NAME(layer_conv2d).infer_shape(a, in, node, out, err);
}

static cs_status infer_linear(const cs_node_attributes *a, const cs_shape *in, const char *node,
                              cs_shape *out, cs_error *err) {
    return NAME(layer_linear).infer_shape(a, in, node, out, err);
}

static int conv2d_parameters(const cs_node_attributes *a, cs_shape in, int i, int64_t shape[4]) {
    return NAME(layer_conv2d).parameter_shape(a, in, i, shape);
}

/* The parameters' part of a tangent is the direct engine's. */
static unsigned conv2d_tangent(const layer_call *call, size_t part, size_t parts) {
    return NAME(layer_conv2d).tangent_parameters(call, part, parts);
}

static unsigned linear_tangent(const layer_call *call, size_t part, size_t parts) {
    return NAME(layer_linear).tangent_parameters(call, part, parts);
}

static int linear_parameters(const cs_node_attributes *a, cs_shape in, int i, int64_t shape[4]) {
    return NAME(layer_linear).parameter_shape(a, in, i, shape);
}

const layer NAME(layer_gemm_conv2d) = {
    .op = "conv2d",
    .inputs = 1,
    .infer_shape = infer_conv2d,
    .parameter_shape = conv2d_parameters,
    .pack_size = pack_size,
    .pack = pack,
    .scratch_size = scratch_size,
    .forward = forward,
    .tangent = forward,
    .tangent_parameters = conv2d_tangent,
    .backward = backward,
    .backward_params = backward_params,
    .weight_reads_input = true,
    .pack_for_both = true,
};

const layer NAME(layer_gemm_linear) = {
    .op = "linear",
    .inputs = 1,
    .infer_shape = infer_linear,
    .parameter_shape = linear_parameters,
    .pack_size = pack_size,
    .pack = pack,
    .scratch_size = scratch_size,
    .forward = forward,
    .tangent = forward,
    .tangent_parameters = linear_tangent,
    .backward = backward,
    .backward_params = backward_params,
    .weight_reads_input = true,
    .pack_for_both = true,
};

#endif
