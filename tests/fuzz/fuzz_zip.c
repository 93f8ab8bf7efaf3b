/* fuzz_zip.c - fuzz target: zip checkpoints. Among the first inputs is one whose CRCs are all 0,
 * which means that there are none: from there a fuzzer reaches what is behind them.
 */
#include "fuzz_checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_checkpoint(data, size);
    return 0;
}
