/* command_diagnose.c - cnnscope diagnose: does a model look where it should, over many images? */
#include "diagnose_job.h"
#include "interrupt.h"

#include <inttypes.h>
#include <string.h>

typedef struct diagnose_settings {
    cli_common common;
    const char *output, *method, *variant, *layer, *class_text, *target, *roi, *shape, *fail_on;
    int64_t seed;
    bool no_counterfactuals, figures, resume;
} diagnose_settings;

#define AT(field) offsetof(diagnose_settings, field)
static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, AT(output), "DIR", "a new folder for the results (required)", 0, 0},
    {"roi", 0, CLI_TEXT, AT(roi), "WHAT",
     "region of interest: MASK.png for all, a FOLDER of masks named as the images, BOXES.csv "
     "(file, x, y, width, height), or chest-template",
     0, 0},
    {"chest-template", 0, CLI_TEXT, AT(shape), "X,X,Y,RX,RY",
     "other ellipses for --roi chest-template (0.30,0.70,0.45,0.17,0.33), shares of the sides", 0,
     0},
    {"resume", 0, CLI_FLAG, AT(resume), NULL, "go on where a run that was ended stood", 0, 0},
    {"fail-on", 0, CLI_TEXT, AT(fail_on), "LIST",
     "exit code 1 if one of these patterns is found: corner,uniform,roi,side,border", 0, 0},
    {"no-counterfactuals", 0, CLI_FLAG, AT(no_counterfactuals), NULL,
     "maps only: 10 to 40 times as fast, and no flag can be more than \"map only\"", 0, 0},
    {"figures", 0, CLI_FLAG, AT(figures), NULL, "a figure of every image, in DIR/figures", 0, 0},
    {"class", 'c', CLI_TEXT, AT(class_text), "CLASS",
     "explained: argmax (default), a number from 0, a name, all, or topk:N", 0, 0},
    {"method", 0, CLI_TEXT, AT(method), "NAME", "as explain has it (gradcam)", 0, 0},
    {"variant", 0, CLI_TEXT, AT(variant), "NAME", "as explain has it", 0, 0},
    {"layer", 0, CLI_TEXT, AT(layer), "PATH", "as explain has it (default: the last stage)", 0, 0},
    {"target", 0, CLI_TEXT, AT(target), "KIND", "as explain has it (logit)", 0, 0},
    {"seed", 0, CLI_INTEGER, AT(seed), "N", "of noise, controls and bootstrap (1)", 0, 1 << 30},
};

static int diagnose_run(int argc, char **argv);

const cli_command cli_command_diagnose = {
    .name = "diagnose",
    .summary = "find shortcut learning over many images",
    .usage = "MODEL.json FOLDER|LIST.csv -o DIR [options]",
    .details =
        "Explains every image, measures where the heat lies, changes the image and asks the model\n"
        "again, and judges five patterns over the set: heat in one corner, along one edge,\n"
        "spread evenly, outside the region of interest, on one side. Each is found only where\n"
        "maps and changed images agree (\"supported\"); thresholds come from blank and noise\n"
        "inputs and shuffled weights, before an image is seen. It is evidence, not proof:\n"
        "docs/shortcuts.md.\n"
        "Writes DIR/report.html (open it in a browser; it loads nothing), predictions.csv, "
        "diagnosis.csv (a row an image and class), diagnosis.json,\n"
        "cams.npy (the maps, a row each), manifest.json (docs/formats.md).\n"
        "A FOLDER is read with its folders; their names are the labels where they are classes.\n"
        "A LIST.csv has a column file (or path, image), and may have class (or label), patient,\n"
        "and others, which are tabulated. An image that cannot be read does not stop the rest;\n"
        "the exit code is then 3. Ctrl-C or a kill leaves DIR.partial-*, which --resume goes on\n"
        "with. Threads and interruptions change no result.\n",
    .examples = "  cnnscope diagnose best_model.json images/ -o diagnosis\n"
                "  cnnscope diagnose best_model.json labels.csv --roi chest-template -o diagnosis\n"
                "  cnnscope diagnose best_model.json labels.csv -o diagnosis --resume\n"
                "  cnnscope diagnose best_model.json images/ -o gate --fail-on corner,side\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_ALL_COMMON & ~(unsigned)CLI_JSON,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = diagnose_run,
};

/* "corner,side" as a set of bits. */
static cs_status read_fail_on(const char *text, unsigned *patterns, cs_error *err) {
    word_list list = {0};
    cs_status status = CS_OK;
    *patterns = 0;
    if (!text)
        return CS_OK;
    CS_TRY(word_list_split(&list, text, err));
    for (int64_t i = 0; i < list.count && status == CS_OK; i++) {
        unsigned found = 0;
        for (int p = 0; p < CS_PATTERN_COUNT; p++)
            if (strcmp(list.words[i], cs_pattern_name((cs_pattern)p)) == 0)
                found = 1u << p;
        *patterns |= found;
        if (!found)
            status = cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                                  "--fail-on '%s': there are corner, uniform, roi, side and border",
                                  list.words[i]);
    }
    word_list_free(&list);
    return status;
}

/* Whether a pattern counts as found: supported, or, where nothing else was possible, in the maps.
 */
static bool is_found(const cs_diagnosis *d, int pattern) {
    cs_verdict v = cs_diagnosis_verdict(d, (cs_pattern)pattern);
    return v == CS_VERDICT_SUPPORTED || (v == CS_VERDICT_MAP_ONLY && !d->has_changes);
}

static void print_summary(const diagnose_job *job) {
    const cs_diagnosis *d = &job->diagnosis;
    char shown[VISIBLE_SIZE], label[CLASS_LABEL_SIZE];
    if (job->common->quiet)
        return;
    printf("%" PRId64 " images, %" PRId64 " of which could not be diagnosed\n", d->image_count,
           d->failed_count);
    for (int64_t i = 0; i < d->flag_count; i++) {
        const cs_diagnosis_flag *f = &d->flags[i];
        if (f->verdict == CS_VERDICT_NONE || f->verdict == CS_VERDICT_UNDETERMINED)
            continue;
        printf("  %-8s %-10s %s%s%s: %.0f %% of %" PRId64 " images beyond the threshold",
               cs_pattern_name(f->pattern), cs_verdict_name(f->verdict),
               class_label(d->model, f->class_index, label),
               f->suspect == CS_REGION_COUNT ? "" : ", ",
               f->suspect == CS_REGION_COUNT ? "" : cs_region_name(f->suspect),
               100.0 * f->share.value, f->count);
        if (f->has_counter)
            printf("; counterfactual %.2f (%.2f to %.2f)", f->relative.value, f->relative.low,
                   f->relative.high);
        printf("\n");
    }
    for (int p = 0; p < CS_PATTERN_COUNT; p++)
        if (cs_diagnosis_verdict(d, (cs_pattern)p) == CS_VERDICT_NONE)
            printf("  %-8s no evidence\n", cs_pattern_name((cs_pattern)p));
        else if (cs_diagnosis_verdict(d, (cs_pattern)p) == CS_VERDICT_UNDETERMINED)
            printf("  %-8s not judged (%s)\n", cs_pattern_name((cs_pattern)p),
                   p == CS_PATTERN_ROI && !d->roi ? "no --roi" : "too few images");
    printf("%s\n", visible(job->folder.final, shown));
}

static void print_failures(diagnose_job *job) {
    const cs_diagnosis *d = &job->diagnosis;
    cs_diagnosis_image image;
    cs_error err;
    enum { MOST = 20 };
    int64_t printed = 0;
    for (int64_t i = 0; i < d->image_count && printed < d->failed_count; i++) {
        if (d->image(d->image_state, i, &image, &err) != CS_OK)
            return;
        if (image.status == CS_OK)
            continue;
        char shown[VISIBLE_SIZE], name[VISIBLE_SIZE];
        if (printed++ == MOST) {
            fprintf(stderr, "cnnscope diagnose: and %" PRId64 " more (predictions.csv)\n",
                    d->failed_count - MOST);
            return;
        }
        bool named = strstr(image.message, image.file) != NULL;
        fprintf(stderr, "cnnscope diagnose: %s%s%s\n", named ? "" : visible(image.file, name),
                named ? "" : ": ", visible(image.message, shown));
    }
}

/* Records that are worth keeping: for --resume. A folder of an earlier run is never removed: where
 * its records could not even be opened, another process may be writing them. */
static void leave_folder(diagnose_job *job) {
    char shown[VISIBLE_SIZE];
    if ((job->records.count == 0 && !job->taken_up) || !job->folder.partial[0]) {
        output_folder_discard(&job->folder);
        return;
    }
    if (job->records.count == 0) {
        fprintf(stderr, "cnnscope diagnose: %s was left as it was, for --resume\n",
                visible(job->folder.partial, shown));
        output_folder_keep(&job->folder);
        return;
    }
    fprintf(stderr,
            "cnnscope diagnose: %" PRId64 " of %" PRId64 " images are in %s; the same command with "
            "--resume goes on from there\n",
            job->records.count, job->list.count, visible(job->folder.partial, shown));
    output_folder_keep(&job->folder);
}

static cs_status finish(diagnose_job *job, cs_error *err) {
    CS_TRY(diagnose_finish(job, err));
    print_failures(job);
    diagnose_records_close(&job->records);
    CS_TRY(interrupt_check(err));
    CS_TRY(output_folder_remove(&job->folder, "records", err));
    return output_folder_finish(&job->folder, err);
}

/* Prints its errors; returns the exit code. */
static int diagnose(diagnose_job *job, const char *output, unsigned fail_on) {
    cs_error err = {0};
    char shown[VISIBLE_SIZE];
    interrupt_defer();
    cs_status status = diagnose_begin(job, output, &err);
    if (status == CS_OK) {
        interrupt_keeping(visible(job->folder.partial, shown));
        status = diagnose_images(job, &err);
    }
    if (status == CS_OK)
        status = finish(job, &err);
    if (status != CS_OK) {
        if (status == CS_ERROR_INTERRUPTED)
            fprintf(stderr, "cnnscope diagnose: interrupted\n");
        else
            print_error("diagnose", &err);
        leave_folder(job);
        return cs_status_exit_code(status);
    }
    print_summary(job);
    if (flush_stdout(&err) != CS_OK)
        return fail("diagnose", &err);
    if (job->common->timings)
        fprintf(stderr, "nulls %.2f s, images %.2f s, summary %.2f s\n", job->null_seconds,
                job->image_seconds, job->summary_seconds);
    for (int p = 0; p < CS_PATTERN_COUNT; p++)
        if (fail_on >> p & 1u && is_found(&job->diagnosis, p))
            return CLI_EXIT_NO;
    return job->diagnosis.failed_count > 0 ? cs_status_exit_code(CS_ERROR_IO) : 0;
}

static cs_status read_method(const diagnose_settings *settings, diagnose_job *job, cs_error *err) {
    const cs_cam_method_info *method = NULL;
    CS_TRY(cs_cam_method_find(settings->method, &method, err));
    CS_CHECK(!method->at_input, CS_ERROR_ARGUMENT,
             "%s makes maps of single pixels; a diagnosis needs those of a layer (gradcam, "
             "gradcam++, layercam, hirescam, xgradcam, scorecam)",
             method->name);
    CS_TRY(cs_cam_variant_find(method, settings->variant, &job->what.variant, err));
    job->what.method = method->name;
    job->what.layer = settings->layer;
    return CS_OK;
}

static int diagnose_run(int argc, char **argv) {
    diagnose_settings settings = {
        .method = "gradcam", .class_text = "argmax", .target = "logit", .seed = 1};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_diagnose, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    cs_error err;
    unsigned fail_on = 0;
    diagnose_job job = {.common = &settings.common,
                        .model_path = arguments.items[0],
                        .source = arguments.items[1],
                        .class_text = settings.class_text,
                        .roi_text = settings.roi,
                        .roi_shape = settings.shape,
                        .target_text = settings.target,
                        .has_changes = !settings.no_counterfactuals,
                        .figures = settings.figures,
                        .resume = settings.resume,
                        .seed = (uint64_t)settings.seed,
                        .what = CS_CAM_OPTIONS_DEFAULT};
    if (!settings.output)
        return cli_usage_error("diagnose", "no output folder given: add -o DIR");
    if (read_fail_on(settings.fail_on, &fail_on, &err) != CS_OK ||
        read_method(&settings, &job, &err) != CS_OK)
        return fail("diagnose", &err);
    code = diagnose(&job, settings.output, fail_on);
    diagnose_free(&job);
    return code;
}
