/* architecture.h - the ResNet family as a handful of numbers: by name, from a checkpoint's names
 * and shapes, and as a graph. */
#ifndef CS_ARCHITECTURE_H
#define CS_ARCHITECTURE_H

#include "checkpoint.h"
#include "model_draft.h"

#define CS_STAGES_MAX 4

/* torchvision's ResNet, ResNeXt and Wide ResNet; or (cifar) the ResNets of the original paper's
 * section 4.2 with option-A shortcuts. */
typedef struct cs_resnet_spec {
    bool cifar;
    bool bottleneck;
    int stages;
    int64_t blocks[CS_STAGES_MAX];
    int64_t width;           /* channels of the stem: 64, cifar 16 */
    int64_t groups;          /* bottleneck: of the 3x3 convolution */
    int64_t width_per_group; /* bottleneck: 64 is the plain ResNet */
    int64_t channels, classes;
    char head[CS_TENSOR_NAME_MAX + 1]; /* path of the last linear layer: "fc", "linear", "fc.1" */
    bool head_bias;
} cs_resnet_spec;

/* Reads a name ("resnet50") or a description ("resnet:block=bottleneck,width=4"). Channels become
 * 3, classes 1000 (cifar 10), the head its usual name. Errors: CS_ERROR_ARGUMENT. */
cs_status cs_architecture_parse(const char *text, cs_resnet_spec *spec, cs_error *err);

/* The name of a spec, or its description where it has none. */
void cs_architecture_describe(const cs_resnet_spec *spec, char *out, size_t size);

/* Makes the graph with torchvision's names, in execution order. Errors: CS_ERROR_LIMIT,
 * CS_ERROR_MEMORY. The caller frees it with cs_draft_release, also after an error. */
cs_status cs_architecture_draft(const cs_resnet_spec *spec, cs_draft *draft, cs_error *err);

/* Finds the spec of a checkpoint's chosen state_dict. `arch` is NULL or "auto", or the name that
 * it must be. The result may still not fit: cs_architecture_match says.
 * Errors: CS_ERROR_MISMATCH, CS_ERROR_ARGUMENT. */
cs_status cs_architecture_recognise(const cs_checkpoint *checkpoint, const char *arch,
                                    cs_resnet_spec *spec, cs_error *err);

/* Checks that the checkpoint has exactly the draft's tensors, floating point and of their shapes.
 * Errors: CS_ERROR_MISMATCH naming the first tensor that is missing or of the wrong shape (in the
 * graph's order), or left over (in the checkpoint's); CS_ERROR_UNSUPPORTED for other types. */
cs_status cs_architecture_match(const cs_checkpoint *checkpoint, const cs_resnet_spec *spec,
                                const cs_draft *draft, cs_error *err);

#endif
