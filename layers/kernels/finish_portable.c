/* finish_portable.c - the portable epilogue of a tile.
 *
 * Whole panels go through it as vectors and are looked at once: a NaN or an infinity of any stage
 * is still one in the value before ReLU. Where one shows up, and for panels that are not whole,
 * plain loops do it again and tell the stages apart.
 */
#include "lanes.h"
#include "portable.h"

/* As many whole numbers as lanes, of the same size: what comparisons give, all bits or none. */
#if REAL_IS_FLOAT
typedef int32_t whole;
#else
typedef int64_t whole;
#endif
typedef whole wholes __attribute__((vector_size(LANES_BYTES)));

static inline lanes keep(wholes where, lanes v) { return (lanes)((wholes)v & where); }

/* Bits of the lanes where `where` is set. */
static inline unsigned bits_of(wholes where) {
#if defined(__AVX__) && REAL_IS_FLOAT
    return (unsigned)__builtin_ia32_movmskps256((lanes)where);
#elif defined(__AVX__)
    return (unsigned)__builtin_ia32_movmskpd256((lanes)where);
#else
    unsigned bits = 0;
    for (int i = 0; i < LANES; i++)
        bits |= (unsigned)(where[i] & 1) << i;
    return bits;
#endif
}

/* The lanes whose bits are set. */
static inline wholes lanes_of(unsigned bits) {
    wholes where;
    for (int i = 0; i < LANES; i++)
        where[i] = -(whole)(bits >> i & 1);
    return where;
}

/* 0, or NaN for NaN and infinity. */
static inline lanes alarm(lanes v) { return v * (lanes){0}; }

static inline bool any_nan(lanes bad) {
    bool any = false;
    for (int i = 0; i < LANES; i++)
        any |= !(bad[i] <= 0); /* both zeros are */
    return any;
}

/* A whole panel of pixel p; false, and nothing stored, where a NaN or an infinity shows up. */
static inline bool finish_whole(const NAME(finish_tile) *tile, int p, int first) {
    const size_t pixel = tile->pixel[p], at = pixel * tile->out_stride + (size_t)first;
    const REAL *acc = tile->acc + (size_t)p * tile->acc_stride + first;
    REAL *out = tile->out + at;
    lanes v[PANEL_VECTORS], bad = {0};
    unsigned open = 0;
    for (int i = 0; i < PANEL_VECTORS; i++) {
        const int l = i * LANES;
        v[i] = lanes_load(acc + l);
        if (tile->scale)
            v[i] = LANES_FMA(v[i], lanes_load(tile->scale + first + l),
                             lanes_load(tile->shift + first + l));
        if (tile->residual)
            v[i] = v[i] + lanes_load(tile->residual + at + l);
        bad += alarm(v[i]);
        if (tile->relu) {
            const wholes closed = v[i] <= 0;
            open |= bits_of(~closed) << l;
            v[i] = keep(~closed, v[i]);
        }
    }
    if (any_nan(bad))
        return false;
    for (int i = 0; i < PANEL_VECTORS; i++)
        lanes_store(out + i * LANES,
                    (tile->add ? lanes_load(out + i * LANES) + v[i] : v[i]) + (lanes){0});
    if (tile->relu && tile->gates)
        tile->gates[pixel * tile->gate_stride + (size_t)(first / KERNEL_PANEL)] = (uint16_t)open;
    return true;
}

/* The same in a backward pass. */
static inline bool backward_whole(const NAME(finish_tile) *tile, int p, int first) {
    const size_t pixel = tile->pixel[p];
    const unsigned open = tile->open[pixel * tile->gate_stride + (size_t)(first / KERNEL_PANEL)];
    const REAL *acc = tile->acc + (size_t)p * tile->acc_stride + first;
    REAL *out = tile->out + pixel * tile->out_stride + first;
    lanes v[PANEL_VECTORS], bad = {0};
    for (int i = 0; i < PANEL_VECTORS; i++) {
        const int l = i * LANES;
        v[i] = lanes_load(acc + l);
        bad += alarm(v[i]);
        if (tile->add)
            v[i] = lanes_load(out + l) + v[i];
        v[i] = keep(lanes_of(open >> l), v[i]);
        if (tile->scale)
            v[i] = v[i] * lanes_load(tile->scale + first + l);
        bad += alarm(v[i]);
    }
    if (any_nan(bad))
        return false;
    for (int i = 0; i < PANEL_VECTORS; i++)
        lanes_store(out + i * LANES, v[i] + (lanes){0});
    return true;
}

/* One panel of a pixel through the epilogue, in place: `count` results from lane `first` on.
 * Each stage is checked by itself, so that what is found does not depend on what was fused. */
static inline unsigned finish_panel(const NAME(finish_tile) *tile, int first, int count,
                                    const REAL *residual, REAL *v, uint16_t *gate) {
    bool own = false, scale = false, add = false;
    for (int l = 0; l < count; l++)
        own |= NAME(not_finite)(v[l]);
    if (tile->scale)
        for (int l = 0; l < count; l++) {
            v[l] = fused(v[l], tile->scale[first + l], tile->shift[first + l]);
            scale |= NAME(not_finite)(v[l]);
        }
    if (residual)
        for (int l = 0; l < count; l++) {
            v[l] = v[l] + residual[l];
            add |= NAME(not_finite)(v[l]);
        }
    if (tile->relu) {
        unsigned open = 0;
        for (int l = 0; l < count; l++) {
            open |= (unsigned)!(v[l] <= 0) << l;
            v[l] = v[l] <= 0 ? 0 : v[l];
        }
        if (gate)
            *gate = (uint16_t)open;
    }
    return (own ? STAGE_OWN : 0U) | (scale ? STAGE_SCALE : 0U) | (add ? STAGE_ADD : 0U);
}

/* The same in a backward pass: out is written. */
static inline unsigned finish_backward(const NAME(finish_tile) *tile, int first, int count,
                                       unsigned open, const REAL *v, REAL *out) {
    bool own = false, scale = false;
    for (int l = 0; l < count; l++) {
        REAL sum = tile->add ? out[l] + v[l] : v[l];
        own |= NAME(not_finite)(v[l]);
        sum = open >> l & 1 ? sum : 0;
        if (tile->scale) {
            sum = sum * tile->scale[first + l];
            scale |= NAME(not_finite)(sum);
        }
        out[l] = sum + 0;
    }
    return (own ? STAGE_OWN : 0U) | (scale ? STAGE_SCALE : 0U);
}

unsigned PORTABLE(finish_tile)(const NAME(finish_tile) *tile) {
    unsigned flags = 0;
    for (int p = 0; p < tile->pixels; p++)
        for (int first = 0; first < tile->lanes; first += KERNEL_PANEL) {
            const int left = tile->lanes - first, count = left < KERNEL_PANEL ? left : KERNEL_PANEL;
            const size_t pixel = tile->pixel[p], at = pixel * tile->out_stride + (size_t)first;
            REAL v[KERNEL_PANEL], *out = tile->out + at;
            if (count == KERNEL_PANEL &&
                (tile->open ? backward_whole(tile, p, first) : finish_whole(tile, p, first)))
                continue;
            for (int l = 0; l < KERNEL_PANEL; l++)
                v[l] = tile->acc[(size_t)p * tile->acc_stride + (size_t)(first + l)];
            if (tile->open) {
                flags |= finish_backward(
                    tile, first, count,
                    tile->open[pixel * tile->gate_stride + (size_t)first / KERNEL_PANEL], v, out);
                continue;
            }
            flags |= finish_panel(
                tile, first, count, tile->residual ? tile->residual + at : NULL, v,
                tile->gates ? tile->gates + pixel * tile->gate_stride + first / KERNEL_PANEL
                            : NULL);
            for (int l = 0; l < count; l++)
                out[l] = (tile->add ? out[l] + v[l] : v[l]) + 0;
        }
    return flags;
}
