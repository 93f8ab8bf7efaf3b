/* tensor_read.c - a stored tensor's values as float32, through its strides. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "checkpoint.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "float32 is read and written as it lies in memory");

/* Bits of one element, from the least significant byte up or down. */
static uint64_t load_bits(const unsigned char *p, size_t size, bool big_endian) {
    uint64_t bits = 0;
    for (size_t i = 0; i < size; ++i)
        bits = bits << 8 | p[big_endian ? i : size - 1 - i];
    return bits;
}

static float float_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE half precision: exact in float32, subnormals and NaN included. */
static float float_from_half(uint32_t half) {
    uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 31)
        return float_from_bits(sign | 0x7F800000u | fraction << 13);
    if (exponent > 0)
        return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float value = (float)fraction * 0x1p-24f;
    return sign ? -value : value;
}

static float decode(cs_element element, uint64_t bits) {
    double real;
    switch (element) {
    case CS_ELEMENT_F32: return float_from_bits((uint32_t)bits);
    case CS_ELEMENT_F16: return float_from_half((uint32_t)bits);
    case CS_ELEMENT_BF16: return float_from_bits((uint32_t)bits << 16);
    case CS_ELEMENT_I64: return (float)(int64_t)bits;
    case CS_ELEMENT_I32: return (float)(int32_t)(uint32_t)bits;
    case CS_ELEMENT_I16: return (float)(int16_t)(uint16_t)bits;
    case CS_ELEMENT_I8: return (float)(int8_t)(uint8_t)bits;
    case CS_ELEMENT_U8: return (float)bits;
    case CS_ELEMENT_BOOL: return bits ? 1.0f : 0.0f;
    default: memcpy(&real, &bits, sizeof real); return (float)real; /* CS_ELEMENT_F64 */
    }
}

static bool is_contiguous(const cs_stored_tensor *t) {
    int64_t step = 1;
    for (int i = t->dims - 1; i >= 0; --i) {
        if (t->shape[i] != 1 && t->stride[i] != step)
            return false;
        step *= t->shape[i];
    }
    return true;
}

/* Walks the tensor in C order over `base`, its first element. */
static void gather(const cs_stored_tensor *t, const unsigned char *base, bool big_endian,
                   float *out) {
    size_t size = cs_element_size(t->element);
    int64_t index[CS_PICKLE_DIMS_MAX] = {0};
    int64_t at = 0;
    for (uint64_t i = 0; i < t->numel; ++i) {
        const unsigned char *p = base + (size_t)at * size;
        out[i] = decode(t->element, load_bits(p, size, big_endian));
        for (int d = t->dims - 1; d >= 0; --d) {
            at += t->stride[d];
            if (++index[d] < t->shape[d])
                break;
            at -= t->stride[d] * t->shape[d];
            index[d] = 0;
        }
    }
}

/* Compares a zip record's CRC once. */
static cs_status verify(cs_checkpoint *c, cs_storage *storage, cs_error *err) {
    if (storage->verified || !storage->entry || c->zip.crc_absent)
        return CS_OK;
    const cs_zip_entry *entry = storage->entry;
    uint32_t crc = 0;
    CS_TRY(cs_source_crc32(&c->source, entry->data_offset, entry->size, &crc, err));
    CS_TRY(cs_zip_check_crc(&c->zip, entry, crc, err));
    storage->verified = true;
    return CS_OK;
}

cs_status cs_checkpoint_read(cs_checkpoint *c, const cs_stored_tensor *t, float *out, uint32_t *crc,
                             bool *crc_known, cs_error *err) {
    cs_storage *storage = &c->pickle.storages[t->storage];
    size_t size = cs_element_size(t->element);
    uint64_t begin = storage->offset + t->offset * size;
    if (crc_known)
        *crc_known = false;
    if (t->element >= CS_ELEMENT_UNTYPED)
        return cs_source_error(&c->source, CS_ERROR_UNSUPPORTED, t->position, err,
                               "a tensor of %s, which a model cannot have",
                               cs_element_name(t->element));
    if (t->numel == 0)
        return CS_OK;
    bool direct = t->element == CS_ELEMENT_F32 && !c->big_endian && is_contiguous(t);
    if (direct && t->numel == storage->numel) { /* the whole record: its CRC is the tensor's */
        CS_TRY(cs_source_read(&c->source, begin, out, (size_t)t->numel * size, err));
        uint32_t computed =
            (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const void *)out, (size_t)t->numel * size);
        if (storage->entry)
            CS_TRY(cs_zip_check_crc(&c->zip, storage->entry, computed, err));
        storage->verified = true;
        if (crc_known) {
            *crc = computed;
            *crc_known = true;
        }
        return CS_OK;
    }
    CS_TRY(verify(c, storage, err));
    if (direct)
        return cs_source_read(&c->source, begin, out, (size_t)t->numel * size, err);
    unsigned char *bytes = NULL;
    CS_TRY(cs_source_load(&c->source, begin, (size_t)t->extent * size, "a tensor", &bytes, err));
    gather(t, bytes, c->big_endian, out);
    free(bytes);
    return CS_OK;
}
