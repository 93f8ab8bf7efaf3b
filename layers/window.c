/* window.c - windows that slide over a padded map: shapes, and where they lie; and operations that
 * keep the shape. */
#include "layer_real.h"

cs_status NAME(same_shape)(const cs_node_attributes *a, const cs_shape *in, const char *node,
                           cs_shape *out, cs_error *err) {
    (void)a, (void)node, (void)err;
    *out = *in;
    return CS_OK;
}

int64_t NAME(window_count)(int64_t in, int64_t kernel, int64_t stride, int64_t padding,
                           int64_t dilation, bool ceil_mode) {
    const int64_t span = in + 2 * padding - dilation * (kernel - 1) - 1;
    if (span < 0 && !(ceil_mode && span + stride > 0))
        return 0;
    int64_t out = (span + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    /* PyTorch: the last window must begin inside the input or its left padding. */
    if (ceil_mode && (out - 1) * stride >= in + padding)
        out--;
    return out;
}

void NAME(windows_over)(int64_t at, int64_t reach, int64_t stride, int64_t padding, int64_t outputs,
                        int64_t *first, int64_t *last) {
    const int64_t lowest = at + padding - reach;
    *first = lowest <= 0 ? 0 : (lowest + stride - 1) / stride;
    *last = (at + padding) / stride + 1;
    if (*last > outputs)
        *last = outputs;
}

cs_status NAME(pool_shape)(const cs_node_attributes *a, const cs_shape *in, const char *node,
                           cs_shape *out, cs_error *err) {
    const int64_t size[2] = {in->h, in->w};
    int64_t count[2];
    for (int i = 0; i < 2; i++) {
        /* An average pool has no dilation: its 0 means 1. */
        const int64_t dilation = a->dilation[i] ? a->dilation[i] : 1;
        if (a->padding[i] * 2 > a->kernel_size[i])
            return cs_error_set(err, CS_ERROR_MISMATCH, node, -1,
                                "%s: padding %lld is more than half of the kernel's %lld", node,
                                (long long)a->padding[i], (long long)a->kernel_size[i]);
        count[i] = NAME(window_count)(size[i], a->kernel_size[i], a->stride[i], a->padding[i],
                                      dilation, a->ceil_mode);
        if (count[i] <= 0)
            return cs_error_set(err, CS_ERROR_MISMATCH, node, -1,
                                "%s: no window of %lld fits into the padded input's %lld", node,
                                (long long)a->kernel_size[i],
                                (long long)(size[i] + 2 * a->padding[i]));
    }
    *out = (cs_shape){in->c, count[0], count[1]};
    return CS_OK;
}
