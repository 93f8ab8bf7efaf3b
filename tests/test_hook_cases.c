/* test_hook_cases.c - hooks on networks so small that every number is known: modules with two
 * inputs, replacements that must not reach further than they should, and everything that is
 * refused.
 */
#include "model_builder.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A 1 x 1 convolution with one channel: y = w x. */
static built_node scaling(const char *name, const char *input, const float *w) {
    built_node node = {
        .name = name, .op = "conv2d", .inputs = {input}, .in_channels = 1, .weight = w};
    node.attributes = built_window(1, 1, 0, 1);
    node.attributes.out_channels = 1;
    return node;
}

/* A run of a model with one channel and one row of three pixels in float64. */
static cs_run *open_row(const built_node *nodes, int count, cs_model **model) {
    cs_error err;
    cs_run *run;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    built_model small = {.channels = 1,
                         .height = 1,
                         .width = 3,
                         .nodes = nodes,
                         .count = count,
                         .output = nodes[count - 1].name,
                         .classes = 1};
    *model = built_model_open(&small);
    options.dtype = CS_F64;
    REQUIRE_OK(cs_run_create(*model, &options, &run, &err), err);
    return run;
}

static cs_tensor row(double values[3]) { return (cs_tensor){CS_F64, 1, 1, 1, 3, values}; }

static void require_row(const cs_tensor *t, double a, double b, double c) {
    const double wanted[3] = {a, b, c};
    ck_assert_ptr_nonnull(t->data);
    for (int i = 0; i < 3; i++)
        ck_assert_double_eq(cs_tensor_at(t, 0, 0, 0, i), wanted[i]);
}

/* Copies of what a hook saw, and what it answers with. */
typedef struct witness {
    int calls, inputs, index;
    const double *answer; /* NULL: none */
    double seen[3][3], value[3];
    cs_status status;
} witness;

static cs_status testify(const cs_hook_call *call, void *user, cs_error *err) {
    witness *w = user;
    const cs_tensor *many = call->inputs ? call->inputs : call->grad_inputs;
    const cs_tensor *one_of = call->output ? call->output : call->grad_output;
    w->calls++;
    w->inputs = call->input_count;
    for (int i = 0; many && i < call->input_count && i < 3; i++)
        for (int x = 0; x < 3; x++)
            w->seen[i][x] = many[i].data ? cs_tensor_at(&many[i], 0, 0, 0, x) : -99;
    for (int x = 0; one_of && x < 3; x++)
        w->value[x] = cs_tensor_at(one_of, 0, 0, 0, x);
    if (w->answer) {
        double values[3];
        memcpy(values, w->answer, sizeof values);
        const cs_tensor answer = row(values);
        CS_TRY(cs_hook_replace(call, w->index, &answer, err));
    }
    return w->status;
}

static void pass_row(cs_run *run, double x[3], double dy[3]) {
    cs_error err;
    const cs_tensor input = row(x), seed = row(dy);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
}

static void hook(cs_run *run, const char *path, cs_hook_kind kind, witness *w) {
    cs_error err;
    REQUIRE_OK(cs_run_hook(run, path, kind, testify, w, NULL, &err), err);
}

/* A module of two inputs, of which one is read twice inside and once more behind it; and a node
 * that reads one value twice. */
START_TEST(modules_with_two_inputs) {
    const float two = 2, three = 3;
    built_node nodes[] = {
        scaling("a", "input", &two),
        scaling("b", "input", &three),
        {.name = "m.sum", .op = "add", .inputs = {"b", "a"}, .module = "m"},
        {.name = "m.again", .op = "add", .inputs = {"m.sum", "a"}, .module = "m"},
        {.name = "twice", .op = "add", .inputs = {"m.again", "m.again"}},
        {.name = "end", .op = "add", .inputs = {"twice", "a"}},
    };
    cs_error err;
    cs_model *model;
    cs_run *run = open_row(nodes, 6, &model);
    const double inputs[3] = {10, 20, 30}, gradient[3] = {100, 200, 300}, part[3] = {7, 8, 9};
    witness pre = {.answer = inputs, .index = 1}, forward = {0}, back = {.answer = gradient};
    witness node = {.answer = part, .index = 1}, behind = {0}, outer = {0};
    back.index = 1;
    hook(run, "m", CS_HOOK_FORWARD_PRE, &pre);
    hook(run, "m", CS_HOOK_FORWARD, &forward);
    hook(run, "m", CS_HOOK_BACKWARD, &back);
    hook(run, "m", CS_HOOK_BACKWARD, &outer);
    hook(run, "twice", CS_HOOK_BACKWARD, &node);
    hook(run, "end", CS_HOOK_FORWARD, &behind);
    REQUIRE_OK(cs_run_keep(run, "a", &err), err);
    REQUIRE_OK(cs_run_keep(run, "b", &err), err);
    double x[3] = {1, 2, 3}, dy[3] = {1, 1, 2};
    for (int again = 0; again < 2; again++) {
        pass_row(run, x, dy);
        cs_tensor t;
        ck_assert_int_eq(pre.inputs, 2); /* b first: it is read first */
        ck_assert_double_eq(pre.seen[0][1], 6);
        ck_assert_double_eq(pre.seen[1][1], 4);
        ck_assert_double_eq(forward.seen[1][1], 20); /* a for the module alone: */
        ck_assert_double_eq(forward.value[1], 6 + 20 + 20);
        ck_assert_double_eq(behind.value[1], 2 * 46 + 4);
        REQUIRE_OK(cs_run_activation(run, "a", &t, &err), err);
        require_row(&t, 2, 4, 6);
        ck_assert_int_eq(node.inputs, 2);
        ck_assert_double_eq(node.seen[0][2], 2);
        ck_assert_double_eq(node.seen[1][2], 2);
        ck_assert_double_eq(back.value[0], 1 + 7); /* the sum of both, one of them replaced */
        ck_assert_double_eq(back.value[2], 2 + 9);
        ck_assert_double_eq(back.seen[0][2], 11);
        ck_assert_double_eq(back.seen[1][2], 22);
        ck_assert_double_eq(outer.seen[1][2], 300); /* what the hook before it left */
        REQUIRE_OK(cs_run_gradient(run, "a", &t, &err), err);
        require_row(&t, 101, 201, 302);
        REQUIRE_OK(cs_run_gradient(run, "b", &t, &err), err);
        require_row(&t, 8, 9, 11);
    }
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

static cs_status answer_pair(const cs_hook_call *call, void *user, cs_error *err) {
    const cs_tensor answer = {CS_F64, 1, 2, 1, 1, user};
    return cs_hook_replace(call, 0, &answer, err);
}

/* The gradient of a softmax needs its own output, not what a hook put in its place. */
START_TEST(softmax_remembers_its_output) {
    const float weights[2] = {1, 2};
    built_node nodes[] = {scaling("a", "input", weights),
                          {.name = "soft", .op = "softmax", .inputs = {"a"}}};
    nodes[0].attributes.out_channels = 2;
    built_model small = {.channels = 1,
                         .height = 1,
                         .width = 1,
                         .nodes = nodes,
                         .count = 2,
                         .output = "soft",
                         .classes = 2};
    cs_error err;
    cs_model *model = built_model_open(&small);
    double gradients[2], value = 0.25, dy[2] = {1, 3}, answer[2] = {0.9, 0.2};
    for (int replaced = 0; replaced < 2; replaced++) {
        cs_run *run;
        cs_tensor t;
        cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
        options.dtype = CS_F64;
        REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
        REQUIRE_OK(cs_run_keep(run, "input", &err), err);
        for (int i = 0; i < 2 * replaced; i++)
            REQUIRE_OK(cs_run_hook(run, "soft", CS_HOOK_FORWARD, answer_pair, answer, NULL, &err),
                       err);
        const cs_tensor input = {CS_F64, 1, 1, 1, 1, &value}, seed = {CS_F64, 1, 2, 1, 1, dy};
        REQUIRE_OK(cs_run_prepare(run, &err), err);
        REQUIRE_OK(cs_run_forward(run, &input, &err), err);
        REQUIRE_OK(cs_run_backward(run, &seed, &err), err);
        REQUIRE_OK(cs_run_output(run, &t, &err), err);
        ck_assert_int_eq(replaced, cs_tensor_at(&t, 0, 0, 0, 0) == 0.9);
        REQUIRE_OK(cs_run_gradient(run, "input", &t, &err), err);
        gradients[replaced] = cs_tensor_at(&t, 0, 0, 0, 0);
        cs_run_free(run);
    }
    ck_assert_double_eq(gradients[0], gradients[1]);
    cs_model_free(model);
}
END_TEST

/* ------------------------------------------------------------------ what is refused ------ */

/* a (twice the input) - m.b - m.c (the sum of m.b and a) - d */
static cs_run *chain(cs_model **model) {
    static const float one = 1, two = 2;
    built_node nodes[] = {
        scaling("a", "input", &two),
        scaling("m.b", "a", &one),
        {.name = "m.c", .op = "add", .inputs = {"m.b", "a"}, .module = "m"},
        scaling("d", "m.c", &one),
    };
    return open_row(nodes, 4, model);
}

/* What a bad hook does. */
typedef enum misdeed {
    STOPS,
    STOPS_SILENTLY,
    WRONG_SHAPE,
    WRONG_TYPE,
    WRONG_INDEX,
    NEGATIVE_INDEX,
    NULL_TENSOR,
    IGNORES_THE_REFUSAL,
    TELLS,
    PREPARES,
    DRIVES,
    HOOKS,
    UNHOOKS,
    MISDEEDS
} misdeed;

typedef struct culprit {
    cs_run *run;
    misdeed what;
} culprit;

static cs_status misbehave(const cs_hook_call *call, void *user, cs_error *err) {
    culprit *c = user;
    double values[6] = {0};
    float narrow[3] = {0};
    cs_tensor fits = row(values), wide = {CS_F64, 1, 1, 1, 4, values}, f32 = fits;
    f32.dtype = CS_F32;
    f32.data = narrow;
    switch (c->what) {
    case STOPS:
        return cs_error_set(err, CS_ERROR_INTERRUPTED, NULL, -1, "enough of %s", call->node);
    case STOPS_SILENTLY: return CS_ERROR_LIMIT;
    case WRONG_SHAPE: return cs_hook_replace(call, 0, &wide, err);
    case WRONG_TYPE: return cs_hook_replace(call, 0, &f32, err);
    case WRONG_INDEX: return cs_hook_replace(call, 1, &fits, err);
    case NEGATIVE_INDEX: return cs_hook_replace(call, -1, &fits, err);
    case NULL_TENSOR: return cs_hook_replace(call, 0, NULL, err);
    case IGNORES_THE_REFUSAL: (void)cs_hook_replace(call, 0, &wide, NULL); return CS_OK;
    case TELLS: return cs_run_keep(c->run, "a", err);
    case PREPARES: return cs_run_prepare(c->run, err);
    case DRIVES:
        return call->kind <= CS_HOOK_FORWARD ? cs_run_forward(c->run, &fits, err)
                                             : cs_run_backward(c->run, &fits, err);
    case HOOKS: return cs_run_hook(c->run, "a", CS_HOOK_FORWARD, misbehave, user, NULL, err);
    default: return cs_run_unhook(c->run, 0, err);
    }
}

/* The status that each misdeed ends the pass with, and what the error says. */
static const struct {
    cs_status status;
    const char *says;
} ends[MISDEEDS] = {
    [STOPS] = {CS_ERROR_INTERRUPTED, "enough of d"},
    [STOPS_SILENTLY] = {CS_ERROR_LIMIT, "a hook on \"d\" ended the pass with status \"limit\""},
    [WRONG_SHAPE] = {CS_ERROR_ARGUMENT, "shape [1, 1, 1, 4] and type f64; [1, 1, 1, 3] and f64"},
    [WRONG_TYPE] = {CS_ERROR_ARGUMENT, "type f32; [1, 1, 1, 3] and f64 were expected"},
    [WRONG_INDEX] = {CS_ERROR_ARGUMENT, "replaced number 1, which is not there"},
    [NEGATIVE_INDEX] = {CS_ERROR_ARGUMENT, "replaced number -1, which is not there"},
    [NULL_TENSOR] = {CS_ERROR_ARGUMENT, "gave no replacement (NULL)"},
    [IGNORES_THE_REFUSAL] = {CS_ERROR_ARGUMENT, "shape [1, 1, 1, 4]"},
    [TELLS] = {CS_ERROR_STATE, "a hook may not tell"},
    [PREPARES] = {CS_ERROR_STATE, "a hook may not tell"},
    [DRIVES] = {CS_ERROR_STATE, "a hook may not tell"},
    [HOOKS] = {CS_ERROR_STATE, "a hook may not tell"},
    [UNHOOKS] = {CS_ERROR_STATE, "a hook may not tell"},
};

/* _i: misdeed, times four kinds of hooks. */
START_TEST(a_bad_hook_ends_the_pass) {
    cs_error err = {0};
    cs_model *model;
    cs_run *run = chain(&model);
    culprit c = {run, (misdeed)(_i / 4)};
    const bool forward = _i % 4 <= CS_HOOK_FORWARD;
    double x[3] = {1, 2, 3}, dy[3] = {1, 1, 1};
    const cs_tensor input = row(x), seed = row(dy);
    cs_tensor t;
    int id;
    REQUIRE_OK(cs_run_keep(run, "a", &err), err);
    REQUIRE_OK(cs_run_hook(run, "d", (cs_hook_kind)(_i % 4), misbehave, &c, &id, &err), err);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    cs_status status = cs_run_forward(run, &input, &err);
    if (!forward) {
        REQUIRE_OK(status, err);
        status = cs_run_backward(run, &seed, &err);
    }
    ck_assert_int_eq(status, ends[c.what].status);
    ck_assert_int_eq(err.code, status);
    ck_assert_msg(strstr(err.text, ends[c.what].says), "misdeed %d: %s", _i, err.text);
    /* What was not computed is not there; without the hook the run goes on as ever. */
    ck_assert_int_eq(cs_run_gradient(run, "a", &t, &err), CS_ERROR_STATE);
    ck_assert_int_eq(cs_run_activation(run, "a", &t, &err), forward ? CS_ERROR_STATE : CS_OK);
    ck_assert_int_eq(cs_run_backward(run, &seed, NULL), forward ? CS_ERROR_STATE : status);
    REQUIRE_OK(cs_run_unhook(run, id, &err), err);
    REQUIRE_OK(cs_run_unhook(run, id, &err), err);
    pass_row(run, x, dy);
    REQUIRE_OK(cs_run_gradient(run, "a", &t, &err), err);
    require_row(&t, 2, 2, 2);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

START_TEST(what_cannot_be_hooked) {
    cs_error err = {0};
    cs_model *model;
    cs_run *run = chain(&model);
    witness w = {0};
    REQUIRE_STATUS(cs_run_hook(run, "m.x", CS_HOOK_FORWARD, testify, &w, NULL, &err),
                   CS_ERROR_ARGUMENT, err);
    ck_assert_msg(strstr(err.text, "the nearest are m.") != NULL, "%s", err.text);
    REQUIRE_STATUS(cs_run_hook(run, "input", CS_HOOK_FORWARD_PRE, testify, &w, NULL, &err),
                   CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_run_hook(run, NULL, CS_HOOK_FORWARD, testify, &w, NULL, &err),
                   CS_ERROR_ARGUMENT, err);
    REQUIRE_STATUS(cs_run_hook(run, "a", CS_HOOK_FORWARD, NULL, &w, NULL, &err), CS_ERROR_ARGUMENT,
                   err);
    REQUIRE_STATUS(cs_run_hook(run, "a", (cs_hook_kind)7, testify, &w, NULL, &err),
                   CS_ERROR_ARGUMENT, err);
    /* A backward pass that begins before the module does not come by. */
    REQUIRE_OK(cs_run_set_seed_node(run, "a", &err), err);
    hook(run, "m", CS_HOOK_BACKWARD, &w);
    REQUIRE_STATUS(cs_run_prepare(run, &err), CS_ERROR_ARGUMENT, err);
    ck_assert_msg(strstr(err.text, "\"m\" was asked for, and \"a\"") != NULL, "%s", err.text);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

/* Two values of the module are read behind it: it has no one output. */
START_TEST(a_module_with_two_outputs) {
    static const float two = 2;
    built_node nodes[] = {
        scaling("m.a", "input", &two),
        scaling("m.b", "m.a", &two),
        {.name = "end", .op = "add", .inputs = {"m.b", "m.a"}},
    };
    cs_error err = {0};
    cs_model *model;
    cs_run *run = open_row(nodes, 3, &model);
    witness w = {0};
    REQUIRE_STATUS(cs_run_hook(run, "m", CS_HOOK_FORWARD, testify, &w, NULL, &err),
                   CS_ERROR_UNSUPPORTED, err);
    ck_assert_msg(strstr(err.text, "\"m.b\"") && strstr(err.text, "\"m.a\""), "%s", err.text);
    hook(run, "m.a", CS_HOOK_FORWARD, &w);
    hook(run, "", CS_HOOK_FORWARD, &w);
    double x[3] = {1, 2, 3};
    const cs_tensor input = row(x);
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, &input, &err), err);
    ck_assert_int_eq(w.calls, 2);
    ck_assert_double_eq(w.value[1], 12);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

/* Replacements are stored like every value: -0 as +0; the first NaN or infinity is named. */
START_TEST(replacements_are_stored_and_checked) {
    for (int kind = 0; kind < 4; kind++)
        for (int bad = 0; bad < 3; bad++) {
            cs_error err = {0};
            cs_model *model;
            cs_run *run = chain(&model);
            const double answer[3] = {-0.0, bad == 1 ? (double)NAN : -0.0,
                                      bad == 2 ? HUGE_VAL : -0.0};
            witness w = {.answer = answer}, seen = {0};
            hook(run, "m", (cs_hook_kind)kind, &w);
            hook(run, "m", (cs_hook_kind)kind, &seen);
            REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
            double x[3] = {1, 2, 3}, dy[3] = {1, 1, 1};
            pass_row(run, x, dy);
            const double *got = kind == 1 || kind == 2 ? seen.value : seen.seen[0];
            ck_assert(got[0] == 0 && !signbit(got[0]));
            const char *where = "";
            ck_assert_int_eq(cs_run_status(run, &where), bad ? CS_ERROR_NUMERIC : CS_OK);
            static const char *const blamed[] = {"m.b", "m.c", "m.c", "m.b"};
            ck_assert_msg(!bad || strcmp(where, blamed[kind]) == 0, "kind %d: %s", kind, where);
            cs_run_free(run);
            cs_model_free(model);
        }
}
END_TEST

/* The input's own hooks: its value can be replaced, its gradient is seen. */
START_TEST(the_input_can_be_hooked) {
    cs_error err = {0};
    cs_model *model;
    cs_run *run = chain(&model);
    const double answer[3] = {5, 6, 7};
    witness value = {.answer = answer}, gradient = {0};
    hook(run, "input", CS_HOOK_FORWARD, &value);
    hook(run, "input", CS_HOOK_BACKWARD, &gradient);
    double x[3] = {1, 2, 3}, dy[3] = {1, 1, 2};
    pass_row(run, x, dy);
    cs_tensor t;
    REQUIRE_OK(cs_run_output(run, &t, &err), err);
    require_row(&t, 20, 24, 28);
    ck_assert_double_eq(gradient.value[2], 8);
    ck_assert_int_eq(gradient.inputs, 0);
    cs_run_free(run);
    cs_model_free(model);
}
END_TEST

Suite *suite_hook_cases(void);
Suite *suite_hook_cases(void) {
    Suite *suite = suite_create("hook_cases");
    TCase *tests = tcase_create("cases");
    tcase_add_test(tests, modules_with_two_inputs);
    tcase_add_test(tests, softmax_remembers_its_output);
    tcase_add_loop_test(tests, a_bad_hook_ends_the_pass, 0, 4 * MISDEEDS);
    tcase_add_test(tests, what_cannot_be_hooked);
    tcase_add_test(tests, a_module_with_two_outputs);
    tcase_add_test(tests, replacements_are_stored_and_checked);
    tcase_add_test(tests, the_input_can_be_hooked);
    suite_add_tcase(suite, tests);
    return suite;
}
