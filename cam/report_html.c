/* report_html.c - HTML written safely: text is escaped, and numbers know no locale. */
#include "report_html.h"

#include "cam_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MINUS "\xE2\x88\x92"
#define DASH  "\xE2\x80\x93"

void html_put(html *h, const char *markup) { fputs(markup, h->file); }

void html_format(html *h, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(h->file, format, args);
    va_end(args);
}

/* HTML allows no other control characters, and none of them means anything to a reader. */
static bool is_printable(uint32_t code) {
    return code >= 0x20 ? (code < 0x7F || code > 0x9F) && (code & 0xFFFE) != 0xFFFE
                        : code == '\t' || code == '\n';
}

void html_text(html *h, const char *text) {
    for (const char *s = text ? text : ""; *s;) {
        const char *begin = s;
        uint32_t code = cs_text_next(&s);
        if (code == '&')
            html_put(h, "&amp;");
        else if (code == '<')
            html_put(h, "&lt;");
        else if (code == '>')
            html_put(h, "&gt;");
        else if (code == '"')
            html_put(h, "&quot;");
        else if (code == '\'')
            html_put(h, "&#39;");
        else if (code == CS_TEXT_REPLACEMENT || !is_printable(code))
            html_put(h, "\xEF\xBF\xBD");
        else
            fwrite(begin, 1, (size_t)(s - begin), h->file);
    }
}

void html_name(html *h, const char *text) {
    html_put(h, "<bdi>");
    html_text(h, text);
    html_put(h, "</bdi>");
}

/* Rounded half away from zero in decimal places; false where that is no 63-bit integer. */
static bool scaled(double value, int digits, int64_t *whole, int64_t *unit) {
    *unit = 1;
    for (int i = 0; i < digits; i++)
        *unit *= 10;
    double v = fabs(value) * (double)*unit;
    if (!(v < 9e15))
        return false;
    *whole = llround(v);
    return true;
}

static void put_fixed(html *h, double value, int digits, const char *minus, const char *plus) {
    int64_t whole = 0, unit = 1;
    if (isnan(value))
        html_put(h, DASH);
    else if (!scaled(value, digits, &whole, &unit))
        html_format(h, "%s%s", value < 0 ? minus : plus, "huge");
    else {
        html_put(h, whole == 0 ? "" : value < 0 ? minus : plus);
        html_format(h, "%" PRId64, whole / unit);
        if (digits > 0)
            html_format(h, ".%0*" PRId64, digits, whole % unit);
    }
}

void html_number(html *h, double value, int digits) { put_fixed(h, value, digits, MINUS, ""); }

void html_signed(html *h, double value, int digits) { put_fixed(h, value, digits, MINUS, "+"); }

void html_coordinate(html *h, double value) { put_fixed(h, value, 2, "-", ""); }

void html_count(html *h, int64_t count) {
    if (count >= 1000) {
        html_count(h, count / 1000);
        html_format(h, ",%03d", (int)(count % 1000));
    } else
        html_format(h, "%" PRId64, count);
}

void html_percent(html *h, double share) {
    html_number(h, 100.0 * share, fabs(share) < 0.0995 ? 1 : 0);
    html_put(h, "&nbsp;%");
}

void html_interval(html *h, cs_interval v, int digits, bool with_sign) {
    put_fixed(h, v.value, digits, MINUS, with_sign ? "+" : "");
    if (isnan(v.value) || isnan(v.low) || isnan(v.high))
        return;
    html_put(h, " <span class=\"soft\">(");
    put_fixed(h, v.low, digits, MINUS, with_sign ? "+" : "");
    html_put(h, " to ");
    put_fixed(h, v.high, digits, MINUS, with_sign ? "+" : "");
    html_put(h, ")</span>");
}

static void put_base64(html *h, const uint8_t *data, size_t size) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t word = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (left > 2 ? data[i + 2] : 0);
        char four[4] = {letters[word >> 18], letters[word >> 12 & 63],
                        left > 1 ? letters[word >> 6 & 63] : '=',
                        left > 2 ? letters[word & 63] : '='};
        fwrite(four, 1, 4, h->file);
    }
}

cs_status html_png(html *h, const cs_image *image, cs_error *err) {
    uint8_t *png = NULL;
    size_t size = 0;
    CS_TRY(cs_image_encode_png(image, &png, &size, err));
    html_put(h, "\"data:image/png;base64,");
    put_base64(h, png, size);
    html_put(h, "\"");
    free(png);
    return CS_OK;
}
