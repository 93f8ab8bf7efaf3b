/* cnnscope.h - the engine: models, runs, tensors.
 *
 * A complete use:
 *
 *     cs_error err;
 *     cs_model *model = NULL;
 *     cs_run *run = NULL;
 *     cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
 *     if (cs_model_open("best_model.json", NULL, &model, &err) != CS_OK ||
 *         cs_run_create(model, &options, &run, &err) != CS_OK ||
 *         cs_run_keep(run, "layer4", &err) != CS_OK ||      // a tensor and its gradient
 *         cs_run_prepare(run, &err) != CS_OK ||             // the only allocation
 *         cs_run_forward(run, &input, &err) != CS_OK ||
 *         cs_run_backward(run, &seed, &err) != CS_OK ||     // from the logits to layer4
 *         cs_run_gradient(run, "layer4", &gradient, &err) != CS_OK)
 *         fprintf(stderr, "%s\n", err.text);
 *     cs_run_free(run);
 *     cs_model_free(model);
 *
 * Threads: a model may be shared by any number of threads and runs. A run belongs to one thread at
 * a time (it drives its own pool inside).
 */
#ifndef CNNSCOPE_H
#define CNNSCOPE_H

#include "cnnscope_nodes.h"
#include "cnnscope_plan.h"
#include "cnnscope_support.h"
#include "cnnscope_training.h"
#include "cnnscope_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CNNSCOPE_VERSION "0.1.0"

/* ------------------------------------------------------------------ model ---------------- */

/* Graph, manifest and mapped weights: immutable, shared by runs. */
typedef struct cs_model cs_model;

typedef struct cs_model_options {
    bool no_mmap; /* read the weights into memory instead of mapping the file */
} cs_model_options;

/* Opens NAME.json and the binary it names (in the same folder). Checks the manifest, the graph, the
 * file's size, identity and every tensor's bounds, not the hash (cs_model_verify_hash does).
 * `options` may be NULL. On success the caller frees *model with cs_model_free, after its runs.
 * The mapped binary must not be truncated while the model lives (use no_mmap where it may be).
 * Errors: CS_ERROR_IO, CS_ERROR_FORMAT, CS_ERROR_UNSUPPORTED, CS_ERROR_MISMATCH, CS_ERROR_LIMIT,
 * CS_ERROR_MEMORY. */
cs_status cs_model_open(const char *path, const cs_model_options *options, cs_model **model,
                        cs_error *err);

/* The same from memory, without a file: a program may carry its network with it. `manifest` (UTF-8,
 * no NUL needed) is copied; `bin` is used in place: it must begin at a multiple of 64 bytes and
 * stay as it is until the model is freed. `name` stands for the manifest's path in errors. Errors:
 * as cs_model_open, but for CS_ERROR_IO; CS_ERROR_ARGUMENT (not aligned). */
cs_status cs_model_open_memory(const char *name, const void *manifest, size_t manifest_size,
                               const void *bin, size_t bin_size, cs_model **model, cs_error *err);

/* Accepts NULL. */
void cs_model_free(cs_model *model);

/* The limits for models, for --limits: index 0, 1, ... until a NULL name. */
typedef struct cs_model_limit {
    const char *name;
    uint64_t value;
} cs_model_limit;
cs_model_limit cs_model_limit_get(int64_t index);

/* Compares the SHA-256 of the binary and the CRC-32 of every tensor with the manifest's.
 * Errors: CS_ERROR_FORMAT naming the first tensor that differs. */
cs_status cs_model_verify_hash(const cs_model *model, cs_error *err);

/* One node of the graph. Strings and arrays live as long as the model. */
typedef struct cs_node_info {
    const char *name;   /* torchvision's feature-extraction name: "layer1.0.relu_1" */
    const char *module; /* the module that computes it: "layer1.0.relu" */
    const char *op;     /* "input", "conv2d", "batch_norm", "relu", "max_pool2d", "avg_pool2d",
                           "adaptive_avg_pool2d", "linear", "add", "flatten", "softmax",
                           "shortcut_a" */
    int inputs;         /* number of inputs, 0 to 2 */
    int input[2];       /* their node indices */
    cs_node_attributes attributes;
    int parameters;   /* number of parameter tensors */
    int parameter[4]; /* their tensor indices in the operation's order: conv2d, linear: weight,
                           [bias]; batch_norm: weight, bias, running_mean, running_var */
} cs_node_info;

/* Nodes in execution order; node 0 is the input. The index must be in range. */
int cs_model_node_count(const cs_model *model);
const cs_node_info *cs_model_node(const cs_model *model, int index);

/* The node whose output is the model's: the logits. */
int cs_model_output_node(const cs_model *model);

/* The shape (c, h, w) of a node's output for an input of height x width pixels; 0 for both takes
 * the manifest's size. Errors: CS_ERROR_MISMATCH naming the node that does not fit. */
cs_status cs_model_node_shape(const cs_model *model, int node, int64_t height, int64_t width,
                              int64_t chw[3], cs_error *err);

/* Whether a node gives vectors, which are N x C in PyTorch: a flatten, a linear, and what keeps
 * their shape. */
bool cs_model_node_is_vector(const cs_model *model, int node);

/* Finds the node that a path means: a node's name, or a module ("layer4", "layer4.2", "layer4[-1]",
 * "layer4[2].conv3", with or without a leading "model." or "module."), whose output is that of its
 * last node. If `resolved` is not NULL it receives the path with indices resolved ("layer4.2").
 * Errors: CS_ERROR_ARGUMENT, listing the nearest names. */
cs_status cs_model_find_node(const cs_model *model, const char *path, int *node, char *resolved,
                             size_t resolved_size, cs_error *err);

/* The usual layer for a CAM: the module ("layer4") whose output feeds the last pooling over the
 * map, or that node's name. Lives as long as the model. */
const char *cs_model_default_layer(const cs_model *model);

/* A parameter tensor as the manifest has it. */
typedef struct cs_tensor_info {
    const char *name;
    int dims;          /* 0 to 4 */
    int64_t shape[4];  /* PyTorch's: a convolution's weight is O, I, H, W */
    int64_t count;     /* number of elements */
    const float *data; /* in the mapped file, 64-byte aligned, read-only */
} cs_tensor_info;

int cs_model_tensor_count(const cs_model *model);
const cs_tensor_info *cs_model_tensor(const cs_model *model, int index);

/* How an image becomes an input: resized to width x height, u8 / divisor, (v - mean) / std. */
typedef struct cs_preprocess {
    int64_t channels, height, width;
    double divisor;
    double mean[16], std[16];                     /* `channels` entries are used */
    bool assumed_size, assumed_mean, assumed_eps; /* not known from the checkpoint */
} cs_preprocess;

const cs_preprocess *cs_model_preprocess(const cs_model *model);

/* Number of classes (the output's channels) and their names; a name is NULL where none was given.
 */
int64_t cs_model_class_count(const cs_model *model);
const char *cs_model_class_name(const cs_model *model, int64_t index);

/* "resnet50", "resnet20_cifar", ... as the converter recognised it. */
const char *cs_model_architecture(const cs_model *model);

/* Golden logits: values for the input of seed 1, batch 1, float32, portable kernel; NULL where the
 * checkpoint has NaN or infinity. `*count` receives their number. */
const float *cs_model_golden(const cs_model *model, int64_t *count);

/* Hashes for reports: SHA-256 of the binary as the manifest states it, and of the manifest itself.
 */
const char *cs_model_binary_sha256(const cs_model *model);
const char *cs_model_manifest_sha256(const cs_model *model);

/* The manifest's text (NUL-terminated), as read. */
const char *cs_model_manifest_text(const cs_model *model);

/* ------------------------------------------------------------------ params --------------- */

/* Parameter values and what is packed from them. The model's own are mapped and read-only; a
 * private copy may be changed. Packed panels are made when a run that needs them is prepared, and
 * are shared by runs. */
typedef struct cs_params cs_params;

/* The model's own; lives as long as the model. */
cs_params *cs_model_params(const cs_model *model);

/* A private copy. Free it with cs_params_free, after its runs. Errors: CS_ERROR_MEMORY. */
cs_status cs_params_copy(const cs_model *model, cs_params **params, cs_error *err);
void cs_params_free(cs_params *params);

/* The values of a tensor (index as cs_model_tensor) of a private copy, to be changed while no run
 * uses them; NULL for the model's own. Call cs_params_changed afterwards, and cs_run_prepare for
 * each run that uses them: it packs what changed and keeps the rest of the run as it is. */
float *cs_params_tensor(cs_params *params, int index);
void cs_params_changed(cs_params *params);

/* ------------------------------------------------------------------ run ------------------ */

typedef enum cs_engine {
    CS_ENGINE_DIRECT = 0, /* the canonical arithmetic: the same bits everywhere */
    CS_ENGINE_GEMM = 1,   /* im2col + OpenBLAS, as textbooks draw it */
} cs_engine;

typedef enum cs_isa {
    CS_ISA_AUTO = 0,       /* the best this CPU has, or CNNSCOPE_ISA */
    CS_ISA_PORTABLE_NOFMA, /* fma by round-to-odd, whatever the CPU has */
    CS_ISA_PORTABLE,       /* plain C, with FMA instructions where the CPU has them */
    CS_ISA_AVX512,         /* AVX-512 */
    CS_ISA_LAST = CS_ISA_AVX512,
} cs_isa;

/* Whether convolutions leave out terms whose input is zero, as half of them are after a ReLU. A
 * zero term changes no bit of a sum, so neither does this. Once a value or a weight is NaN or
 * infinite, nothing is left out. */
typedef enum cs_kernel {
    CS_KERNEL_AUTO = 0, /* where there are enough zeros for it to pay, or CNNSCOPE_KERNEL */
    CS_KERNEL_DENSE,    /* never */
    CS_KERNEL_SKIP,     /* wherever the zeros are known */
    CS_KERNEL_LAST = CS_KERNEL_SKIP,
} cs_kernel;

typedef struct cs_run_options {
    cs_dtype dtype;
    cs_engine engine;
    cs_isa isa;
    int threads;           /* 0: one for each CPU that this process may use */
    int64_t max_batch;     /* largest number of images in one forward, >= 1 */
    int64_t height, width; /* input size; 0: the manifest's */
    cs_params *params;     /* NULL: the model's own */
    cs_kernel kernel;      /* the direct engine's */
    bool few_passes;       /* weights are packed layer by layer in each forward, into memory for one
                            * layer, instead of all of them once: for one forward it takes less
                            * time, and a tenth of the memory; no bit depends on it */
} cs_run_options;

#define CS_RUN_OPTIONS_DEFAULT                                                                     \
    { CS_F32, CS_ENGINE_DIRECT, CS_ISA_AUTO, 0, 1, 0, 0, NULL, CS_KERNEL_AUTO, false }

/* Reads "auto", "portable-nofma", "portable", "avx2" (what "portable" is on a CPU that has it) and
 * "avx512". Errors: CS_ERROR_ARGUMENT, CS_ERROR_UNSUPPORTED ("avx2" elsewhere). */
cs_status cs_isa_parse(const char *name, cs_isa *isa, cs_error *err);
const char *cs_isa_name(cs_isa isa);

/* Reads "auto", "dense", "skip". Errors: CS_ERROR_ARGUMENT. */
cs_status cs_kernel_parse(const char *name, cs_kernel *kernel, cs_error *err);
const char *cs_kernel_name(cs_kernel kernel);

/* Whether this CPU has what the instruction set needs (portable: FMA). All give the same bits. */
bool cs_isa_available(cs_isa isa);

/* One way through the model: created for a largest batch and an input size, told what is watched,
 * prepared (plan, sizes, one allocation), then forward and backward allocate nothing. */
typedef struct cs_run cs_run;

/* Creates a run and checks that the model takes this input size. The model must outlive the run.
 * Errors: CS_ERROR_ARGUMENT, CS_ERROR_MISMATCH, CS_ERROR_MEMORY, CS_ERROR_UNSUPPORTED (an
 * instruction set that this CPU lacks, or an engine that was not built). */
cs_status cs_run_create(cs_model *model, const cs_run_options *options, cs_run **run,
                        cs_error *err);

/* Another run as `run` was created (model, type, engine, instruction set, threads, input size),
 * told nothing, for batches of up to max_batch images, with other parameters or, for NULL, with the
 * same. Errors: as cs_run_create. */
cs_status cs_run_create_like(const cs_run *run, int64_t max_batch, cs_params *params, cs_run **out,
                             cs_error *err);

/* Accepts NULL. */
void cs_run_free(cs_run *run);

/* Telling. Each call un-prepares the run. A name is anything that cs_model_find_node takes.
 * cs_run_keep keeps a node's activation and its gradient; the two others keep one of the two.
 * Without any gradient kept, no backward pass is planned. Errors: CS_ERROR_ARGUMENT (unknown name),
 * with the nearest names. */
cs_status cs_run_keep(cs_run *run, const char *name, cs_error *err);
cs_status cs_run_keep_activation(cs_run *run, const char *name, cs_error *err);
cs_status cs_run_keep_gradient(cs_run *run, const char *name, cs_error *err);

/* The node where the backward pass starts; the model's output unless told otherwise. */
cs_status cs_run_set_seed_node(cs_run *run, const char *name, cs_error *err);

/* Plans the steps, packs weights that are needed for the first time, and makes the run's one
 * allocation. Calling it again without having told anything new packs changed parameters, or does
 * nothing.
 * Errors: CS_ERROR_MEMORY, CS_ERROR_LIMIT, CS_ERROR_ARGUMENT (a kept gradient that the seed node
 * does not depend on). */
cs_status cs_run_prepare(cs_run *run, cs_error *err);

/* Forward pass over `input` (N x C x H x W, 1 <= N <= max_batch, float32 or the run's type; a
 * float32 input is widened). The input is copied. NaN or infinity does not fail the call; it sets
 * the run's status. Errors: CS_ERROR_STATE (not prepared), CS_ERROR_ARGUMENT (wrong shape). */
cs_status cs_run_forward(cs_run *run, const cs_tensor *input, cs_error *err);

/* Backward pass from a seed: the gradient with respect to the seed node's output, of that node's
 * shape with the batch of the last forward. Errors: as cs_run_forward. */
cs_status cs_run_backward(cs_run *run, const cs_tensor *seed, cs_error *err);

/* Views that stay valid, with these values, until the run's next forward (or backward, for
 * gradients), a telling call, or its end. The output is always there; others must have been kept.
 * Errors: CS_ERROR_ARGUMENT (unknown or not kept), CS_ERROR_STATE (not computed yet). */
cs_status cs_run_output(cs_run *run, cs_tensor *output, cs_error *err);
cs_status cs_run_activation(cs_run *run, const char *name, cs_tensor *tensor, cs_error *err);
cs_status cs_run_gradient(cs_run *run, const char *name, cs_tensor *tensor, cs_error *err);

/* CS_OK, or CS_ERROR_NUMERIC once a NaN or an infinity was stored since the last forward began, or
 * found among the weights: then *where (if not NULL) names the first node or tensor. */
cs_status cs_run_status(const cs_run *run, const char **where);

/* Number of max-pool windows of the last forward whose maximum, not zero, stood in them twice or
 * more: other engines may choose other winners there. (A tie at zero behind a ReLU carries no
 * gradient.) Counted when a gradient through the pool was asked for. */
int64_t cs_run_pool_ties(const cs_run *run);

/* The number of threads and the instruction set in use. */
int cs_run_threads(const cs_run *run);
cs_isa cs_run_isa(const cs_run *run);

/* Calls work(argument, part, parts) once for each of `parts` = cs_run_threads parts, on the run's
 * threads, each part on whichever is free, and returns when all are done: for what is to be made of
 * a run's results. `work` may not use the run. */
void cs_run_share_work(cs_run *run, void (*work)(void *argument, size_t part, size_t parts),
                       void *argument);

/* ------------------------------------------------------------------ tangents ------------- */

/* Telling: forward-mode derivatives (Jacobian-vector products) will be asked for, and the tangent
 * of this node's output is to be kept. Un-prepares the run. Errors: CS_ERROR_ARGUMENT (unknown). */
cs_status cs_run_keep_tangent(cs_run *run, const char *name, cs_error *err);

/* Telling: directions may have parameters' tangents. The run then keeps the input of each node that
 * has parameters. Un-prepares the run. */
void cs_run_keep_parameter_tangents(cs_run *run);

/* The direction of a derivative: tangents of the input and of parameters. */
typedef struct cs_direction {
    const cs_tensor *input;      /* shaped as the last forward's input; NULL: 0 */
    const cs_tensor *parameters; /* one for each tensor of the model (index as cs_model_tensor),
                                    shaped as cs_run_parameter_gradient's, data NULL for 0; or NULL.
                                    Weights and biases of conv2d, linear and batch_norm. */
} cs_direction;

/* The tangent of every node in this direction, at the last forward: its gates and winners (or those
 * imposed) hold. NaN or infinity sets the run's status. Errors: CS_ERROR_STATE (no forward yet, or
 * no tangent kept), CS_ERROR_ARGUMENT (a shape that does not fit; a running statistic; parameters
 * without cs_run_keep_parameter_tangents). */
cs_status cs_run_tangent(cs_run *run, const cs_direction *direction, cs_error *err);

/* The tangent of a kept node: a view, valid until the next cs_run_tangent, telling call, or the
 * run's end. Errors: CS_ERROR_ARGUMENT (not kept), CS_ERROR_STATE. */
cs_status cs_run_tangent_of(cs_run *run, const char *name, cs_tensor *tangent, cs_error *err);

/* ------------------------------------------------------------------ gates ---------------- */

/* Which way a batch went through the network: for each relu node one bit a value (open, or not),
 * for each max_pool2d node one winner a window. A value of its own: taken from a run, saved,
 * loaded, compared, and imposed on a run. The model must outlive it. One thread at a time may
 * change it. */
typedef struct cs_gates cs_gates;

/* Tells the run to save the gates of all relu and max_pool2d nodes in each forward, wanted for a
 * backward pass or not. Un-prepares the run. Does nothing where a hook calls it. */
void cs_run_keep_gates(cs_run *run);

/* A copy of the gates of the last forward; the caller frees it with cs_gates_free. Errors:
 * CS_ERROR_STATE (no forward yet, or neither kept nor imposed), CS_ERROR_MEMORY. */
cs_status cs_run_gates(const cs_run *run, cs_gates **gates, cs_error *err);

/* Imposes gates on the run, or with NULL ends that: forward then selects by them (relu: open gate ?
 * x : +0, whatever x's sign; max_pool2d: the given winner's element) and backward uses them. They
 * are copied. Imposing others while some are imposed leaves the run prepared and is allowed between
 * forward and backward, which then uses those imposed last; imposing first and ending un-prepare.
 * Errors: CS_ERROR_MISMATCH (gates of another network or input size), CS_ERROR_ARGUMENT (for more
 * images than the run's largest batch), CS_ERROR_MEMORY. A forward of another number of images than
 * the gates have is CS_ERROR_ARGUMENT. */
cs_status cs_run_impose_gates(cs_run *run, const cs_gates *gates, cs_error *err);

/* Accepts NULL. */
void cs_gates_free(cs_gates *gates);

/* A copy. Errors: CS_ERROR_MEMORY. */
cs_status cs_gates_copy(const cs_gates *gates, cs_gates **copy, cs_error *err);

/* The relu and max_pool2d nodes in execution order: index 0 to cs_gates_count - 1. */
typedef struct cs_gates_info {
    const char *name;   /* the node's; lives as long as the model */
    int node;           /* its index in the model */
    bool winners;       /* a max pool's winners, not a relu's bits */
    int64_t n, c, h, w; /* shape of the node's output */
} cs_gates_info;
int cs_gates_count(const cs_gates *gates);
cs_gates_info cs_gates_node(const cs_gates *gates, int index);

/* One gate (0 or 1), or one winner: its index y*W + x in the pool's input (PyTorch's
 * return_indices). All indices must lie inside. */
int32_t cs_gates_at(const cs_gates *gates, int index, int64_t n, int64_t c, int64_t h, int64_t w);

/* How many gates or winners of one node differ. Errors: CS_ERROR_MISMATCH (gates of different
 * networks, sizes or batches). */
cs_status cs_gates_flipped(const cs_gates *a, const cs_gates *b, int index, int64_t *flipped,
                           cs_error *err);

/* Takes over one node's gates from `from`. Errors: as cs_gates_flipped. */
cs_status cs_gates_take(cs_gates *gates, const cs_gates *from, int index, cs_error *err);

/* Writes FOLDER/gates/<node>.npy (bool, N x C x H x W; N x C where the node gives vectors) and
 * FOLDER/winners/<node>.npy (int64). FOLDER must exist. Errors: CS_ERROR_OUTPUT, CS_ERROR_MEMORY,
 * CS_ERROR_FORMAT (a node's name that cannot be a file's). */
cs_status cs_gates_save(const cs_gates *gates, const char *folder, cs_error *err);

/* The same for one node alone. */
cs_status cs_gates_save_node(const cs_gates *gates, int index, const char *folder, cs_error *err);

/* Reads them for a model and an input of height x width (0: the manifest's size); the batch is the
 * files'. Gates may be bool or uint8 0 and 1, winners int64 or int32. Errors: CS_ERROR_IO (a file
 * is missing), CS_ERROR_FORMAT (a value that is no gate, or a winner outside its window),
 * CS_ERROR_MISMATCH (another shape than the node's), CS_ERROR_MEMORY. */
cs_status cs_gates_load(const cs_model *model, const char *folder, int64_t height, int64_t width,
                        cs_gates **gates, cs_error *err);
/* ------------------------------------------------------------------ hooks ---------------- */

/* When a hook is called: as PyTorch's register_forward_pre_hook, register_forward_hook,
 * register_full_backward_pre_hook and register_full_backward_hook. */
typedef enum cs_hook_kind {
    CS_HOOK_FORWARD_PRE = 0,  /* before the module: its inputs, which may be replaced */
    CS_HOOK_FORWARD = 1,      /* behind it: its inputs and its output, which may be replaced */
    CS_HOOK_BACKWARD_PRE = 2, /* before its backward: the output's gradient, may be replaced */
    CS_HOOK_BACKWARD = 3,     /* behind its backward: both gradients; the inputs' may be replaced */
} cs_hook_kind;

/* One call of a module, as a hook sees it. Tensors have the batch of the last forward and are valid
 * and to be read until the hook returns; cs_hook_replace changes them. A module's inputs are the
 * values that its nodes read and that are computed outside it, in the order in which they are first
 * read (a block's: the one that its first convolution and its addition or downsample read); those
 * of a single node are the node's own, in its order. Fields that a kind does not have are NULL. */
typedef struct cs_hook_call {
    cs_hook_kind kind;
    const char *module; /* the path that was hooked, indices resolved: "layer4.2" */
    const char *node;   /* the node whose output is the call's: "layer4.2.relu_2" */
    int call, calls;    /* which of the module's calls, from 0: a ReLU may have three */
    int input_count;
    const cs_tensor *inputs;      /* FORWARD_PRE, FORWARD: [input_count] */
    const cs_tensor *output;      /* FORWARD */
    const cs_tensor *grad_inputs; /* BACKWARD: [input_count], what this call alone contributes; data
                                     is NULL where the call contributes nothing */
    const cs_tensor *grad_output; /* BACKWARD_PRE, BACKWARD */
} cs_hook_call;

/* A hook. Anything but CS_OK ends the forward or backward call with that status and with what the
 * hook put into *err (never NULL); what the pass should have computed is then not there. A hook
 * runs on the thread that drives the run and may not tell, prepare or drive the same run. */
typedef cs_status (*cs_hook_function)(const cs_hook_call *call, void *user, cs_error *err);

/* From within a hook: the values of `tensor`, copied at once, take the place of input `index`
 * (FORWARD_PRE: for this module alone, not for others that read the same value), of the output
 * (FORWARD), of the output's gradient (BACKWARD_PRE: for this module alone), or of gradient `index`
 * (BACKWARD). Stored as v + (+0) and checked like every stored value. The next hook sees them.
 * Gradients pass a forward replacement unchanged, as through PyTorch's
 * output + (replacement - output).detach(); a backward-pre hook on the same module gives them
 * another factor (zero where channels were ablated). Errors: CS_ERROR_ARGUMENT (another shape or
 * type than the tensor replaced, no such index, NULL), which ends the pass even if the hook
 * returns CS_OK. */
cs_status cs_hook_replace(const cs_hook_call *call, int index, const cs_tensor *tensor,
                          cs_error *err);

/* Telling, too: hooks a node or a module, by what cs_model_find_node takes, or the whole model by
 * "". A name that is a module's means the module: "layer1.0.relu" has three calls in a Bottleneck,
 * "layer1.0.relu_1" is the node of the second. `function` is called with `user` at each call of the
 * module: of hooks on one module in order of registration; of nested modules the outer one's first
 * before the values are computed (FORWARD_PRE, BACKWARD_PRE), the inner one's first behind
 * (FORWARD, BACKWARD). A backward hook has the gradients of the module's inputs computed; calls
 * that the backward pass does not reach are left out. *id (if not NULL) receives what cs_run_unhook
 * takes. Errors: CS_ERROR_ARGUMENT (unknown name, with the nearest; inputs of the input),
 * CS_ERROR_UNSUPPORTED (a module of which more than the last value is read outside), CS_ERROR_STATE
 * (called by a hook), CS_ERROR_MEMORY. */
cs_status cs_run_hook(cs_run *run, const char *path, cs_hook_kind kind, cs_hook_function function,
                      void *user, int *id, cs_error *err);

/* Removes a hook and un-prepares the run. Removing it again does nothing. Errors: CS_ERROR_STATE
 * (called by a hook). */
cs_status cs_run_unhook(cs_run *run, int id, cs_error *err);

#ifdef __cplusplus
}
#endif

#endif
