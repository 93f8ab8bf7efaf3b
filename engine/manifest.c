/* manifest.c - the manifest but for its graph: binary, tensors, input, classes, golden logits
 * (docs/formats.md 1.2). The only file, with its two neighbours, that knows cJSON in the engine. */
#include "manifest_json.h"
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static cs_status parse_header(const cs_model *model, const cJSON *root, cs_error *err) {
    const json_place place = {model->path, "manifest"};
    const char *format;
    const cJSON *requires;
    int64_t version[2];
    CS_TRY(json_string(place, root, "format", &format, err));
    if (strcmp(format, "cnnscope") != 0)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: \"format\" is \"%.60s\"; a manifest of cnnscope says \"cnnscope\"",
                            model->path, format);
    CS_TRY(json_pair(place, root, "version", 0, 1000000, version, err));
    if (version[0] != 1)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, model->path, -1,
                            "%s: manifest version %lld.%lld; this program reads version 1: convert "
                            "the checkpoint again, or use a newer cnnscope",
                            model->path, (long long)version[0], (long long)version[1]);
    CS_TRY(json_array(place, root, "requires", &requires, err));
    if (cJSON_GetArraySize(requires) > 0)
        return cs_error_set(
            err, CS_ERROR_UNSUPPORTED, model->path, -1,
            "%s: the model requires the feature \"%.60s\", which this version lacks", model->path,
            cJSON_IsString(requires->child) ? requires->child->valuestring : "?");
    return CS_OK;
}

static cs_status parse_binary(cs_model *model, const cJSON *root, cs_error *err) {
    const json_place place = {model->path, "bin"};
    const cJSON *bin;
    const char *id, *endian;
    int64_t size, align;
    CS_TRY(json_object((json_place){model->path, "manifest"}, root, "bin", &bin, err));
    CS_TRY(json_string(place, bin, "file", &model->bin_file, err));
    const size_t length = strlen(model->bin_file);
    if (length == 0 || length > MODEL_NAME_LIMIT || strchr(model->bin_file, '/') ||
        strcmp(model->bin_file, ".") == 0 || strcmp(model->bin_file, "..") == 0)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: bin: \"file\" is \"%.200s\"; the name of a file in the manifest's "
                            "own folder was expected, without a path",
                            model->path, model->bin_file);
    CS_TRY(json_integer(place, bin, "size", 64, (int64_t)1 << 50, &size, err));
    model->bin_size = (size_t)size;
    CS_TRY(json_hex(place, bin, "sha256", 64, &model->bin_sha256, err));
    CS_TRY(json_hex(place, bin, "uuid", 32, &id, err));
    for (int i = 0; i < 16; i++) {
        const char digits[3] = {id[2 * i], id[2 * i + 1], 0};
        model->bin_id[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    CS_TRY(json_integer(place, bin, "align", 64, 64, &align, err));
    CS_TRY(json_string(place, bin, "endian", &endian, err));
    if (strcmp(endian, "little") != 0)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, model->path, -1,
                            "%s: bin: \"endian\" is \"%.20s\"; only \"little\" is written and read",
                            model->path, endian);
    return CS_OK;
}

/* Shape and size of one tensor; *count receives its number of elements. */
static cs_status parse_shape(json_place place, const cJSON *item, cs_tensor_info *info,
                             cs_error *err) {
    const cJSON *shape, *dim;
    CS_TRY(json_array(place, item, "shape", &shape, err));
    info->count = 1;
    cJSON_ArrayForEach(dim, shape) {
        const double value = cJSON_IsNumber(dim) ? dim->valuedouble : -1;
        if (info->dims == 4 || !(value >= 1 && value <= MODEL_DIMENSION_LIMIT) ||
            value != floor(value) ||
            __builtin_mul_overflow(info->count, (int64_t)value, &info->count) ||
            info->count > (int64_t)1 << 48)
            return cs_error_set(err, CS_ERROR_FORMAT, place.file, -1,
                                "%s: %s: its shape is not one of at most 4 dimensions from 1 to %d",
                                place.file, place.where, MODEL_DIMENSION_LIMIT);
        info->shape[info->dims++] = (int64_t)value;
    }
    return CS_OK;
}

/* A tensor must begin where the one before it ends, rounded up to 64 bytes. */
static cs_status parse_tensor(cs_model *model, const cJSON *item, int index, size_t *end,
                              cs_error *err) {
    char where[MODEL_NAME_LIMIT + 40];
    cs_tensor_info *info = &model->tensors[index];
    const char *dtype, *crc;
    int64_t offset, nbytes;
    (void)snprintf(where, sizeof where, "tensors[%d]", index);
    json_place place = {model->path, where};
    CS_TRY(json_string(place, item, "name", &info->name, err));
    if (strlen(info->name) > MODEL_NAME_LIMIT || info->name[0] == 0)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: %s: a tensor's name has 1 to %d bytes", model->path, where,
                            MODEL_NAME_LIMIT);
    (void)snprintf(where, sizeof where, "tensors[%d] (%s)", index, info->name);
    CS_TRY(json_string(place, item, "dtype", &dtype, err));
    if (strcmp(dtype, "f32") != 0)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, model->path, -1,
                            "%s: %s: dtype \"%.20s\"; this version reads \"f32\"", model->path,
                            where, dtype);
    CS_TRY(parse_shape(place, item, info, err));
    CS_TRY(json_integer(place, item, "offset", 64, (int64_t)1 << 50, &offset, err));
    CS_TRY(json_integer(place, item, "nbytes", 4, (int64_t)1 << 50, &nbytes, err));
    CS_TRY(json_hex(place, item, "crc32", 8, &crc, err));
    if (nbytes != info->count * 4 || (size_t)offset != cs_align64(*end) ||
        (size_t)offset > model->bin_size || (size_t)nbytes > model->bin_size - (size_t)offset)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, offset,
                            "%s: %s: %lld bytes at offset %lld; its shape needs %lld bytes, and it "
                            "must begin at %zu and end within the file's %zu",
                            model->path, where, (long long)nbytes, (long long)offset,
                            (long long)info->count * 4, cs_align64(*end), model->bin_size);
    model->offsets[index] = (size_t)offset;
    model->crcs[index] = (uint32_t)strtoul(crc, NULL, 16);
    *end = (size_t)(offset + nbytes);
    if (!name_index_add(&model->tensor_names, &model->tensors[0].name, sizeof *model->tensors,
                        index))
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: %s: another tensor has this name", model->path, where);
    return CS_OK;
}

static cs_status parse_tensors(cs_model *model, const cJSON *root, cs_error *err) {
    const cJSON *tensors, *item;
    size_t end = 64;
    CS_TRY(json_array((json_place){model->path, "manifest"}, root, "tensors", &tensors, err));
    const int count = cJSON_GetArraySize(tensors);
    if (count > MODEL_TENSOR_LIMIT)
        return cs_error_set(err, CS_ERROR_LIMIT, model->path, -1, "%s: %d tensors; the limit is %d",
                            model->path, count, MODEL_TENSOR_LIMIT);
    /* One more than needed, so that a model without parameters has arrays too. */
    model->tensors = calloc((size_t)count + 1, sizeof *model->tensors);
    model->offsets = calloc((size_t)count + 1, sizeof *model->offsets);
    model->crcs = calloc((size_t)count + 1, sizeof *model->crcs);
    CS_CHECK(model->tensors && model->offsets && model->crcs, CS_ERROR_MEMORY,
             "not enough memory for %d tensors", count);
    CS_TRY(name_index_create(&model->tensor_names, (size_t)count, err));
    cJSON_ArrayForEach(item, tensors) {
        CS_TRY(parse_tensor(model, item, model->tensor_count, &end, err));
        model->tensor_count++;
    }
    if (cs_align64(end) != model->bin_size)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, (int64_t)end,
                            "%s: the tensors end at %zu, and the binary's size is given as %zu",
                            model->path, cs_align64(end), model->bin_size);
    return CS_OK;
}

static cs_status parse_moments(const cs_model *model, const cJSON *input, const char *key,
                               int64_t channels, bool positive, double *out, cs_error *err) {
    const cJSON *array, *item;
    int i = 0;
    CS_TRY(json_array((json_place){model->path, "input"}, input, key, &array, err));
    cJSON_ArrayForEach(item, array) {
        if (i == channels || !cJSON_IsNumber(item) || !isfinite(item->valuedouble) ||
            (positive && !(item->valuedouble > 0)))
            break;
        out[i++] = item->valuedouble;
    }
    if (i != channels || item)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: input: \"%s\" must be %lld finite%s numbers, one a channel",
                            model->path, key, (long long)channels, positive ? " positive" : "");
    return CS_OK;
}

static cs_status parse_input(cs_model *model, const cJSON *root, cs_error *err) {
    const json_place place = {model->path, "input"};
    cs_preprocess *p = &model->preprocess;
    const cJSON *input, *assumed, *item;
    const char *resize;
    CS_TRY(json_object((json_place){model->path, "manifest"}, root, "input", &input, err));
    CS_TRY(json_integer(place, input, "channels", 1, 16, &p->channels, err));
    CS_TRY(json_integer(place, input, "height", 1, 65536, &p->height, err));
    CS_TRY(json_integer(place, input, "width", 1, 65536, &p->width, err));
    CS_TRY(json_string(place, input, "resize", &resize, err));
    if (strcmp(resize, "pillow-bilinear") != 0)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, model->path, -1,
                            "%s: input: \"resize\" is \"%.40s\"; this version knows "
                            "\"pillow-bilinear\"",
                            model->path, resize);
    CS_TRY(json_number(place, input, "divisor", &p->divisor, err));
    if (!(p->divisor > 0) || !isfinite(p->divisor))
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: input: \"divisor\" must be a positive number", model->path);
    CS_TRY(parse_moments(model, input, "mean", p->channels, false, p->mean, err));
    CS_TRY(parse_moments(model, input, "std", p->channels, true, p->std, err));
    CS_TRY(json_array(place, input, "assumed", &assumed, err));
    cJSON_ArrayForEach(item, assumed) {
        const char *what = cJSON_IsString(item) ? item->valuestring : "";
        p->assumed_size |= strcmp(what, "size") == 0;
        p->assumed_mean |= strcmp(what, "mean") == 0 || strcmp(what, "std") == 0;
        p->assumed_eps |= strcmp(what, "eps") == 0;
    }
    return CS_OK;
}

static cs_status parse_model(cs_model *model, const cJSON *root, cs_error *err) {
    const json_place place = {model->path, "model"};
    const cJSON *info, *item;
    CS_TRY(json_object((json_place){model->path, "manifest"}, root, "model", &info, err));
    CS_TRY(json_string(place, info, "arch", &model->architecture, err));
    CS_TRY(
        json_integer(place, info, "num_classes", 1, MODEL_CLASS_LIMIT, &model->class_count, err));
    const cJSON *classes = cJSON_GetObjectItemCaseSensitive(info, "classes");
    if (!classes || cJSON_IsNull(classes))
        return CS_OK;
    if (!cJSON_IsArray(classes) || cJSON_GetArraySize(classes) != model->class_count)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: model: \"classes\" must be null or an array of %lld names",
                            model->path, (long long)model->class_count);
    model->class_names = calloc((size_t)model->class_count, sizeof *model->class_names);
    CS_CHECK(model->class_names, CS_ERROR_MEMORY, "not enough memory for the class names");
    int64_t i = 0;
    cJSON_ArrayForEach(item, classes) {
        if (!cJSON_IsString(item))
            return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                                "%s: model: classes[%lld] is not a string", model->path,
                                (long long)i);
        model->class_names[i++] = item->valuestring;
    }
    return CS_OK;
}

static cs_status parse_golden(cs_model *model, const cJSON *root, cs_error *err) {
    const json_place place = {model->path, "golden"};
    const cJSON *golden = cJSON_GetObjectItemCaseSensitive(root, "golden"), *values, *item;
    const char *input;
    if (!golden || cJSON_IsNull(golden))
        return CS_OK;
    CS_TRY(json_string(place, golden, "input", &input, err));
    if (strcmp(input, "seed:1") != 0)
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, model->path, -1,
                            "%s: golden: \"input\" is \"%.40s\"; this version knows \"seed:1\"",
                            model->path, input);
    CS_TRY(json_array(place, golden, "logits_hex", &values, err));
    if (cJSON_GetArraySize(values) != model->class_count)
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                            "%s: golden: \"logits_hex\" must have %lld entries", model->path,
                            (long long)model->class_count);
    model->golden = calloc((size_t)model->class_count, sizeof *model->golden);
    CS_CHECK(model->golden, CS_ERROR_MEMORY, "not enough memory for the golden logits");
    cJSON_ArrayForEach(item, values) {
        char *end = NULL;
        const float value = cJSON_IsString(item) ? strtof(item->valuestring, &end) : 0;
        if (!end || end == item->valuestring || *end || !isfinite(value))
            return cs_error_set(err, CS_ERROR_FORMAT, model->path, -1,
                                "%s: golden: logits_hex[%lld] is not a finite hexadecimal float",
                                model->path, (long long)model->golden_count);
        model->golden[model->golden_count++] = value;
    }
    return CS_OK;
}

cs_status manifest_parse(cs_model *model, cs_error *err) {
    const cJSON *graph;
    const char *output;
    CS_TRY(cs_json_check(model->text, model->text_size, MODEL_JSON_DEPTH, model->path, err));
    model->json = cJSON_ParseWithLength(model->text, model->text_size);
    CS_CHECK(model->json, CS_ERROR_MEMORY, "%s: not enough memory for the manifest", model->path);
    const cJSON *root = model->json;
    const json_place place = {model->path, "manifest"};
    if (!cJSON_IsObject(root))
        return cs_error_set(err, CS_ERROR_FORMAT, model->path, 0, "%s: a manifest is a JSON object",
                            model->path);
    CS_TRY(parse_header(model, root, err));
    CS_TRY(parse_binary(model, root, err));
    CS_TRY(parse_tensors(model, root, err));
    CS_TRY(parse_input(model, root, err));
    CS_TRY(parse_model(model, root, err));
    CS_TRY(json_array(place, root, "graph", &graph, err));
    CS_TRY(json_string(place, root, "output", &output, err));
    CS_TRY(manifest_graph_parse(model, graph, output, err));
    return parse_golden(model, root, err);
}

cs_model_limit cs_model_limit_get(int64_t index) {
    static const cs_model_limit limits[] = {
        {"bytes of a manifest", MODEL_MANIFEST_LIMIT},
        {"nested objects and arrays in a manifest", MODEL_JSON_DEPTH},
        {"nodes of a model", MODEL_NODE_LIMIT},
        {"tensors of a model", MODEL_TENSOR_LIMIT},
        {"bytes of a node's or tensor's name", MODEL_NAME_LIMIT},
        {"classes of a model", MODEL_CLASS_LIMIT},
        {"channels of a node", MODEL_DIMENSION_LIMIT},
        {"values of a node for one image", (uint64_t)MODEL_IMAGE_LIMIT},
    };
    const int64_t count = sizeof limits / sizeof *limits;
    return index >= 0 && index < count ? limits[index] : (cs_model_limit){NULL, 0};
}

void cs_model_free(cs_model *model) {
    if (!model)
        return;
    cs_params_free(model->params);
    if (model->mapped)
        munmap(model->map, model->bin_size);
    else if (!model->borrowed)
        free(model->map);
    name_index_free(&model->node_names);
    name_index_free(&model->tensor_names);
    free(model->nodes);
    free(model->shapes);
    free(model->tensors);
    free(model->offsets);
    free(model->crcs);
    free(model->class_names);
    free(model->golden);
    cJSON_Delete(model->json);
    free(model->text);
    free(model);
}
