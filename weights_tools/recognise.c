/* recognise.c - which ResNet a state_dict is, from its names and shapes; and whether it is that one
 * to the last tensor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "architecture.h"
#include "grow.h"

#define MISFIT(...) cs_source_error(&c->source, CS_ERROR_MISMATCH, -1, err, __VA_ARGS__)

static bool has_prefix(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether any tensor's name begins so. Names are sorted: a lower bound finds the candidate. */
static bool any_with_prefix(const cs_checkpoint *c, const char *prefix) {
    size_t low = 0, high = c->tensor_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(c->tensors[c->by_name[middle]].name, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->tensor_count && has_prefix(c->tensors[c->by_name[low]].name, prefix);
}

/* Dimension `i` of a tensor that has `dims` of them, or `otherwise`. */
static int64_t dimension(const cs_checkpoint *c, const char *name, int dims, int i,
                         int64_t otherwise) {
    const cs_stored_tensor *t = cs_checkpoint_tensor(c, name);
    return t && t->dims == dims && t->shape[i] > 0 ? t->shape[i] : otherwise;
}

/* No ResNet at all: says what the names look like instead, and a prefix that hides one. */
static cs_status explain_stranger(const cs_checkpoint *c, const char *missing, cs_error *err) {
    for (size_t i = 0; i < c->tensor_count; ++i) {
        const char *name = c->tensors[i].name, *stem = strstr(name, ".conv1.weight");
        if (stem && strcmp(stem, ".conv1.weight") == 0 && !strstr(name, "layer"))
            return MISFIT("%s is missing, but there is %s: take the prefix \"%.*s.\" off the names "
                          "in Python and save the state_dict again",
                          missing, name, (int)(stem - name), name);
    }
    return MISFIT("%s is missing: not one of the networks that this program recognises (ResNet, "
                  "ResNeXt and Wide ResNet of torchvision, CIFAR ResNets); the first tensor is %s",
                  missing, c->tensors[0].name);
}

/* The last linear layer: fc (or linear), or the only linear layer of an fc that is a Sequential. */
static cs_status find_head(const cs_checkpoint *c, cs_resnet_spec *spec, cs_error *err) {
    const char *usual = spec->cifar ? "linear" : "fc";
    char name[CS_TENSOR_NAME_MAX + 16];
    snprintf(spec->head, sizeof spec->head, "%s", usual);
    snprintf(name, sizeof name, "%s.weight", usual);
    bool nested = false;
    for (size_t i = 0; i < c->tensor_count && !cs_checkpoint_tensor(c, name); ++i) {
        const char *candidate = c->tensors[i].name;
        size_t length = strlen(candidate), prefix = strlen(usual);
        const char *digits = candidate + prefix + 1;
        if (!has_prefix(candidate, usual) || candidate[prefix] != '.' ||
            strspn(digits, "0123456789") == 0 ||
            strcmp(digits + strspn(digits, "0123456789"), ".weight") != 0)
            continue;
        if (nested)
            return MISFIT("%s is a Sequential with several layers (%s.weight, %s): only a single "
                          "linear layer is recognised there",
                          usual, spec->head, candidate);
        nested = true;
        snprintf(spec->head, sizeof spec->head, "%.*s", (int)(length - strlen(".weight")),
                 candidate);
    }
    snprintf(name, sizeof name, "%s.weight", spec->head);
    spec->classes = dimension(c, name, 2, 0, spec->classes);
    snprintf(name, sizeof name, "%s.bias", spec->head);
    spec->head_bias = cs_checkpoint_tensor(c, name) != NULL;
    return CS_OK;
}

/* Stages and blocks: as many as have a tensor of theirs. */
static void count_blocks(const cs_checkpoint *c, cs_resnet_spec *spec) {
    char prefix[48];
    int most = spec->cifar ? 3 : CS_STAGES_MAX;
    spec->stages = 0;
    for (int stage = 0; stage < most; ++stage) {
        int64_t blocks = 0;
        do
            snprintf(prefix, sizeof prefix, "layer%d.%lld.", stage + 1, (long long)blocks);
        while (any_with_prefix(c, prefix) && ++blocks);
        if (blocks == 0)
            break;
        spec->blocks[stage] = blocks;
        spec->stages = stage + 1;
    }
    if (spec->stages == 0) { /* at least one, so that its first tensor is named as missing */
        spec->stages = 1;
        spec->blocks[0] = 1;
    }
    if (spec->cifar) { /* three stages of one length */
        spec->stages = 3;
        for (int i = 1; i < 3; ++i)
            spec->blocks[i] = spec->blocks[0];
    }
}

/* Width, groups and width per group from layer1.0's convolutions. */
static void measure_widths(const cs_checkpoint *c, cs_resnet_spec *spec) {
    spec->width = dimension(c, "conv1.weight", 4, 0, spec->width);
    if (!spec->bottleneck)
        return;
    int64_t inner = dimension(c, "layer1.0.conv2.weight", 4, 0, spec->width);
    int64_t per_group = dimension(c, "layer1.0.conv2.weight", 4, 1, inner);
    if (inner % per_group != 0 || inner / per_group > (1 << 20))
        return;
    /* inner = floor(width * width_per_group / 64) * groups: the least that gives it. */
    spec->groups = inner / per_group;
    spec->width_per_group = (per_group * 64 + spec->width - 1) / spec->width;
}

cs_status cs_architecture_recognise(const cs_checkpoint *c, const char *arch, cs_resnet_spec *spec,
                                    cs_error *err) {
    bool automatic = !arch || strcmp(arch, "auto") == 0;
    if (!automatic) {
        CS_TRY(cs_architecture_parse(arch, spec, err));
    } else {
        if (!cs_checkpoint_tensor(c, "conv1.weight"))
            return explain_stranger(c, "conv1.weight", err);
        if (!any_with_prefix(c, "layer1."))
            return explain_stranger(c, "layer1.0.conv1.weight", err);
        int64_t kernel = dimension(c, "conv1.weight", 4, 2, 7);
        bool cifar = kernel == 3 && any_with_prefix(c, "linear.");
        CS_TRY(cs_architecture_parse(cifar ? "resnet_cifar" : "resnet", spec, err));
        spec->bottleneck = any_with_prefix(c, "layer1.0.conv3.");
        if (cifar && spec->bottleneck)
            return MISFIT("layer1.0.conv3.weight is left over: CIFAR ResNets have blocks of two "
                          "convolutions");
        count_blocks(c, spec);
        measure_widths(c, spec);
    }
    spec->channels = dimension(c, "conv1.weight", 4, 1, spec->channels);
    if (spec->width > (1 << 20) || spec->width_per_group > (1 << 20))
        return cs_source_error(&c->source, CS_ERROR_LIMIT, -1, err,
                               "layers of %lld channels, more than this program's limit",
                               (long long)spec->width);
    if (spec->cifar && spec->width % 2 != 0)
        return MISFIT("conv1.weight has %lld outputs, where an even number was expected",
                      (long long)spec->width);
    return find_head(c, spec, err);
}

/* "[64, 3, 7, 7]". */
static void print_shape(char *out, size_t size, int dims, const int64_t *shape) {
    int length = snprintf(out, size, "[");
    for (int i = 0; i < dims && (size_t)length < size; ++i)
        length += snprintf(out + length, size - (size_t)length, "%s%lld", i ? ", " : "",
                           (long long)shape[i]);
    if ((size_t)length < size)
        snprintf(out + length, size - (size_t)length, "]");
}

static cs_status match_tensor(const cs_checkpoint *c, const char *arch,
                              const cs_draft_tensor *wanted, cs_error *err) {
    char here[128], there[128];
    const cs_stored_tensor *t = cs_checkpoint_tensor(c, wanted->name);
    print_shape(there, sizeof there, wanted->dims, wanted->shape);
    if (!t)
        return MISFIT("%s is missing, which %s has as %s", wanted->name, arch, there);
    bool same = t->dims == wanted->dims;
    for (int i = 0; same && i < t->dims; ++i)
        same = t->shape[i] == wanted->shape[i];
    print_shape(here, sizeof here, t->dims, t->shape);
    if (!same)
        return MISFIT("%s has the shape %s, where %s has %s", wanted->name, here, arch, there);
    if (t->element > CS_ELEMENT_BF16)
        return cs_source_error(&c->source, CS_ERROR_UNSUPPORTED, t->position, err,
                               "%s is a tensor of %s, where floating point was expected; convert "
                               "it in Python with .float()",
                               wanted->name, cs_element_name(t->element));
    return CS_OK;
}

cs_status cs_architecture_match(const cs_checkpoint *c, const cs_resnet_spec *spec,
                                const cs_draft *draft, cs_error *err) {
    char arch[160];
    cs_architecture_describe(spec, arch, sizeof arch);
    unsigned char *used = calloc(c->tensor_count + 1, 1);
    CS_CHECK(used, CS_ERROR_MEMORY, "no memory for %zu tensors", c->tensor_count);
    cs_status status = CS_OK;
    for (size_t i = 0; i < draft->tensor_count && status == CS_OK; ++i) {
        status = match_tensor(c, arch, &draft->tensors[i], err);
        if (status == CS_OK)
            used[cs_checkpoint_find(c, draft->tensors[i].name)] = 1;
    }
    for (size_t i = 0; i < c->tensor_count && status == CS_OK; ++i) {
        if (used[i])
            continue;
        const cs_stored_tensor *t = &c->pickle.tensors[c->tensors[i].tensor];
        char shape[128];
        print_shape(shape, sizeof shape, t->dims, t->shape);
        status =
            MISFIT("%s %s is left over: %s has no such tensor", c->tensors[i].name, shape, arch);
    }
    free(used);
    return status;
}
