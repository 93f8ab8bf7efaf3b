/* architecture.c - names and descriptions of the architectures. */
#include "architecture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnnscope_convert.h"

typedef struct named_spec {
    const char *name;
    bool cifar, bottleneck;
    int blocks[CS_STAGES_MAX];
    int groups, width_per_group;
} named_spec;

static const named_spec names[] = {
    {"resnet18", false, false, {2, 2, 2, 2}, 1, 64},
    {"resnet34", false, false, {3, 4, 6, 3}, 1, 64},
    {"resnet50", false, true, {3, 4, 6, 3}, 1, 64},
    {"resnet101", false, true, {3, 4, 23, 3}, 1, 64},
    {"resnet152", false, true, {3, 8, 36, 3}, 1, 64},
    {"resnext50_32x4d", false, true, {3, 4, 6, 3}, 32, 4},
    {"resnext101_32x8d", false, true, {3, 4, 23, 3}, 32, 8},
    {"resnext101_64x4d", false, true, {3, 4, 23, 3}, 64, 4},
    {"wide_resnet50_2", false, true, {3, 4, 6, 3}, 1, 128},
    {"wide_resnet101_2", false, true, {3, 4, 23, 3}, 1, 128},
    {"resnet20_cifar", true, false, {3, 3, 3}, 1, 64},
    {"resnet32_cifar", true, false, {5, 5, 5}, 1, 64},
    {"resnet44_cifar", true, false, {7, 7, 7}, 1, 64},
    {"resnet56_cifar", true, false, {9, 9, 9}, 1, 64},
    {"resnet110_cifar", true, false, {18, 18, 18}, 1, 64},
    {"resnet1202_cifar", true, false, {200, 200, 200}, 1, 64},
};
enum { NAMES = sizeof names / sizeof *names, BLOCKS_MAX = 1000, WIDTH_MAX = 8192 };

const char *cs_architecture_name(int64_t index) {
    return index >= 0 && index < NAMES ? names[index].name : NULL;
}

static cs_resnet_spec make_spec(bool cifar) {
    cs_resnet_spec spec = {.cifar = cifar,
                           .stages = cifar ? 3 : 4,
                           .blocks = {2, 2, 2, 2},
                           .width = cifar ? 16 : 64,
                           .groups = 1,
                           .width_per_group = 64,
                           .channels = 3,
                           .classes = cifar ? 10 : 1000,
                           .head_bias = true};
    snprintf(spec.head, sizeof spec.head, "%s", cifar ? "linear" : "fc");
    return spec;
}

static cs_resnet_spec from_row(const named_spec *row) {
    cs_resnet_spec spec = make_spec(row->cifar);
    spec.bottleneck = row->bottleneck;
    spec.groups = row->groups;
    spec.width_per_group = row->width_per_group;
    for (int i = 0; i < spec.stages; ++i)
        spec.blocks[i] = row->blocks[i];
    return spec;
}

/* A number from 1 to `most` that fills text[0..size). */
static bool parse_number(const char *text, size_t size, int64_t most, int64_t *out) {
    *out = 0;
    for (size_t i = 0; i < size; ++i) {
        if (text[i] < '0' || text[i] > '9' || *out > most)
            return false;
        *out = *out * 10 + (text[i] - '0');
    }
    return size > 0 && *out >= 1 && *out <= most;
}

/* "2-2-2-2": 1 to 4 stages. */
static bool parse_layers(const char *text, size_t size, cs_resnet_spec *spec) {
    spec->stages = 0;
    const char *end = text + size;
    while (spec->stages < CS_STAGES_MAX) {
        const char *dash = memchr(text, '-', (size_t)(end - text));
        const char *stop = dash ? dash : end;
        if (!parse_number(text, (size_t)(stop - text), BLOCKS_MAX, &spec->blocks[spec->stages]))
            return false;
        ++spec->stages;
        if (!dash)
            return true;
        text = dash + 1;
    }
    return false;
}

/* One "key=value". */
static bool parse_setting(const char *text, size_t size, cs_resnet_spec *spec) {
    const char *equals = memchr(text, '=', size);
    if (!equals)
        return false;
    size_t key = (size_t)(equals - text), length = size - key - 1;
    const char *value = equals + 1;
    int64_t depth;
#define KEY(word) (key == sizeof(word) - 1 && memcmp(text, word, key) == 0)
    if (KEY("width"))
        return parse_number(value, length, WIDTH_MAX, &spec->width);
    if (spec->cifar) {
        if (!KEY("depth") || !parse_number(value, length, 6 * BLOCKS_MAX + 2, &depth) ||
            depth < 8 || (depth - 2) % 6 != 0)
            return false;
        for (int i = 0; i < 3; ++i)
            spec->blocks[i] = (depth - 2) / 6;
        return true;
    }
    if (KEY("layers"))
        return parse_layers(value, length, spec);
    if (KEY("groups"))
        return parse_number(value, length, WIDTH_MAX, &spec->groups);
    if (KEY("width_per_group"))
        return parse_number(value, length, WIDTH_MAX, &spec->width_per_group);
    if (!KEY("block"))
        return false;
#undef KEY
    spec->bottleneck = length == 10 && memcmp(value, "bottleneck", 10) == 0;
    return spec->bottleneck || (length == 5 && memcmp(value, "basic", 5) == 0);
}

static bool is_possible(const cs_resnet_spec *spec) {
    if (spec->cifar)
        return spec->width % 2 == 0; /* option A pads a quarter of twice the width on each side */
    if (!spec->bottleneck)
        return spec->groups == 1 && spec->width_per_group == 64;
    return spec->width * spec->width_per_group >= 64;
}

cs_status cs_architecture_parse(const char *text, cs_resnet_spec *spec, cs_error *err) {
    for (int i = 0; i < NAMES; ++i) {
        if (strcmp(text, names[i].name) == 0) {
            *spec = from_row(&names[i]);
            return CS_OK;
        }
    }
    const char *colon = strchr(text, ':');
    size_t family = colon ? (size_t)(colon - text) : strlen(text);
    bool cifar = family == 12 && memcmp(text, "resnet_cifar", 12) == 0;
    bool known = cifar || (family == 6 && memcmp(text, "resnet", 6) == 0);
    *spec = make_spec(cifar);
    for (int i = 0; cifar && i < 3; ++i)
        spec->blocks[i] = 3;
    const char *at = colon ? colon + 1 : NULL;
    while (known && at) {
        const char *comma = strchr(at, ',');
        size_t size = comma ? (size_t)(comma - at) : strlen(at);
        if (!parse_setting(at, size, spec))
            return cs_error_set(err, CS_ERROR_ARGUMENT, text, -1,
                                "architecture \"%.100s\": \"%.*s\" is not one of its settings "
                                "(resnet: block, layers, width, groups, width_per_group; "
                                "resnet_cifar: depth = 6n + 2, width)",
                                text, (int)(size < 60 ? size : 60), at);
        at = comma ? comma + 1 : NULL;
    }
    if (known && is_possible(spec))
        return CS_OK;
    return cs_error_set(err, CS_ERROR_ARGUMENT, text, -1,
                        known ? "architecture \"%.100s\": these numbers do not make a network"
                              : "no architecture \"%.100s\"; known are resnet18, resnet50, "
                                "resnext50_32x4d, wide_resnet50_2, resnet20_cifar and their "
                                "like, and resnet:block=...,layers=...",
                        text);
}

static bool same_numbers(const cs_resnet_spec *a, const cs_resnet_spec *b) {
    bool same = a->cifar == b->cifar && a->bottleneck == b->bottleneck && a->stages == b->stages &&
                a->width == b->width && a->groups == b->groups &&
                a->width_per_group == b->width_per_group;
    for (int i = 0; same && i < a->stages; ++i)
        same = a->blocks[i] == b->blocks[i];
    return same;
}

void cs_architecture_describe(const cs_resnet_spec *spec, char *out, size_t size) {
    for (int i = 0; i < NAMES; ++i) {
        cs_resnet_spec named = from_row(&names[i]);
        if (same_numbers(spec, &named)) {
            snprintf(out, size, "%s", names[i].name);
            return;
        }
    }
    if (spec->cifar) {
        snprintf(out, size, "resnet_cifar:depth=%lld,width=%lld",
                 (long long)(6 * spec->blocks[0] + 2), (long long)spec->width);
        return;
    }
    int length =
        snprintf(out, size, "resnet:block=%s,layers=", spec->bottleneck ? "bottleneck" : "basic");
    for (int i = 0; i < spec->stages && (size_t)length < size; ++i)
        length += snprintf(out + length, size - (size_t)length, "%s%lld", i ? "-" : "",
                           (long long)spec->blocks[i]);
    if ((size_t)length < size)
        length +=
            snprintf(out + length, size - (size_t)length, ",width=%lld", (long long)spec->width);
    if (spec->bottleneck && (size_t)length < size)
        snprintf(out + length, size - (size_t)length, ",groups=%lld,width_per_group=%lld",
                 (long long)spec->groups, (long long)spec->width_per_group);
}
