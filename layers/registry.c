/* registry.c - the lists of layers and of kernel tables; the only file that knows both types. */
#include "layer.h"

#define REAL          float
#define REAL_IS_FLOAT 1
#include "kernel.h"
#undef REAL
#undef REAL_IS_FLOAT
#define REAL          double
#define REAL_IS_FLOAT 0
#include "kernel.h"

#include <string.h>

#define DECLARE(name) extern const layer layer_##name##_f32, layer_##name##_f64;
#define LIST(name)                                                                                 \
    { &layer_##name##_f32, &layer_##name##_f64 }

/* The list as a list: */
/* clang-format off */
#define LAYERS(X)                                                                                  \
    X(input) X(conv2d) X(batch_norm) X(relu) X(max_pool2d) X(avg_pool2d) X(adaptive_avg_pool2d)    \
    X(linear) X(add) X(flatten) X(softmax) X(shortcut_a)
/* clang-format on */

LAYERS(DECLARE)
#define LIST_ITEM(name) LIST(name),
static const layer *const layers[][2] = {LAYERS(LIST_ITEM)};

#if CS_HAVE_BLAS
DECLARE(gemm_conv2d)
DECLARE(gemm_linear)
static const layer *const gemm_layers[][2] = {LIST(gemm_conv2d), LIST(gemm_linear)};
#endif

#if !CS_HAVE_BLAS
void layer_blas_one_thread(void) {}
#endif

bool layer_have_blas(void) {
#if CS_HAVE_BLAS
    return true;
#else
    return false;
#endif
}

const layer *layer_find(const char *op, layer_engine engine, cs_dtype dtype) {
#if CS_HAVE_BLAS
    if (engine == LAYER_GEMM)
        for (size_t i = 0; i < sizeof gemm_layers / sizeof *gemm_layers; i++)
            if (strcmp(gemm_layers[i][dtype]->op, op) == 0)
                return gemm_layers[i][dtype];
#else
    (void)engine;
#endif
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (strcmp(layers[i][dtype]->op, op) == 0)
            return layers[i][dtype];
    return NULL;
}

const void *layer_kernels(layer_isa isa, cs_dtype dtype) {
    const bool soft = isa == LAYER_PORTABLE_NOFMA;
#if defined(__x86_64__)
    if (isa == LAYER_AVX512 && __builtin_cpu_is("amd"))
        return dtype == CS_F32 ? (const void *)&kernels_avx512_amd_f32 : &kernels_avx512_amd_f64;
    if (isa == LAYER_AVX512)
        return dtype == CS_F32 ? (const void *)&kernels_avx512_f32 : &kernels_avx512_f64;
#endif
    if (dtype == CS_F32)
        return soft ? &kernels_portable_nofma_f32 : &kernels_portable_f32;
    return soft ? &kernels_portable_nofma_f64 : &kernels_portable_f64;
}

int64_t layer_groups_together(const cs_node_attributes *a, int64_t channels) {
    const int64_t width = a->groups > 1 ? a->out_channels / a->groups : CS_PANEL;
    const bool fit = CS_PANEL % width == 0 && a->out_channels % CS_PANEL == 0;
    return fit && channels == a->out_channels ? CS_PANEL / width : 1;
}

bool layer_may_save_gates(const cs_node_attributes *a, int64_t channels) {
    return a->groups <= 1 ||
           a->out_channels / a->groups * layer_groups_together(a, channels) % CS_PANEL == 0;
}
