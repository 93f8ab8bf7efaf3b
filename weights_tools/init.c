/* init.c - cs_init: an untrained model from a seed, with the same bits on every machine. */
#include <math.h>
#include <string.h>

#include "cnnscope_support.h"
#include "conversion.h"

/* He-uniform: bound sqrt(6 / fan-in), fan-in being the products summed for one output. Each value
 * is computed in double and rounded once. */
static void draw_weight(const cs_draft_tensor *tensor, cs_random *random, float *values) {
    int64_t fan_in = tensor->count / tensor->shape[0];
    double bound = sqrt(6.0 / (double)fan_in);
    for (int64_t i = 0; i < tensor->count; ++i)
        values[i] = (float)((2.0 * cs_random_uniform(random) - 1.0) * bound);
}

/* One stream of the seed, tensors in the manifest's order, elements in PyTorch's (O, I, R, S). */
static void draw_tensors(cs_conversion *c) {
    cs_random random = {c->seed};
    for (size_t i = 0; i < c->draft.tensor_count; ++i) {
        cs_draft_tensor *tensor = &c->draft.tensors[i];
        float *values = cs_conversion_values(c, tensor);
        bool one = tensor->role == CS_ROLE_ONE || tensor->role == CS_ROLE_VARIANCE;
        if (tensor->role == CS_ROLE_WEIGHT)
            draw_weight(tensor, &random, values);
        else
            for (int64_t k = 0; k < tensor->count; ++k)
                values[k] = one ? 1.0f : 0.0f;
        tensor->crc32 = cs_crc32(values, (size_t)tensor->count * sizeof *values);
    }
}

static cs_status init(cs_conversion *c, int64_t classes, cs_convert_report *report, cs_error *err) {
    double begin = cs_seconds();
    CS_CHECK(c->seed_arch, CS_ERROR_ARGUMENT, "an architecture is needed (\"resnet50\")");
    CS_TRY(cs_conversion_set_paths(c, err));
    CS_TRY(cs_architecture_parse(c->seed_arch, &c->spec, err));
    CS_CHECK(classes >= 1 && classes <= 1000000, CS_ERROR_ARGUMENT,
             "%lld classes: 1 to 1000000 are possible", (long long)classes);
    c->spec.classes = classes;
    if (c->options->channels != 0)
        c->spec.channels = c->options->channels;
    CS_CHECK(c->spec.channels >= 1, CS_ERROR_ARGUMENT, "%lld input channels",
             (long long)c->spec.channels);
    CS_TRY(cs_conversion_prepare(c, false, err));
    CS_TRY(cs_architecture_draft(&c->spec, &c->draft, err));
    CS_TRY(cs_conversion_layout(c, err));
    draw_tensors(c);
    cs_conversion_seal(c);
    report->read_seconds = cs_seconds() - begin;
    begin = cs_seconds();
    CS_TRY(cs_conversion_write(c, &report->golden_seconds, err));
    CS_TRY(cs_report_fill(c, report, err));
    CS_TRY(cs_conversion_commit(c, err));
    report->write_seconds = cs_seconds() - begin - report->golden_seconds;
    return CS_OK;
}

cs_status cs_init(const char *arch, int64_t classes, uint64_t seed,
                  const cs_convert_options *options, cs_convert_report *report, cs_error *err) {
    cs_conversion c = {.options = options, .seed_arch = arch, .seed = seed};
    cs_convert_report filled = {0};
    cs_status status = init(&c, classes, &filled, err);
    cs_conversion_release(&c);
    if (status != CS_OK || !report)
        cs_convert_report_free(&filled);
    if (report)
        *report = filled;
    return status;
}
