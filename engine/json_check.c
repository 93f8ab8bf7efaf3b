/* json_check.c - is this text one JSON value in the strict syntax of RFC 8259?
 *
 * Nothing is built and nothing recurses: open objects and arrays stand on a stack of the allowed
 * depth. Keys of open objects are collected on a second stack; when an object closes, its keys are
 * sorted and neighbours compared, so that a large object costs n log n.
 */
#include "cnnscope_support.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* The largest integer that a double, and so cJSON, holds exactly together with its neighbours. */
#define LARGEST_INTEGER UINT64_C(9007199254740991)

/* A key: its text between the quotes as it stands in the file (escapes included). */
typedef struct key {
    uint64_t hash; /* of the unescaped characters */
    const char *start, *end;
} key;

/* An open object or array. */
typedef struct level {
    bool is_object;
    size_t first_key; /* of this object, on the stack of keys */
    size_t opened;    /* byte offset of the bracket */
} level;

typedef struct checker {
    const char *text;
    size_t size, at;
    const char *subject;
    cs_error *err;
    level *levels;
    size_t depth, open;
    key *keys;
    size_t key_count, key_room;
} checker;

static cs_status refuse(checker *j, size_t offset, const char *what) {
    return cs_error_set(j->err, CS_ERROR_FORMAT, j->subject, (int64_t)offset,
                        "%s: byte %zu: %s; strict JSON (RFC 8259) is expected", j->subject, offset,
                        what);
}

static int peek(const checker *j) { return j->at < j->size ? (unsigned char)j->text[j->at] : -1; }

static bool is_digit(int c) { return c >= '0' && c <= '9'; }

static void skip_space(checker *j) {
    while (j->at < j->size && strchr(" \t\n\r", j->text[j->at]) != NULL && j->text[j->at] != '\0')
        j->at++;
}

static int hex_value(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits at s[0..left), or -1. */
static int32_t hex4(const char *s, size_t left) {
    if (left < 4)
        return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        if (hex_value(s[i]) < 0)
            return -1;
        value = value * 16 + hex_value(s[i]);
    }
    return value;
}

/* Reads one character of a string, plain or escaped, at s[0..left), left >= 1. Returns its length
 * in the file, 0 where it is refused with the reason in *why. */
static size_t read_character(const char *s, size_t left, uint32_t *code, const char **why) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (*s != '\\') {
        size_t length = utf8_decode(s, left, code);
        *why = length == 0 ? "not UTF-8" : "a control character in a string";
        return length == 1 && *code < 0x20 ? 0 : length;
    }
    *why = "an unknown escape in a string";
    const char *found = left >= 2 && s[1] != '\0' ? strchr(from, s[1]) : NULL;
    if (found != NULL) {
        *code = (unsigned char)to[found - from];
        return 2;
    }
    int32_t first = left >= 2 && s[1] == 'u' ? hex4(s + 2, left - 2) : -1;
    if (first < 0)
        return 0;
    *code = (uint32_t)first;
    if (first == 0)
        *why = "a NUL in a string";
    if (first < 0xD800 || first > 0xDFFF)
        return first == 0 ? 0 : 6;
    *why = "half of a surrogate pair in a string";
    int32_t second = left >= 12 && s[6] == '\\' && s[7] == 'u' ? hex4(s + 8, left - 8) : -1;
    if (first > 0xDBFF || second < 0xDC00 || second > 0xDFFF)
        return 0;
    *code = 0x10000 + (((uint32_t)first - 0xD800) << 10) + ((uint32_t)second - 0xDC00);
    return 12;
}

/* Passes over the string that begins at the quote j->at; *found (if not NULL) describes it. */
static cs_status pass_string(checker *j, key *found) {
    size_t opened = j->at++;
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a over code points */
    while (peek(j) != '"') {
        uint32_t code = 0;
        const char *why = NULL;
        if (j->at >= j->size)
            return refuse(j, opened, "a string is not closed");
        size_t length = read_character(j->text + j->at, j->size - j->at, &code, &why);
        if (length == 0)
            return refuse(j, j->at, why);
        hash = (hash ^ code) * UINT64_C(1099511628211);
        j->at += length;
    }
    if (found != NULL)
        *found = (key){hash, j->text + opened + 1, j->text + j->at};
    j->at++;
    return CS_OK;
}

/* Order of keys by hash, then by unescaped characters; 0 for equal keys. Both were checked. */
static int compare_keys(const void *left, const void *right) {
    const key *a = left, *b = right;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    const char *p = a->start, *q = b->start, *why = NULL;
    while (p < a->end && q < b->end) {
        uint32_t x = 0, y = 0;
        p += read_character(p, (size_t)(a->end - p), &x, &why);
        q += read_character(q, (size_t)(b->end - q), &y, &why);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (p < a->end) - (q < b->end);
}

/* Refuses the object whose keys stand from `first` on if two are equal, and drops its keys. */
static cs_status close_object(checker *j, size_t first) {
    size_t count = j->key_count - first;
    j->key_count = first;
    if (count < 2)
        return CS_OK;
    key *keys = j->keys + first;
    const char *repeated = NULL;
    qsort(keys, count, sizeof *keys, compare_keys);
    for (size_t i = 1; i < count; i++) {
        if (compare_keys(&keys[i - 1], &keys[i]) != 0)
            continue;
        const char *later = keys[i].start > keys[i - 1].start ? keys[i].start : keys[i - 1].start;
        if (repeated == NULL || later < repeated)
            repeated = later;
    }
    if (repeated != NULL)
        return refuse(j, (size_t)(repeated - j->text) - 1, "an object has this key twice");
    return CS_OK;
}

/* Passes over a key and its colon. */
static cs_status pass_key(checker *j) {
    if (peek(j) != '"')
        return refuse(j, j->at, "expected a key in double quotes");
    if (j->key_count == j->key_room) {
        size_t room = j->key_room == 0 ? 64 : 2 * j->key_room;
        key *grown = realloc(j->keys, room * sizeof *grown);
        if (grown == NULL)
            return cs_error_set(j->err, CS_ERROR_MEMORY, j->subject, (int64_t)j->at,
                                "%s: no memory for %zu keys", j->subject, room);
        j->keys = grown;
        j->key_room = room;
    }
    CS_TRY(pass_string(j, &j->keys[j->key_count]));
    j->key_count++;
    skip_space(j);
    if (peek(j) != ':')
        return refuse(j, j->at, "expected ':' behind a key");
    j->at++;
    skip_space(j);
    return CS_OK;
}

static size_t pass_digits(checker *j) {
    size_t start = j->at;
    while (is_digit(peek(j)))
        j->at++;
    return j->at - start;
}

/* Whether the number text[0..size) (sign, digits, '.', exponent; checked) is finite in double. Its
 * digits are compared with 2^1024 - 2^970, the smallest that rounds to infinity: no strtod, whose
 * decimal point depends on the locale. */
static bool is_finite_number(const char *text, size_t size) {
    static const char limit[] =
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649"
        "017977587207096330286416692887910946555547851940402630657488671505820681908902000708383"
        "676273854845817711531764475730270069855571366959622842914819860834936475292719074168444"
        "365510704342711559699508093042880177904174497792";
    const int64_t limit_digits = sizeof limit - 1, cap = INT64_C(1) << 40;
    const char *mantissa_end = text, *end = text + size;
    while (mantissa_end < end && (*mantissa_end | 32) != 'e')
        mantissa_end++;
    int64_t exponent = 0;
    bool negative = mantissa_end + 1 < end && mantissa_end[1] == '-';
    for (const char *p = mantissa_end; p < end; p++)
        if (is_digit(*p) && exponent < cap)
            exponent = exponent * 10 + (*p - '0');
    int64_t magnitude = negative ? -exponent : exponent; /* value = 0.ddd * 10^magnitude */
    bool behind_point = false, significant = false;
    int order = 0;     /* of the digits so far against the limit's */
    int64_t index = 0; /* of the next significant digit */
    for (const char *p = text; p < mantissa_end; p++) {
        behind_point |= *p == '.';
        if (!is_digit(*p))
            continue;
        significant |= *p != '0';
        if (significant && order == 0) {
            char wanted = index < limit_digits ? limit[index] : '0';
            order = (*p > wanted) - (*p < wanted);
        }
        index += significant;
        magnitude += significant && !behind_point;
        magnitude -= !significant && behind_point;
    }
    for (; order == 0 && index < limit_digits; index++)
        order = limit[index] > '0' ? -1 : 0;
    return !significant || magnitude < limit_digits || (magnitude == limit_digits && order < 0);
}

static cs_status pass_number(checker *j) {
    size_t start = j->at;
    if (peek(j) == '-')
        j->at++;
    size_t first = j->at, digits = pass_digits(j);
    if (digits == 0)
        return refuse(j, start, "not a JSON value");
    if (digits > 1 && j->text[first] == '0')
        return refuse(j, start, "a number begins with 0");
    bool integer = true;
    if (peek(j) == '.') {
        integer = false;
        j->at++;
        if (pass_digits(j) == 0)
            return refuse(j, start, "a number has no digit behind its point");
    }
    if (peek(j) == 'e' || peek(j) == 'E') {
        integer = false;
        j->at++;
        if (peek(j) == '+' || peek(j) == '-')
            j->at++;
        if (pass_digits(j) == 0)
            return refuse(j, start, "a number has no digit in its exponent");
    }
    if (!integer && !is_finite_number(j->text + start, j->at - start))
        return refuse(j, start, "a number is too large for a double");
    uint64_t value = 0;
    for (size_t i = first; integer && i < first + digits; i++) {
        value = value * 10 + (uint64_t)(j->text[i] - '0');
        if (value > LARGEST_INTEGER)
            return refuse(j, start, "an integer is beyond 2^53 - 1");
    }
    return CS_OK;
}

static cs_status pass_word(checker *j) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if (j->size - j->at >= length && memcmp(j->text + j->at, words[i], length) == 0) {
            j->at += length;
            return CS_OK;
        }
    }
    return refuse(j, j->at, "not a JSON value");
}

/* Opens an object or array; *value_next says whether a value follows (it is not empty). */
static cs_status open_level(checker *j, bool *value_next) {
    bool is_object = peek(j) == '{';
    if (j->open == j->depth)
        return cs_error_set(j->err, CS_ERROR_FORMAT, j->subject, (int64_t)j->at,
                            "%s: byte %zu: nested deeper than the %zu levels that are allowed",
                            j->subject, j->at, j->depth);
    j->levels[j->open++] = (level){is_object, j->key_count, j->at};
    j->at++;
    skip_space(j);
    *value_next = peek(j) != (is_object ? '}' : ']');
    return *value_next && is_object ? pass_key(j) : CS_OK;
}

/* Behind a value: closes what ends here; *value_next says whether another value follows. */
static cs_status after_value(checker *j, bool *value_next) {
    *value_next = false;
    while (j->open > 0) {
        const level *top = &j->levels[j->open - 1];
        skip_space(j);
        int c = peek(j);
        if (c < 0)
            return refuse(j, top->opened, "a bracket is not closed");
        if (c == ',') {
            j->at++;
            skip_space(j);
            *value_next = true;
            return top->is_object ? pass_key(j) : CS_OK;
        }
        if (c != (top->is_object ? '}' : ']'))
            return refuse(j, j->at, top->is_object ? "expected ',' or '}'" : "expected ',' or ']'");
        if (top->is_object)
            CS_TRY(close_object(j, top->first_key));
        j->at++;
        j->open--;
    }
    return CS_OK;
}

static cs_status check_text(checker *j) {
    bool value_next = true;
    skip_space(j);
    while (value_next) {
        int c = peek(j);
        if (c < 0)
            return refuse(j, j->at, "the text ends where a value is expected");
        bool opened = c == '{' || c == '[';
        if (opened)
            CS_TRY(open_level(j, &value_next));
        else if (c == '"')
            CS_TRY(pass_string(j, NULL));
        else if (c == '-' || is_digit(c))
            CS_TRY(pass_number(j));
        else
            CS_TRY(pass_word(j));
        if (!opened || !value_next)
            CS_TRY(after_value(j, &value_next));
    }
    skip_space(j);
    if (j->at < j->size)
        return refuse(j, j->at, "something follows the value");
    return CS_OK;
}

cs_status cs_json_check(const char *text, size_t size, int depth, const char *subject,
                        cs_error *err) {
    checker j = {.text = text, .size = size, .subject = subject, .err = err};
    j.depth = depth > 0 ? (size_t)depth : 0;
    j.levels = calloc(j.depth + 1, sizeof *j.levels);
    if (j.levels == NULL)
        return cs_error_set(err, CS_ERROR_MEMORY, subject, -1, "%s: no memory for %d levels",
                            subject, depth);
    cs_status status = check_text(&j);
    free(j.keys);
    free(j.levels);
    return status;
}
