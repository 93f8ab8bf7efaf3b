/* textbook_gradcam.c - textbook Grad-CAM on the public header alone.
 *
 *     cc textbook_gradcam.c -I../engine ../build/libcnnscope.a -lcjson -lz -lmd -lopenblas -lm \
 *        -pthread
 *     ./a.out small_resnet.json layer4
 *
 * The image is the input of seed 1; cnnscope_cam.h reads real ones.
 */
#include "cnnscope.h"

#include <stdio.h>

int main(int argc, char **argv) {
    cs_error err = {0};
    cs_model *model = NULL;
    cs_run *run = NULL;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    cs_tensor image = {0}, seed = {0}, logits, A, dA;
    cs_random random = {1};
    const char *layer = argc > 2 ? argv[2] : "layer4";

    if (argc < 2 || cs_model_open(argv[1], NULL, &model, &err) != CS_OK)
        goto cleanup;
    const cs_preprocess *p = cs_model_preprocess(model);
    if (cs_tensor_allocate(&image, CS_F32, 1, p->channels, p->height, p->width, &err) != CS_OK ||
        cs_run_create(model, &options, &run, &err) != CS_OK ||
        cs_run_keep(run, layer, &err) != CS_OK || /* as hooks in PyTorch: the layer's output and */
        cs_run_prepare(run, &err) != CS_OK)       /* its gradient */
        goto cleanup;

    cs_random_fill_input(&random, &image);
    if (cs_run_forward(run, &image, &err) != CS_OK || cs_run_output(run, &logits, &err) != CS_OK ||
        cs_tensor_allocate(&seed, CS_F32, 1, logits.c, 1, 1, &err) != CS_OK)
        goto cleanup;
    cs_tensor_set(&seed, 0, 0, 0, 0, 1.0); /* one-hot: class 0 */
    if (cs_run_backward(run, &seed, &err) != CS_OK ||
        cs_run_activation(run, layer, &A, &err) != CS_OK ||
        cs_run_gradient(run, layer, &dA, &err) != CS_OK)
        goto cleanup;

    for (int64_t y = 0; y < A.h; y++) {
        for (int64_t x = 0; x < A.w; x++) {
            double map = 0.0; /* sum over channels of (mean of the gradient) * activation */
            for (int64_t c = 0; c < A.c; c++) {
                double weight = 0.0;
                for (int64_t i = 0; i < A.h * A.w; i++)
                    weight += cs_tensor_at(&dA, 0, c, i / A.w, i % A.w);
                map += weight / (double)(A.h * A.w) * cs_tensor_at(&A, 0, c, y, x);
            }
            printf("%10.3g", map > 0.0 ? map : 0.0); /* ReLU */
        }
        printf("\n");
    }

cleanup:
    if (err.code != CS_OK)
        fprintf(stderr, "%s\n", err.text);
    cs_tensor_release(&seed);
    cs_tensor_release(&image);
    cs_run_free(run);
    cs_model_free(model);
    return cs_status_exit_code(argc < 2 ? CS_ERROR_ARGUMENT : err.code);
}
