/* params.c - parameter values, mapped or private, and the panels packed from them.
 *
 * Packs are made when a run that needs them is prepared, under a lock, and shared by runs. What one
 * run lacks lies in one block. Values of a mapped file are needed once: their pages are handed back
 * as packing goes on, so that the file and its packed copy are never in memory both.
 */
#include "params.h"
#include "pages.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* So many bytes of the file are read before their pages are handed back. */
#define RELEASE_EVERY ((size_t)8 << 20)

/* One node's blocks: [engine][dtype][pass], and the version of the values each was made from (0: it
 * was not yet). What is of version `changed` or older is out of date. */
typedef struct node_packs {
    void *block[2][2][2];
    uint64_t version[2][2][2];
    uint64_t changed; /* the last version before the last change of its values, or 0 */
    uint64_t checked; /* the version that bad_tensor is about */
    int bad_tensor;   /* its first parameter with NaN or infinity, or -1 */
} node_packs;

/* Memory that holds the blocks of one call of params_pack. */
typedef struct pack_region {
    struct pack_region *next;
    void *memory;
    size_t size;
} pack_region;

struct cs_params {
    const cs_model *model;
    float *values;  /* a private copy of all tensors one after another, or NULL */
    float **tensor; /* private: each tensor's place in `values` */
    node_packs *packs;
    pack_region *regions;
    uint64_t version; /* counts the changes of values, from 1 */
    size_t read;      /* bytes of the file since pages were last handed back */
    size_t packed_bytes;
    pthread_mutex_t lock;
};

cs_status params_create(const cs_model *model, cs_params **params, cs_error *err) {
    cs_params *p = calloc(1, sizeof *p);
    CS_CHECK(p, CS_ERROR_MEMORY, "not enough memory for the parameters");
    p->model = model;
    p->version = 1;
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

void cs_params_free(cs_params *params) {
    if (!params)
        return;
    while (params->regions) {
        pack_region *region = params->regions;
        params->regions = region->next;
        pages_free(region->memory, region->size);
        free(region);
    }
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
    for (int node = 0; node < params->model->node_count; node++)
        params->packs[node].changed = params->version;
    params->version++;
    pthread_mutex_unlock(&params->lock);
}

void params_node_changed(cs_params *params, int node) {
    pthread_mutex_lock(&params->lock);
    params->packs[node].changed = params->version++;
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

/* ------------------------------------------------------------------ packing -------------- */

/* One node's work for all threads: its values are checked and packed in one go, while the caches
 * hold them. */
typedef struct pack_job {
    const layer *kind; /* NULL: only checked */
    layer_pack_call call;
    int64_t counts[4]; /* values of each parameter that is to be checked, or 0 */
    atomic_uint bad;   /* bit i: parameter i holds NaN or infinity */
} pack_job;

/* All bits of a float's exponent are set in NaN and infinity only. */
static bool all_finite(const float *values, size_t count) {
    const uint32_t exponent = 0x7F800000;
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return bad == 0;
}

static void pack_part(void *argument, size_t part, size_t parts) {
    pack_job *job = argument;
    for (int i = 0; i < 4; i++) {
        size_t begin, end;
        cs_share((size_t)job->counts[i], part, parts, &begin, &end);
        if (!all_finite(job->call.parameter[i] + begin, end - begin))
            atomic_fetch_or(&job->bad, 1u << i);
    }
    if (job->kind)
        job->kind->pack(&job->call, part, parts);
}

/* Checks a node's values, if they were not yet, and packs them into `block` (NULL: does not).
 * Returns how many bytes were read. */
static size_t pack_node(cs_params *p, const params_request *r, void *block, cs_pool *pool) {
    const cs_node_info *info = &p->model->nodes[r->node];
    node_packs *packs = &p->packs[r->node];
    const bool check = packs->checked <= packs->changed;
    pack_job job = {
        block ? r->kind : NULL,
        {.attributes = &info->attributes, .in = r->in, .pass = r->pass, .pack = block},
        {0},
        0,
    };
    size_t bytes = 0;
    for (int i = 0; i < info->parameters; i++) {
        const int64_t count = p->model->tensors[info->parameter[i]].count;
        job.call.parameter[i] = params_values(p, info->parameter[i]);
        job.counts[i] = check ? count : 0;
        bytes += (size_t)count * sizeof(float);
    }
    if (info->parameters == 0 || (!check && !block))
        return 0;
    pool_run(pool, pack_part, &job);
    if (check) {
        const unsigned bad = atomic_load(&job.bad);
        packs->checked = p->version;
        packs->bad_tensor = bad ? info->parameter[__builtin_ctz(bad)] : -1;
    }
    return bytes;
}

/* Hands pages of the file back where enough of them were read, or where `all` are to go. */
static void release_read(cs_params *p, size_t bytes, bool all) {
    p->read += bytes;
    if (p->read < (all ? 1 : RELEASE_EVERY))
        return;
    if (!p->tensor)
        model_release_pages(p->model);
    p->read = 0;
}

bool params_pack_into(cs_params *p, const params_request *r, void *block, cs_pool *pool) {
    pthread_mutex_lock(&p->lock);
    release_read(p, pack_node(p, r, block, pool), false);
    const bool bad = p->packs[r->node].bad_tensor >= 0;
    pthread_mutex_unlock(&p->lock);
    return bad;
}

/* (What has no parameters is never looked at.) */
int params_first_bad(cs_params *p) {
    int bad = -1;
    pthread_mutex_lock(&p->lock);
    for (int i = 0; bad < 0 && i < p->model->node_count; i++)
        if (p->packs[i].checked > 0)
            bad = p->packs[i].bad_tensor;
    pthread_mutex_unlock(&p->lock);
    return bad;
}

size_t params_block_size(const cs_params *p, const params_request *r, cs_dtype dtype) {
    const cs_node_attributes *a = &p->model->nodes[r->node].attributes;
    const size_t count = r->kind->pack_size ? r->kind->pack_size(a, r->in, r->pass) : 0;
    return cs_align64(count * cs_dtype_size(dtype));
}

/* Gives the blocks that are missing their places in one new region. The lock is held. */
static cs_status place_blocks(cs_params *p, const params_request *requests, size_t count,
                              layer_engine engine, cs_dtype dtype, cs_error *err) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        if (!p->packs[requests[i].node].block[engine][dtype][requests[i].pass])
            size += params_block_size(p, &requests[i], dtype);
    if (size == 0)
        return CS_OK;
    pack_region *region = malloc(sizeof *region);
    void *memory = region ? pages_allocate(size) : NULL;
    if (!memory) {
        free(region);
        return cs_error_set(err, CS_ERROR_MEMORY, NULL, -1,
                            "not enough memory for the packed weights (%zu bytes)", size);
    }
    *region = (pack_region){p->regions, memory, size};
    p->regions = region;
    p->packed_bytes += size;
    char *at = memory;
    for (size_t i = 0; i < count; i++) {
        const size_t bytes = params_block_size(p, &requests[i], dtype);
        void **block = &p->packs[requests[i].node].block[engine][dtype][requests[i].pass];
        if (*block || bytes == 0)
            continue;
        *block = at;
        at += bytes;
    }
    return CS_OK;
}

cs_status params_pack(cs_params *p, const params_request *requests, size_t count,
                      layer_engine engine, cs_dtype dtype, cs_pool *pool, int *bad_tensor,
                      cs_error *err) {
    *bad_tensor = -1;
    pthread_mutex_lock(&p->lock);
    const cs_status status = place_blocks(p, requests, count, engine, dtype, err);
    for (size_t i = 0; status == CS_OK && i < count; i++) {
        const params_request *r = &requests[i];
        node_packs *packs = &p->packs[r->node];
        /* (Batch norm in training needs no block of those that it has for inference.) */
        void *block =
            params_block_size(p, r, dtype) > 0 ? packs->block[engine][dtype][r->pass] : NULL;
        uint64_t *version = &packs->version[engine][dtype][r->pass];
        const bool stale = block && *version <= packs->changed;
        release_read(p, pack_node(p, r, stale ? block : NULL, pool), false);
        if (stale)
            *version = p->version;
        *r->pack = block;
        if (p->model->nodes[r->node].parameters > 0 && packs->bad_tensor >= 0 && *bad_tensor < 0)
            *bad_tensor = packs->bad_tensor;
    }
    release_read(p, 0, true);
    pthread_mutex_unlock(&p->lock);
    return status;
}

size_t params_packed_bytes(cs_params *p) {
    pthread_mutex_lock(&p->lock);
    const size_t bytes = p->packed_bytes;
    pthread_mutex_unlock(&p->lock);
    return bytes;
}
