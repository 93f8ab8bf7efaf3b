/* pickle_globals.c - the names that the pickle machine knows, and the types of elements. */
#include <string.h>

#include "pickle.h"

typedef struct element_row {
    const char *name;
    const char *storage; /* the class of its storages, in torch or torch.cuda */
    size_t size;
} element_row;

/* In the order of cs_element; from CS_ELEMENT_FOREIGN on in any order. */
static const element_row elements[CS_ELEMENT_COUNT] = {
    {"float32", "FloatStorage", 4},
    {"float64", "DoubleStorage", 8},
    {"float16", "HalfStorage", 2},
    {"bfloat16", "BFloat16Storage", 2},
    {"int64", "LongStorage", 8},
    {"int32", "IntStorage", 4},
    {"int16", "ShortStorage", 2},
    {"int8", "CharStorage", 1},
    {"uint8", "ByteStorage", 1},
    {"bool", "BoolStorage", 1},
    {"bytes", "UntypedStorage", 1},
    {"complex64", "ComplexFloatStorage", 8},
    {"complex128", "ComplexDoubleStorage", 16},
    {"complex32", "ComplexHalfStorage", 4},
    {"qint8", "QInt8Storage", 1},
    {"quint8", "QUInt8Storage", 1},
    {"qint32", "QInt32Storage", 4},
    {"quint4x2", "QUInt4x2Storage", 1},
    {"quint2x4", "QUInt2x4Storage", 1},
    {"uint16", "", 2},
    {"uint32", "", 4},
    {"uint64", "", 8},
    {"float8_e4m3fn", "", 1},
    {"float8_e5m2", "", 1},
    {"float8_e4m3fnuz", "", 1},
    {"float8_e5m2fnuz", "", 1},
    {"float8_e8m0fnu", "", 1},
    {"float6_e2m3", "", 1}, /* safetensors packs these three into bits */
    {"float6_e3m2", "", 1},
    {"float4_e2m1", "", 1},
};

typedef struct global_row {
    const char *module, *name;
    cs_global global;
} global_row;

static const global_row globals[] = {
    {"collections", "OrderedDict", CS_GLOBAL_DICT},
    {"collections", "Counter", CS_GLOBAL_DICT},
    {"torch._utils", "_rebuild_tensor", CS_GLOBAL_TENSOR_V1},
    {"torch._utils", "_rebuild_tensor_v2", CS_GLOBAL_TENSOR_V2},
    {"torch._utils", "_rebuild_tensor_v3", CS_GLOBAL_TENSOR_V3},
    {"torch._utils", "_rebuild_parameter", CS_GLOBAL_PARAMETER},
    {"torch._utils", "_rebuild_parameter_with_state", CS_GLOBAL_PARAMETER},
    {"torch.nn.parameter", "Parameter", CS_GLOBAL_PARAMETER},
    {"torch.nn.parameter", "Buffer", CS_GLOBAL_PARAMETER},
    {"torch", "Size", CS_GLOBAL_SIZE},
    {"torch._tensor", "_rebuild_from_type_v2", CS_GLOBAL_FROM_TYPE},
    {"torch", "Tensor", CS_GLOBAL_TENSOR_CLASS},
    {"torch._tensor", "Tensor", CS_GLOBAL_TENSOR_CLASS},
    {"torch._utils", "_rebuild_sparse_tensor", CS_GLOBAL_FOREIGN_TENSOR},
    {"torch._utils", "_rebuild_sparse_csr_tensor", CS_GLOBAL_FOREIGN_TENSOR},
    {"torch._utils", "_rebuild_qtensor", CS_GLOBAL_FOREIGN_TENSOR},
    {"torch._utils", "_rebuild_nested_tensor", CS_GLOBAL_FOREIGN_TENSOR},
    {"torch._utils", "_rebuild_meta_tensor_no_storage", CS_GLOBAL_FOREIGN_TENSOR},
    {"torch._utils", "_rebuild_device_tensor_from_numpy", CS_GLOBAL_FOREIGN_TENSOR},
    {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", CS_GLOBAL_FOREIGN_TENSOR},
    {"torch._utils", "_rebuild_wrapper_subclass", CS_GLOBAL_FOREIGN_TENSOR},
    {"torch._utils", "_rebuild_xla_tensor", CS_GLOBAL_FOREIGN_TENSOR},
    {"torch._utils", "_rebuild_mlc_tensor", CS_GLOBAL_FOREIGN_TENSOR},
};

size_t cs_element_size(cs_element element) { return elements[element].size; }

const char *cs_element_name(cs_element element) { return elements[element].name; }

static bool same(const char *text, size_t size, const char *word) {
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

cs_global cs_global_find(const char *module, size_t module_size, const char *name, size_t name_size,
                         cs_element *element) {
    for (size_t i = 0; i < sizeof globals / sizeof *globals; ++i)
        if (same(module, module_size, globals[i].module) && same(name, name_size, globals[i].name))
            return globals[i].global;
    bool torch = same(module, module_size, "torch");
    bool storage = torch || same(module, module_size, "torch.cuda") ||
                   same(module, module_size, "torch.storage");
    for (size_t i = 0; i < CS_ELEMENT_COUNT && storage && name_size > 0; ++i) {
        *element = (cs_element)i;
        if (same(name, name_size, elements[i].storage))
            return CS_GLOBAL_STORAGE;
        if (torch && i != CS_ELEMENT_UNTYPED && same(name, name_size, elements[i].name))
            return CS_GLOBAL_DTYPE;
    }
    return CS_GLOBAL_OPAQUE;
}
