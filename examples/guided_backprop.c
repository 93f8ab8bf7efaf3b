/* guided_backprop.c - guided backpropagation (Springenberg and others 2015) by a backward hook on
 * every ReLU: negative gradients do not pass. guided_backprop MODEL OUT.npy
 */
#include "example.h"

static cs_status pass_positive(const cs_hook_call *call, void *user, cs_error *err) {
    const cs_tensor *dx = &call->grad_inputs[0];
    cs_tensor positive = {0};
    (void)user;
    CS_TRY(example_copy(dx, &positive, err));
    float *values = positive.data;
    for (int64_t i = 0; i < cs_tensor_count(dx); i++)
        values[i] = values[i] > 0 ? values[i] : 0;
    const cs_status status = cs_hook_replace(call, 0, &positive, err);
    cs_tensor_release(&positive);
    return status;
}

int main(int argc, char **argv) {
    cs_error err;
    cs_tensor gradient;
    example e = example_open(argc < 3 ? 0 : argc, argv, "guided_backprop MODEL.json OUT.npy");
    for (int i = 0; i < cs_model_node_count(e.model); i++) {
        const cs_node_info *node = cs_model_node(e.model, i);
        if (strcmp(node->op, "relu") ==
            0) /* by node: a block's one ReLU module has several calls */
            must(cs_run_hook(e.run, node->name, CS_HOOK_BACKWARD, pass_positive, NULL, NULL, &err),
                 &err);
    }
    must(cs_run_keep_gradient(e.run, "input", &err), &err);
    example_pass(&e, true);
    must(cs_run_gradient(e.run, "input", &gradient, &err), &err);
    must(cs_npy_write(argv[2], &gradient, 4, &err), &err);
    example_close(&e);
    return 0;
}
