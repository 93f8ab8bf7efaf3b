/* hash.c - SHA-256 (libmd) and CRC-32 (zlib). */
#include "cnnscope_support.h"

#include <sha2.h>
#include <string.h>
#include <zlib.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "cnnscope needs a little-endian machine: its files are mapped as they are"
#endif

/* Elements hashed at a time. */
#define CHUNK 1024

static void finish_hex(SHA2_CTX *context, char out[CS_SHA256_HEX_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256Final(digest, context);
    for (size_t i = 0; i < sizeof digest; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[2 * sizeof digest] = '\0';
}

void cs_sha256_hex(const void *data, size_t size, char out[CS_SHA256_HEX_SIZE]) {
    SHA2_CTX context;
    SHA256Init(&context);
    SHA256Update(&context, data, size);
    finish_hex(&context, out);
}

/* One row of pixels of one channel, w0 <= w < w1, as bytes with every NaN written the same way. */
static size_t canonical_bytes(const cs_tensor *t, const int64_t nch[3], int64_t w0, int64_t w1,
                              unsigned char *out) {
    size_t used = 0;
    for (int64_t w = w0; w < w1; w++) {
        double value = cs_tensor_at(t, nch[0], nch[1], nch[2], w);
        if (t->dtype == CS_F64) {
            uint64_t bits = UINT64_C(0x7FF8000000000000);
            if (value == value)
                memcpy(&bits, &value, sizeof bits);
            memcpy(out + used, &bits, sizeof bits);
            used += sizeof bits;
        } else {
            float narrow = (float)value; /* exact: it was a float */
            uint32_t bits = UINT32_C(0x7FC00000);
            if (value == value)
                memcpy(&bits, &narrow, sizeof bits);
            memcpy(out + used, &bits, sizeof bits);
            used += sizeof bits;
        }
    }
    return used;
}

cs_status cs_tensor_sha256(const cs_tensor *t, char out[CS_SHA256_HEX_SIZE], cs_error *err) {
    (void)err;
    unsigned char buffer[CHUNK * sizeof(double)];
    SHA2_CTX context;
    SHA256Init(&context);
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t c = 0; c < t->c; c++)
            for (int64_t h = 0; h < t->h; h++)
                for (int64_t w = 0; w < t->w; w += CHUNK) {
                    const int64_t nch[3] = {n, c, h};
                    int64_t end = t->w - w < CHUNK ? t->w : w + CHUNK;
                    SHA256Update(&context, buffer, canonical_bytes(t, nch, w, end, buffer));
                }
    finish_hex(&context, out);
    return CS_OK;
}

uint32_t cs_crc32(const void *data, size_t size) { return (uint32_t)crc32_z(0, data, size); }
