#include "trace_report.h"
#include "common.h"

#include <string.h>

enum { SHOWN_ENDS = 8 }; /* terms at each end of a long sum */

static const char *digits(double value, cs_dtype type, char out[32]) {
    return real_digits(value, type, out);
}

/* Factors are of the run's type, but quotients, exponentials and differences, which stand in sums
 * that are kept in double. */
static cs_dtype factor_type(const char *name, cs_dtype dtype) {
    const bool computed =
        strncmp(name, "exp", 3) == 0 || strchr(name, '/') != NULL || strstr(name, " - ") != NULL;
    return computed ? CS_F64 : dtype;
}

static void print_term(const trace_item *item, int64_t number, cs_dtype dtype) {
    char x[32], w[32], product[32], sum[32];
    printf("  %5lld  %-20s %16s", (long long)number, item->left,
           digits(item->x, factor_type(item->left, dtype), x));
    if (item->right[0])
        printf(" * %-18s %16s = %-22s", item->right,
               digits(item->w, factor_type(item->right, dtype), w),
               digits(item->product, CS_F64, product));
    printf("  so far %s\n", digits(item->sum, item->type, sum));
}

/* How many terms follow one another from `begin` on. */
static int64_t stretch(const trace *t, int64_t begin) {
    int64_t end = begin;
    while (end < t->count && t->items[end].kind == TRACE_TERM)
        end++;
    return end - begin;
}

/* Those left out, and how many of them changed nothing. */
static void print_gap(const trace *t, int64_t begin, int64_t count, int64_t number) {
    int64_t zeros = 0;
    for (int64_t i = begin; i < begin + count; i++)
        zeros += t->items[i].product == 0;
    printf("    ...  terms %lld to %lld, of which %lld are 0 (--all prints them)\n",
           (long long)number, (long long)(number + count - 1), (long long)zeros);
}

static void print_terms(const trace *t, int64_t begin, int64_t count, int64_t *number,
                        cs_dtype dtype, bool all) {
    const bool cut = !all && count > 2 * SHOWN_ENDS + 4;
    for (int64_t i = 0; i < count; i++, ++*number) {
        if (cut && i == SHOWN_ENDS) {
            const int64_t hidden = count - 2 * SHOWN_ENDS;
            print_gap(t, begin + i, hidden, *number);
            i += hidden;
            *number += hidden;
        }
        print_term(&t->items[begin + i], *number, dtype);
    }
}

void print_trace(const trace *t, cs_dtype dtype, bool all) {
    int64_t number = 1;
    char value[32], shown[VISIBLE_SIZE];
    for (int64_t i = 0; i < t->count; i++) {
        const trace_item *item = &t->items[i];
        if (item->kind == TRACE_TERM) {
            const int64_t count = stretch(t, i);
            print_terms(t, i, count, &number, dtype, all);
            i += count - 1;
            continue;
        }
        if (item->kind == TRACE_PART) {
            number = 1;
            printf("\n%s%s\n", item->text[0] ? "through " : "the sum", visible(item->text, shown));
        } else if (item->kind == TRACE_LINE) {
            printf("  %s: %s\n", visible(item->text, shown), digits(item->sum, item->type, value));
        } else {
            printf("  %s%s\n", item->kind == TRACE_NOTE ? "       " : "",
                   visible(item->text, shown));
        }
    }
}

void put_trace(json_writer *w, const trace *t, cs_dtype dtype) {
    static const char *const kinds[] = {"part", "formula", "value", "term", "note"};
    put_array(w, "steps");
    for (int64_t i = 0; i < t->count; i++) {
        const trace_item *item = &t->items[i];
        put_object(w, NULL);
        put_text(w, "kind", kinds[item->kind]);
        if (item->kind == TRACE_TERM) {
            put_text(w, "left", item->left);
            put_real(w, "x", item->x, factor_type(item->left, dtype));
            if (item->right[0]) {
                put_text(w, "right", item->right);
                put_real(w, "w", item->w, factor_type(item->right, dtype));
                put_real(w, "product", item->product, CS_F64);
            }
            put_real(w, "sum", item->sum, item->type);
        } else {
            put_text(w, "text", item->text);
            if (item->kind == TRACE_LINE)
                put_real(w, "value", item->sum, item->type);
        }
        put_close(w);
    }
    put_close(w);
}
