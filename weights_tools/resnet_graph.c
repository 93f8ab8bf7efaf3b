/* resnet_graph.c - the graph of a ResNet, with the names and the order that torchvision's feature
 * extraction gives it: within a block the convolutions, then the shortcut's, then add and ReLU. A
 * block's ReLU module is called several times: its nodes are relu, relu_1, relu_2. */
#include <stdio.h>
#include <string.h>

#include "architecture.h"

enum { NAME_SIZE = 64 };

/* Where the graph has grown to. */
typedef struct growth {
    const cs_resnet_spec *spec;
    cs_draft *draft;
    int node;         /* the last */
    int64_t channels; /* of its output */
    char block[NAME_SIZE];
    char path[2 * NAME_SIZE];
} growth;

/* "layer1.0.conv1" of "conv1" in the current block. */
static const char *in_block(growth *g, const char *name) {
    snprintf(g->path, sizeof g->path, "%s.%s", g->block, name);
    return g->path;
}

/* conv<i>, bn<i> of the current block. */
static void add_conv_norm(growth *g, int i, const cs_draft_conv *conv) {
    char name[24];
    snprintf(name, sizeof name, "conv%d", i);
    g->node = cs_draft_conv2d(g->draft, in_block(g, name), g->node, conv);
    snprintf(name, sizeof name, "bn%d", i);
    g->node = cs_draft_batch_norm(g->draft, in_block(g, name), g->node, conv->out);
    g->channels = conv->out;
}

/* relu, relu_1, ... of the current block: one module in torchvision, a function call in the CIFAR
 * networks. */
static void add_relu(growth *g, int call) {
    char name[24] = "relu", module[2 * NAME_SIZE];
    snprintf(module, sizeof module, "%s%s", g->block, g->spec->cifar ? "" : ".relu");
    if (call > 0)
        snprintf(name, sizeof name, "relu_%d", call);
    g->node = cs_draft_simple(g->draft, CS_OP_RELU, in_block(g, name), module, g->node, -1);
}

/* The shortcut's side where the shape changes; otherwise the block's input itself. */
static int add_shortcut(growth *g, int input, int64_t in, int64_t out, int64_t stride) {
    if (stride == 1 && in == out)
        return input;
    if (g->spec->cifar) {
        const char *name = in_block(g, "shortcut");
        int node = cs_draft_simple(g->draft, CS_OP_SHORTCUT_A, name, name, input, -1);
        if (node >= 0) {
            cs_draft_at(g->draft, node)->stride = stride;
            cs_draft_at(g->draft, node)->pad_channels = out / 4;
        }
        return node;
    }
    const cs_draft_conv conv = {in, out, 1, stride, 0, 1};
    int node = cs_draft_conv2d(g->draft, in_block(g, "downsample.0"), input, &conv);
    return cs_draft_batch_norm(g->draft, in_block(g, "downsample.1"), node, out);
}

static void add_block(growth *g, int64_t planes, int64_t stride) {
    const cs_resnet_spec *spec = g->spec;
    int input = g->node, calls = 0;
    int64_t in = g->channels, out = spec->bottleneck ? 4 * planes : planes;
    if (spec->bottleneck) {
        int64_t inner = planes * spec->width_per_group / 64 * spec->groups;
        add_conv_norm(g, 1, &(cs_draft_conv){in, inner, 1, 1, 0, 1});
        add_relu(g, calls++);
        add_conv_norm(g, 2, &(cs_draft_conv){inner, inner, 3, stride, 1, spec->groups});
        add_relu(g, calls++);
        add_conv_norm(g, 3, &(cs_draft_conv){inner, out, 1, 1, 0, 1});
    } else {
        add_conv_norm(g, 1, &(cs_draft_conv){in, out, 3, stride, 1, 1});
        add_relu(g, calls++);
        add_conv_norm(g, 2, &(cs_draft_conv){out, out, 3, 1, 1, 1});
    }
    int main_side = g->node;
    int shortcut = add_shortcut(g, input, in, out, stride);
    g->node =
        cs_draft_simple(g->draft, CS_OP_ADD, in_block(g, "add"), g->block, main_side, shortcut);
    add_relu(g, calls);
}

static void add_stem(growth *g) {
    const cs_resnet_spec *spec = g->spec;
    cs_draft *draft = g->draft;
    int64_t kernel = spec->cifar ? 3 : 7, stride = spec->cifar ? 1 : 2;
    g->channels = spec->width;
    g->node = cs_draft_conv2d(
        draft, "conv1", cs_draft_input(draft),
        &(cs_draft_conv){spec->channels, spec->width, kernel, stride, kernel / 2, 1});
    g->node = cs_draft_batch_norm(draft, "bn1", g->node, spec->width);
    g->node = cs_draft_simple(draft, CS_OP_RELU, "relu", spec->cifar ? "" : "relu", g->node, -1);
    if (spec->cifar)
        return;
    g->node = cs_draft_simple(draft, CS_OP_MAX_POOL2D, "maxpool", "maxpool", g->node, -1);
    if (g->node < 0)
        return;
    cs_draft_node *pool = cs_draft_at(draft, g->node);
    pool->kernel = 3;
    pool->stride = 2;
    pool->padding = 1;
}

cs_status cs_architecture_draft(const cs_resnet_spec *spec, cs_draft *draft, cs_error *err) {
    *draft = (cs_draft){.err = err};
    growth g = {.spec = spec, .draft = draft};
    add_stem(&g);
    for (int stage = 0; stage < spec->stages; ++stage) {
        for (int64_t block = 0; block < spec->blocks[stage]; ++block) {
            snprintf(g.block, sizeof g.block, "layer%d.%lld", stage + 1, (long long)block);
            add_block(&g, spec->width << stage, stage > 0 && block == 0 ? 2 : 1);
            if (draft->status != CS_OK)
                return draft->status;
        }
    }
    bool cifar = spec->cifar;
    g.node = cs_draft_simple(draft, CS_OP_ADAPTIVE_AVG_POOL2D, cifar ? "avg_pool2d" : "avgpool",
                             cifar ? "" : "avgpool", g.node, -1);
    g.node = cs_draft_simple(draft, CS_OP_FLATTEN, cifar ? "view" : "flatten", "", g.node, -1);
    cs_draft_linear(draft, spec->head, g.node, g.channels, spec->classes, spec->head_bias);
    draft->err = NULL; /* it need not outlive this call */
    return draft->status;
}
