/* report_html.h - writing HTML: escaped text, numbers for people, pictures as data */
#ifndef CS_REPORT_HTML_H
#define CS_REPORT_HTML_H

#include "cnnscope_diagnose.h"

#include <stdio.h>

/* Where the page goes. Errors of the stream are kept by it and looked at once, at the end. */
typedef struct html {
    FILE *file;
} html;

/* Markup of ours, as it stands, or with printf's conversions for whole numbers and markup (%f would
 * follow the locale). */
void html_put(html *h, const char *markup);
void html_format(html *h, const char *format, ...) CS_PRINTF(2, 3);

/* Text of the user's, in an element or a quoted attribute. NULL writes nothing. */
void html_text(html *h, const char *text);

/* The same, kept from reversing what stands around it (file names in any script). */
void html_name(html *h, const char *text);

/* "0.38", "-0.4" with a true minus; NaN as a dash. `sign` shows a plus too. digits: 0 to 9. */
void html_number(html *h, double value, int digits);
void html_signed(html *h, double value, int digits);

/* A coordinate inside SVG: plain ASCII, two decimals. */
void html_coordinate(html *h, double value);

/* "10,000". */
void html_count(html *h, int64_t count);

/* "38 %", "0.4 %". */
void html_percent(html *h, double share);

/* "0.38 (0.35 to 0.41)". */
void html_interval(html *h, cs_interval v, int digits, bool with_sign);

/* An RGB picture as the value of a src attribute, quotes included. Errors: CS_ERROR_MEMORY. */
cs_status html_png(html *h, const cs_image *image, cs_error *err);

#endif
