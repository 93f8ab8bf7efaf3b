/* command_selftest.c - cnnscope selftest: which kernels this machine runs, and whether they compute
 * what docs/arithmetic.md publishes. Needs no file: network and hashes are in the program. */
#include "common.h"
#include "embedded.h"
#include "selftest.h"

#include <stdio.h>
#include <string.h>

typedef struct selftest_settings {
    cli_common common;
    bool quick;
} selftest_settings;

static const cli_option options[] = {
    {"quick", 0, CLI_FLAG, offsetof(selftest_settings, quick), NULL,
     "each instruction set and type once, with 2 threads", 0, 0},
};

static int selftest_main(int argc, char **argv);

const cli_command cli_command_selftest = {
    .name = "selftest",
    .summary = "check that every kernel of this machine gives the published bits",
    .usage = "[--quick] [--json]",
    .details =
        "Runs the small example network, which is part of the program, forward and backward with\n"
        "every instruction set that this CPU has, in float32 and float64, with 1, 2 and 3 "
        "threads,\n"
        "alone and as the first and the last of a batch. Compares the SHA-256 of each stage, of "
        "the\n"
        "logits and of the input gradient with those that docs/arithmetic.md publishes.\n"
        "Exit codes: 0 all equal; 1 something differs.\n",
    .examples = "  cnnscope selftest --timings\n"
                "  cnnscope selftest --quick --json\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .common = CLI_QUIET | CLI_JSON | CLI_TIMINGS,
    .least_arguments = 0,
    .most_arguments = 0,
    .run = selftest_main,
};

#define ISA_LIMIT 16

/* What was found. */
typedef struct findings {
    cs_isa chosen;     /* what a run takes unless told otherwise */
    cs_status network; /* CS_OK: the network in the program is whole */
    cs_error damage;
    int isa_count;
    const char *isa[ISA_LIMIT];
    selftest_result result[ISA_LIMIT][2];
    double seconds[ISA_LIMIT];
} findings;

static bool all_equal(const findings *found) {
    bool equal = found->network == CS_OK;
    for (int i = 0; i < found->isa_count; i++)
        equal &= found->result[i][CS_F32].different == 0 && found->result[i][CS_F64].different == 0;
    return equal;
}

static cs_status default_isa(cs_model *model, cs_isa *isa, cs_error *err) {
    cs_run_options how = CS_RUN_OPTIONS_DEFAULT;
    cs_run *run = NULL;
    how.threads = 1;
    CS_TRY(cs_run_create(model, &how, &run, err));
    *isa = cs_run_isa(run);
    cs_run_free(run);
    return CS_OK;
}

/* Every instruction set that has a name is tried. */
static cs_status check(cs_model *model, bool quick, findings *found, cs_error *err) {
    found->network = cs_model_verify_hash(model, &found->damage);
    CS_TRY(default_isa(model, &found->chosen, err));
    for (int isa = CS_ISA_AUTO + 1; found->isa_count < ISA_LIMIT; isa++) {
        const int i = found->isa_count;
        const double start = cs_seconds();
        found->isa[i] = cs_isa_name((cs_isa)isa);
        if (strcmp(found->isa[i], "?") == 0)
            break;
        for (int dtype = CS_F32; dtype <= CS_F64; dtype++)
            CS_TRY(selftest_run(model, selftest_published, selftest_published_count, (cs_isa)isa,
                                (cs_dtype)dtype, quick, &found->result[i][dtype], err));
        found->seconds[i] = cs_seconds() - start;
        found->isa_count++;
    }
    return CS_OK;
}

static void print_result(const char *isa, cs_dtype dtype, const selftest_result *r) {
    printf("%-15s %s  ", isa, cs_dtype_name(dtype));
    if (!r->available)
        printf("not on this CPU\n");
    else if (r->different == 0)
        printf("equal: %d hashes in %d runs\n", r->compared, r->runs);
    else
        printf("DIFFERS in %d of %d hashes; the first is %s (%d threads, image %d of %d):\n"
               "    expected %s\n    got      %s\n",
               r->different, r->compared, r->first.node, r->first.threads, r->first.position + 1,
               r->first.batch, r->first.expected, r->first.got);
}

static void print_text(const findings *found) {
    printf("cnnscope %s; instruction set by default: %s\n", CNNSCOPE_VERSION,
           cs_isa_name(found->chosen));
    if (found->network == CS_OK)
        printf("network              whole\n");
    else
        printf("network              DAMAGED: %s\n", found->damage.text);
    for (int i = 0; i < found->isa_count; i++)
        for (int dtype = CS_F32; dtype <= CS_F64; dtype++)
            print_result(found->isa[i], (cs_dtype)dtype, &found->result[i][dtype]);
    printf(all_equal(found) ? "This machine gives the published bits.\n"
                            : "This machine does NOT give the published bits.\n");
}

static void put_result(json_writer *json, cs_dtype dtype, const selftest_result *r) {
    put_object(json, cs_dtype_name(dtype));
    put_boolean(json, "equal", r->available && r->different == 0);
    put_integer(json, "runs", r->runs);
    put_integer(json, "hashes", r->compared);
    put_integer(json, "different", r->different);
    if (r->different > 0) {
        put_object(json, "first");
        put_text(json, "node", r->first.node);
        put_integer(json, "threads", r->first.threads);
        put_integer(json, "batch", r->first.batch);
        put_integer(json, "position", r->first.position);
        put_text(json, "expected", r->first.expected);
        put_text(json, "got", r->first.got);
        put_close(json);
    }
    put_close(json);
}

static void print_json(const findings *found) {
    json_writer w = {.file = stdout, .pretty = true}, *json = &w;
    put_object(json, NULL);
    put_text(json, "cnnscope", CNNSCOPE_VERSION);
    put_text(json, "default_isa", cs_isa_name(found->chosen));
    put_boolean(json, "equal", all_equal(found));
    put_text(json, "network", found->network == CS_OK ? "whole" : found->damage.text);
    put_array(json, "kernels");
    for (int i = 0; i < found->isa_count; i++) {
        put_object(json, NULL);
        put_text(json, "isa", found->isa[i]);
        put_boolean(json, "available", found->result[i][CS_F32].available);
        for (int dtype = CS_F32; dtype <= CS_F64; dtype++)
            put_result(json, (cs_dtype)dtype, &found->result[i][dtype]);
        put_close(json);
    }
    put_close(json);
    put_close(json);
}

static int selftest_main(int argc, char **argv) {
    selftest_settings settings = {0};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_selftest, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    cs_error err = {0};
    cs_model *model = NULL;
    findings found = {0};
    cs_status status = embedded_model_open(&model, &err);
    if (status == CS_OK)
        status = check(model, settings.quick, &found, &err);
    cs_model_free(model);
    if (status != CS_OK)
        return fail("selftest", &err);
    if (settings.common.json)
        print_json(&found);
    else if (!settings.common.quiet)
        print_text(&found);
    if (flush_stdout(&err) != CS_OK)
        return fail("selftest", &err);
    for (int i = 0; i < found.isa_count && settings.common.timings; i++)
        fprintf(stderr, "%-15s %.3f s\n", found.isa[i], found.seconds[i]);
    return all_equal(&found) ? 0 : CLI_EXIT_NO;
}
