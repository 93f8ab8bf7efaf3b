#include "embedded.h"

cs_status embedded_model_open(cs_model **model, cs_error *err) {
    return cs_model_open_memory("small_resnet.json (in the program)", embedded_manifest,
                                (size_t)(embedded_manifest_end - embedded_manifest), embedded_bin,
                                (size_t)(embedded_bin_end - embedded_bin), model, err);
}
