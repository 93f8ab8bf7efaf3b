/* input.c - an IMAGE of the command line: a picture, or an .npy of the input itself. */
#include "cam_internal.h"

#include <stdlib.h>

void cs_input_free(cs_input *input) {
    if (!input)
        return;
    cs_tensor_release(&input->tensor);
    cs_image_free(&input->display);
    *input = (cs_input){0};
}

static cs_status from_picture(uint8_t *data, size_t size, const char *path,
                              const cs_preprocess *preprocess, const cs_image_limits *limits,
                              cs_input *input, cs_error *err) {
    cs_image original = {0};
    CS_TRY(cs_image_decode_in_place(data, size, path, limits, &original, err));
    input->original_width = original.width;
    input->original_height = original.height;
    cs_status status = cs_preprocess_image(preprocess, &original, &input->tensor, err);
    if (status == CS_OK)
        status = cs_resize_bicubic(&original, preprocess->width, preprocess->height,
                                   &input->display, err);
    cs_image_free(&original);
    return status;
}

/* Makes a float64 tensor float32. */
static cs_status narrow(cs_tensor *t, cs_error *err) {
    cs_tensor wide = *t;
    CS_TRY(cs_tensor_allocate(t, CS_F32, wide.n, wide.c, wide.h, wide.w, err));
    size_t count = (size_t)cs_tensor_count(&wide);
    for (size_t i = 0; i < count; i++)
        cs_tensor_store(t, i, cs_tensor_value(&wide, i));
    cs_tensor_release(&wide);
    return CS_OK;
}

static cs_status from_npy(const char *path, const cs_preprocess *p, cs_dtype dtype, cs_input *input,
                          cs_error *err) {
    cs_tensor *t = &input->tensor;
    CS_TRY(cs_npy_read(path, t, err));
    if (t->n != 1 || t->c != p->channels || t->h != p->height || t->w != p->width)
        return cs_error_set(err, CS_ERROR_MISMATCH, path, -1,
                            "the array has shape (%lld, %lld, %lld, %lld); the model takes (1, "
                            "%lld, %lld, %lld)",
                            (long long)t->n, (long long)t->c, (long long)t->h, (long long)t->w,
                            (long long)p->channels, (long long)p->height, (long long)p->width);
    if (t->dtype == CS_F64 && dtype == CS_F32)
        CS_TRY(narrow(t, err));
    input->from_npy = true;
    input->original_width = t->w;
    input->original_height = t->h;
    return cs_preprocess_invert(p, t, 0, &input->display, err);
}

cs_status cs_input_load(const char *path, const cs_preprocess *preprocess,
                        const cs_input_options *options, cs_input *input, cs_error *err) {
    static const cs_input_options defaults = CS_INPUT_OPTIONS_DEFAULT;
    if (!options)
        options = &defaults;
    *input = (cs_input){0};
    char *data = NULL;
    size_t size = 0;
    CS_TRY(cs_file_read(path, options->limits.max_file_bytes, &data, &size, err));
    cs_sha256_hex(data, size, input->sha256);
    cs_file_kind kind = CS_FILE_UNKNOWN;
    cs_status status = cs_image_sniff((const uint8_t *)data, size, path, &kind, err);
    if (status == CS_OK)
        status = kind == CS_FILE_NPY ? from_npy(path, preprocess, options->dtype, input, err)
                                     : from_picture((uint8_t *)data, size, path, preprocess,
                                                    &options->limits, input, err);
    free(data);
    if (status != CS_OK)
        cs_input_free(input);
    return status;
}
