/* hooked_gradcam.c - Grad-CAM in 40 lines, by hooks as in PyTorch: hooked_gradcam MODEL [LAYER]
 */
#include "example.h"

static cs_status keep_output(const cs_hook_call *call, void *A, cs_error *err) {
    return example_copy(call->output, A, err);
}

/* The map, when the gradient with respect to it comes by. */
static cs_status draw_map(const cs_hook_call *call, void *user, cs_error *err) {
    const cs_tensor *A = user, *dA = call->grad_output;
    (void)err;
    for (int64_t y = 0; y < A->h; y++, printf("\n"))
        for (int64_t x = 0; x < A->w; x++) {
            double map = 0.0; /* sum over channels of (mean of the gradient) * activation */
            for (int64_t c = 0; c < A->c; c++) {
                double weight = 0.0;
                for (int64_t i = 0; i < A->h * A->w; i++)
                    weight += cs_tensor_at(dA, 0, c, i / A->w, i % A->w);
                map += weight / (double)(A->h * A->w) * cs_tensor_at(A, 0, c, y, x);
            }
            printf("%10.3g", map > 0.0 ? map : 0.0); /* ReLU */
        }
    return CS_OK;
}

int main(int argc, char **argv) {
    cs_error err;
    cs_tensor A = {0};
    example e = example_open(argc, argv, "hooked_gradcam MODEL.json [LAYER]");
    const char *layer = argc > 2 ? argv[2] : cs_model_default_layer(e.model);
    must(cs_run_hook(e.run, layer, CS_HOOK_FORWARD, keep_output, &A, NULL, &err), &err);
    must(cs_run_hook(e.run, layer, CS_HOOK_BACKWARD_PRE, draw_map, &A, NULL, &err), &err);
    example_pass(&e, true);
    cs_tensor_release(&A);
    example_close(&e);
    return 0;
}
