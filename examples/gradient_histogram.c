/* gradient_histogram.c - do gradients vanish or explode on their way down? Their sizes by powers of
 * ten, layer by layer, as backward hooks see them: gradient_histogram MODEL
 */
#include "example.h"

#include <math.h>

enum { LOWEST = -10, BINS = 10 }; /* of log10 |gradient|: below -9, -9, -8, ..., -1 and above */

static cs_status count(const cs_hook_call *call, void *user, cs_error *err) {
    const cs_tensor *dy = call->grad_output;
    const float *values = dy->data;
    int64_t zeros = 0, bins[BINS] = {0};
    (void)user, (void)err;
    for (int64_t i = 0; i < cs_tensor_count(dy); i++) {
        if (values[i] == 0) {
            zeros++;
            continue;
        }
        const int bin = (int)floor(log10(fabs((double)values[i]))) - LOWEST;
        bins[bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin]++;
    }
    printf("%-24s %8lld", call->node, (long long)zeros);
    for (int b = 0; b < BINS; b++)
        printf(" %7lld", (long long)bins[b]);
    printf("\n");
    return CS_OK;
}

int main(int argc, char **argv) {
    cs_error err;
    example e = example_open(argc, argv, "gradient_histogram MODEL.json");
    printf("%-24s %8s", "layer", "zero");
    for (int b = 0; b < BINS; b++)
        printf("   1e%+03d", b + LOWEST);
    printf("\n");
    for (int i = 0; i < cs_model_node_count(e.model); i++) {
        const cs_node_info *node = cs_model_node(e.model, i);
        if (strcmp(node->op, "conv2d") == 0 || strcmp(node->op, "linear") == 0)
            must(cs_run_hook(e.run, node->name, CS_HOOK_BACKWARD_PRE, count, NULL, NULL, &err),
                 &err);
    }
    must(cs_run_keep_gradient(e.run, "input", &err), &err);
    example_pass(&e, true);
    example_close(&e);
    return 0;
}
