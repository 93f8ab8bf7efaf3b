/* cnnscope_nodes.h - one node of a run alone, on values that the caller owns.
 *
 * Included by cnnscope.h. A run belongs to one thread at a time; "telling" un-prepares it, as
 * cs_run_keep does.
 */
#ifndef CNNSCOPE_NODES_H
#define CNNSCOPE_NODES_H

#include "cnnscope_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cs_run cs_run;

/* Telling: nodes will be run one by one by the calls below. Un-prepares the run. */
void cs_run_keep_single_nodes(cs_run *run);

/* One node alone, on values that the caller owns: what the run itself would compute, with its
 * parameters, kernels and threads, for the batch of its last forward. Nodes are indices of the
 * model, not 0. All tensors are of the run's type and of the node's shapes; inputs and outputs are
 * as many as the node has inputs. The run's own values stay as they are; NaN or infinity sets its
 * status. Errors: CS_ERROR_STATE (not told, or no forward yet), CS_ERROR_ARGUMENT (shapes).
 *
 * Forward: gates and winners are the inputs' own, or those imposed. */
cs_status cs_run_node_forward(cs_run *run, int node, const cs_tensor *const inputs[2],
                              cs_tensor *output, cs_error *err);

/* Backward with the gates and winners of the run's last forward, or those imposed: the gradient of
 * each input that is not NULL, stored, or with `add` added to what is there. `output` is the node's
 * output, which only softmax reads (else NULL). */
cs_status cs_run_node_backward(cs_run *run, int node, const cs_tensor *output,
                               const cs_tensor *doutput, cs_tensor *const dinputs[2], bool add,
                               cs_error *err);

/* The tangent of the output for tangents of the inputs, with the same gates and winners. */
cs_status cs_run_node_tangent(cs_run *run, int node, const cs_tensor *output,
                              const cs_tensor *const tangents[2], cs_tensor *tangent,
                              cs_error *err);

/* The gradients of the node's parameters from its input and its output's gradient, added to
 * dparameters[0] (weight, gamma) and [1] (bias, beta), of the run's type and shaped as
 * cs_run_parameter_gradient's; NULL where not asked for. Errors: as above, and CS_ERROR_ARGUMENT
 * (a parameter that the node does not have). */
cs_status cs_run_node_parameter_gradient(cs_run *run, int node, const cs_tensor *input,
                                         const cs_tensor *doutput, cs_tensor *const dparameters[2],
                                         cs_error *err);

/* Adds to `tangent`, the output's, what tangents of the parameters give at this input; the same
 * shapes. Errors: the same. */
cs_status cs_run_node_parameter_tangent(cs_run *run, int node, const cs_tensor *input,
                                        const cs_tensor *const parameters[2], cs_tensor *tangent,
                                        cs_error *err);

#ifdef __cplusplus
}
#endif

#endif
