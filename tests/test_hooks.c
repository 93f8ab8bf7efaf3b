/* test_hooks.c - hooks: what they see, in which order, and what comes of what they replace.
 *
 * fixtures/torch_hooks.txt holds all of it as PyTorch does it (made by the script beside it, which
 * says what its lines mean); the rest is what PyTorch does not say.
 */
#include "cnnscope_convert.h"
#include "random_model.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ as PyTorch ----------- */

/* A hook of the fixture. */
typedef struct listed {
    char tag[48], path[48], kind[16], action[16];
    int id;
    struct table *table;
} listed;

typedef struct table {
    FILE *file;
    char scenario[48];
    char line[256]; /* the next line */
    listed hooks[96];
    int count;
    double worst; /* difference of a checksum, relative to the sum of absolute values */
    int calls;
} table;

static void next_line(table *t) {
    if (!fgets(t->line, sizeof t->line, t->file))
        t->line[0] = 0;
}

/* The fixture's checksum of a tensor in N, C, H, W order; returns the sum of absolute values. */
static double checksum(const cs_tensor *t, double *sum) {
    double absolute = 0;
    int64_t at = 0;
    *sum = 0;
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t c = 0; c < t->c; c++)
            for (int64_t h = 0; h < t->h; h++)
                for (int64_t w = 0; w < t->w; w++) {
                    const double v = cs_tensor_at(t, n, c, h, w);
                    const double x = (double)at++ * 0.6180339887498949;
                    absolute += fabs(v);
                    *sum += v * (x - floor(x) - 0.5);
                }
    return absolute;
}

static void require_tensor(table *t, const cs_tensor *got, const char *what) {
    long long count;
    char absolute[64], sum[64];
    double ours;
    ck_assert_msg(sscanf(t->line, "tensor %lld %63s %63s", &count, absolute, sum) == 3 &&
                      got->data && cs_tensor_count(got) == count,
                  "%s, %s: the fixture has %s", t->scenario, what, t->line);
    const double size = checksum(got, &ours), scale = strtod(absolute, NULL);
    const double difference = fmax(fabs(ours - strtod(sum, NULL)), fabs(size - scale)) / scale;
    ck_assert_msg(difference <= 1e-12, "%s, %s: %.3g from PyTorch's", t->scenario, what,
                  difference);
    t->worst = fmax(t->worst, difference);
    next_line(t);
}

/* Replaces number 0 by what the action makes of it. */
static cs_status act(const listed *hook, const cs_hook_call *call, const cs_tensor *old,
                     cs_error *err) {
    if (strcmp(hook->action, "read") == 0)
        return CS_OK;
    cs_tensor new = test_tensor_copy(old);
    for (int64_t n = 0; n < new.n; n++)
        for (int64_t c = 0; c < new.c; c++)
            for (int64_t i = 0; i < new.h *new.w; i++) {
                double v = cs_tensor_at(&new, n, c, i / new.w, i % new.w);
                v = hook->action[0] == 'h'   ? 0.5 * v + 0.125
                    : hook->action[0] == 'e' ? (c % 2 == 0 ? 0 : v)
                                             : fmax(v, 0);
                cs_tensor_set(&new, n, c, i / new.w, i % new.w, v);
            }
    const cs_status status = cs_hook_replace(call, 0, &new, err);
    cs_tensor_release(&new);
    return status;
}

static cs_status follow(const cs_hook_call *call, void *user, cs_error *err) {
    const listed *hook = user;
    table *t = hook->table;
    char wanted[256];
    const bool forward = call->kind <= CS_HOOK_FORWARD;
    const cs_tensor *many = forward ? call->inputs : call->grad_inputs;
    const cs_tensor *one = forward ? call->output : call->grad_output;
    (void)snprintf(wanted, sizeof wanted, "call %s %d %d %d\n", hook->tag, call->call, call->calls,
                   (many ? call->input_count : 0) + (one ? 1 : 0));
    ck_assert_msg(strcmp(t->line, wanted) == 0, "%s: called %s; PyTorch does %s", t->scenario,
                  wanted, t->line);
    next_line(t);
    for (int i = 0; many && i < call->input_count; i++)
        require_tensor(t, &many[i], hook->tag);
    if (one)
        require_tensor(t, one, hook->tag);
    t->calls++;
    const bool of_inputs = call->kind == CS_HOOK_FORWARD_PRE || call->kind == CS_HOOK_BACKWARD;
    return act(hook, call, of_inputs ? many : one, err);
}

static const char *const kinds[] = {"pre", "forward", "backward_pre", "backward"};

static void tell(table *t, cs_run *run) {
    cs_error err;
    char tag[48];
    for (;; next_line(t)) {
        listed *hook = &t->hooks[t->count];
        if (sscanf(t->line, "hook %47s %47s %15s %15s", hook->tag, hook->path, hook->kind,
                   hook->action) == 4) {
            int kind = 0;
            while (strcmp(kinds[kind], hook->kind) != 0)
                kind++;
            hook->table = t;
            REQUIRE_OK(cs_run_hook(run, strcmp(hook->path, ".") == 0 ? "" : hook->path,
                                   (cs_hook_kind)kind, follow, hook, &hook->id, &err),
                       err);
            ck_assert_int_lt(++t->count, 96);
        } else if (sscanf(t->line, "unhook %47s", tag) == 1) {
            for (int i = 0; i < t->count; i++)
                if (strcmp(t->hooks[i].tag, tag) == 0 && t->hooks[i].id >= 0) {
                    REQUIRE_OK(cs_run_unhook(run, t->hooks[i].id, &err), err);
                    t->hooks[i].id = -1;
                }
        } else {
            return;
        }
    }
}

/* One pass, and what it must give. */
static void require_pass(table *t, cs_run *run, const cs_tensor *input, const cs_tensor *seed) {
    cs_error err;
    cs_tensor result;
    REQUIRE_OK(cs_run_forward(run, input, &err), err);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
    ck_assert_msg(strcmp(t->line, "end output\n") == 0, "%s: not called: %s", t->scenario, t->line);
    next_line(t);
    REQUIRE_OK(cs_run_output(run, &result, &err), err);
    require_tensor(t, &result, "output");
    ck_assert_str_eq(t->line, "end gradient\n");
    next_line(t);
    REQUIRE_OK(cs_run_gradient(run, "input", &result, &err), err);
    require_tensor(t, &result, "input gradient");
}

/* One scenario; the file stands behind its name. */
static void play(table *t, cs_model *model, const cs_tensor *input, const cs_tensor *seed) {
    cs_error err;
    cs_run *run;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.dtype = CS_F64;
    options.max_batch = 2;
    t->count = 0;
    REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
    REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
    do {
        tell(t, run);
        REQUIRE_OK(cs_run_prepare(run, &err), err);
        const long begin = ftell(t->file);
        char first[256];
        (void)snprintf(first, sizeof first, "%s", t->line);
        for (int again = 0; again < 2; again++) { /* a second pass does all of it again */
            (void)fseek(t->file, begin, SEEK_SET);
            (void)snprintf(t->line, sizeof t->line, "%s", first);
            require_pass(t, run, input, seed);
        }
    } while (t->line[0] && strncmp(t->line, "scenario ", 9) != 0); /* hooks change for another */
    cs_run_free(run);
}

/* The network that the fixture was made of. */
static cs_model *bottlenecks(void) {
    cs_error err;
    cs_model *model;
    cs_convert_options options = CS_CONVERT_OPTIONS_DEFAULT;
    const char *folder = test_temp_dir();
    options.name = test_path(folder, "small");
    options.width = options.height = 32;
    REQUIRE_OK(
        cs_init("resnet:block=bottleneck,layers=1-2-1-1,width=4", 5, 3, &options, NULL, &err), err);
    REQUIRE_OK(cs_model_open(test_path(folder, "small.json"), NULL, &model, &err), err);
    return model;
}

static void golden_input(cs_tensor *input, cs_tensor *seed) {
    cs_error err;
    cs_random random = {1};
    REQUIRE_OK(cs_tensor_allocate(input, CS_F32, 2, 3, 32, 32, &err), err);
    REQUIRE_OK(cs_tensor_allocate(seed, CS_F32, 2, 5, 1, 1, &err), err);
    cs_random_fill_input(&random, input);
    cs_tensor_set(seed, 0, 0, 0, 0, 1);
    cs_tensor_set(seed, 1, 1, 0, 0, 1);
}

/* docs/hooks.md has a row of each scenario, with the hooks and calls that there are. */
static void require_row(const table *t, const char *page, int calls) {
    char wanted[128];
    (void)snprintf(wanted, sizeof wanted, "| `%s` | %d | %d |", t->scenario, t->count, calls);
    ck_assert_msg(strstr(page, wanted) != NULL, "docs/hooks.md lacks: %s", wanted);
}

START_TEST(hooks_do_what_pytorch_does) {
    cs_tensor input, seed;
    cs_model *model = bottlenecks();
    table t = {.file = fopen("tests/fixtures/torch_hooks.txt", "r")};
    int scenarios = 0;
    ck_assert_ptr_nonnull(t.file);
    size_t size;
    char *page = test_file_get("docs/hooks.md", &size);
    golden_input(&input, &seed);
    for (next_line(&t); sscanf(t.line, "scenario %47s", t.scenario) == 1; scenarios++) {
        const int before = t.calls;
        next_line(&t);
        play(&t, model, &input, &seed);
        require_row(&t, page, (t.calls - before) / 2);
    }
    free(page);
    ck_assert_int_eq(scenarios, 19);
    printf("hooks: %d scenarios, %d calls as PyTorch; largest difference %.3g\n", scenarios,
           t.calls / 2, t.worst);
    (void)fclose(t.file);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    cs_model_free(model);
}
END_TEST

/* ------------------------------------------------------------------ reading changes nothing */

/* A hook that reads: every value that it is given is looked at. */
static cs_status look(const cs_hook_call *call, void *user, cs_error *err) {
    int *calls = user;
    double sum;
    (void)err;
    for (int i = 0; i < call->input_count; i++) {
        if (call->inputs)
            checksum(&call->inputs[i], &sum);
        if (call->grad_inputs && call->grad_inputs[i].data)
            checksum(&call->grad_inputs[i], &sum);
    }
    if (call->output)
        checksum(call->output, &sum);
    if (call->grad_output)
        checksum(call->grad_output, &sum);
    ++*calls;
    return CS_OK;
}

static void run_once(cs_run *run, const cs_tensor *input, const cs_tensor *seed, cs_tensor out[3]) {
    cs_error err;
    REQUIRE_OK(cs_run_prepare(run, &err), err);
    REQUIRE_OK(cs_run_forward(run, input, &err), err);
    REQUIRE_OK(cs_run_backward(run, seed, &err), err);
    cs_tensor t;
    REQUIRE_OK(cs_run_output(run, &t, &err), err);
    out[0] = test_tensor_copy(&t);
    REQUIRE_OK(cs_run_gradient(run, "input", &t, &err), err);
    out[1] = test_tensor_copy(&t);
    REQUIRE_OK(cs_run_gradient(run, cs_run_step(run, 0).first, &t, &err), err);
    out[2] = test_tensor_copy(&t);
}

/* Hooks on every node and on every module that can be hooked; or on one of four of them. */
static void hook_all(cs_run *run, const cs_model *model, unsigned pick, int *calls) {
    cs_error err;
    for (int i = 0; i < cs_model_node_count(model); i++) {
        const char *path = cs_model_node(model, i)->name;
        char module[64];
        for (size_t length = strcspn(path, ".");; length += 1 + strcspn(path + length + 1, ".")) {
            (void)snprintf(module, sizeof module, "%.*s", (int)length, path);
            for (int kind = i == 0 ? 1 : 0; kind < 4; kind++) {
                if (pick && ((unsigned)i * 4 + (unsigned)kind + (unsigned)length + pick) % 4 != 0)
                    continue;
                const cs_status status =
                    cs_run_hook(run, module, (cs_hook_kind)kind, look, calls, NULL, &err);
                ck_assert_msg(status == CS_OK || status == CS_ERROR_UNSUPPORTED, "%s: %s", module,
                              err.text);
            }
            if (path[length] == 0)
                break;
        }
    }
}

START_TEST(hooks_that_read_change_no_bit) {
    cs_error err;
    random_model net;
    cs_run *run;
    cs_tensor input, seed, wanted[3], got[3];
    cs_random random = {(uint64_t)_i};
    random_model_make(&net, 7000 + (uint64_t)_i);
    cs_model *model = built_model_open(&net.model);
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.max_batch = 3;
    options.dtype = _i % 2 ? CS_F64 : CS_F32;
    REQUIRE_OK(cs_tensor_allocate(&input, CS_F32, 2, net.model.channels, net.model.height,
                                  net.model.width, &err),
               err);
    REQUIRE_OK(cs_tensor_allocate(&seed, CS_F32, 2, net.model.classes, 1, 1, &err), err);
    cs_random_fill_input(&random, &input);
    cs_random_fill_input(&random, &seed);
    for (unsigned setting = 0; setting < 6; setting++) {
        int calls = 0;
        options.threads = 1 + (int)setting % 3;
        REQUIRE_OK(cs_run_create(model, &options, &run, &err), err);
        REQUIRE_OK(cs_run_keep_gradient(run, "input", &err), err);
        REQUIRE_OK(cs_run_keep_gradient(run, cs_model_node(model, 1)->name, &err), err);
        if (setting > 0)
            hook_all(run, model, setting - 1, &calls);
        run_once(run, &input, &seed, setting == 0 ? wanted : got);
        ck_assert_int_eq(setting > 0, calls > 0);
        for (int i = 0; i < 3 && setting > 0; i++) {
            char what[64];
            (void)snprintf(what, sizeof what, "network %d, setting %u, tensor %d", 7000 + _i,
                           setting, i);
            test_tensors_equal(&got[i], &wanted[i], what);
            cs_tensor_release(&got[i]);
        }
        cs_run_free(run);
    }
    for (int i = 0; i < 3; i++)
        cs_tensor_release(&wanted[i]);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    cs_model_free(model);
    random_model_free(&net);
}
END_TEST

Suite *suite_hooks(void);
Suite *suite_hooks(void) {
    Suite *suite = suite_create("hooks");
    TCase *tests = tcase_create("hooks");
    tcase_add_test(tests, hooks_do_what_pytorch_does);
    tcase_add_loop_test(tests, hooks_that_read_change_no_bit, 0, test_long() ? 300 : 30);
    suite_add_tcase(suite, tests);
    return suite;
}
