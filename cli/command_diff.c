/* command_diff.c - cnnscope diff: the first place, in the order of a pass, where two dumps part. */
#include "diff_report.h"
#include "progress.h"

#include <stdlib.h>
#include <string.h>

typedef struct diff_settings {
    cli_common common;
    double tolerance, ulp;
    int64_t flips;
    const char *only;
    bool brief;
} diff_settings;

#define AT(field) offsetof(diff_settings, field)
static const cli_option options[] = {
    {"tolerance", 0, CLI_REAL, AT(tolerance), "R",
     "allow differences of R times a tensor's largest value (default 0)", 0, 0},
    {"ulp", 0, CLI_REAL, AT(ulp), "N",
     "allow entries that are N ulp apart, of the narrower type (default 0)", 0, 0},
    {"flips", 0, CLI_INTEGER, AT(flips), "N",
     "allow N gates or winners of a node to differ (default 0)", 0, INT32_MAX},
    {"only", 0, CLI_TEXT, AT(only), "KINDS",
     "compare input, activation, gates, winners, gradient, parameter alone (with commas)", 0, 0},
    {"brief", 'b', CLI_FLAG, AT(brief), NULL, "list those alone that differ", 0, 0},
};

static int diff_run(int argc, char **argv);

const cli_command cli_command_diff = {
    .name = "diff",
    .summary = "name the first node where two dumps part",
    .usage = "DIR_A DIR_B [options]",
    .details =
        "Compares two folders of cnnscope dump, or of weights_tools/dump_torch.py, which writes\n"
        "the same with PyTorch: activations, gates and winners in execution order, then gradients\n"
        "from the last node back, then gradients of parameters. Prints a table of all and the\n"
        "first that parts, with the size of the difference: of the tensor's largest value, and in\n"
        "ulp (steps between neighbouring numbers of the narrower of both types, the largest of\n"
        "any entry). float32 may be compared with float64. -0 equals 0, and NaN equals NaN. A\n"
        "tensor is within the limits if it keeps --tolerance or --ulp.\n"
        "Exit codes: 0 equal, or within the limits; 1 not; 3 a folder is incomplete or damaged;\n"
        "4 the dumps are of different models.\n",
    .examples = "  cnnscope diff ours theirs\n"
                "  cnnscope diff ours64 theirs64 --tolerance 1e-11 --brief\n"
                "  cnnscope diff f32 f64 --only gates,winners --json\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .common = CLI_QUIET | CLI_JSON,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = diff_run,
};

/* Which kinds --only names. */
static cs_status read_kinds(const char *text, bool wanted[DUMP_KINDS], cs_error *err) {
    word_list words = {0};
    for (int k = 0; k < DUMP_KINDS; k++)
        wanted[k] = text == NULL;
    if (!text)
        return CS_OK;
    CS_TRY(word_list_split(&words, text, err));
    cs_status status = CS_OK;
    for (int64_t i = 0; i < words.count && status == CS_OK; i++) {
        int k = 0;
        while (k < DUMP_KINDS && strcmp(words.words[i], dump_kind_name((dump_kind)k)) != 0)
            k++;
        if (k < DUMP_KINDS)
            wanted[k] = true;
        else
            status = cs_error_set(err, CS_ERROR_ARGUMENT, NULL, -1,
                                  "--only: there is no kind '%s'; there are input, activation, "
                                  "gates, winners, gradient, parameter",
                                  words.words[i]);
    }
    word_list_free(&words);
    return status;
}

static cs_status check_models(const diff_result *r, cs_error *err) {
    const dump_manifest *a = &r->a, *b = &r->b;
    if (strcmp(a->binary_sha256, b->binary_sha256) == 0 &&
        strcmp(a->architecture, b->architecture) == 0)
        return CS_OK;
    return cs_error_set(err, CS_ERROR_MISMATCH, b->folder, -1,
                        "the dumps are of different models: %s of %s (weights %.12s...), %s of %s "
                        "(weights %.12s...)",
                        a->folder, a->architecture, a->binary_sha256, b->folder, b->architecture,
                        b->binary_sha256);
}

static bool has_item(const dump_manifest *m, const dump_item *item) {
    for (int64_t i = 0; i < m->count; i++)
        if (m->items[i].kind == item->kind && strcmp(m->items[i].name, item->name) == 0)
            return true;
    return false;
}

/* Makes a row of each item that both have. */
static cs_status list_rows(diff_result *r, const bool wanted[DUMP_KINDS], cs_error *err) {
    r->rows = calloc((size_t)r->a.count + 1, sizeof *r->rows);
    CS_CHECK(r->rows, CS_ERROR_MEMORY, "out of memory");
    for (int64_t i = 0; i < r->a.count; i++) {
        const dump_item *item = &r->a.items[i];
        if (!wanted[item->kind])
            continue;
        if (has_item(&r->b, item))
            r->rows[r->count++].item = item;
        else
            r->only_a++;
    }
    for (int64_t i = 0; i < r->b.count; i++)
        if (wanted[r->b.items[i].kind] && !has_item(&r->a, &r->b.items[i]))
            r->only_b++;
    CS_CHECK(r->count > 0, CS_ERROR_MISMATCH,
             "%s and %s have nothing in common that could be compared", r->a.folder, r->b.folder);
    return CS_OK;
}

static cs_status compare_rows(diff_result *r, bool quiet, cs_error *err) {
    cs_status status = CS_OK;
    progress bar;
    progress_begin_work(&bar, quiet);
    for (int64_t i = 0; i < r->count && status == CS_OK; i++) {
        diff_row *row = &r->rows[i];
        status = dump_difference_take(&r->a, &r->b, row->item, &r->limits, &row->difference, err);
        r->differing += row->difference.differing > 0;
        r->parting += row->difference.parts;
        if (row->difference.parts && !r->first)
            r->first = row;
        progress_work(&bar, i + 1, r->count);
    }
    progress_clear(&bar);
    return status;
}

static cs_status diff(const diff_settings *settings, char **folders, diff_result *r,
                      cs_error *err) {
    bool wanted[DUMP_KINDS];
    r->limits = (difference_limits){settings->tolerance, settings->ulp, settings->flips};
    CS_CHECK(settings->tolerance >= 0 && settings->ulp >= 0, CS_ERROR_ARGUMENT,
             "--tolerance and --ulp take numbers from 0 on");
    CS_TRY(read_kinds(settings->only, wanted, err));
    CS_TRY(dump_manifest_read(folders[0], &r->a, err));
    CS_TRY(dump_manifest_read(folders[1], &r->b, err));
    CS_TRY(check_models(r, err));
    CS_TRY(list_rows(r, wanted, err));
    CS_TRY(compare_rows(r, settings->common.quiet, err));
    if (settings->common.json) {
        json_writer w = {.file = stdout, .pretty = true};
        put_diff(&w, r);
    } else {
        print_diff(r, !settings->brief, settings->common.quiet);
    }
    return flush_stdout(err);
}

static int diff_run(int argc, char **argv) {
    diff_settings settings = {0};
    cli_arguments arguments;
    int code = cli_parse(&cli_command_diff, argc, argv, &settings, &arguments);
    if (code != CLI_GO_ON)
        return code;
    cs_error err;
    diff_result result = {0};
    if (diff(&settings, arguments.items, &result, &err) != CS_OK)
        code = fail("diff", &err);
    else
        code = result.first ? CLI_EXIT_NO : 0;
    dump_manifest_free(&result.a);
    dump_manifest_free(&result.b);
    free(result.rows);
    return code;
}
