/* audit_verdict.c - what is held to a bar, and whether it is met. */
#include "cnnscope_audit.h"

#include <math.h>

/* Bars are met by what is not above them: NaN is not. */
static bool not_above(double value, double bar) { return value <= bar; }

/* One number of a node; NaN where it has none. */
static double node_value(const cs_audit *audit, cs_audit_bar bar, int i) {
    const cs_audit_identity *identity = &audit->identities[i];
    switch (bar) {
    case CS_AUDIT_ADJOINT: return identity->adjoint;
    case CS_AUDIT_PARAMETER_ADJOINT:
        return cs_model_node(audit->model, i)->parameters > 0 ? identity->parameter_adjoint : 0;
    case CS_AUDIT_ACCUMULATION: return identity->accumulates ? 0 : 1;
    default: return audit->own.nodes[i].bound_share;
    }
}

static void find_worst(const cs_audit *audit, cs_audit_bar bar, cs_audit_verdict *verdict) {
    for (int i = 0; i < audit->node_count; i++) {
        const double value = node_value(audit, bar, i);
        if (not_above(value, verdict->value))
            continue;
        verdict->value = value;
        verdict->node = cs_model_node(audit->model, i)->name;
        if (isnan(value))
            return;
    }
}

/* Whether the ledger's rest is no more than float64's own rounding. */
static bool is_float64s(const cs_audit_ledger *ledger) {
    return ledger->rest.size * ledger->difference <= CS_AUDIT_FLOOR * ledger->gradient;
}

cs_audit_verdict cs_audit_judge(const cs_audit *audit, cs_audit_bar bar) {
    static const struct {
        const char *name;
        double bar;
    } bars[CS_AUDIT_BARS] = {
        [CS_AUDIT_ADJOINT] = {"adjointness, worst node", CS_AUDIT_BAR_ADJOINT},
        [CS_AUDIT_PARAMETER_ADJOINT] = {"adjointness of parameters, worst node",
                                        CS_AUDIT_BAR_ADJOINT},
        [CS_AUDIT_ACCUMULATION] = {"gradients are added, not stored", 0},
        [CS_AUDIT_NETWORK] = {"adjointness, whole network", CS_AUDIT_BAR_ADJOINT},
        [CS_AUDIT_COMPLETENESS] = {"completeness", CS_AUDIT_BAR_COMPLETENESS},
        [CS_AUDIT_FROZEN] = {"frozen differences, worst of 3", CS_AUDIT_BAR_FROZEN},
        [CS_AUDIT_BOUND] = {"rounding within its bound, worst node", CS_AUDIT_BAR_BOUND},
        [CS_AUDIT_REST] = {"ledger, unexplained", CS_AUDIT_BAR_REST},
    };
    cs_audit_verdict verdict = {.name = bars[bar].name, .bar = bars[bar].bar, .applies = true};
    switch (bar) {
    case CS_AUDIT_NETWORK: verdict.value = audit->network_adjoint; break;
    case CS_AUDIT_COMPLETENESS:
        verdict.value = audit->completeness;
        verdict.applies = audit->piecewise_linear;
        break;
    case CS_AUDIT_FROZEN:
        verdict.applies = audit->piecewise_linear;
        for (int i = 0; i < CS_AUDIT_DIRECTIONS; i++)
            if (!not_above(audit->frozen[i], verdict.value))
                verdict.value = audit->frozen[i];
        break;
    case CS_AUDIT_REST: verdict.value = audit->own.rest.size; break;
    default: find_worst(audit, bar, &verdict);
    }
    verdict.met = !verdict.applies || not_above(verdict.value, verdict.bar) ||
                  (bar == CS_AUDIT_REST && is_float64s(&audit->own));
    return verdict;
}

bool cs_audit_holds(const cs_audit *audit) {
    bool holds = true;
    for (int bar = 0; bar < CS_AUDIT_BARS; bar++)
        holds &= cs_audit_judge(audit, (cs_audit_bar)bar).met;
    return holds;
}
