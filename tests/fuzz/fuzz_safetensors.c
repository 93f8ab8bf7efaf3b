/* fuzz_safetensors.c - fuzz target: safetensors files. An input is the header; the size before it
 * is written here, and values of as many bytes as its first two say follow it.
 */
#include <string.h>

#include "fuzz_checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { DATA_MAX = 4096, HEADER_MAX = 1 << 16 };
    static uint8_t file[8 + HEADER_MAX + DATA_MAX];
    if (size < 2 || size - 2 > HEADER_MAX)
        return 0;
    size_t header = size - 2, values = (data[0] | (size_t)data[1] << 8) % (DATA_MAX + 1);
    for (int i = 0; i < 8; ++i)
        file[i] = (uint8_t)((uint64_t)header >> 8 * i);
    memcpy(file + 8, data + 2, header);
    memset(file + 8 + header, 0x3F, values);
    fuzz_checkpoint(file, 8 + header + values);
    return 0;
}
