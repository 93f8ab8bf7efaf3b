/* manifest_write.c - the manifest of docs/formats.md, always with the same bytes for the same
 * model. */
#include <stdlib.h>
#include <string.h>

#include "cnnscope.h"
#include "conversion.h"
#include "number_text.h"

/* A JSON string. Bytes that are not ASCII go through; the checker at the end sees to UTF-8. */
static void add_string(cs_text *out, const char *text) {
    cs_text_append_bytes(out, "\"", 1);
    for (const char *c = text; *c; ++c) {
        if (*c == '"' || *c == '\\')
            cs_text_append(out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            cs_text_append(out, "\\u%04x", (unsigned)*c);
        else
            cs_text_append_bytes(out, c, 1);
    }
    cs_text_append_bytes(out, "\"", 1);
}

static void add_key_string(cs_text *out, const char *key, const char *text) {
    cs_text_append(out, "\"%s\": ", key);
    add_string(out, text);
}

static void add_double(cs_text *out, double value) {
    char number[CS_NUMBER_TEXT_SIZE];
    cs_double_text(value, number);
    cs_text_append(out, "%s", number);
}

static void add_doubles(cs_text *out, const char *key, const double *values, int64_t count) {
    cs_text_append(out, "\"%s\": [", key);
    for (int64_t i = 0; i < count; ++i) {
        cs_text_append(out, "%s", i ? ", " : "");
        add_double(out, values[i]);
    }
    cs_text_append(out, "]");
}

static void add_bin(const cs_conversion *c, const char *bin_file, cs_text *out) {
    cs_text_append(out, "  \"bin\": {");
    add_key_string(out, "file", bin_file);
    cs_text_append(out,
                   ", \"size\": %zu, \"sha256\": \"%s\", \"uuid\": \"%.32s\", \"align\": 64, "
                   "\"endian\": \"little\"},\n",
                   c->bin_size, c->bin_sha256, c->region_sha256);
}

static void add_model(const cs_conversion *c, cs_text *out) {
    cs_text_append(out, "  \"model\": {");
    add_key_string(out, "arch", c->arch);
    cs_text_append(out, ", \"num_classes\": %lld, \"classes\": ", (long long)c->spec.classes);
    if (!c->options->classes) {
        cs_text_append(out, "null},\n");
        return;
    }
    for (int64_t i = 0; i < c->options->class_count; ++i) {
        cs_text_append(out, i ? ", " : "[");
        add_string(out, c->options->classes[i]);
    }
    cs_text_append(out, "]},\n");
}

static void add_input(const cs_conversion *c, cs_text *out) {
    const struct {
        const char *word;
        bool assumed;
    } assumed[] = {{"size", c->assumed_size},
                   {"mean", c->assumed_mean},
                   {"std", c->assumed_std},
                   {"eps", c->assumed_eps}};
    int64_t channels = c->spec.channels;
    cs_text_append(out,
                   "  \"input\": {\"channels\": %lld, \"height\": %lld, \"width\": %lld, "
                   "\"color\": %s, \"resize\": \"pillow-bilinear\", \"divisor\": 255,\n"
                   "            ",
                   (long long)channels, (long long)c->height, (long long)c->width,
                   channels == 3   ? "\"RGB\""
                   : channels == 1 ? "\"L\""
                                   : "null");
    add_doubles(out, "mean", c->mean, channels);
    cs_text_append(out, ", ");
    add_doubles(out, "std", c->std, channels);
    cs_text_append(out, ", \"assumed\": [");
    const char *separator = "";
    for (size_t i = 0; i < sizeof assumed / sizeof *assumed; ++i) {
        if (!assumed[i].assumed)
            continue;
        cs_text_append(out, "%s\"%s\"", separator, assumed[i].word);
        separator = ", ";
    }
    cs_text_append(out, "]},\n");
}

static void add_parameter(const cs_draft *draft, const char *key, int tensor, cs_text *out) {
    cs_text_append(out, ", ");
    if (tensor < 0)
        cs_text_append(out, "\"%s\": null", key);
    else
        add_key_string(out, key, draft->tensors[tensor].name);
}

static void add_pair(const char *key, int64_t value, cs_text *out) {
    cs_text_append(out, ", \"%s\": [%lld, %lld]", key, (long long)value, (long long)value);
}

/* The fields that an operation has besides name, op, module and inputs. */
static void add_fields(const cs_conversion *c, const cs_draft_node *node, cs_text *out) {
    static const char *const norm[] = {"weight", "bias", "running_mean", "running_var"};
    const bool conv = node->op == CS_OP_CONV2D, pool = node->op == CS_OP_MAX_POOL2D;
    if (conv || node->op == CS_OP_LINEAR) {
        add_parameter(&c->draft, "weight", node->tensor[0], out);
        add_parameter(&c->draft, "bias", node->tensor[1], out);
        cs_text_append(out, ", \"out_channels\": %lld", (long long)node->out_channels);
    }
    for (int i = 0; node->op == CS_OP_BATCH_NORM && i < 4; ++i)
        add_parameter(&c->draft, norm[i], node->tensor[i], out);
    if (node->op == CS_OP_BATCH_NORM) {
        cs_text_append(out, ", \"eps\": ");
        add_double(out, c->eps);
    }
    if (conv || pool)
        add_pair("kernel_size", node->kernel, out);
    if (conv || pool || node->op == CS_OP_SHORTCUT_A)
        add_pair("stride", node->stride, out);
    if (conv || pool) {
        add_pair("padding", node->padding, out);
        add_pair("dilation", 1, out);
    }
    if (conv)
        cs_text_append(out, ", \"groups\": %lld", (long long)node->groups);
    if (pool)
        cs_text_append(out, ", \"ceil_mode\": false");
    if (node->op == CS_OP_SHORTCUT_A)
        add_pair("pad_channels", node->pad_channels, out);
}

static void add_graph(const cs_conversion *c, cs_text *out) {
    cs_text_append(out, "  \"graph\": [\n");
    for (size_t i = 0; i < c->draft.node_count; ++i) {
        const cs_draft_node *node = &c->draft.nodes[i];
        cs_text_append(out, "    {");
        add_key_string(out, "name", node->name);
        cs_text_append(out, ", \"op\": \"%s\", ", cs_draft_op_name(node->op));
        add_key_string(out, "module", node->module);
        for (int k = 0; k < 2 && node->input[k] >= 0; ++k) {
            cs_text_append(out, k ? ", " : ", \"inputs\": [");
            add_string(out, c->draft.nodes[node->input[k]].name);
        }
        cs_text_append(out, node->input[0] >= 0 ? "]" : "");
        add_fields(c, node, out);
        cs_text_append(out, i + 1 < c->draft.node_count ? "},\n" : "}\n");
    }
    cs_text_append(out, "  ],\n  ");
    add_key_string(out, "output", c->draft.nodes[c->draft.node_count - 1].name);
    cs_text_append(out, ",\n");
}

static void add_tensors(const cs_conversion *c, cs_text *out) {
    cs_text_append(out, "  \"tensors\": [\n");
    for (size_t i = 0; i < c->draft.tensor_count; ++i) {
        const cs_draft_tensor *tensor = &c->draft.tensors[i];
        cs_text_append(out, "    {");
        add_key_string(out, "name", tensor->name);
        cs_text_append(out, ", \"dtype\": \"f32\", \"shape\": [");
        for (int d = 0; d < tensor->dims; ++d)
            cs_text_append(out, "%s%lld", d ? ", " : "", (long long)tensor->shape[d]);
        cs_text_append(out, "], \"offset\": %llu, \"nbytes\": %lld, \"crc32\": \"%08x\"}%s\n",
                       (unsigned long long)tensor->offset, (long long)tensor->count * 4,
                       (unsigned)tensor->crc32, i + 1 < c->draft.tensor_count ? "," : "");
    }
    cs_text_append(out, "  ],\n");
}

/* A file's name may be any bytes; what is not UTF-8 is shown as '?'. */
static void add_clean(cs_text *out, const char *key, const char *text) {
    char *clean = cs_text_clean(text, strlen(text));
    out->failed = out->failed || !clean;
    add_key_string(out, key, clean ? clean : "");
    cs_text_append(out, ", ");
    free(clean);
}

static void add_source(const cs_conversion *c, cs_text *out) {
    cs_text_append(out, "  \"source\": {");
    const cs_checkpoint *checkpoint = c->checkpoint;
    if (!checkpoint) {
        cs_text_append(out, "\"format\": \"init\", ");
        add_key_string(out, "arch", c->seed_arch);
        cs_text_append(out, ", \"seed\": \"%llu\"},\n", (unsigned long long)c->seed);
        return;
    }
    add_clean(out, "file", checkpoint->source.name);
    cs_text_append(out, "\"sha256\": \"%s\", \"format\": \"%s\", ", c->source_sha256,
                   checkpoint->format);
    add_key_string(out, "key", checkpoint->key);
    cs_text_append(out, ", \"strip\": \"%s\", \"dropped\": [", checkpoint->strip);
    for (size_t i = 0; i < checkpoint->dropped_count; ++i) {
        cs_text_append(out, i ? ", " : "");
        add_string(out, checkpoint->dropped[i]);
    }
    cs_text_append(out, "],\n             \"opaque_globals\": [");
    for (size_t i = 0; i < checkpoint->pickle.opaque_count; ++i) {
        cs_text_append(out, i ? ", " : "");
        add_string(out, checkpoint->pickle.opaques[i].name);
    }
    cs_text_append(out, "]},\n");
}

static void add_golden(const cs_conversion *c, cs_text *out) {
    char number[CS_NUMBER_TEXT_SIZE];
    if (!c->golden) {
        cs_text_append(out, "  \"golden\": null\n");
        return;
    }
    cs_text_append(out, "  \"golden\": {\"input\": \"seed:1\", \"batch\": 1, \"dtype\": \"f32\", "
                        "\"logits\": [");
    for (int64_t i = 0; i < c->spec.classes; ++i) {
        cs_float_text(c->golden[i], number);
        cs_text_append(out, "%s%s", i ? ", " : "", number);
    }
    cs_text_append(out, "],\n             \"logits_hex\": [");
    for (int64_t i = 0; i < c->spec.classes; ++i) {
        cs_float_hex(c->golden[i], number);
        cs_text_append(out, "%s\"%s\"", i ? ", " : "", number);
    }
    cs_text_append(out, "]}\n");
}

cs_status cs_manifest_text(const cs_conversion *c, const char *bin_file, cs_text *out,
                           cs_error *err) {
    *out = (cs_text){0};
    cs_text_append(out, "{\n  \"format\": \"cnnscope\",\n  \"version\": [1, 0],\n"
                        "  \"requires\": [],\n");
    add_bin(c, bin_file, out);
    add_model(c, out);
    add_input(c, out);
    add_graph(c, out);
    add_tensors(c, out);
    add_source(c, out);
    cs_text_append(out, "  \"converter\": {\"name\": \"cnnscope\", \"version\": \"%s\"},\n",
                   CNNSCOPE_VERSION);
    add_golden(c, out);
    cs_text_append(out, "}\n");
    CS_CHECK(!out->failed, CS_ERROR_MEMORY, "no memory for the manifest");
    CS_CHECK(out->size <= CS_MANIFEST_MAX, CS_ERROR_LIMIT,
             "a manifest of %zu bytes, more than the limit of %u", out->size, CS_MANIFEST_MAX);
    CS_CHECK(cs_utf8_valid(out->data, out->size), CS_ERROR_ARGUMENT,
             "a class name or the output's name is not UTF-8");
    return CS_OK;
}
