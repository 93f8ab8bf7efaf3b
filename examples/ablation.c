/* ablation.c - what does each channel of a layer do for a class? A forward hook sets one after the
 * other to zero: ablation MODEL [LAYER]
 */
#include "example.h"

/* Sets channel *user to zero; -1: none. */
static cs_status remove_channel(const cs_hook_call *call, void *user, cs_error *err) {
    const int64_t *channel = user;
    const cs_tensor *y = call->output;
    cs_tensor changed = {0};
    if (*channel < 0)
        return CS_OK;
    CS_TRY(example_copy(y, &changed, err));
    for (int64_t i = 0; i < y->h * y->w; i++)
        cs_tensor_set(&changed, 0, *channel, i / y->w, i % y->w, 0.0);
    const cs_status status = cs_hook_replace(call, 0, &changed, err);
    cs_tensor_release(&changed);
    return status;
}

int main(int argc, char **argv) {
    cs_error err;
    cs_tensor logits;
    int64_t channel = -1, shape[3];
    int node;
    double whole = 0.0;
    example e = example_open(argc, argv, "ablation MODEL.json [LAYER]");
    const char *layer = argc > 2 ? argv[2] : cs_model_default_layer(e.model);
    must(cs_model_find_node(e.model, layer, &node, NULL, 0, &err), &err);
    must(cs_model_node_shape(e.model, node, 0, 0, shape, &err), &err);
    must(cs_run_hook(e.run, layer, CS_HOOK_FORWARD, remove_channel, &channel, NULL, &err), &err);
    for (; channel < shape[0]; channel++) {
        example_pass(&e, false);
        must(cs_run_output(e.run, &logits, &err), &err);
        if (channel < 0)
            whole = cs_tensor_at(&logits, 0, 0, 0, 0);
        else
            printf("channel %3lld  %.9g\n", (long long)channel,
                   cs_tensor_at(&logits, 0, 0, 0, 0) - whole);
    }
    example_close(&e);
    return 0;
}
