/* number_text.c - shortest decimals by trying, hexadecimal floats from their bits. */
#include "number_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* printf writes the locale's decimal point; JSON has only one. */
static void use_point(char *text) {
    for (char *c = text; *c; ++c)
        if (!strchr("+-0123456789e", *c))
            *c = '.';
}

void cs_double_text(double value, char out[CS_NUMBER_TEXT_SIZE]) {
    for (int digits = 1; digits <= 17; ++digits) {
        snprintf(out, CS_NUMBER_TEXT_SIZE, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    use_point(out);
}

void cs_float_text(float value, char out[CS_NUMBER_TEXT_SIZE]) {
    for (int digits = 1; digits <= 17; ++digits) {
        snprintf(out, CS_NUMBER_TEXT_SIZE, "%.*g", digits, (double)value);
        if ((float)strtod(out, NULL) == value)
            break;
    }
    use_point(out);
}

void cs_float_hex(float value, char out[CS_NUMBER_TEXT_SIZE]) {
    double wide = (double)value; /* normalises float's subnormals */
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    const char *sign = bits >> 63 ? "-" : "";
    uint64_t fraction = bits & 0xFFFFFFFFFFFFFu;
    int exponent = (int)(bits >> 52 & 0x7FF) - 1023;
    if (wide == 0.0) {
        snprintf(out, CS_NUMBER_TEXT_SIZE, "%s0x0p+0", sign);
        return;
    }
    char digits[24];
    snprintf(digits, sizeof digits, ".%013llx", (unsigned long long)fraction);
    for (size_t last = strlen(digits); last > 0 && strchr("0.", digits[last - 1]);)
        digits[--last] = '\0'; /* ".8", or nothing */
    snprintf(out, CS_NUMBER_TEXT_SIZE, "%s0x1%sp%+d", sign, digits, exponent);
}
