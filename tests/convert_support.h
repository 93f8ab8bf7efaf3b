/* convert_support.h - what the suites of the converter share. */
#ifndef CONVERT_SUPPORT_H
#define CONVERT_SUPPORT_H

#include "checkpoint_builder.h"
#include "cnnscope.h"
#include "cnnscope_convert.h"

static const cs_convert_options convert_defaults = CS_CONVERT_OPTIONS_DEFAULT;

/* The architecture of built_tiny. */
#define TINY_ARCH "resnet:block=basic,layers=1,width=2"

/* Writes the checkpoint into a new folder: its path, in test_path's storage. `byteorder` replaces
 * that record's text unless it is NULL. */
const char *test_put_zip(const built_checkpoint *c, const char *byteorder);
const char *test_put_legacy(const built_checkpoint *c);
const char *test_put_safetensors(const built_checkpoint *c);

/* Converts into a new folder; returns NAME. `report` may be NULL. */
const char *test_convert(const char *path, cs_convert_options options, cs_convert_report *report);

/* NAME with ".json" or ".bin", in static storage, four at a time. */
const char *test_with_ending(const char *name, const char *ending);

/* Fails the test unless A<ending> and B<ending> have the same bytes. */
void test_files_equal(const char *a, const char *b, const char *ending);

/* Opens NAME.json and checks the hashes. Free it with cs_model_free. */
cs_model *test_open_model(const char *name);

/* Overwrites the first value of a tensor. */
void test_set_value(built_checkpoint *c, const char *name, float value);

#endif
