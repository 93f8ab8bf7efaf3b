/* memory_plan.h - info --memory: the steps of a run and the blocks of its memory. */
#ifndef CLI_MEMORY_PLAN_H
#define CLI_MEMORY_PLAN_H

#include "json_writer.h"

/* What the run is planned for. */
typedef struct memory_question {
    const char *work; /* "predict"; "explain": Grad-CAM at the default layer; "gradient": of the
                         input */
    int64_t batch, height, width; /* 0: the model's size */
    cs_memory_block *blocks;      /* by memory_plan_make: in the order of their lives */
} memory_question;

/* Reads "predict", "explain", "gradient" and "N" or "WxH". Errors: CS_ERROR_ARGUMENT. */
cs_status memory_question_parse(memory_question *question, const char *work, const char *size,
                                cs_error *err);

/* Prepares such a run (*run and question->blocks are freed by the caller), as `how` has it. */
cs_status memory_plan_make(cs_model *model, cs_run_options how, memory_question *question,
                           cs_run **run, cs_error *err);

void memory_plan_print(const cs_run *run, const memory_question *question);
void memory_plan_report(json_writer *json, const cs_run *run, const memory_question *question);

#endif
