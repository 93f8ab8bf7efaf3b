/* utf8.h - reading one UTF-8 character, strictly. */
#ifndef CS_UTF8_H
#define CS_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the character at s[0..left), left >= 1, into *code and returns its length in bytes, 1 to
 * 4; returns 0 for anything that RFC 3629 forbids: a truncated or overlong form, a surrogate, a
 * value above U+10FFFF. */
static inline size_t utf8_decode(const char *s, size_t left, uint32_t *code) {
    const unsigned char *p = (const unsigned char *)s;
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (length == 0 || length > left || p[0] > 0xF4)
        return 0;
    if (length == 1) {
        *code = p[0];
        return 1;
    }
    uint32_t value = p[0] & (0xFFu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3Fu);
    }
    if (value < smallest[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *code = value;
    return length;
}

#endif
