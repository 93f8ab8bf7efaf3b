/* input_node.c - the network's input: y = x + (+0), so that no -0 enters; so its tangent.
 *
 * Its gradient is the network's input gradient; nothing follows it.
 */
#include "layer_real.h"

static unsigned forward(const layer_call *call, size_t part, size_t parts) {
    const REAL *x = call->input[0];
    REAL *y = call->output;
    size_t begin, end;
    bool bad = false;
    cs_share((size_t)call->batch * (size_t)call->in.h * NAME(row_size)(call->in), part, parts,
             &begin, &end);
    for (size_t i = begin; i < end; i++) {
        bad |= NAME(not_finite)(x[i]);
        y[i] = x[i] + 0;
    }
    return bad ? LAYER_OWN : 0U;
}

const layer NAME(layer_input) = {
    .op = "input",
    .inputs = 0,
    .infer_shape = NAME(same_shape),
    .forward = forward,
    .tangent = forward,
};
