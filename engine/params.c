/* params.c - parameter values, mapped or private, and the panels packed from them.
 *
 * Packs are made when a run that needs them is prepared, under a lock, and shared by runs.
 */
#include "params.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* One node's blocks: [engine][dtype][pass]. */
typedef struct node_packs {
    void *block[2][2][2];
    size_t bytes;
    bool checked, finite;
} node_packs;

struct cs_params {
    const cs_model *model;
    float *values;  /* a private copy of all tensors one after another, or NULL */
    float **tensor; /* private: each tensor's place in `values` */
    node_packs *packs;
    size_t packed_bytes;
    uint64_t version; /* counts the changes of values */
    pthread_mutex_t lock;
};

cs_status params_create(const cs_model *model, cs_params **params, cs_error *err) {
    cs_params *p = calloc(1, sizeof *p);
    CS_CHECK(p, CS_ERROR_MEMORY, "not enough memory for the parameters");
    p->model = model;
    p->packs = calloc((size_t)model->node_count, sizeof *p->packs);
    if (!p->packs || pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p->packs);
        free(p);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1, "not enough memory for the parameters");
    }
    *params = p;
    return CS_OK;
}

cs_status cs_params_copy(const cs_model *model, cs_params **params, cs_error *err) {
    cs_params *p;
    size_t total = 0;
    CS_TRY(params_create(model, &p, err));
    for (int i = 0; i < model->tensor_count; i++)
        total += (size_t)model->tensors[i].count;
    p->values = malloc((total + 1) * sizeof *p->values);
    p->tensor = malloc(((size_t)model->tensor_count + 1) * sizeof *p->tensor);
    if (!p->values || !p->tensor) {
        cs_params_free(p);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1,
                            "not enough memory for a copy of %zu parameters", total);
    }
    float *at = p->values;
    for (int i = 0; i < model->tensor_count; i++) {
        p->tensor[i] = at;
        memcpy(at, model->tensors[i].data, (size_t)model->tensors[i].count * sizeof *at);
        at += model->tensors[i].count;
    }
    *params = p;
    return CS_OK;
}

static void drop_node(cs_params *p, int node) {
    void **block = &p->packs[node].block[0][0][0];
    for (int i = 0; i < 8; i++)
        free(block[i]);
    p->packed_bytes -= p->packs[node].bytes;
    memset(&p->packs[node], 0, sizeof p->packs[node]);
}

static void drop_packs(cs_params *p) {
    for (int node = 0; node < p->model->node_count; node++)
        drop_node(p, node);
}

void cs_params_free(cs_params *params) {
    if (!params)
        return;
    drop_packs(params);
    pthread_mutex_destroy(&params->lock);
    free(params->values);
    free(params->tensor);
    free(params->packs);
    free(params);
}

float *cs_params_tensor(cs_params *params, int index) {
    return params->tensor ? params->tensor[index] : NULL;
}

void cs_params_changed(cs_params *params) {
    pthread_mutex_lock(&params->lock);
    drop_packs(params);
    params->version++;
    pthread_mutex_unlock(&params->lock);
}

void params_node_changed(cs_params *params, int node) {
    pthread_mutex_lock(&params->lock);
    drop_node(params, node);
    params->version++;
    pthread_mutex_unlock(&params->lock);
}

uint64_t params_version(cs_params *params) {
    pthread_mutex_lock(&params->lock);
    const uint64_t version = params->version;
    pthread_mutex_unlock(&params->lock);
    return version;
}

const float *params_values(const cs_params *p, int tensor) {
    return p->tensor ? p->tensor[tensor] : p->model->tensors[tensor].data;
}

static bool all_finite(const float *values, int64_t count) {
    bool bad = false;
    for (int64_t i = 0; i < count; i++)
        bad |= !(values[i] <= FLT_MAX && values[i] >= -FLT_MAX);
    return !bad;
}

int params_first_bad(const cs_params *p, int node) {
    const cs_node_info *info = &p->model->nodes[node];
    for (int i = 0; i < info->parameters; i++) {
        const int tensor = info->parameter[i];
        if (!all_finite(params_values(p, tensor), p->model->tensors[tensor].count))
            return tensor;
    }
    return -1;
}

/* What one thread of the packing needs. */
typedef struct pack_job {
    const layer *kind;
    layer_pack_call call;
} pack_job;

static void pack_part(void *argument, size_t part, size_t parts) {
    const pack_job *job = argument;
    job->kind->pack(&job->call, part, parts);
}

/* Makes the block; the lock is held. */
static cs_status make_block(cs_params *p, int node, cs_shape in, const layer *kind, cs_dtype dtype,
                            layer_pass pass, cs_pool *pool, size_t count, void **block,
                            cs_error *err) {
    const cs_node_info *info = &p->model->nodes[node];
    const size_t bytes = cs_align64(count * cs_dtype_size(dtype));
    void *memory = aligned_alloc(64, bytes);
    if (!memory)
        return cs_error_set(err, CS_ERROR_MEMORY, info->name, -1,
                            "not enough memory for the packed weights of %s (%zu bytes)",
                            info->name, bytes);
    memset(memory, 0, bytes);
    pack_job job = {kind,
                    {.attributes = &info->attributes, .in = in, .pass = pass, .pack = memory}};
    for (int i = 0; i < info->parameters; i++)
        job.call.parameter[i] = params_values(p, info->parameter[i]);
    pool_run(pool, pack_part, &job);
    *block = memory;
    p->packed_bytes += bytes;
    p->packs[node].bytes += bytes;
    return CS_OK;
}

cs_status params_pack(cs_params *p, int node, cs_shape in, const layer *kind, layer_engine engine,
                      cs_dtype dtype, layer_pass pass, cs_pool *pool, const void **pack,
                      bool *finite, cs_error *err) {
    node_packs *packs = &p->packs[node];
    if (kind->pack_for_both)
        pass = PASS_FORWARD;
    const size_t count =
        kind->pack_size ? kind->pack_size(&p->model->nodes[node].attributes, in, pass) : 0;
    void **block = &packs->block[engine][dtype][pass];
    cs_status status = CS_OK;
    pthread_mutex_lock(&p->lock);
    if (!packs->checked) {
        packs->finite = params_first_bad(p, node) < 0;
        packs->checked = true;
    }
    if (count > 0 && !*block)
        status = make_block(p, node, in, kind, dtype, pass, pool, count, block, err);
    *pack = *block;
    *finite = packs->finite;
    pthread_mutex_unlock(&p->lock);
    return status;
}

size_t params_packed_bytes(cs_params *p) {
    pthread_mutex_lock(&p->lock);
    const size_t bytes = p->packed_bytes;
    pthread_mutex_unlock(&p->lock);
    return bytes;
}
