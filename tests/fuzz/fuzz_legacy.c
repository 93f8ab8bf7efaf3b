/* fuzz_legacy.c - fuzz target: files of torch.save before 1.6, from the magic number to the last
 * value. */
#include "fuzz_checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_checkpoint(data, size);
    return 0;
}
