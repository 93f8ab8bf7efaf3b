/* preprocess.c - an image as the model's input, as torchvision makes it from a PIL image. */
#include "cam_internal.h"

#include <math.h>

/* Pillow's convert("L"), kept in three equal channels: ITU-R 601 weights in 16-bit fixed point,
 * which sum to 65536, so grey stays as it is. */
static cs_status make_grey(const cs_image *image, cs_image *grey, cs_error *err) {
    CS_TRY(cs_image_allocate(grey, image->width, image->height, err));
    size_t count = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = image->pixels + 3 * i;
        uint32_t l = (19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 0x8000u) >> 16;
        for (size_t c = 0; c < 3; c++)
            grey->pixels[3 * i + c] = (uint8_t)l;
    }
    return CS_OK;
}

static cs_status resize(const cs_preprocess *p, const cs_image *image, cs_image *out,
                        cs_error *err) {
    if (p->channels == 3)
        return cs_resize_bilinear(image, p->width, p->height, out, err);
    cs_image grey = {0};
    CS_TRY(make_grey(image, &grey, err));
    cs_status status = cs_resize_bilinear(&grey, p->width, p->height, out, err);
    cs_image_free(&grey);
    return status;
}

cs_status cs_preprocess_image(const cs_preprocess *preprocess, const cs_image *image,
                              cs_tensor *input, cs_error *err) {
    const cs_preprocess *p = preprocess;
    *input = (cs_tensor){0};
    CS_CHECK(p->channels == 3 || p->channels == 1, CS_ERROR_UNSUPPORTED,
             "the model takes %lld channels; a picture gives 3 or 1: give the input as an .npy",
             (long long)p->channels);
    cs_image resized = {0};
    CS_TRY(resize(p, image, &resized, err));
    cs_status status = cs_tensor_allocate(input, CS_F32, 1, p->channels, p->height, p->width, err);
    if (status == CS_OK) {
        size_t channels = (size_t)p->channels, pixels = (size_t)p->width * (size_t)p->height;
        float *out = input->data, divisor = (float)p->divisor;
        for (size_t i = 0; i < pixels; i++)
            for (size_t c = 0; c < channels; c++) {
                float scaled = (float)resized.pixels[3 * i + c] / divisor;
                out[i * channels + c] = (scaled - (float)p->mean[c]) / (float)p->std[c] + 0.0f;
            }
    }
    cs_image_free(&resized);
    return status;
}

static uint8_t to_byte(double v) {
    v = floor(v + 0.5);
    return (uint8_t)(v >= 255.0 ? 255.0 : v >= 0.0 ? v : 0.0); /* NaN becomes 0 */
}

cs_status cs_preprocess_invert(const cs_preprocess *preprocess, const cs_tensor *input, int64_t n,
                               cs_image *image, cs_error *err) {
    const cs_preprocess *p = preprocess;
    CS_TRY(cs_image_allocate(image, input->w, input->h, err));
    size_t pixels = (size_t)input->w * (size_t)input->h, channels = (size_t)input->c;
    size_t first = (size_t)n * pixels * channels;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++) {
            size_t k = channels == 3 ? c : 0;
            double v = cs_tensor_value(input, first + i * channels + k);
            image->pixels[3 * i + c] = to_byte((v * p->std[k] + p->mean[k]) * p->divisor);
        }
    return CS_OK;
}
