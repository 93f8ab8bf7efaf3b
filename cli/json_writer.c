#include "json_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

size_t utf8_length(const unsigned char *s) {
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (s[0] > 0xF4 || length == 0)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return length;
}

static void write_string(FILE *file, const char *text) {
    fputc('"', file);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t length = utf8_length(s);
        if (length == 0)
            fputs("\\ufffd", file);
        else if (*s == '"' || *s == '\\')
            fprintf(file, "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7F)
            fprintf(file, "\\u%04x", *s);
        else
            fwrite(s, 1, length, file);
        s += length ? length : 1;
    }
    fputc('"', file);
}

static void new_line(json_writer *w) {
    if (w->pretty && !w->in_row)
        fprintf(w->file, "\n%*s", 2 * w->depth, "");
}

/* What stands before a value: comma, line, key. */
static void begin(json_writer *w, const char *key) {
    if (w->started)
        fputs(w->pretty && !w->in_row ? "," : ", ", w->file);
    if (w->depth > 0)
        new_line(w);
    if (key) {
        write_string(w->file, key);
        fputs(": ", w->file);
    }
    w->started = true;
}

static void open_bracket(json_writer *w, const char *key, char open, char closing) {
    assert(w->depth < JSON_DEPTH);
    begin(w, key);
    fputc(open, w->file);
    w->brackets[w->depth++] = closing;
    w->started = false;
}

void put_object(json_writer *w, const char *key) { open_bracket(w, key, '{', '}'); }

void put_array(json_writer *w, const char *key) { open_bracket(w, key, '[', ']'); }

void put_row(json_writer *w, const char *key) {
    put_array(w, key);
    w->in_row = true;
}

void put_close(json_writer *w) {
    assert(w->depth > 0);
    char bracket = w->brackets[--w->depth];
    if (w->started)
        new_line(w);
    fputc(bracket, w->file);
    w->in_row = false;
    w->started = w->depth > 0;
    if (w->depth == 0)
        fputc('\n', w->file);
}

void put_text(json_writer *w, const char *key, const char *text) {
    begin(w, key);
    if (text)
        write_string(w->file, text);
    else
        fputs("null", w->file);
}

void put_integer(json_writer *w, const char *key, int64_t value) {
    begin(w, key);
    fprintf(w->file, "%" PRId64, value);
}

void put_boolean(json_writer *w, const char *key, bool value) {
    begin(w, key);
    fputs(value ? "true" : "false", w->file);
}

const char *real_digits(double value, cs_dtype dtype, char out[32]) {
    int most = dtype == CS_F32 ? 9 : 17;
    for (int digits = dtype == CS_F32 ? 6 : 15; digits <= most; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        if (dtype == CS_F32 ? strtof(out, NULL) == (float)value : strtod(out, NULL) == value)
            break;
    }
    return out;
}

void put_real(json_writer *w, const char *key, double value, cs_dtype dtype) {
    char digits[32];
    begin(w, key);
    fputs(isfinite(value) ? real_digits(value, dtype, digits) : "null", w->file);
}

void put_vector(json_writer *w, const char *key, const cs_tensor *t, int64_t n) {
    put_row(w, key);
    for (int64_t c = 0; c < t->c; c++)
        put_real(w, NULL, cs_tensor_at(t, n, c, 0, 0), t->dtype);
    put_close(w);
}
