/* batch_norm_training.c - batch norm in training (torch.nn.BatchNorm2d after train()).
 *
 * Per channel, over the M = N*H*W values of the batch, in double:
 *
 *   mean = sum(x) / M,   var = sum((x - mean)^2) / M,   t = gamma / sqrt(var + eps)
 *   scale = (T)t,   shift = (T)fma(-mean, scale, beta),   y = fma(x, scale, shift)
 *
 * Input gradient. With d = x - mean: mean depends on each x by 1/M, var by 2*d/M (the sum of d is
 * 0), so from y = d * gamma * (var + eps)^(-1/2) + beta
 *
 *   dx = t * (dy - sum(dy)/M - d * sum(dy*d) / (var + eps) / M)
 *      = t * ((dy - a) - d*b),    a = sum(dy) / M,   b = sum(dy*d) / (var + eps) / M
 *
 * Parameter gradients: dbeta = sum(dy),  dgamma = sum(dy*d) / sqrt(var + eps), per image one sum in
 * double, rounded once and added.
 *
 * Tangent: the Jacobian above is symmetric in x and dx, so x' goes through it as dy does;
 * parameters add d / sqrt(var + eps) * gamma' + beta'.
 *
 * Statistics belong to the whole batch, so they come before the first result, and a and b before
 * the first dx: `statistics` and `backward_params` leave them in `saved`.
 */
#include "layer_real.h"

#include <math.h>

/* `saved` of all channels: mean, sum of squares (layer.h promises these two), t, a and b in double,
 * then scale and shift. */
enum { MEAN, SQUARES, FACTOR, A, B, DOUBLES };

static double *saved_doubles(const layer_call *call, int which) {
    return (double *)call->saved + (size_t)which * (size_t)call->in.c;
}

static REAL *saved_scale(const layer_call *call) {
    return (REAL *)(void *)saved_doubles(call, DOUBLES);
}

static size_t saved_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch) {
    (void)a, (void)out, (void)batch;
    return (size_t)in.c * (DOUBLES * sizeof(double) + 2 * sizeof(REAL));
}

#define NEAR 16 /* rows whose channels are added up before the next: memory is read in order */

static double values_a_channel(const layer_call *call) {
    return (double)(call->batch * call->in.h * call->in.w);
}

static unsigned statistics(const layer_call *call, size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    const size_t channels = (size_t)call->in.c;
    const size_t rows = (size_t)(call->batch * call->in.h * call->in.w);
    const REAL *x = call->input[0];
    const double count = values_a_channel(call);
    REAL *scale = saved_scale(call), *shift = scale + channels;
    size_t begin, end;
    cs_share(channels, part, parts, &begin, &end);
    const size_t some = end - begin;
    double *mean = saved_doubles(call, MEAN) + begin;
    double *squares = saved_doubles(call, SQUARES) + begin,
           *t = saved_doubles(call, FACTOR) + begin;
    for (size_t i = 0; i < some; i++)
        mean[i] = squares[i] = 0;
    for (size_t r = 0; r < rows; r += NEAR)
        kernels->sum_rows(rows - r < NEAR ? rows - r : NEAR, channels, some,
                          x + r * channels + begin, mean);
    for (size_t i = 0; i < some; i++)
        mean[i] = mean[i] / count;
    for (size_t r = 0; r < rows; r += NEAR)
        kernels->square_rows(rows - r < NEAR ? rows - r : NEAR, channels, some,
                             x + r * channels + begin, mean, squares);
    for (size_t i = 0; i < some; i++) {
        const size_t c = begin + i;
        const double gamma = (double)call->parameter[0][c];
        t[i] = gamma / sqrt(squares[i] / count + call->attributes->eps);
        scale[c] = (REAL)t[i];
        shift[c] = (REAL)fma(-mean[i], (double)scale[c], (double)call->parameter[1][c]);
    }
    return 0;
}

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    const size_t channels = (size_t)call->in.c;
    const layer_epilogue *e = &call->epilogue;
    size_t begin, end;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    const NAME(norm_rows) work = {
        .rows = end - begin,
        .channels = channels,
        .x = (const REAL *)call->input[0] + begin * channels,
        .scale = saved_scale(call),
        .shift = saved_scale(call) + channels,
        .residual = e->residual ? (const REAL *)e->residual + begin * channels : NULL,
        .relu = e->relu,
        .gates = e->gates ? e->gates + begin * layer_gate_words(call->in.c) : NULL,
        .out = (REAL *)call->output + begin * channels,
    };
    return kernels->norm_rows(&work);
}

/* Adds one image's sums to the gradients of channels [c, c + some); which may be NULL. */
static bool add_image(const layer_call *call, size_t c, size_t some, const double *dy,
                      const double *product) {
    const double count = values_a_channel(call), *squares = saved_doubles(call, SQUARES) + c;
    REAL *dgamma = call->dparameter[0], *dbeta = call->dparameter[1];
    bool bad = false;
    for (size_t i = 0; dgamma && i < some; i++) {
        const double inverse = 1 / sqrt(squares[i] / count + call->attributes->eps);
        dgamma[c + i] = (dgamma[c + i] + (REAL)(product[i] * inverse)) + 0;
        bad |= NAME(not_finite)(dgamma[c + i]);
    }
    for (size_t i = 0; dbeta && i < some; i++) {
        dbeta[c + i] = (dbeta[c + i] + (REAL)dy[i]) + 0;
        bad |= NAME(not_finite)(dbeta[c + i]);
    }
    return bad;
}

/* One image's sums of dy and of dy*d. */
static size_t scratch_size(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch,
                           layer_pass pass) {
    (void)a, (void)out, (void)batch;
    return pass == PASS_BACKWARD ? cs_align64(2 * (size_t)in.c * sizeof(double)) : 0;
}

static unsigned backward_params(const layer_call *call, size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    const double count = values_a_channel(call);
    const size_t channels = (size_t)call->in.c, pixels = (size_t)(call->in.h * call->in.w);
    size_t begin, end;
    bool bad = false;
    cs_share(channels, part, parts, &begin, &end);
    const size_t some = end - begin;
    const double *squares = saved_doubles(call, SQUARES) + begin;
    double *a = saved_doubles(call, A) + begin, *b = saved_doubles(call, B) + begin;
    double *dy = call->scratch, *product = dy + some;
    for (size_t i = 0; i < some; i++)
        a[i] = b[i] = 0;
    for (int64_t n = 0; n < call->batch; n++) {
        for (size_t i = 0; i < 2 * some; i++)
            dy[i] = 0;
        for (size_t p = 0; p < pixels; p += NEAR) {
            const size_t at = NAME(row_at)(call->in, n, 0) + p * channels + begin;
            const NAME(gradient_rows) work = {
                .rows = pixels - p < NEAR ? pixels - p : NEAR,
                .stride = channels,
                .channels = some,
                .dy = (const REAL *)call->doutput + at,
                .x = (const REAL *)call->input[0] + at,
                .mean = saved_doubles(call, MEAN) + begin,
                .acc = {a, b, dy, product},
            };
            kernels->gradient_rows(&work);
        }
        bad |= add_image(call, begin, some, dy, product);
    }
    for (size_t i = 0; i < some; i++) {
        a[i] = a[i] / count;
        b[i] = b[i] / (squares[i] / count + call->attributes->eps) / count;
    }
    return bad ? LAYER_OWN : 0U;
}

static unsigned backward(const layer_call *call, size_t part, size_t parts) {
    const NAME(kernels) *kernels = call->kernels;
    const size_t channels = (size_t)call->in.c;
    const double *const coefficients[4] = {saved_doubles(call, FACTOR), saved_doubles(call, A),
                                           saved_doubles(call, B), saved_doubles(call, MEAN)};
    size_t begin, end;
    cs_share((size_t)(call->batch * call->in.h * call->in.w), part, parts, &begin, &end);
    return kernels->norm_backward_rows(
        end - begin, channels, (const REAL *)call->doutput + begin * channels,
        (const REAL *)call->input[0] + begin * channels, coefficients,
        (REAL *)call->dinput[0] + begin * channels, call->add[0]);
}

/* In double, rounded once. */
static unsigned tangent_parameters(const layer_call *call, size_t part, size_t parts) {
    const size_t channels = (size_t)call->in.c;
    const REAL *x = call->input[0], *dgamma = call->parameter_tangent[0];
    const REAL *dbeta = call->parameter_tangent[1];
    const double *mean = saved_doubles(call, MEAN), *squares = saved_doubles(call, SQUARES);
    const double count = values_a_channel(call);
    size_t begin, end;
    bool bad = false;
    cs_share(channels, part, parts, &begin, &end);
    for (size_t c = begin; c < end; c++) {
        const double inverse = 1 / sqrt(squares[c] / count + call->attributes->eps);
        const double slope = dgamma ? (double)dgamma[c] * inverse : 0;
        const double shift = dbeta ? (double)dbeta[c] : 0;
        for (int64_t pixel = 0; pixel < call->batch * call->in.h * call->in.w; pixel++) {
            const size_t i = (size_t)pixel * channels + c;
            const REAL v = (REAL)fma((double)x[i] - mean[c], slope, shift);
            bad |= NAME(not_finite)(v);
            NAME(deliver)((REAL *)call->output + i, v, true);
        }
    }
    return bad ? LAYER_OWN : 0U;
}

static int parameter_shape(const cs_node_attributes *a, cs_shape in, int i, int64_t shape[4]) {
    return NAME(layer_batch_norm).parameter_shape(a, in, i, shape);
}

const layer NAME(layer_batch_norm_training) = {
    .op = "batch_norm",
    .inputs = 1,
    .infer_shape = NAME(same_shape),
    .parameter_shape = parameter_shape,
    .saved_size = saved_size,
    .scratch_size = scratch_size,
    .forward = forward,
    .backward = backward,
    .backward_params = backward_params,
    .tangent_parameters = tangent_parameters,
    .weight_reads_input = true,
    .statistics = statistics,
    .needs_input = true,
    .has_epilogue = true,
    .in_place = true,
};
