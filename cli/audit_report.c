/* audit_report.c - an audit as a table for a terminal. */
#include "audit_report.h"

#include "common.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { SHOWN = 12 }; /* nodes of a ledger, unless all are asked for */

static void print_bars(const cs_audit *audit) {
    printf("\n  %-40s %10s %10s\n", "", "measured", "bar");
    for (int i = 0; i < CS_AUDIT_BARS; i++) {
        const cs_audit_verdict verdict = cs_audit_judge(audit, (cs_audit_bar)i);
        if (!verdict.applies) {
            printf("  %-40s %10s %10.0e  a softmax is not piecewise linear\n", verdict.name, "-",
                   verdict.bar);
            continue;
        }
        char where[VISIBLE_SIZE];
        printf("  %-40s %10.2g %10.3g  %s%s%s\n", verdict.name, verdict.value, verdict.bar,
               verdict.met ? "met" : "NOT MET", verdict.node ? "  " : "",
               verdict.node ? visible(verdict.node, where) : "");
    }
}

static void print_live(const cs_audit *audit) {
    printf("\n  With live gates a difference quotient depends on its step:\n  %-10s", "step");
    for (int i = 0; i < CS_AUDIT_STEPS; i++)
        printf(" %8.0e", audit->live[i].step);
    printf("\n  %-10s", "error");
    for (int i = 0; i < CS_AUDIT_STEPS; i++)
        printf(" %8.1e", audit->live[i].error);
    printf("\n  %-10s", "flipped");
    for (int i = 0; i < CS_AUDIT_STEPS; i++)
        printf(" %8" PRId64, audit->live[i].flipped);
    printf("\n  Pool windows with several largest values (not 0), which turn at any step: %" PRId64
           "\n",
           audit->pool_ties);
}

/* ------------------------------------------------------------------ ledger --------------- */

static double weight_of(const cs_audit_entry *entry) {
    double most = 0;
    const cs_audit_part *const parts[] = {&entry->rounding, &entry->sum, &entry->flips};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i]->present && parts[i]->size > most)
            most = parts[i]->size;
    return most;
}

/* The weight that a node needs to be among those shown. */
static double threshold(const cs_audit *audit, const cs_audit_ledger *ledger) {
    double largest[SHOWN] = {0};
    for (int i = 0; i < audit->node_count; i++) {
        double weight = weight_of(&ledger->nodes[i]);
        for (int k = 0; k < SHOWN; k++)
            if (weight > largest[k]) {
                const double other = largest[k];
                largest[k] = weight;
                weight = other;
            }
    }
    return largest[SHOWN - 1];
}

static void print_number(double value, int width) {
    if (isnan(value))
        printf(" %*s", width, "-");
    else
        printf(" %*.1e", width, value);
}

static void print_part(const cs_audit_part *part) {
    if (part->present)
        printf(" %7.3f", 100 * part->share);
    else
        printf(" %7s", "");
}

static void print_entry(const cs_audit *audit, const cs_audit_entry *entry, int i) {
    char name[VISIBLE_SIZE];
    printf("  %-24s", visible(cs_model_node(audit->model, i)->name, name));
    print_number(entry->own_max, 8);
    print_number(entry->bound_share, 7);
    print_number(entry->value_rms > 0 ? entry->accumulated_rms / entry->value_rms : 0, 8);
    print_part(&entry->rounding);
    print_part(&entry->sum);
    print_part(&entry->flips);
    if (entry->gates > 0)
        printf("  %" PRId64 " of %" PRId64, entry->flipped, entry->gates);
    if (entry->flipped > 0)
        printf(", off the tie by %.1e%s%.0e", entry->nearest, entry->flipped > 1 ? " to " : "; ",
               entry->flipped > 1 ? entry->farthest : entry->nearest / entry->value_rms);
    printf("\n");
}

static void print_nodes(const cs_audit *audit, const cs_audit_ledger *ledger, bool all) {
    const double least = all ? 0 : threshold(audit, ledger);
    int left = 0;
    printf("\n  %-24s %-25s  %-23s  %s\n", "", "forward error", "% of the difference by", "");
    printf("  %-24s %8s %7s %8s %7s %7s %7s  %s\n", "node", "own", "/bound", "so far", "round.",
           "sums", "flips", "gates that flipped");
    for (int i = 0; i < audit->node_count; i++) {
        const cs_audit_entry *entry = &ledger->nodes[i];
        if (all || (weight_of(entry) > 0 && weight_of(entry) >= least) || entry->flipped > 0)
            print_entry(audit, entry, i);
        else
            left++;
    }
    if (left > 0)
        printf("  %d more nodes with smaller parts: --all shows them, audit.json has them\n", left);
}

static void print_ledger(const cs_audit *audit, const cs_audit_ledger *ledger, const char *title,
                         bool all) {
    printf("\n%s: the input's gradient is off by %.3g of its size (largest entry: %.3g)\n", title,
           ledger->gradient > 0 ? ledger->difference / ledger->gradient : 0, ledger->largest);
    if (ledger->missing_activations + ledger->missing_gradients > 0)
        printf("  the dump lacks %d activations and %d gradients\n", ledger->missing_activations,
               ledger->missing_gradients);
    printf("  %9.4f %%  by rounding\n  %9.4f %%  by %" PRId64 " flipped gates and winners\n"
           "  %9.2g    of it unexplained\n",
           100 * ledger->rounding_total.share, 100 * ledger->flips.share, ledger->flipped,
           ledger->rest.size);
    print_nodes(audit, ledger, all);
}

void audit_print(const cs_audit *audit, bool all) {
    char label[CLASS_LABEL_SIZE];
    const bool holds = cs_audit_holds(audit);
    printf("logit of %s: %.9g in float32, %.17g in float64\n",
           class_label(audit->model, audit->class_index, label), audit->logit32, audit->logit64);
    printf("%s\n", holds ? "The gradients are right: every identity holds."
                         : "SOMETHING IS WRONG: a bar is not met.");
    print_bars(audit);
    print_live(audit);
    print_ledger(audit, &audit->own, "cnnscope's float32 against float64", all);
    if (audit->other.nodes)
        print_ledger(audit, &audit->other, "The other engine's float32 against float64", all);
    printf("\nGrad-CAM at %s: float32 and float64 differ by at most %.2g of the largest value, "
           "rank correlation %.9f\n",
           visible(cs_model_default_layer(audit->model), label), audit->map_difference,
           audit->map_correlation);
}
