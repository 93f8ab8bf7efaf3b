/* status.c - codes, their names and exit codes, and the filling of errors. */
#include "cnnscope_types.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a terminal would act on, or what would end or reorder the line: C0, DEL, C1, the line
 * separators and the bidirectional overrides. */
static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

/* Writes the byte in C's notation into out (at least 5 bytes) and returns the length. */
static size_t escape_byte(unsigned char byte, char *out) {
    static const char digits[] = "0123456789abcdef";
    if (byte == '\n' || byte == '\t' || byte == '\r') {
        out[0] = '\\';
        out[1] = byte == '\n' ? 'n' : byte == '\t' ? 't' : 'r';
        return 2;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[byte >> 4];
    out[3] = digits[byte & 15];
    return 4;
}

/* Copies `text` into out[0..size), NUL-terminated, with control characters and bytes that are no
 * UTF-8 written as escapes. What does not fit is cut between characters and ends in "...". */
static void copy_visible(char *out, size_t size, const char *text) {
    size_t left = strlen(text), used = 0, cut = 0;
    while (left > 0) {
        uint32_t code = 0;
        size_t length = utf8_decode(text, left, &code), written = 0;
        size_t consumed = length == 0 ? 1 : length;
        char piece[16];
        if (length == 0 || is_control(code)) {
            for (size_t i = 0; i < consumed; i++)
                written += escape_byte((unsigned char)text[i], piece + written);
        } else {
            memcpy(piece, text, length);
            written = length;
        }
        if (used + written >= size) {
            memcpy(out + cut, "...", 4);
            return;
        }
        memcpy(out + used, piece, written);
        used += written;
        if (used + 4 <= size)
            cut = used;
        text += consumed;
        left -= consumed;
    }
    out[used] = '\0';
}

cs_status cs_error_set(cs_error *err, cs_status code, const char *subject, int64_t offset,
                       const char *format, ...) {
    if (err == NULL)
        return code;
    /* Arguments may point into *err: a caller adds its own words to a text that it got. */
    cs_error fresh = {.code = code, .offset = offset};
    char text[sizeof fresh.text];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0)
        text[0] = '\0';
    copy_visible(fresh.text, sizeof fresh.text, text);
    copy_visible(fresh.subject, sizeof fresh.subject, subject == NULL ? "" : subject);
    *err = fresh;
    return code;
}

const char *cs_status_name(cs_status status) {
    switch (status) {
    case CS_OK: return "ok";
    case CS_ERROR_ARGUMENT: return "argument";
    case CS_ERROR_IO: return "io";
    case CS_ERROR_FORMAT: return "format";
    case CS_ERROR_UNSUPPORTED: return "unsupported";
    case CS_ERROR_MISMATCH: return "mismatch";
    case CS_ERROR_NUMERIC: return "numeric";
    case CS_ERROR_OUTPUT: return "output";
    case CS_ERROR_LIMIT: return "limit";
    case CS_ERROR_MEMORY: return "memory";
    case CS_ERROR_STATE: return "state";
    case CS_ERROR_INTERRUPTED: return "interrupted";
    }
    return "unknown";
}

int cs_status_exit_code(cs_status status) {
    switch (status) {
    case CS_OK: return 0;
    case CS_ERROR_ARGUMENT:
    case CS_ERROR_STATE: return 2;
    case CS_ERROR_IO:
    case CS_ERROR_FORMAT:
    case CS_ERROR_UNSUPPORTED: return 3;
    case CS_ERROR_MISMATCH: return 4;
    case CS_ERROR_NUMERIC: return 5;
    case CS_ERROR_OUTPUT:
    case CS_ERROR_LIMIT:
    case CS_ERROR_MEMORY: return 6;
    case CS_ERROR_INTERRUPTED: return 130;
    }
    return 2;
}
