/* command_dump.c - cnnscope dump: activations, gradients, gates, winners and parameter gradients of
 * one image as .npy files.
 */
#include "dump_nodes.h"
#include "interrupt.h"
#include "manifest_parts.h"

#include <stdio.h>

typedef struct dump_settings {
    cli_common common;
    const char *output, *nodes, *class_text, *target, *gates;
    bool gradients, parameters, training;
} dump_settings;

#define AT(field) offsetof(dump_settings, field)
static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, AT(output), "DIR", "a new folder for the files (required)", 0, 0},
    {"nodes", 0, CLI_TEXT, AT(nodes), "A,B,...|all",
     "nodes or modules, as info --layers names them (default: all)", 0, 0},
    {"grad", 0, CLI_FLAG, AT(gradients), NULL, "the gradients with respect to them too", 0, 0},
    {"params", 0, CLI_FLAG, AT(parameters), NULL, "the gradients of all parameters", 0, 0},
    {"class", 'c', CLI_TEXT, AT(class_text), "CLASS",
     "whose gradient: argmax (default), a number from 0, or a name", 0, 0},
    {"target", 0, CLI_TEXT, AT(target), "KIND",
     "logit (default), prob, neg-logit, or margin:J (against class J)", 0, 0},
    {"gates", 0, CLI_TEXT, AT(gates), "DIR",
     "take the gates and winners of this dump instead of the run's own", 0, 0},
    {"training", 0, CLI_FLAG, AT(training), NULL,
     "batch norms take the batch's statistics, as after model.train()", 0, 0},
};

static int dump_run(int argc, char **argv);

const cli_command cli_command_dump = {
    .name = "dump",
    .summary = "write activations, gradients and gates as .npy files",
    .usage = "MODEL.json IMAGE -o DIR [options]",
    .details =
        "Writes DIR/input.npy, DIR/activations/<node>.npy, DIR/gates/<relu node>.npy (1: open),\n"
        "DIR/winners/<max pool node>.npy (as PyTorch's return_indices), with --grad\n"
        "DIR/gradients/<node>.npy (input.npy among them) and with --params\n"
        "DIR/parameters/<tensor>.npy (gradients), in N, C, H, W order, in the run's type.\n"
        "A module given to --nodes names the file: layer2.npy; gates are those of the named "
        "nodes.\n"
        "Whatever --nodes says, the logits and, with --grad, the gradient of the input are\n"
        "written. --gates DIR imposes a dump's gates and winners: a relu then lets through what\n"
        "it let through there, forward and backward. DIR must not exist; it appears when\n"
        "everything is written. With NaN or infinity it is written too, and the exit code is 5.\n"
        "weights_tools/dump_torch.py writes the same folder with PyTorch; cnnscope diff "
        "compares.\n",
    .examples = "  cnnscope dump best_model.json xray.png -o tensors\n"
                "  cnnscope dump best_model.json xray.png --nodes layer4,fc --grad --class 1 "
                "--dtype f64 -o tensors64\n"
                "  cnnscope dump best_model.json xray.png --grad --params -o ours\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_ALL_COMMON,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = dump_run,
};

typedef struct dump_job {
    const dump_settings *settings;
    const char *model_path, *image;
    cs_run_options how;
    cs_model *model;
    cs_run *run;
    cs_input input;
    prediction predicted;
    cs_target target;
    int64_t class_index; /* CS_CLASS_ARGMAX until the forward pass */
    dump_nodes nodes;
    cs_gates *gates; /* imposed, or NULL */
    output_folder folder;
    double load, prepare, forward, backward, write;
} dump_job;

/* --gates: of one image, for this model. */
static cs_status impose(dump_job *job, cs_error *err) {
    const char *folder = job->settings->gates;
    if (!folder)
        return CS_OK;
    CS_TRY(cs_gates_load(job->model, folder, 0, 0, &job->gates, err));
    if (cs_gates_count(job->gates) > 0 && cs_gates_node(job->gates, 0).n != 1)
        return cs_error_set(err, CS_ERROR_MISMATCH, folder, -1,
                            "%s: has the gates of %lld images; dump needs those of one", folder,
                            (long long)cs_gates_node(job->gates, 0).n);
    return cs_run_impose_gates(job->run, job->gates, err);
}

static cs_status prepare(dump_job *job, cs_error *err) {
    const dump_settings *settings = job->settings;
    cs_input_options how = CS_INPUT_OPTIONS_DEFAULT;
    double start = cs_seconds();
    CS_TRY(read_run_options(&settings->common, &job->how, err));
    CS_TRY(open_model(&settings->common, job->model_path, &job->model, err));
    CS_TRY(cs_class_parse(job->model, settings->class_text, &job->class_index, err));
    CS_TRY(cs_target_parse(job->model, settings->target, &job->target, err));
    job->nodes.gradients = settings->gradients;
    job->nodes.parameters = settings->parameters;
    CS_TRY(dump_nodes_read(&job->nodes, job->model, settings->nodes, err));
    how.dtype = job->how.dtype;
    CS_TRY(cs_input_load(job->image, cs_model_preprocess(job->model), &how, &job->input, err));
    job->load = cs_seconds() - start;
    start = cs_seconds();
    CS_TRY(cs_run_create(job->model, &job->how, &job->run, err));
    cs_run_set_training(job->run, settings->training);
    CS_TRY(dump_nodes_watch(&job->nodes, job->run, err));
    CS_TRY(impose(job, err));
    CS_TRY(cs_run_prepare(job->run, err));
    job->prepare = cs_seconds() - start;
    return interrupt_check(err);
}

static cs_status compute(dump_job *job, cs_error *err) {
    double start = cs_seconds();
    CS_TRY(cs_run_forward(job->run, &job->input.tensor, err));
    job->forward = cs_seconds() - start;
    CS_TRY(prediction_make(&job->predicted, job->model, job->run, err));
    CS_TRY(interrupt_check(err));
    if (job->class_index == CS_CLASS_ARGMAX)
        job->class_index = job->predicted.class_index;
    if (!job->settings->gradients && !job->settings->parameters)
        return CS_OK;
    cs_tensor seed = {0};
    CS_TRY(cs_target_seed(&job->target, &job->predicted.logits, &job->class_index, &seed, err));
    start = cs_seconds();
    cs_status status = cs_run_backward(job->run, &seed, err);
    job->backward = cs_seconds() - start;
    job->predicted.status = cs_run_status(job->run, &job->predicted.where);
    cs_tensor_release(&seed);
    CS_TRY(status);
    return interrupt_check(err);
}

static void put_manifest(json_writer *w, const void *state) {
    const dump_job *job = state;
    char target[32];
    put_object(w, NULL);
    put_manifest_head(w, "dump", job->model_path, job->model);
    put_object(w, "options");
    put_text(w, "nodes", job->settings->nodes);
    put_boolean(w, "grad", job->settings->gradients);
    put_boolean(w, "params", job->settings->parameters);
    put_text(w, "gates", job->settings->gates);
    put_boolean(w, "training", job->settings->training);
    put_text(w, "class", job->settings->class_text);
    cs_target_print(&job->target, target);
    put_text(w, "target", target);
    put_text(w, "engine", engine_name(job->how.engine));
    put_text(w, "dtype", cs_dtype_name(job->how.dtype));
    put_close(w);
    put_text(w, "image", job->image);
    put_text(w, "sha256", job->input.sha256);
    put_integer(w, "target_class", job->class_index);
    put_prediction(w, &job->predicted);
    put_text(w, "status", cs_status_name(job->predicted.status));
    put_integer(w, "pool_ties", cs_run_pool_ties(job->run));
    put_dump_nodes(w, &job->nodes);
    put_object(w, "timings");
    put_real(w, "load_seconds", job->load, CS_F64);
    put_real(w, "prepare_seconds", job->prepare, CS_F64);
    put_real(w, "forward_seconds", job->forward, CS_F64);
    put_real(w, "backward_seconds", job->backward, CS_F64);
    put_real(w, "write_seconds", job->write, CS_F64);
    put_close(w);
    put_manifest_machine(w, job->run);
    put_close(w);
}

static void print_text(const dump_job *job) {
    char label[CLASS_LABEL_SIZE], shown[VISIBLE_SIZE];
    printf("%s: ", visible(job->image, shown));
    if (job->predicted.status == CS_OK)
        printf("predicted %s, probability %.4f\n",
               class_label(job->model, job->predicted.class_index, label),
               job->predicted.probabilities[job->predicted.class_index]);
    else
        printf("NaN or infinity, first in %s\n", visible(job->predicted.where, label));
    if (job->settings->gradients || job->settings->parameters)
        printf("gradients of %s\n", class_label(job->model, job->class_index, label));
    printf("%d nodes written to %s\n", job->nodes.count, visible(job->folder.final, shown));
}

static cs_status dump(dump_job *job, cs_error *err) {
    interrupt_defer();
    CS_TRY(output_folder_open(&job->folder, job->settings->output, err));
    CS_TRY(prepare(job, err));
    CS_TRY(compute(job, err));
    double start = cs_seconds();
    CS_TRY(dump_nodes_write(&job->nodes, job->run, &job->folder, err));
    job->write = cs_seconds() - start;
    CS_TRY(write_document(&job->folder, "manifest.json", put_manifest, job,
                          job->settings->common.json, err));
    if (!job->settings->common.quiet && !job->settings->common.json)
        print_text(job);
    CS_TRY(flush_stdout(err));
    CS_TRY(interrupt_check(err));
    CS_TRY(output_folder_finish(&job->folder, err));
    if (job->settings->common.timings)
        fprintf(stderr,
                "load %.4f s, prepare %.4f s, forward %.4f s, backward %.4f s, write %.4f s\n",
                job->load, job->prepare, job->forward, job->backward, job->write);
    return job->predicted.status == CS_OK
               ? CS_OK
               : prediction_numeric_error(&job->predicted, job->image, err);
}

static int dump_run(int argc, char **argv) {
    dump_settings settings = {.nodes = "all", .class_text = "argmax", .target = "logit"};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_dump, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    if (!settings.output)
        return cli_usage_error("dump", "no output folder given: add -o DIR");
    cs_error err;
    dump_job job = {
        .settings = &settings, .model_path = arguments.items[0], .image = arguments.items[1]};
    cs_status status = dump(&job, &err);
    if (status != CS_OK)
        print_error("dump", &err);
    output_folder_discard(&job.folder);
    dump_nodes_free(&job.nodes);
    prediction_free(&job.predicted);
    cs_input_free(&job.input);
    cs_run_free(job.run);
    cs_gates_free(job.gates);
    cs_model_free(job.model);
    return cs_status_exit_code(status);
}
