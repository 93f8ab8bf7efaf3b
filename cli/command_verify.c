/* command_verify.c - cnnscope verify: is this the model that was converted, and does this machine
 * compute what the converter's did? */
#include "common.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct verify_settings {
    cli_common common;
} verify_settings;

static int verify_run(int argc, char **argv);

const cli_command cli_command_verify = {
    .name = "verify",
    .summary = "check a model's hashes and its golden logits, to the bit",
    .usage = "MODEL.json",
    .details = "Compares the SHA-256 of the binary and the CRC-32 of every tensor with the\n"
               "manifest's, then runs the direct engine in float32 on the input of seed 1 and\n"
               "compares the logits with the manifest's golden ones, to the bit.\n"
               "Exit codes: 0 all equal; 1 something differs; 5 the checkpoint held NaN or\n"
               "infinity, so that there are no golden logits.\n",
    .examples = "  cnnscope verify best_model.json\n"
                "  cnnscope verify best_model.json --isa portable-nofma --threads 1\n",
    .options = NULL,
    .option_count = 0,
    .common = CLI_THREADS | CLI_ISA | CLI_KERNEL | CLI_NO_MMAP | CLI_QUIET | CLI_JSON | CLI_TIMINGS,
    .least_arguments = 1,
    .most_arguments = 1,
    .run = verify_run,
};

/* What was found; -1 for an index where there is none. */
typedef struct verdict {
    const char *binary, *golden; /* "equal", "differs", and for golden "none" or "not compared" */
    int64_t logits, different, first;
    float expected, got;
    int threads;
    const char *isa;
    double hash_seconds, run_seconds;
} verdict;

static cs_status compare_golden(cs_model *model, const cs_run_options *how, const float *golden,
                                verdict *v, cs_error *err) {
    const cs_preprocess *p = cs_model_preprocess(model);
    cs_random random = {1};
    cs_run *run = NULL;
    cs_tensor input = {0}, logits;
    cs_status status = cs_tensor_allocate(&input, CS_F32, 1, p->channels, p->height, p->width, err);
    if (status != CS_OK)
        return status;
    cs_random_fill_input(&random, &input);
    if ((status = cs_run_create(model, how, &run, err)) != CS_OK ||
        (status = cs_run_prepare(run, err)) != CS_OK ||
        (status = cs_run_forward(run, &input, err)) != CS_OK ||
        (status = cs_run_output(run, &logits, err)) != CS_OK)
        goto cleanup;
    v->threads = cs_run_threads(run);
    v->isa = cs_isa_name(cs_run_isa(run));
    if (logits.c != v->logits) {
        status =
            cs_error_set(err, CS_ERROR_MISMATCH, "golden", -1,
                         "the manifest has %" PRId64 " golden logits, the model gives %" PRId64,
                         v->logits, logits.c);
        goto cleanup;
    }
    for (int64_t i = 0; i < logits.c; i++) {
        float got = (float)cs_tensor_at(&logits, 0, i, 0, 0);
        if (memcmp(&got, &golden[i], sizeof got) == 0)
            continue;
        if (v->different++ == 0) {
            v->first = i;
            v->expected = golden[i];
            v->got = got;
        }
    }
    v->golden = v->different ? "differs" : "equal";
cleanup:
    cs_run_free(run);
    cs_tensor_release(&input);
    return status;
}

/* Fills the verdict; CS_OK also where the answer is no. *err then tells what is wrong with the
 * binary. */
static cs_status check(const verify_settings *settings, cs_model *model, verdict *v,
                       cs_error *err) {
    cs_run_options how;
    CS_TRY(read_run_options(&settings->common, &how, err));
    double start = cs_seconds();
    cs_status status = cs_model_verify_hash(model, err);
    v->hash_seconds = cs_seconds() - start;
    v->binary = status == CS_OK ? "equal" : "differs";
    if (status != CS_OK)
        return status == CS_ERROR_FORMAT ? CS_OK : status;
    const float *golden = cs_model_golden(model, &v->logits);
    if (!golden) {
        v->golden = "none";
        return CS_OK;
    }
    start = cs_seconds();
    CS_TRY(compare_golden(model, &how, golden, v, err));
    v->run_seconds = cs_seconds() - start;
    return CS_OK;
}

static void print_text(const cs_model *model, const verdict *v, const cs_error *err) {
    if (strcmp(v->binary, "equal") != 0)
        printf("binary  DIFFERS: %s\n", err->text);
    else
        printf("binary  equal: sha256 %s and the CRC-32 of %d tensors\n",
               cs_model_binary_sha256(model), cs_model_tensor_count(model));
    if (strcmp(v->golden, "none") == 0)
        printf("golden  none: the checkpoint's weights hold NaN or infinity or a negative running\n"
               "        variance, so no logits could be stored to compare with\n");
    else if (v->different > 0)
        printf("golden  DIFFERS: %" PRId64 " of %" PRId64 " logits; the first is logit %" PRId64
               ": expected %a (%.9g), got %a (%.9g)\n",
               v->different, v->logits, v->first, (double)v->expected, (double)v->expected,
               (double)v->got, (double)v->got);
    else if (strcmp(v->golden, "equal") == 0)
        printf("golden  equal: %" PRId64 " logits of the input of seed 1, to the bit (direct, f32, "
               "%s)\n",
               v->logits, v->isa);
}

static cs_status print_json(const char *path, const cs_model *model, const verdict *v,
                            cs_error *err) {
    char text[64];
    json_writer w = {.file = stdout, .pretty = true}, *json = &w;
    put_object(json, NULL);
    put_text(json, "model", path);
    put_text(json, "binary", v->binary);
    put_text(json, "binary_sha256", cs_model_binary_sha256(model));
    put_text(json, "message", strcmp(v->binary, "equal") != 0 ? err->text : NULL);
    put_text(json, "golden", v->golden);
    put_integer(json, "logits", v->logits);
    put_integer(json, "different", v->different);
    if (v->different > 0) {
        put_integer(json, "first", v->first);
        snprintf(text, sizeof text, "%a", (double)v->expected);
        put_text(json, "expected", text);
        snprintf(text, sizeof text, "%a", (double)v->got);
        put_text(json, "got", text);
    }
    put_text(json, "isa", v->isa);
    put_close(json);
    return flush_stdout(err);
}

static int verify_run(int argc, char **argv) {
    verify_settings settings = {0};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_verify, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    cs_error err = {0};
    cs_model *model = NULL;
    verdict v = {.binary = "not compared", .golden = "not compared", .first = -1};
    cs_status status = open_model(&settings.common, arguments.items[0], &model, &err);
    if (status == CS_OK)
        status = check(&settings, model, &v, &err);
    if (status == CS_OK && settings.common.json) {
        status = print_json(arguments.items[0], model, &v, &err);
    } else if (status == CS_OK && !settings.common.quiet) {
        print_text(model, &v, &err);
        status = flush_stdout(&err);
    }
    cs_model_free(model);
    if (status != CS_OK)
        return fail("verify", &err);
    if (settings.common.timings)
        fprintf(stderr, "hash %.3f s, prepare and forward %.3f s, %d threads\n", v.hash_seconds,
                v.run_seconds, v.threads);
    if (strcmp(v.binary, "equal") != 0 || strcmp(v.golden, "differs") == 0)
        return CLI_EXIT_NO;
    return strcmp(v.golden, "none") == 0 ? cs_status_exit_code(CS_ERROR_NUMERIC) : 0;
}
