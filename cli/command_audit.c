/* command_audit.c - cnnscope audit: are the gradients right, and why do float32's differ? */
#include "audit_report.h"
#include "common.h"
#include "interrupt.h"
#include "manifest_parts.h"
#include "progress.h"

#include <stdio.h>

typedef struct audit_settings {
    cli_common common;
    const char *output, *class_text, *against;
    bool all;
} audit_settings;

#define AT(field) offsetof(audit_settings, field)
static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, AT(output), "DIR", "a new folder for the files (required)", 0, 0},
    {"class", 'c', CLI_TEXT, AT(class_text), "CLASS",
     "whose logit: argmax (default), a number from 0, or a name", 0, 0},
    {"against", 0, CLI_TEXT, AT(against), "DUMP",
     "another engine's dump of this image, for a second ledger", 0, 0},
    {"all", 0, CLI_FLAG, AT(all), NULL, "show every node, not only those that matter", 0, 0},
};

static int audit_run(int argc, char **argv);

const cli_command cli_command_audit = {
    .name = "audit",
    .summary = "prove the gradients, and explain why float32's differ",
    .usage = "MODEL.json IMAGE -o DIR [options]",
    .details =
        "Checks identities that exact gradients keep (adjointness at every node, completeness,\n"
        "differences with frozen gates), and splits the difference between the float32 and the\n"
        "float64 gradient of the input into each node's rounding and each node's flipped gates.\n"
        "docs/audit.md says how to read it. --against takes a folder with the input, gates,\n"
        "winners, gradients and activations of another engine, as weights_tools/dump_torch.py\n"
        "writes it. Writes DIR/audit.json, DIR/manifest.json and the gradients as .npy. Exit code\n"
        "1 where an identity does not hold.\n",
    .examples = "  cnnscope audit best_model.json xray.png -o audited\n"
                "  cnnscope audit best_model.json xray.png --class 1 --against torch_dump -o two\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_ALL_COMMON & ~(unsigned)CLI_DTYPE,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = audit_run,
};

typedef struct audit_job {
    const audit_settings *settings;
    const char *model_path, *image;
    cs_audit_options how;
    cs_model *model;
    cs_input input;
    cs_audit *audit;
    cs_run *run; /* tells the manifest which threads and instruction set there are */
    output_folder folder;
    progress bar;
    double load, compute;
} audit_job;

static bool step(void *state, int64_t done, int64_t total) {
    audit_job *job = state;
    progress_work(&job->bar, done, total);
    return interrupt_pending(NULL);
}

static cs_status prepare(audit_job *job, cs_error *err) {
    const audit_settings *settings = job->settings;
    const double start = cs_seconds();
    job->how = (cs_audit_options)CS_AUDIT_OPTIONS_DEFAULT;
    CS_TRY(read_run_options(&settings->common, &job->how.run, err));
    CS_TRY(open_model(&settings->common, job->model_path, &job->model, err));
    CS_TRY(cs_class_parse(job->model, settings->class_text, &job->how.class_index, err));
    CS_TRY(cs_input_load(job->image, cs_model_preprocess(job->model), NULL, &job->input, err));
    job->how.against = settings->against;
    job->how.stop = step;
    job->how.stop_state = job;
    job->load = cs_seconds() - start;
    return interrupt_check(err);
}

static void put_manifest(json_writer *w, const void *state) {
    const audit_job *job = state;
    put_object(w, NULL);
    put_manifest_head(w, "audit", job->model_path, job->model);
    put_object(w, "options");
    put_text(w, "class", job->settings->class_text);
    put_text(w, "engine", engine_name(job->how.run.engine));
    put_text(w, "against", job->settings->against);
    put_close(w);
    put_text(w, "image", job->image);
    put_text(w, "sha256", job->input.sha256);
    put_integer(w, "target_class", job->audit->class_index);
    put_boolean(w, "holds", cs_audit_holds(job->audit));
    put_object(w, "timings");
    put_real(w, "load_seconds", job->load, CS_F64);
    put_real(w, "audit_seconds", job->compute, CS_F64);
    put_close(w);
    put_manifest_machine(w, job->run);
    put_close(w);
}

static void put_result(json_writer *w, const void *state) {
    const audit_job *job = state;
    put_audit(w, job->audit);
}

static cs_status write_all(audit_job *job, cs_error *err) {
    const output_folder *folder = &job->folder;
    CS_TRY(write_document(folder, "audit.json", put_result, job, job->settings->common.json, err));
    CS_TRY(audit_write_arrays(job->audit, folder, err));
    CS_TRY(cs_run_create(job->model, &job->how.run, &job->run, err));
    return write_document(folder, "manifest.json", put_manifest, job, false, err);
}

static cs_status audit(audit_job *job, cs_error *err) {
    char shown[VISIBLE_SIZE];
    const cli_common *common = &job->settings->common;
    interrupt_defer();
    CS_TRY(output_folder_open(&job->folder, job->settings->output, err));
    CS_TRY(prepare(job, err));
    const double start = cs_seconds();
    progress_begin_work(&job->bar, common->quiet);
    job->bar.percent = true;
    const cs_status status =
        cs_audit_run(job->model, &job->input.tensor, &job->how, &job->audit, err);
    progress_clear(&job->bar);
    CS_TRY(status);
    job->compute = cs_seconds() - start;
    CS_TRY(write_all(job, err));
    if (!common->quiet && !common->json) {
        printf("%s, ", visible(job->image, shown));
        audit_print(job->audit, job->settings->all);
        printf("written to %s\n", visible(job->folder.final, shown));
    }
    CS_TRY(flush_stdout(err));
    CS_TRY(interrupt_check(err));
    CS_TRY(output_folder_finish(&job->folder, err));
    if (common->timings)
        fprintf(stderr, "load %.4f s, audit %.4f s\n", job->load, job->compute);
    return CS_OK;
}

static int audit_run(int argc, char **argv) {
    audit_settings settings = {.class_text = "argmax"};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_audit, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    if (!settings.output)
        return cli_usage_error("audit", "no output folder given: add -o DIR");
    cs_error err;
    audit_job job = {
        .settings = &settings, .model_path = arguments.items[0], .image = arguments.items[1]};
    const cs_status status = audit(&job, &err);
    if (status != CS_OK)
        print_error("audit", &err);
    code = status != CS_OK             ? cs_status_exit_code(status)
           : cs_audit_holds(job.audit) ? 0
                                       : CLI_EXIT_NO;
    output_folder_discard(&job.folder);
    cs_audit_free(job.audit);
    cs_run_free(job.run);
    cs_input_free(&job.input);
    cs_model_free(job.model);
    return code;
}
