/* json_writer.h - JSON straight to a stream: valid UTF-8, numbers that read back to the same bits,
 * null for NaN and infinity. */
#ifndef CLI_JSON_WRITER_H
#define CLI_JSON_WRITER_H

#include <stdio.h>

#include "cnnscope.h"

#define JSON_DEPTH 8

typedef struct json_writer {
    FILE *file;
    bool pretty; /* indented, one member a line; otherwise all on one line */
    int depth;   /* objects and arrays that are open, at most JSON_DEPTH */
    char brackets[JSON_DEPTH];
    bool in_row;
    bool started; /* the innermost of them has a member already */
} json_writer;

/* In all of these `key` is NULL inside an array and for the outermost value. */
void put_object(json_writer *w, const char *key);
void put_array(json_writer *w, const char *key);
/* An array of numbers, which stays on one line. */
void put_row(json_writer *w, const char *key);
/* Closes what was opened last; closing the outermost ends the line. */
void put_close(json_writer *w);

/* NULL is written as null; bytes that are not UTF-8 as U+FFFD. */
void put_text(json_writer *w, const char *key, const char *text);
void put_integer(json_writer *w, const char *key, int64_t value);
void put_boolean(json_writer *w, const char *key, bool value);
/* With as few digits as read back to the same value of the type. */
void put_real(json_writer *w, const char *key, double value, cs_dtype dtype);

/* The values of image n of a tensor with h = w = 1, as an array. */
void put_vector(json_writer *w, const char *key, const cs_tensor *t, int64_t n);

/* Length of the well-formed UTF-8 sequence at s (RFC 3629; NUL-terminated), or 0. */
size_t utf8_length(const unsigned char *s);

/* The digits that put_real writes, and "nan", "inf", "-inf"; returns `out`. */
const char *real_digits(double value, cs_dtype dtype, char out[32]);

#endif
