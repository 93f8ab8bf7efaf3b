/* layer.h - what a layer is to the engine: shapes, packing, forward, input and parameter gradients.
 *
 * One file a layer, compiled for float and for double; registry.c lists them. A layer computes one
 * part of `parts` of its work at a call; the parts write disjoint results, so the engine may run
 * them on as many threads as it likes and the bits stay the same. A layer allocates nothing.
 *
 * Memory is channels-last: value (n, c, h, w) lies at ((n*H + h)*W + w)*C + c.
 * Gates (which ReLU outputs are open) are bits: one 16-bit word for each pixel and 16 channels,
 * bit l of word j for channel 16*j + l. Winners of max pools are one int32 per output, the index
 * y*W + x of the element that won.
 */
#ifndef CS_LAYER_H
#define CS_LAYER_H

#include "base.h"

/* Which convolution a layer table uses. */
typedef enum layer_engine { LAYER_DIRECT = 0, LAYER_GEMM = 1 } layer_engine;

/* The packed form that a pass needs; a layer may need none for either. */
typedef enum layer_pass { PASS_FORWARD = 0, PASS_BACKWARD = 1 } layer_pass;

/* Instruction set of the kernels a run uses; numbers as cs_isa. */
typedef enum layer_isa {
    LAYER_PORTABLE_NOFMA = 1,
    LAYER_PORTABLE = 2,
    LAYER_AVX512 = 3,
} layer_isa;

/* Whether a convolution skips the zeros of its source; numbers as cs_kernel. The bits are the
 * same. */
typedef enum layer_kernel {
    LAYER_KERNEL_AUTO = 0,  /* where there are enough of them */
    LAYER_KERNEL_DENSE = 1, /* never */
    LAYER_KERNEL_SKIP = 2,  /* wherever they are known */
} layer_kernel;

/* Stages of a step, as bits of what forward and backward return: the stage met NaN or infinity. */
enum { LAYER_OWN = 1, LAYER_SCALE = 2, LAYER_ADD = 4 };

/* What of the following nodes a step does while its results are in registers. */
typedef struct layer_epilogue {
    const void *scale_shift; /* a batch norm's packed parameters, or NULL */
    const void *residual;    /* the other operand of an addition, shaped as the output, or NULL */
    bool relu;
    uint16_t *gates; /* where to save the gates, or NULL */
    /* In a convolution's backward call: what stays of the input's gradient where `gates` are open,
     * times the scale, if given. */
} layer_epilogue;

/* Everything one forward or backward call needs. Unused fields are NULL or 0. */
typedef struct layer_call {
    const cs_node_attributes *attributes;
    int64_t batch;
    cs_shape in, out;     /* of one image: the (first) input's and the output's */
    const void *input[2]; /* forward; in backward the first, where the layer says it reads it */
    void *output;         /* forward; in backward only where the layer needs its output */
    const void *pack;     /* the layer's packed parameters for this pass */
    const void *kernels;  /* kernels_f32 or kernels_f64 */
    layer_kernel kernel;  /* convolution */
    /* Convolution: masks of its source, laid out as gates (a bit may be 0 only where the value is
     * zero), or NULL where none are known. */
    const uint16_t *nonzero;
    void *saved; /* gates or winners: written by forward where not NULL, read by the others */
    layer_epilogue epilogue;
    const void *doutput;       /* backward: the complete gradient of the output */
    void *dinput[2];           /* backward: where the gradient goes, NULL where nobody asks */
    bool add[2];               /* backward: add to what is there, or store */
    const float *parameter[4]; /* PyTorch's own tensors in the operation's order, or NULL */
    /* backward_params: gradients of weight (K x R x S x C/groups; gamma: C) and bias (K; beta: C)
     * to add to, NULL where nobody asks */
    void *dparameter[2];
    /* Tangents: `input` and `output` are tangents, and conv2d and linear leave their bias out. */
    bool tangent;
    const void *value;                /* the node's own output, where the layer needs it */
    const void *parameter_tangent[2]; /* as dparameter; NULL for 0 */
    const void *zeros;                /* at least as many zeros as any value has channels */
    int64_t images[2]; /* backward_params: of images from the first up to the second, exclusive */
    void *shared;      /* backward_params: what prepare_params left, of shared_size bytes */
    void *scratch;     /* this part's own, of scratch_size bytes, 64-byte aligned */
    int64_t *ties;     /* this part's own counter: max pool */
} layer_call;

typedef unsigned (*layer_function)(const layer_call *call, size_t part, size_t parts);

/* Packing: PyTorch's tensors in the operation's order into one block. */
typedef struct layer_pack_call {
    const cs_node_attributes *attributes;
    cs_shape in;
    layer_pass pass;
    const float *parameter[4]; /* NULL for an absent bias */
    void *pack;                /* pack_size elements, 64-byte aligned; whatever is in them */
} layer_pack_call;

/* A layer in one element type. */
typedef struct layer {
    const char *op; /* the manifest's name */
    int inputs;
    /* The output's shape. Errors: CS_ERROR_MISMATCH naming `node`. */
    cs_status (*infer_shape)(const cs_node_attributes *a, const cs_shape *in, const char *node,
                             cs_shape *out, cs_error *err);
    /* Shape of parameter i (0 weight, 1 bias, ...), or dims = 0 where there is none. */
    int (*parameter_shape)(const cs_node_attributes *a, cs_shape in, int i, int64_t shape[4]);
    /* Elements of the packed block for a pass; 0: none needed. NULL: never any. */
    size_t (*pack_size)(const cs_node_attributes *a, cs_shape in, layer_pass pass);
    void (*pack)(const layer_pack_call *call, size_t part, size_t parts);
    /* Bytes saved for the backward pass, for `batch` images; NULL: nothing. */
    size_t (*saved_size)(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch);
    /* Bytes of scratch that one part needs; NULL: none. */
    size_t (*scratch_size)(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch,
                           layer_pass pass);
    layer_function forward, backward;
    /* Forward by gates or winners that stand in call->saved, instead of its own; NULL where the
     * layer has none. */
    layer_function forward_imposed;
    /* Tangent: output = dy/d(inputs) * input. NULL for batch norm in training, whose Jacobian is
     * symmetric: its backward does it. */
    layer_function tangent;
    /* Adds dy/d(parameters) * parameter_tangent to output; input is the node's input (no tangent).
     * NULL where there is nothing to learn. */
    layer_function tangent_parameters;
    /* Adds to the gradients of the parameters (dparameter), from input[0] and doutput. Runs before
     * `backward`, which may write over doutput. NULL: no parameters. */
    layer_function backward_params;
    /* Where backward_params reads copies that all its parts share: how many images it takes in one
     * turn, bytes of call->shared for a turn of a batch, and what copies. NULL: all at once, and
     * none. */
    int64_t (*params_images)(const cs_node_attributes *a, cs_shape in, cs_shape out);
    size_t (*shared_size)(const cs_node_attributes *a, cs_shape in, cs_shape out, int64_t batch);
    layer_function prepare_params;
    bool weight_reads_input; /* backward_params reads input[0] for dparameter[0] */
    /* Batch norm in training: what all parts of `forward` need first. It writes `saved`, which
     * begins with each channel's mean and sum of squared differences from it, as doubles;
     * backward_params, which then always runs, writes there what `backward` reads. */
    layer_function statistics;
    const struct layer *training; /* what takes its place in training mode, or NULL */
    bool needs_output;            /* backward reads the forward output */
    bool needs_input;             /* and the input */
    bool has_epilogue;            /* forward honours layer_call.epilogue */
    bool in_place;                /* backward may have dinput[0] == doutput */
    bool pack_for_both;           /* backward reads the forward pass's pack */
} layer;

/* The layer of an operation, or NULL where the engine has none (or was built without BLAS). */
const layer *layer_find(const char *op, layer_engine engine, cs_dtype dtype);

/* Whether the engine was built with BLAS. */
bool layer_have_blas(void);

/* Has OpenBLAS compute each call on the calling thread alone: its own threads would make the bits
 * depend on the machine's CPU count. A setting of the process; setting it again changes nothing. */
void layer_blas_one_thread(void);

/* The kernel table (kernels_f32 or kernels_f64) of an instruction set that the CPU has. */
const void *layer_kernels(layer_isa isa, cs_dtype dtype);

/* How many groups of a convolution of `channels` input channels lie side by side in one panel: 16 /
 * width where groups are 1, 2, 4 or 8 channels wide on both sides and fill whole panels, else 1. */
int64_t layer_groups_together(const cs_node_attributes *a, int64_t channels);

/* True where a convolution of `channels` input channels may be fused with a ReLU whose gates are
 * saved: panels must begin at multiples of 16 channels, or two of them would share a word of
 * gates. */
bool layer_may_save_gates(const cs_node_attributes *a, int64_t channels);

/* Words of gates for one pixel of `channels` channels. */
static inline size_t layer_gate_words(int64_t channels) { return ((size_t)channels + 15) / 16; }

#endif
