#include "csv_file.h"
#include "json_writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_BYTES = 256 << 20 };

/* ------------------------------------------------------------------ reading -------------- */

typedef struct csv_reader {
    const char *path;
    char *at, *end; /* what is still to be read */
    char *out;      /* where the next unquoted byte goes: never behind `at` */
    int64_t line;
    size_t cell_count, cell_room, row_count, row_room;
} csv_reader;

static cs_status refuse(const csv_reader *r, cs_error *err, int64_t line, const char *what) {
    return cs_error_set(err, CS_ERROR_FORMAT, r->path, -1, "%s, line %lld: %s", r->path,
                        (long long)line, what);
}

static cs_status grow(void **array, size_t *room, size_t used, size_t size, cs_error *err) {
    if (used < *room)
        return CS_OK;
    size_t next = *room ? 2 * *room : 256;
    void *larger = realloc(*array, next * size);
    CS_CHECK(larger, CS_ERROR_MEMORY, "no memory for a table of %zu fields", next);
    *array = larger;
    *room = next;
    return CS_OK;
}

/* The whole text must be UTF-8 without NUL. */
static cs_status check_text(csv_reader *r, cs_error *err) {
    for (const char *c = r->at; c < r->end;) {
        size_t length = *c ? utf8_length((const unsigned char *)c) : 0;
        if (length == 0)
            return refuse(r, err, r->line,
                          *c ? "bytes that are not UTF-8; save the table as UTF-8" : "a NUL byte");
        r->line += *c == '\n';
        c += length;
    }
    r->line = 1;
    return CS_OK;
}

/* A quoted field's bytes to r->out; r->at behind its closing quote. */
static cs_status read_quoted(csv_reader *r, cs_error *err) {
    int64_t begun = r->line;
    for (r->at++;; r->at++) {
        if (r->at >= r->end)
            return refuse(r, err, begun, "a quoted field that begins here does not end");
        if (*r->at == '"' && r->at[1] == '"')
            r->at++;
        else if (*r->at == '"')
            break;
        r->line += *r->at == '\n';
        *r->out++ = *r->at;
    }
    r->at++;
    if (r->at < r->end && *r->at != ',' && *r->at != '\n' && *r->at != '\r')
        return refuse(r, err, r->line, "text behind a closing quote; expected a comma");
    return CS_OK;
}

/* One field; *last tells whether it ends its row. Its NUL may only be written when what follows it
 * has been looked at. */
static cs_status read_field(csv_reader *r, char **field, bool *last, cs_error *err) {
    *field = r->out;
    if (r->at < r->end && *r->at == '"') {
        CS_TRY(read_quoted(r, err));
    } else {
        for (; r->at < r->end && *r->at != ',' && *r->at != '\n' && *r->at != '\r'; r->at++) {
            if (*r->at == '"')
                return refuse(r, err, r->line,
                              "a quote inside a field that does not begin with one");
            *r->out++ = *r->at;
        }
    }
    *last = r->at >= r->end || *r->at != ',';
    if (r->at < r->end && *r->at == '\r') {
        if (r->at[1] != '\n')
            return refuse(r, err, r->line, "a carriage return without a line feed");
        r->at++;
    }
    if (r->at < r->end)
        r->at++;
    *r->out++ = '\0';
    return CS_OK;
}

static bool skip_blank_line(csv_reader *r) {
    size_t length = *r->at == '\n' ? 1 : *r->at == '\r' && r->at[1] == '\n' ? 2 : 0;
    r->at += length;
    r->line += length > 0;
    return length > 0;
}

static cs_status read_row(csv_reader *r, csv_table *t, cs_error *err) {
    int64_t fields = 0, begun = r->line;
    char what[128];
    bool last = false;
    while (!last) {
        CS_TRY(grow((void **)&t->cells, &r->cell_room, r->cell_count, sizeof *t->cells, err));
        CS_TRY(read_field(r, &t->cells[r->cell_count], &last, err));
        r->cell_count++;
        fields++;
    }
    CS_TRY(grow((void **)&t->lines, &r->row_room, r->row_count, sizeof *t->lines, err));
    t->lines[r->row_count++] = begun;
    r->line++;
    t->columns = r->row_count == 1 ? fields : t->columns;
    if (fields == t->columns)
        return CS_OK;
    snprintf(what, sizeof what, "%lld fields where the header has %lld", (long long)fields,
             (long long)t->columns);
    return refuse(r, err, begun, what);
}

static cs_status read_rows(csv_reader *r, csv_table *t, cs_error *err) {
    if (r->end - r->at >= 3 && memcmp(r->at, "\xEF\xBB\xBF", 3) == 0)
        r->at += 3;
    CS_TRY(check_text(r, err));
    while (r->at < r->end)
        if (!skip_blank_line(r))
            CS_TRY(read_row(r, t, err));
    t->rows = (int64_t)r->row_count;
    if (t->rows == 0)
        return refuse(r, err, 1, "the table is empty; expected a header with the columns' names");
    for (int64_t i = 0; i < t->columns; i++)
        for (int64_t j = 0; j < i; j++)
            if (strcasecmp(t->cells[i], t->cells[j]) == 0 && t->cells[i][0])
                return refuse(r, err, t->lines[0], "the header names a column twice");
    return CS_OK;
}

cs_status csv_read(const char *path, csv_table *table, cs_error *err) {
    size_t size = 0;
    *table = (csv_table){0};
    CS_TRY(cs_file_read(path, MOST_BYTES, &table->text, &size, err));
    /* An unquoted row may need one byte more than it has: the NUL of a last line without an end. */
    csv_reader r = {
        .path = path, .at = table->text, .end = table->text + size, .out = table->text, .line = 1};
    cs_status status = read_rows(&r, table, err);
    if (status != CS_OK)
        csv_free(table);
    return status;
}

void csv_free(csv_table *table) {
    free(table->text);
    free(table->cells);
    free(table->lines);
    *table = (csv_table){0};
}

int64_t csv_find(const csv_table *table, const char *const *names) {
    for (; *names; names++)
        for (int64_t i = 0; i < table->columns; i++)
            if (strcasecmp(table->cells[i], *names) == 0)
                return i;
    return -1;
}

/* ------------------------------------------------------------------ writing -------------- */

void csv_put_text(FILE *file, const char *text) {
    bool quoted = text[strcspn(text, "\",\r\n")] != '\0';
    if (quoted)
        fputc('"', file);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t length = utf8_length(s);
        if (length == 0)
            fputs("\xEF\xBF\xBD", file);
        if (*s == '"')
            fputc('"', file);
        fwrite(s, 1, length, file);
        s += length ? length : 1;
    }
    if (quoted)
        fputc('"', file);
}

void csv_put_real(FILE *file, double value) {
    char digits[32];
    if (!isnan(value))
        fputs(real_digits(value, CS_F64, digits), file);
}
