#include "class_choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

cs_status class_choice_parse(const cs_model *model, const char *text, class_choice *choice,
                             cs_error *err) {
    *choice = (class_choice){.index = CS_CLASS_ARGMAX};
    choice->all = strcmp(text, "all") == 0;
    if (choice->all)
        return CS_OK;
    if (strncmp(text, "topk:", 5) != 0)
        return cs_class_parse(model, text, &choice->index, err);
    char *end = NULL;
    long long top = strtoll(text + 5, &end, 10);
    CS_CHECK(end != text + 5 && *end == '\0' && top >= 1, CS_ERROR_ARGUMENT,
             "class '%s': expected a number from 1 after 'topk:'", text);
    choice->top = top;
    return CS_OK;
}

static double rank(const cs_tensor *logits, int64_t n, int64_t c) {
    double value = cs_tensor_at(logits, n, c, 0, 0);
    return isnan(value) ? -HUGE_VAL : value;
}

int64_t top_classes(const cs_tensor *logits, int64_t n, int64_t top, int64_t *classes) {
    int64_t count = 0;
    for (int64_t c = 0; c < logits->c; c++) {
        int64_t at = count;
        while (at > 0 && rank(logits, n, classes[at - 1]) < rank(logits, n, c))
            at--;
        if (at >= top)
            continue;
        if (count < top)
            count++;
        memmove(classes + at + 1, classes + at, (size_t)(count - 1 - at) * sizeof *classes);
        classes[at] = c;
    }
    return count;
}

int64_t class_choice_list(const class_choice *choice, const cs_tensor *logits, int64_t n,
                          int64_t *classes) {
    if (choice->top > 0)
        return top_classes(logits, n, choice->top, classes);
    if (!choice->all) {
        classes[0] = choice->index == CS_CLASS_ARGMAX ? cs_class_argmax(logits, n) : choice->index;
        return 1;
    }
    for (int64_t c = 0; c < logits->c; c++)
        classes[c] = c;
    return logits->c;
}
