/* model.h - what a model is inside the engine. */
#ifndef CS_MODEL_H
#define CS_MODEL_H

#include "cnnscope.h"
#include "layer.h"

#define MODEL_NODE_LIMIT      65536
#define MODEL_TENSOR_LIMIT    65536
#define MODEL_NAME_LIMIT      255
#define MODEL_MANIFEST_LIMIT  (16u << 20)
#define MODEL_JSON_DEPTH      16
#define MODEL_CLASS_LIMIT     1000000
#define MODEL_DIMENSION_LIMIT (1 << 24)          /* channels, kernel sizes, ... of one layer */
#define MODEL_IMAGE_LIMIT     ((int64_t)1 << 31) /* values of one image of one tensor */

/* Names to indices: open addressing, made once. */
typedef struct name_index {
    int *slot; /* index or -1 */
    size_t slots;
} name_index;

cs_status name_index_create(name_index *index, size_t count, cs_error *err);
void name_index_free(name_index *index);

/* Adds names[i]; false where an equal name is there already. `names` is read with the same stride
 * in both calls: names + i * stride is a `const char *`. */
bool name_index_add(name_index *index, const void *names, size_t stride, int i);
int name_index_find(const name_index *index, const void *names, size_t stride, const char *name);

struct cs_model {
    char *text; /* the manifest */
    size_t text_size;
    char manifest_sha256[CS_SHA256_HEX_SIZE];
    void *json;     /* its cJSON tree, which owns all strings below */
    char path[256]; /* the manifest's file name, for errors */

    const char *bin_file, *bin_sha256;
    size_t bin_size;
    uint8_t bin_id[16];
    void *map;
    bool mapped;   /* the map is to be unmapped; */
    bool borrowed; /* it belongs to the caller of cs_model_open_memory; else it is to be freed */

    int node_count, output;
    cs_node_info *nodes;
    cs_shape *shapes; /* at the manifest's input size */
    name_index node_names;

    int tensor_count;
    cs_tensor_info *tensors;
    size_t *offsets;
    uint32_t *crcs;
    name_index tensor_names;

    cs_preprocess preprocess;
    const char *architecture;
    int64_t class_count;
    const char **class_names; /* NULL where none are known */
    float *golden;
    int64_t golden_count;
    char default_layer[MODEL_NAME_LIMIT + 1];
    cs_params *params;

    /* Tests plant errors: the layer, per element type, that runs in a node's place; else NULL. */
    int planted_node;
    const layer *planted[2];
};

/* Reads the manifest's text (already in model->text) into the model; no file is touched. */
cs_status manifest_parse(cs_model *model, cs_error *err);

/* The manifest's graph, from its cJSON array (as void *, so that cJSON stays in its files). */
cs_status manifest_graph_parse(cs_model *model, const void *graph, const char *output,
                               cs_error *err);

/* Shapes of all nodes for an input of height x width (0: the manifest's); parameter shapes are
 * checked as well. `shapes` has node_count entries. */
cs_status graph_shapes(const cs_model *model, int64_t height, int64_t width, cs_shape *shapes,
                       cs_error *err);

/* The error for a parameter tensor that does not exist: lists the nearest names. */
cs_status graph_unknown_tensor(const cs_model *model, const char *name, cs_error *err);

/* Hands the pages of a mapped binary back to the system, which reads them from the file again when
 * they are next looked at. Safe at any time: nothing is ever written to them. */
void model_release_pages(const cs_model *model);

/* Fills model->default_layer. */
void graph_find_default_layer(cs_model *model);

#endif
