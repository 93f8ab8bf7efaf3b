/* params.h - parameter values and what is packed from them. */
#ifndef CS_PARAMS_H
#define CS_PARAMS_H

#include "model.h"
#include "pool.h"

/* The model's own parameters (values in the mapped file). */
cs_status params_create(const cs_model *model, cs_params **params, cs_error *err);

/* The packed block of a node for a pass, made now if it is not there yet. *pack is NULL where the
 * layer needs none. *finite is false where a parameter of the node holds NaN or infinity. Shared
 * by runs; lives until cs_params_changed or the params' end. Thread-safe. */
cs_status params_pack(cs_params *params, int node, cs_shape in, const layer *kind,
                      layer_engine engine, cs_dtype dtype, layer_pass pass, cs_pool *pool,
                      const void **pack, bool *finite, cs_error *err);

/* A tensor's values, PyTorch's layout. */
const float *params_values(const cs_params *params, int tensor);

/* How often values have changed: packs made before the last change are gone. */
uint64_t params_version(cs_params *params);

/* As cs_params_changed, for the tensors of one node. */
void params_node_changed(cs_params *params, int node);

/* Bytes of everything packed so far. */
size_t params_packed_bytes(cs_params *params);

/* The first tensor of a node that holds NaN or infinity, or -1. */
int params_first_bad(const cs_params *params, int node);

#endif
