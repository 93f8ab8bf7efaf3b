/* fuzz_pickle.c - fuzz target: the pickle machine, and the choice of the state_dict in what it
 * makes. The input is data.pkl; it serves as the storages' bytes too. Its first byte's lowest bit
 * says whether persistent ids have the legacy format's views.
 */
#include <string.h>

#include "fuzz_checkpoint.h"

/* Storages lie at the begin of the file, as far as they fit into it. */
static bool locate(cs_checkpoint *c) {
    for (size_t i = 0; i < c->pickle.storage_count; ++i) {
        cs_storage *storage = &c->pickle.storages[i];
        if (storage->numel > c->source.size / cs_element_size(storage->element))
            return false;
        storage->located = storage->verified = true;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cs_checkpoint c = {.source = {.fd = -1}, .strip = ""};
    cs_error err = {0};
    size_t at = 0;
    if (size < 1)
        return 0;
    bool legacy = data[0] & 1;
    ++data;
    --size;
    unsigned char *copy = malloc(size ? size : 1);
    if (!copy || cs_source_open(fuzz_file(data, size), &c.source, &err) != CS_OK)
        abort();
    memcpy(copy, data, size);
    if (fuzz_good(cs_pickle_init(&c.pickle, &c.source, copy, size, 0, legacy, &err), &err) &&
        fuzz_good(cs_pickle_run(&c.pickle, &at, &c.root, &err), &err) && at <= size && locate(&c))
        fuzz_read(&c);
    cs_checkpoint_close(&c);
    return 0;
}
