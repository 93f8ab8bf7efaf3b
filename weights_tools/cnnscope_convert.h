/* cnnscope_convert.h - from a PyTorch checkpoint, or from a seed, to a model NAME.json + NAME.bin.
 *
 * A complete use:
 *
 *     cs_error err;
 *     cs_convert_report report;
 *     cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
 *     options.name = "best_model";
 *     if (cs_convert("best_model.pth", &options, &report, &err) != CS_OK)
 *         fprintf(stderr, "%s\n", err.text);
 *     else
 *         printf("%s, %lld tensors\n", report.architecture, (long long)report.tensors);
 *     cs_convert_report_free(&report);
 *
 * Nothing that a checkpoint holds is ever executed or looked up: its pickle is read as data, by a
 * machine that knows the operations tensors are stored with and treats everything else as opaque.
 *
 * Threads: all functions are thread-safe; two calls must not write the same NAME at once.
 */
#ifndef CNNSCOPE_CONVERT_H
#define CNNSCOPE_CONVERT_H

#include "cnnscope_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Strings and arrays are read during the call only. */
typedef struct cs_convert_options {
    const char *name; /* output path without ending: writes NAME.json and NAME.bin. A name that ends
                         in ".json" or ".bin" loses that ending. Required. */
    const char *arch; /* NULL or "auto": recognised from the checkpoint. Otherwise the architecture
                         that it must be ("resnet50"; see cs_architecture_name). cs_init has its
                         own argument. */
    const char *key;  /* where in the checkpoint the state_dict is: "state_dict", "a.b.0"; NULL: the
                         only candidate; "" : the root. Ignored by cs_init. */
    const char *const *classes;    /* class names, or NULL */
    int64_t class_count;           /* their number; must be the model's number of classes */
    int64_t channels;              /* input channels that the model must have; 0: as the checkpoint.
                                   cs_init: 0 is 3. */
    int64_t width, height;         /* input size; 0 for both: by architecture (224; CIFAR 32) */
    const double *mean, *std;      /* per channel, after division by 255; NULL: ImageNet's for three
                                   channels, otherwise the means of ImageNet's three */
    int64_t mean_count, std_count; /* number of entries: one a channel, or 1 for all channels */
    double eps;                    /* of every batch norm; 0: 1e-5, marked as assumed */
    bool strict; /* refuse a checkpoint whose pickle names anything that is not part of a tensor */
    bool force;  /* overwrite NAME.json and NAME.bin */
    bool (*stop)(void *state); /* asked now and then, on the calling thread: true ends the work with
                                  CS_ERROR_INTERRUPTED and nothing left behind; NULL: never */
    void *stop_state;
} cs_convert_options;

#define CS_CONVERT_OPTIONS_DEFAULT                                                                 \
    { 0 }

/* Something other than a tensor's building blocks that the checkpoint's pickle names. It was
 * neither looked up nor called. */
typedef struct cs_convert_opaque {
    char *name;    /* "argparse.Namespace", "builtins.eval" */
    bool executes; /* the pickle calls it: torch.load(weights_only=False) would run it */
} cs_convert_opaque;

/* What a conversion did. Filled by a successful call; cleared (all zero) by a failed one. */
typedef struct cs_convert_report {
    char *json_path, *bin_path;
    char *architecture; /* "resnet50", "resnet20_cifar", ... */
    char *format;       /* "torch-zip", "torch-legacy", "safetensors", "init" */
    char *key;          /* path of the chosen state_dict inside the checkpoint; "" is the root */
    char *strip;        /* prefix taken off every name: "module." or "" */
    int64_t tensors;    /* number of tensors written */
    int64_t parameters; /* numbers in them */
    int64_t classes;    /* outputs of the model */
    int64_t channels, height, width; /* the input */
    int64_t bin_size;                /* bytes of NAME.bin */
    char **dropped; /* entries of the state_dict that are not parameters (num_batches_tracked), and
                       of the checkpoint beside it ("optimizer") */
    int64_t dropped_count;
    cs_convert_opaque *opaque;
    int64_t opaque_count;
    char **warnings; /* one line each, for the user */
    int64_t warning_count;
    bool golden; /* golden logits were computed and stand in the manifest */
    bool assumed_size, assumed_mean, assumed_eps;
    double read_seconds, write_seconds, golden_seconds; /* wall time of the three stages */
} cs_convert_report;

/* Frees what a report holds and clears it. Accepts NULL and a cleared report. */
void cs_convert_report_free(cs_convert_report *report);

/* Converts a checkpoint (zip .pth/.pt, legacy .th/.pth, .safetensors) into NAME.json + NAME.bin. On
 * an error nothing new is left behind, and existing files are as they were; with `force`, where the
 * very last step fails, the renaming of NAME.json, neither of the old files is left, nor of the
 * new: never a pair that does not belong together. `report` may be NULL; the caller frees it with
 * cs_convert_report_free.
 * Errors: CS_ERROR_ARGUMENT (options), CS_ERROR_IO, CS_ERROR_FORMAT (damaged), CS_ERROR_UNSUPPORTED
 * (another format, a pickled nn.Module, a kind of tensor that a model cannot have),
 * CS_ERROR_MISMATCH (no architecture fits; names the first tensor missing, left over or of the
 * wrong shape), CS_ERROR_LIMIT, CS_ERROR_OUTPUT (exists, or cannot be written), CS_ERROR_MEMORY,
 * CS_ERROR_INTERRUPTED (`stop`). */
cs_status cs_convert(const char *checkpoint, const cs_convert_options *options,
                     cs_convert_report *report, cs_error *err);

/* Makes an untrained model from a seed: weights of convolutions and linear layers He-uniform
 * (bound sqrt(6 / fan-in), docs/arithmetic.md), biases 0, batch norms the identity. The same bytes
 * on every machine. `arch` is a name (cs_architecture_name) or a description of a small relative:
 *
 *     "resnet:block=basic|bottleneck,layers=1-1-1-1,width=64,groups=1,width_per_group=64"
 *     "resnet_cifar:depth=20,width=16"
 *
 * where what is left out takes the value shown (block=basic, layers=2-2-2-2). Classes >= 1.
 * Errors: CS_ERROR_ARGUMENT, CS_ERROR_LIMIT, CS_ERROR_OUTPUT, CS_ERROR_MEMORY,
 * CS_ERROR_INTERRUPTED. */
cs_status cs_init(const char *arch, int64_t classes, uint64_t seed,
                  const cs_convert_options *options, cs_convert_report *report, cs_error *err);

/* The names of the architectures, for help texts and completion: index 0, 1, ... until NULL. */
const char *cs_architecture_name(int64_t index);

/* The converter's limits, for --limits: index 0, 1, ... until a NULL name. */
typedef struct cs_convert_limit {
    const char *name; /* "pickle opcodes" */
    uint64_t value;
} cs_convert_limit;
cs_convert_limit cs_convert_limit_get(int64_t index);

#ifdef __cplusplus
}
#endif

#endif
