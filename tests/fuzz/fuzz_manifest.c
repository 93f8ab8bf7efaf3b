/* fuzz_manifest.c - fuzz target: manifests, with the binary that the first input belongs to.
 */
#include <stdlib.h>
#include <string.h>

#include "cnnscope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BIN_SIZE = 2560 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static _Alignas(64) unsigned char bin[BIN_SIZE];
    static const unsigned char header[24] = {
        'C',          'N', 'N', 'S', 'C', 'O', 'P', 'E', 4, 3, 2, 1, 64, 0, 0, 0, BIN_SIZE & 255,
        BIN_SIZE >> 8};
    cs_model *model = NULL;
    cs_error err = {0};
    memcpy(bin, header, sizeof header); /* an identity of zeros */
    cs_status status = cs_model_open_memory("fuzzed", data, size, bin, sizeof bin, &model, &err);
    if (status != CS_OK) {
        if (model || err.code != status || !err.text[0])
            abort();
        return 0;
    }
    int64_t values = 0; /* all of every tensor is there */
    for (int i = 0; i < cs_model_tensor_count(model); ++i) {
        const cs_tensor_info *t = cs_model_tensor(model, i);
        for (int64_t k = 0; k < t->count; ++k)
            values += t->data[k] == 0;
    }
    if (values > BIN_SIZE / 4 || cs_model_class_count(model) < 1)
        abort();
    (void)cs_model_verify_hash(model, &err);
    cs_model_free(model);
    return 0;
}
