#include "selftest.h"

#include <string.h>

const selftest_hash selftest_published[] = {
#include "published_hashes.h"
};
const int selftest_published_count = (int)(sizeof selftest_published / sizeof *selftest_published);

#define INPUT_GRADIENT "d input"
#define BATCH          3

/* Images 0 and 2 are the one of seed 1, image 1 is another. */
typedef struct selftest_case {
    int threads, batch;
} selftest_case;

static const selftest_case cases[] = {{2, 1}, {1, 1}, {3, BATCH}};

static cs_tensor image_view(const cs_tensor *t, int64_t n) {
    cs_tensor view = *t;
    view.n = 1;
    view.data = (char *)t->data + (size_t)(n * t->c * t->h * t->w) * cs_dtype_size(t->dtype);
    return view;
}

/* The images, and the gradient of logit 0 for all. */
static cs_status make_inputs(const cs_model *model, const selftest_case *how, cs_tensor *input,
                             cs_tensor *seed, cs_error *err) {
    const cs_preprocess *p = cs_model_preprocess(model);
    CS_TRY(cs_tensor_allocate(input, CS_F32, how->batch, p->channels, p->height, p->width, err));
    CS_TRY(cs_tensor_allocate(seed, CS_F32, how->batch, cs_model_class_count(model), 1, 1, err));
    for (int n = 0; n < how->batch; n++) {
        cs_random random = {n == 1 ? 2 : 1};
        cs_tensor image = image_view(input, n);
        cs_random_fill_input(&random, &image);
        cs_tensor_set(seed, n, 0, 0, 0, 1);
    }
    return CS_OK;
}

static cs_status compare_node(cs_run *run, const selftest_hash *row, cs_dtype dtype,
                              const selftest_case *how, int position, selftest_result *result,
                              cs_error *err) {
    char got[CS_SHA256_HEX_SIZE];
    cs_tensor t;
    if (strcmp(row->node, INPUT_GRADIENT) == 0)
        CS_TRY(cs_run_gradient(run, "input", &t, err));
    else
        CS_TRY(cs_run_activation(run, row->node, &t, err));
    t = image_view(&t, position);
    CS_TRY(cs_tensor_sha256(&t, got, err));
    result->compared++;
    if (strcmp(got, row->hash[dtype]) == 0)
        return CS_OK;
    if (result->different++ == 0) {
        result->first.node = row->node;
        result->first.expected = row->hash[dtype];
        result->first.threads = how->threads;
        result->first.batch = how->batch;
        result->first.position = position;
        memcpy(result->first.got, got, sizeof got);
    }
    return CS_OK;
}

static cs_status compute(cs_run *run, const selftest_hash *table, int count, const cs_tensor *input,
                         const cs_tensor *seed, cs_error *err) {
    CS_TRY(cs_run_keep_gradient(run, "input", err));
    for (int i = 0; i < count; i++)
        if (strcmp(table[i].node, INPUT_GRADIENT) != 0)
            CS_TRY(cs_run_keep_activation(run, table[i].node, err));
    CS_TRY(cs_run_prepare(run, err));
    CS_TRY(cs_run_forward(run, input, err));
    return cs_run_backward(run, seed, err);
}

static cs_status run_case(cs_model *model, const selftest_hash *table, int count,
                          const cs_run_options *options, const selftest_case *how,
                          selftest_result *result, cs_error *err) {
    cs_run *run = NULL;
    cs_tensor input = {0}, seed = {0};
    cs_status status = cs_run_create(model, options, &run, err);
    if (status == CS_ERROR_UNSUPPORTED) {
        result->available = false;
        return CS_OK;
    }
    if (status != CS_OK)
        return status;
    result->available = cs_run_isa(run) == options->isa;
    if (!result->available)
        goto cleanup;
    if ((status = make_inputs(model, how, &input, &seed, err)) != CS_OK ||
        (status = compute(run, table, count, &input, &seed, err)) != CS_OK)
        goto cleanup;
    result->runs++;
    for (int n = 0; n < how->batch; n += 2)
        for (int i = 0; i < count && status == CS_OK; i++)
            status = compare_node(run, &table[i], options->dtype, how, n, result, err);
cleanup:
    cs_run_free(run);
    cs_tensor_release(&input);
    cs_tensor_release(&seed);
    return status;
}

cs_status selftest_run(cs_model *model, const selftest_hash *table, int count, cs_isa isa,
                       cs_dtype dtype, bool quick, selftest_result *result, cs_error *err) {
    const size_t runs = quick ? 1 : sizeof cases / sizeof *cases;
    cs_run_options options = CS_RUN_OPTIONS_DEFAULT;
    options.isa = isa;
    options.dtype = dtype;
    *result = (selftest_result){.available = true};
    for (size_t i = 0; i < runs && result->available; i++) {
        options.threads = cases[i].threads;
        options.max_batch = cases[i].batch;
        CS_TRY(run_case(model, table, count, &options, &cases[i], result, err));
    }
    return CS_OK;
}
