/* fuzz_jpeg.c - fuzz target: JPEG files. */
#include "fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 2 && data[0] == 0xFF && data[1] == 0xD8)
        fuzz_decode(data, size);
    return 0;
}
