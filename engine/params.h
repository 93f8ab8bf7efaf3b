/* params.h - parameter values and what is packed from them. */
#ifndef CS_PARAMS_H
#define CS_PARAMS_H

#include "model.h"
#include "pool.h"

/* The model's own parameters (values in the mapped file). */
cs_status params_create(const cs_model *model, cs_params **params, cs_error *err);

/* A packed block that a run needs: a node's parameters for a pass. */
typedef struct params_request {
    int node;
    cs_shape in;
    const layer *kind;
    layer_pass pass;
    const void **pack; /* where to tell the block; NULL is told where the layer needs none */
} params_request;

/* Makes the blocks that are not there yet, or whose values changed, on the pool's threads. Blocks
 * are shared by runs and live until the params' end. *bad_tensor is the first tensor of these nodes
 * that holds NaN or infinity, or -1. Pages of the model's mapped file are handed back to the system
 * once they are read. Thread-safe. */
cs_status params_pack(cs_params *params, const params_request *requests, size_t count,
                      layer_engine engine, cs_dtype dtype, cs_pool *pool, int *bad_tensor,
                      cs_error *err);

/* Bytes of a node's block; 0 where the layer needs none. */
size_t params_block_size(const cs_params *params, const params_request *request, cs_dtype dtype);

/* Makes a node's block anew in the caller's memory, of params_block_size bytes, on the pool's
 * threads; else as params_pack. Returns whether one of its tensors holds NaN or infinity.
 * Thread-safe. */
bool params_pack_into(cs_params *params, const params_request *request, void *block, cs_pool *pool);

/* Of all tensors that were looked at, the first in the order of the nodes that holds NaN or
 * infinity, or -1. Thread-safe. */
int params_first_bad(cs_params *params);

/* A tensor's values, PyTorch's layout. */
const float *params_values(const cs_params *params, int tensor);

/* How often values have changed: packs made before hold older values. */
uint64_t params_version(cs_params *params);

/* As cs_params_changed, for the tensors of one node. */
void params_node_changed(cs_params *params, int node);

/* Bytes of everything packed so far. */
size_t params_packed_bytes(cs_params *params);

#endif
