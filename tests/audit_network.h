/* audit_network.h - a small network with every layer, and its input: what the tests of audits
 * share.
 */
#ifndef AUDIT_NETWORK_H
#define AUDIT_NETWORK_H

#include "cnnscope_audit.h"
#include "model_builder.h"

/* Stem, max pool, a residual block with groups, one with an option A shortcut, an average pool and
 * a head; with `softmax` that too. Free it with cs_model_free. */
cs_model *audit_network(bool softmax);

/* The input of a seed for a model, in float32; cs_tensor_release. */
cs_tensor audit_network_input(const cs_model *model, uint64_t seed);

/* The audit of a model and input; fails the test where there is none. */
cs_audit *audit_network_run(cs_model *model, const cs_tensor *input,
                            const cs_audit_options *options);

#endif
