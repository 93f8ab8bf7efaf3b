/* test_train_planted.c - deliberate errors in the backward pass of batch norm in training, where
 * the audit does not go: each is noticed, and its node named.
 */
#include "planted.h"
#include "test_support.h"
#include "train_reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NODES = 10 };

/* A convolution that a batch norm and a ReLU read; their sum, a ReLU (or else bn1's beta would
 * have no gradient: bn2's sum to 0); another batch norm; a head. */
static void branching_net(random_model *net) {
    static float weights[3 * 6 * 9], head[4 * 6], vectors[4][6];
    static const char *const names[] = {"conv", "bn1",   "relu1", "add",     "relu2",
                                        "bn2",  "relu3", "pool",  "flatten", "fc"};
    static const char *const ops[] = {"conv2d",  "batch_norm", "relu", "add",
                                      "relu",    "batch_norm", "relu", "adaptive_avg_pool2d",
                                      "flatten", "linear"};
    static const char *const reads[][2] = {{"input"}, {"conv"},   {"conv"}, {"bn1", "relu1"},
                                           {"add"},   {"relu2"},  {"bn2"},  {"relu3"},
                                           {"pool"},  {"flatten"}};
    cs_random random = {5};
    *net = (random_model){.model = {.channels = 3, .height = 9, .width = 7, .nodes = net->nodes}};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        weights[i] = (float)cs_random_uniform(&random) - 0.5F;
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        head[i] = (float)cs_random_uniform(&random) - 0.5F;
    for (size_t i = 0; i < 24; i++)
        vectors[i / 6][i % 6] = 0.5F + (float)cs_random_uniform(&random);
    for (int i = 0; i < NODES; i++) {
        built_node *node = &net->nodes[i];
        const bool norm = strcmp(ops[i], "batch_norm") == 0;
        *node = (built_node){.name = names[i],
                             .op = ops[i],
                             .inputs = {reads[i][0], reads[i][1]},
                             .in_channels = i == 0 ? 3 : 6,
                             .weight = norm ? vectors[0] : NULL,
                             .bias = norm ? vectors[1] : NULL,
                             .running_mean = norm ? vectors[2] : NULL,
                             .running_var = norm ? vectors[3] : NULL};
        node->attributes.eps = norm ? 1e-5 : 0;
    }
    net->nodes[0].attributes = built_window(3, 1, 1, 1);
    net->nodes[0].attributes.out_channels = 6;
    net->nodes[0].weight = weights;
    net->nodes[NODES - 1].attributes.out_channels = 4;
    net->nodes[NODES - 1].weight = head;
    net->model.count = NODES;
    net->model.output = "fc";
    net->model.classes = 4;
}

/* Whether a tensor is not `factor` times the reference's, to 1e-9 of its largest entry. */
static bool differs(const cs_tensor *got, const naive_tensor *wanted, double factor) {
    double worst = 0, most = 0;
    for (int64_t i = 0; i < wanted->n * wanted->c * wanted->h * wanted->w; i++)
        most = fmax(most, fabs(wanted->v[i]));
    for (int64_t n = 0; n < got->n; n++)
        for (int64_t c = 0; c < got->c; c++)
            for (int64_t i = 0; i < got->h * got->w; i++) {
                const int64_t h = i / got->w, w = i % got->w;
                worst = fmax(worst, fabs(cs_tensor_at(got, n, c, h, w) -
                                         factor * *naive_at(wanted, n, c, h, w)));
            }
    return !(worst <= 1e-9 * factor * most);
}

/* The first node in the order of a backward pass whose gradients, behind two passes, are not the
 * naive loops': of its parameters, twice theirs, or of an input that it is the last to add to. */
static const char *first_to_part(const random_model *net, const cs_model *model, cs_run *run,
                                 const train_reference *truth) {
    static const char *const roles[] = {"weight", "bias"};
    bool complete[RANDOM_NODES] = {false};
    for (int i = net->model.count - 1; i >= 0; i--) {
        const built_node *node = &net->nodes[i];
        const naive_tensor *params[] = {&truth->params[i].weight, &truth->params[i].bias};
        cs_error err;
        cs_tensor got;
        char name[64];
        int index[2];
        for (int k = 0; k < 2; k++) {
            (void)snprintf(name, sizeof name, "%s.%s", node->name, roles[k]);
            if (params[k]->v && (cs_run_parameter_gradient(run, name, &got, &err) != CS_OK ||
                                 differs(&got, params[k], 2)))
                return node->name;
        }
        const int inputs = random_model_inputs(net, i, index);
        for (int k = 0; k < inputs; k++) {
            int first = 0; /* its reader that runs first is the last to add */
            for (int reads[2]; first < i; first++) {
                const int count = random_model_inputs(net, first, reads);
                if (reads[0] == index[k] || (count > 1 && reads[1] == index[k]))
                    break;
            }
            const char *input = cs_model_node(model, index[k])->name;
            if (first < i || complete[index[k]])
                continue;
            complete[index[k]] = true;
            REQUIRE_OK(cs_run_gradient(run, input, &got, &err), err);
            if (differs(&got, &truth->gradients[index[k]], 1))
                return node->name;
        }
    }
    return NULL;
}

/* A run whose gradients are complete behind two passes. */
static cs_run *passed_twice(cs_model *model, const cs_tensor *input, const cs_tensor *seed) {
    cs_error err;
    cs_run *run;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.dtype = CS_F64;
    options.max_batch = 2;
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    cs_run_set_training(run, true);
    for (int i = 0; i < cs_model_node_count(model); i++)
        REQUIRE_OK(cs_run_keep_gradient(run, cs_model_node(model, i)->name, &err), err);
    REQUIRE_OK(cs_run_keep_parameter_gradient(run, NULL, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, input, &err), err);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
    return run;
}

START_TEST(planted_errors_in_training_are_named) {
    static train_reference truth;
    static random_model net;
    cs_error err;
    cs_tensor input = {0}, seed = {0};
    cs_random random = {9};
    int tried = 0;
    branching_net(&net);
    cs_model *model = built_model_open(&net.model);
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 2, 3, 9, 7, &err), err);
    REQUIRE_OK(cs_tensor_allocate(&seed, CS_F32, 2, 4, 1, 1, &err), err);
    cs_random_fill_input(&random, &input);
    cs_random_fill_input(&random, &seed);
    naive_tensor x = naive_from(&input), dy = naive_from(&seed);
    train_reference_make(&net, &x, &dy, true, false, CS_F64, &truth);
    for (int node = 1; node <= NODES; node++)
        for (int error = PLANTED_NOTHING; error < PLANTED_FORWARD; error++) {
            const char *name = cs_model_node(model, node)->name;
            const bool norm = strcmp(cs_model_node(model, node)->op, "batch_norm") == 0;
            /* Nobody else adds to the gradient that bn2 gives: it is stored, and rightly. */
            if (!norm || (error == PLANTED_STORE && strcmp(name, "bn2") == 0))
                continue;
            if (error != PLANTED_NOTHING)
                planted_set(model, node, (planted_error)error);
            cs_run *run = passed_twice(model, &input, &seed);
            planted_clear();
            const char *guilty = first_to_part(&net, model, run, &truth);
            ck_assert_msg(error == PLANTED_NOTHING ? !guilty : guilty && !strcmp(guilty, name),
                          "error %d in %s: %s is named", error, name, guilty ? guilty : "nothing");
            cs_run_free(run);
            tried += error != PLANTED_NOTHING;
        }
    ck_assert_int_eq(tried, 11);
    train_reference_free(&net, &truth);
    naive_free(&x);
    naive_free(&dy);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    cs_model_free(model);
}
END_TEST

Suite *suite_train_planted(void);
Suite *suite_train_planted(void) {
    Suite *suite = suite_create("train_planted");
    TCase *tests = tcase_create("planted errors");
    tcase_add_test(tests, planted_errors_in_training_are_named);
    suite_add_tcase(suite, tests);
    return suite;
}
