/* fuzz_pnm.c - fuzz target: PNM files, and other first bytes than those of PNG and JPEG. */
#include "fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 0 && data[0] != 0x89 && data[0] != 0xFF)
        fuzz_decode(data, size);
    return 0;
}
