#include "diff_report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ table ---------------- */

static void print_folder(const char *letter, const dump_manifest *m) {
    char shown[VISIBLE_SIZE], architecture[VISIBLE_SIZE];
    printf("%s  %s: %s, %s %s%s", letter, visible(m->folder, shown),
           visible(m->architecture, architecture), m->engine, m->dtype,
           m->training ? ", training" : "");
    if (m->target_class >= 0)
        printf(", class %" PRId64, m->target_class);
    printf("\n");
}

static const char *place_text(const dump_difference *d, char out[96]) {
    size_t used = 0;
    out[used++] = '[';
    for (int i = 0; i < d->dims && used < 90; i++)
        used += (size_t)snprintf(out + used, 96 - used, "%s%" PRId64, i ? "," : "", d->at[i]);
    snprintf(out + used, 96 - used, "]");
    return out;
}

static bool is_choice(dump_kind kind) { return kind == DUMP_GATES || kind == DUMP_WINNERS; }

static void print_row(const diff_row *row, int width) {
    const dump_difference *d = &row->difference;
    char shown[VISIBLE_SIZE], place[96];
    printf("%c %-*s  %-10s %10" PRId64 " %10" PRId64, d->parts ? '*' : ' ', width,
           visible(row->item->name, shown), dump_kind_name(row->item->kind), d->entries,
           d->differing);
    if (d->differing > 0 && !is_choice(row->item->kind))
        printf(" %10.3g %10.3g %10.3g  %s", d->largest, d->relative, d->ulp, place_text(d, place));
    printf("\n");
}

static void print_table(const diff_result *r, bool all) {
    int width = 4;
    int64_t shown = 0;
    for (int64_t i = 0; i < r->count; i++)
        if (all || r->rows[i].difference.differing > 0) {
            const int length = (int)strlen(r->rows[i].item->name);
            width = length > width ? length : width;
            shown++;
        }
    if (shown == 0)
        return;
    printf("\n  %-*s  %-10s %10s %10s %10s %10s %10s  %s\n", width, "name", "what", "entries",
           "differ", "|A-B|", "relative", "ulp", "at");
    for (int64_t i = 0; i < r->count; i++)
        if (all || r->rows[i].difference.differing > 0)
            print_row(&r->rows[i], width);
    printf("\n");
}

static void print_first(const diff_row *row) {
    const dump_difference *d = &row->difference;
    char shown[VISIBLE_SIZE], place[96], a[32], b[32];
    printf("parts first at %s (%s): %" PRId64 " of %" PRId64 " differ",
           visible(row->item->name, shown), dump_kind_name(row->item->kind), d->differing,
           d->entries);
    if (!is_choice(row->item->kind))
        printf(", by at most %.3g (%.3g of the largest value) at %s: %s and %s; at most %.3g ulp "
               "of %s",
               d->largest, d->relative, place_text(d, place), real_digits(d->a, CS_F64, a),
               real_digits(d->b, CS_F64, b), d->ulp, cs_dtype_name(d->narrower));
    printf("\n");
}

static void print_notes(const diff_result *r) {
    char a[VISIBLE_SIZE], b[VISIBLE_SIZE];
    if (strcmp(r->a.image_sha256, r->b.image_sha256) != 0)
        printf("the files of the images differ\n");
    if (r->a.training != r->b.training)
        printf("one is of training mode, the other of inference\n");
    const bool graded = r->a.target_class >= 0 && r->b.target_class >= 0;
    if (graded && (r->a.target_class != r->b.target_class ||
                   (r->a.target && r->b.target && strcmp(r->a.target, r->b.target) != 0)))
        printf("gradients are of class %" PRId64 " (%s) in A and of class %" PRId64 " (%s) in B\n",
               r->a.target_class, r->a.target ? visible(r->a.target, a) : "?", r->b.target_class,
               r->b.target ? visible(r->b.target, b) : "?");
    if (r->only_a || r->only_b)
        printf("not compared: %" PRId64 " files that only A has, %" PRId64 " that only B has\n",
               r->only_a, r->only_b);
}

void print_diff(const diff_result *r, bool all, bool quiet) {
    if (!quiet) {
        print_folder("A", &r->a);
        print_folder("B", &r->b);
        print_table(r, all);
        print_notes(r);
    }
    if (r->first)
        print_first(r->first);
    if (r->differing == 0)
        printf("equal: %" PRId64 " files, every value\n", r->count);
    else
        printf("%s: of %" PRId64 " files %" PRId64 " differ, %" PRId64 " by more than allowed\n",
               r->first ? "differ" : "equal within the limits", r->count, r->differing, r->parting);
}

/* ------------------------------------------------------------------ JSON ----------------- */

static void put_folder(json_writer *w, const char *key, const dump_manifest *m, int64_t only) {
    put_object(w, key);
    put_text(w, "folder", m->folder);
    put_text(w, "architecture", m->architecture);
    put_text(w, "binary_sha256", m->binary_sha256);
    put_text(w, "image_sha256", m->image_sha256);
    put_text(w, "engine", m->engine);
    put_text(w, "dtype", m->dtype);
    put_boolean(w, "training", m->training);
    put_text(w, "target", m->target);
    if (m->target_class >= 0)
        put_integer(w, "target_class", m->target_class);
    else
        put_text(w, "target_class", NULL);
    put_integer(w, "only_here", only);
    put_close(w);
}

static void put_diff_row(json_writer *w, const char *key, const diff_row *row) {
    const dump_difference *d = &row->difference;
    put_object(w, key);
    put_text(w, "name", row->item->name);
    put_text(w, "kind", dump_kind_name(row->item->kind));
    put_integer(w, "entries", d->entries);
    put_integer(w, "differ", d->differing);
    put_boolean(w, "parts", d->parts);
    if (!is_choice(row->item->kind)) {
        put_real(w, "largest", d->largest, CS_F64);
        put_real(w, "relative", d->relative, CS_F64);
        put_real(w, "ulp", d->ulp, CS_F64);
        put_text(w, "ulp_of", cs_dtype_name(d->narrower));
        if (d->differing > 0) {
            put_row(w, "at");
            for (int i = 0; i < d->dims; i++)
                put_integer(w, NULL, d->at[i]);
            put_close(w);
            put_real(w, "a", d->a, CS_F64);
            put_real(w, "b", d->b, CS_F64);
        }
    }
    put_close(w);
}

void put_diff(json_writer *w, const diff_result *r) {
    put_object(w, NULL);
    put_text(w, "format", "cnnscope-output");
    put_integer(w, "version", 1);
    put_text(w, "cnnscope", CNNSCOPE_VERSION);
    put_text(w, "command", "diff");
    put_folder(w, "a", &r->a, r->only_a);
    put_folder(w, "b", &r->b, r->only_b);
    put_object(w, "limits");
    put_real(w, "tolerance", r->limits.tolerance, CS_F64);
    put_real(w, "ulp", r->limits.ulp, CS_F64);
    put_integer(w, "flips", r->limits.flips);
    put_close(w);
    put_boolean(w, "equal", r->first == NULL);
    put_integer(w, "compared", r->count);
    put_integer(w, "differ", r->differing);
    put_integer(w, "beyond_limits", r->parting);
    if (r->first)
        put_diff_row(w, "first", r->first);
    else
        put_text(w, "first", NULL);
    put_array(w, "rows");
    for (int64_t i = 0; i < r->count; i++)
        put_diff_row(w, NULL, &r->rows[i]);
    put_close(w);
    put_close(w);
}
