#include "convert_report.h"
#include "common.h"

#include <stdio.h>
#include <string.h>

static void report_strings(json_writer *json, const char *key, char **strings, int64_t count) {
    put_array(json, key);
    for (int64_t i = 0; i < count; i++)
        put_text(json, NULL, strings[i]);
    put_close(json);
}

static cs_status print_json(const cs_convert_report *r, const char *source, cs_error *err) {
    json_writer w = {.file = stdout, .pretty = true}, *json = &w;
    put_object(json, NULL);
    put_text(json, "source", source);
    put_text(json, "format", r->format);
    put_text(json, "key", r->key);
    put_text(json, "strip", r->strip);
    put_text(json, "manifest", r->json_path);
    put_text(json, "binary", r->bin_path);
    put_integer(json, "binary_size", r->bin_size);
    put_text(json, "architecture", r->architecture);
    put_integer(json, "classes", r->classes);
    put_row(json, "input");
    put_integer(json, NULL, r->channels);
    put_integer(json, NULL, r->height);
    put_integer(json, NULL, r->width);
    put_close(json);
    put_integer(json, "tensors", r->tensors);
    put_integer(json, "parameters", r->parameters);
    put_assumed(json, r->assumed_size, r->assumed_mean, r->assumed_eps);
    report_strings(json, "dropped", r->dropped, r->dropped_count);
    put_array(json, "opaque");
    for (int64_t i = 0; i < r->opaque_count; i++) {
        put_object(json, NULL);
        put_text(json, "name", r->opaque[i].name);
        put_boolean(json, "executes", r->opaque[i].executes);
        put_close(json);
    }
    put_close(json);
    report_strings(json, "warnings", r->warnings, r->warning_count);
    put_boolean(json, "golden", r->golden);
    put_close(json);
    return flush_stdout(err);
}

/* The dropped entries of a state_dict often differ in their path only: counts each last word. */
static void print_dropped(const cs_convert_report *r) {
    char shown[VISIBLE_SIZE];
    if (r->dropped_count == 0)
        return;
    printf("dropped       ");
    for (int64_t i = 0; i < r->dropped_count; i++) {
        const char *dot = strrchr(r->dropped[i], '.');
        const char *word = dot ? dot + 1 : r->dropped[i];
        int64_t same = 0, earlier = 0;
        for (int64_t j = 0; j < r->dropped_count; j++) {
            const char *other_dot = strrchr(r->dropped[j], '.');
            const char *other = other_dot ? other_dot + 1 : r->dropped[j];
            if (strcmp(word, other) == 0) {
                same++;
                earlier += j < i;
            }
        }
        if (earlier > 0)
            continue;
        printf("%s%s", i > 0 ? ", " : "", visible(same > 1 ? word : r->dropped[i], shown));
        if (same > 1)
            printf(" (%lld times)", (long long)same);
    }
    printf("\n");
}

static void print_opaque(const cs_convert_report *r, const char *command) {
    char shown[VISIBLE_SIZE];
    for (int64_t i = 0; i < r->opaque_count; i++)
        fprintf(stderr,
                r->opaque[i].executes
                    ? "cnnscope %s: warning: in Python this file would have called %s "
                      "(torch.load with weights_only=False); nothing was run here\n"
                    : "cnnscope %s: note: this file names %s; it was left aside\n",
                command, visible(r->opaque[i].name, shown));
}

static void print_text(const cs_convert_report *r, const char *source) {
    char shown[VISIBLE_SIZE];
    printf("read          %s (%s", visible(source, shown), r->format);
    if (r->key && *r->key)
        printf(", key %s", visible(r->key, shown));
    if (r->strip && *r->strip)
        printf(", without the prefix %s", visible(r->strip, shown));
    printf(")\nrecognised    %s, %lld classes\n", r->architecture, (long long)r->classes);
    printf("input         %lld channels, %lld x %lld pixels (width x height)\n",
           (long long)r->channels, (long long)r->width, (long long)r->height);
    if (r->assumed_size || r->assumed_mean || r->assumed_eps)
        printf("assumed       %s%s%s: a checkpoint does not tell; set with --size, --mean, --std, "
               "--eps\n",
               r->assumed_size ? "input size, " : "", r->assumed_mean ? "mean and std, " : "",
               r->assumed_eps ? "eps of batch norms" : "the rest was given");
    print_dropped(r);
    printf("wrote         %s, %s: %lld tensors, %lld numbers, %.1f MB\n", r->json_path, r->bin_path,
           (long long)r->tensors, (long long)r->parameters, (double)r->bin_size / 1e6);
    printf("golden        %s\n", r->golden ? "logits of the input of seed 1 (cnnscope verify "
                                             "compares them to the bit)"
                                           : "none: the weights hold NaN or infinity");
    printf("\nNext: cnnscope explain %s IMAGE -o out\n", r->json_path);
}

cs_status convert_report_print(const cs_convert_report *report, const cli_common *common,
                               const char *command, const char *source, cs_error *err) {
    char shown[VISIBLE_SIZE];
    cs_status status = CS_OK;
    if (common->json)
        status = print_json(report, source, err);
    else if (!common->quiet)
        print_text(report, source);
    if (status == CS_OK)
        status = flush_stdout(err);
    print_opaque(report, command);
    for (int64_t i = 0; i < report->warning_count; i++)
        fprintf(stderr, "cnnscope %s: warning: %s\n", command, visible(report->warnings[i], shown));
    if (common->timings)
        fprintf(stderr, "read %.3f s, write %.3f s, golden %.3f s\n", report->read_seconds,
                report->write_seconds, report->golden_seconds);
    return status;
}
