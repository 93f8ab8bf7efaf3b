/* hostile_zip.c - zip archives with one thing wrong each (list ZIP). Each function makes the
 * change that its case is named for. */
#include "hostile_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "test_support.h"

static int record(const stages *s, const char *name) {
    return built_record_find(&s->archive, name);
}

static void z1(stages *s) { bytes_cut(&s->file, 0); }
static void z2(stages *s) { bytes_cut(&s->file, 4); }
static void z3(stages *s) { bytes_cut(&s->file, s->layout.end); }
static void z4(stages *s) { bytes_set(&s->file, s->layout.end + 20, 9, 2); }
static void z5(stages *s) { bytes_text(&s->file, "more"); }
static void z6(stages *s) { bytes_insert(&s->file, 0, "PK\3\4", 4); }
static void z7(stages *s) {
    bytes end = {0};
    bytes_put(&end, s->file.data + s->layout.end, 22);
    bytes_put(&s->file, end.data, end.size);
    bytes_free(&end);
}
static void z8(stages *s) { bytes_set(&s->file, s->layout.end + 4, 1, 2); }
static void set_count(stages *s, int more) {
    uint64_t count = (uint64_t)(s->archive.count + more);
    bytes_set(&s->file, s->layout.end + 8, count, 2);
    bytes_set(&s->file, s->layout.end + 10, count, 2);
    bytes_set(&s->file, s->layout.end64 + 24, count, 8);
    bytes_set(&s->file, s->layout.end64 + 32, count, 8);
}
static void z9(stages *s) { set_count(s, 1); }
static void z10(stages *s) { set_count(s, -1); }
static void set_directory(stages *s, uint64_t offset) {
    bytes_set(&s->file, s->layout.end + 16, 0xFFFFFFFF, 4);
    bytes_set(&s->file, s->layout.end64 + 48, offset, 8);
}
static void z11(stages *s) { set_directory(s, s->file.size); }
static void z12(stages *s) { set_directory(s, UINT64_MAX - 100); }
static void z13(stages *s) { bytes_set(&s->file, s->layout.locator + 8, s->file.size + 1, 8); }
static void z14(stages *s) { bytes_set(&s->file, s->layout.locator + 8, s->layout.data[2], 8); }
static void z15(stages *s) { bytes_set(&s->file, s->layout.end64 + 40, 77, 8); }
static void z16(stages *s) {
    bytes_set(&s->file, s->layout.end + 8, 0xFFFFFFFF, 4);
    bytes_set(&s->file, s->layout.end64 + 24, 65537, 8);
    bytes_set(&s->file, s->layout.end64 + 32, 65537, 8);
}
static void z17(stages *s) { bytes_set(&s->file, s->layout.central[1], 0x02014b51, 4); }
static void z18(stages *s) { bytes_set(&s->file, s->layout.central[1] + 28, 60000, 2); }
static void z19(stages *s) { bytes_set(&s->file, s->layout.local[1], 0x04034b51, 4); }
static void z20(stages *s) { bytes_set(&s->file, s->layout.local[1] + 30, 'M', 1); }
static void z21(stages *s) { bytes_set(&s->file, s->layout.local[1] + 8, 8, 2); }
static void set_flags(stages *s, uint64_t flags) {
    bytes_set(&s->file, s->layout.central[1] + 8, flags, 2);
    bytes_set(&s->file, s->layout.local[1] + 6, flags, 2);
}
static void z22(stages *s) { set_flags(s, 0x0809); }
static void z23_patch(stages *s) { set_flags(s, 0x0828); }
static void z23_strong(stages *s) { set_flags(s, 0x0848); }
static void set_method(stages *s, uint64_t method) {
    bytes_set(&s->file, s->layout.central[1] + 10, method, 2);
    bytes_set(&s->file, s->layout.local[1] + 8, method, 2);
}
static void z24(stages *s) { set_method(s, 8); }
static void z25(stages *s) {
    set_method(s, 8);
    bytes_set(&s->file, s->layout.central[1] + 24, 6000, 4);
}
static void z26(stages *s) { set_method(s, 99); }
static void z27(stages *s) { bytes_set(&s->file, s->layout.central[1] + 24, 7, 4); }
static void z28(stages *s) {
    bytes_set(&s->file, s->layout.central[2] + 20, 2200000000u, 4);
    bytes_set(&s->file, s->layout.central[2] + 24, 2200000000u, 4);
}
static void z29(stages *s) {
    bytes_set(&s->file, s->layout.central[2] + 42, s->layout.local[3], 4);
}
static void z30(stages *s) {
    uint64_t size = bytes_get(&s->file, s->layout.central[s->archive.count - 1] + 24, 4) + 100;
    bytes_set(&s->file, s->layout.central[s->archive.count - 1] + 20, size, 4);
    bytes_set(&s->file, s->layout.central[s->archive.count - 1] + 24, size, 4);
}
static void z31(stages *s) {
    snprintf(s->archive.records[3].name, 96, "%s", s->archive.records[2].name);
}
static void z32(stages *s) { snprintf(s->archive.records[3].name, 96, "%s", "model/DATA/0"); }
static void z33(stages *s) { snprintf(s->archive.records[2].name, 96, "model/../../x"); }
static void z34(stages *s) { snprintf(s->archive.records[2].name, 96, "/etc/x"); }
static void z35(stages *s) { snprintf(s->archive.records[2].name, 96, "C:\\x"); }
static void z36(stages *s) {
    bytes_set(&s->file, s->layout.central[2] + 46 + 8, 0, 1);
    bytes_set(&s->file, s->layout.local[2] + 30 + 8, 0, 1);
}
static void z37(stages *s) { snprintf(s->archive.records[2].name, 96, "model/a/data.pkl"); }
static void torchscript(stages *s) {
    snprintf(s->archive.records[2].name, 96, "model/code/__torch__/net.py");
}
static void torchscript_constants(stages *s) {
    snprintf(s->archive.records[2].name, 96, "model/constants.pkl");
}
static void torchscript_packed(stages *s) { /* its code is compressed */
    bytes_set(&s->file, s->layout.central[2] + 10, 8, 2);
}
static void z38(stages *s) { snprintf(s->archive.records[0].name, 96, "model/data.bin"); }
static void z39_none(stages *s) {
    snprintf(s->archive.records[record(s, "version")].name, 96, "model/revision");
}
static void set_record(stages *s, const char *name, const char *text) {
    bytes *data = &s->archive.records[record(s, name)].data;
    bytes_cut(data, 0);
    bytes_text(data, text);
}
static void z39_new(stages *s) { set_record(s, "version", "999"); }
static void z39_word(stages *s) { set_record(s, "version", "three"); }
static void z40(stages *s) { set_record(s, "byteorder", "middle"); }
static void flip_data(stages *s, const char *name) {
    size_t at = s->layout.data[record(s, name)];
    bytes_set(&s->file, at + 10, bytes_get(&s->file, at + 10, 1) ^ 1, 1);
}
static void z42(stages *s) { flip_data(s, "data.pkl"); }
static void z43(stages *s) { flip_data(s, "data/0"); }
static void clear_crc(stages *s, int i) {
    bytes_set(&s->file, s->layout.central[i] + 16, 0, 4);
    if (s->archive.records[i].data.size > 0)
        bytes_set(&s->file, s->layout.descriptor[i] + 4, 0, 4);
}
static void z44(stages *s) {
    for (int i = 0; i < s->archive.count; ++i)
        clear_crc(s, i);
}
static void z45(stages *s) { clear_crc(s, record(s, "data/0")); }
static void z46(stages *s) { bytes_set(&s->file, s->layout.descriptor[2] + 8, 7, 4); }
static void z47(stages *s) { bytes_set(&s->file, s->layout.local[2] + 30 + 12 + 2, 60000, 2); }

static void z41_data(stages *s) {
    for (int i = 0; i < s->tensors.count; ++i)
        for (size_t k = 0; k < s->tensors.tensors[i].data.size; k += 4)
            bytes_set(&s->tensors.tensors[i].data, k,
                      __builtin_bswap32((uint32_t)bytes_get(&s->tensors.tensors[i].data, k, 4)), 4);
}
static void z41(stages *s) { set_record(s, "byteorder", "big"); }

/* Opens the valid checkpoint, changes the file's size, then reads a tensor. */
static void read_resized(hostile_outcome *out, off_t size) {
    cs_checkpoint c = {.source = {.fd = -1}};
    cs_error err = {0};
    float values[294];
    const char *folder = test_temp_dir(), *path = built_tiny_file(folder);
    REQUIRE_OK(cs_checkpoint_open(path, &c, &err), err);
    REQUIRE_OK(cs_checkpoint_select(&c, NULL, &err), err);
    ck_assert_int_eq(truncate(path, size), 0);
    cs_status status =
        cs_checkpoint_read(&c, cs_checkpoint_tensor(&c, "conv1.weight"), values, NULL, NULL, &err);
    if (status == CS_OK) /* before anything is written, the converter asks: */
        status = cs_source_unchanged(&c.source, &err);
    ck_assert_int_ne(status, CS_OK);
    hostile_failed(out, &err, folder);
    cs_checkpoint_close(&c);
}
static void z48(hostile_outcome *out) { read_resized(out, 2000); }
static void z48_grown(hostile_outcome *out) { read_resized(out, 1 << 20); }

/* Gives record 2's central header a zip64 field of `size` bytes with its sizes, and says so. */
static void widen(stages *s, size_t size) {
    size_t at = s->layout.central[2], name = strlen(s->archive.records[2].name);
    uint64_t data = s->archive.records[2].data.size, directory = 0;
    bytes extra = {0};
    bytes_le(&extra, 1, 2);
    bytes_le(&extra, size, 2);
    bytes_le(&extra, data, 8);
    bytes_le(&extra, data, 8);
    bytes_cut(&extra, 4 + size);
    bytes_set(&s->file, at + 20, 0xFFFFFFFF, 4);
    bytes_set(&s->file, at + 24, 0xFFFFFFFF, 4);
    bytes_set(&s->file, at + 30, extra.size, 2);
    directory = s->layout.end64 - s->layout.directory + extra.size;
    bytes_set(&s->file, s->layout.end + 12, directory, 4);
    bytes_set(&s->file, s->layout.end64 + 40, directory, 8);
    bytes_set(&s->file, s->layout.locator + 8, s->layout.end64 + extra.size, 8);
    bytes_insert(&s->file, at + 46 + name, extra.data, extra.size);
    bytes_free(&extra);
}
static void wide(stages *s) { widen(s, 16); }
static void wide_short(stages *s) { widen(s, 8); }
static void wide_missing(stages *s) {
    bytes_set(&s->file, s->layout.central[2] + 24, 0xFFFFFFFF, 4);
}
/* The padding field of a local header becomes two zip64 fields. */
static void wide_twice(stages *s) {
    size_t at = s->layout.local[2] + 30 + strlen(s->archive.records[2].name);
    bytes_set(&s->file, at, 1, 2);
    bytes_set(&s->file, at + 2, 4, 2);
    bytes_set(&s->file, at + 8, 1, 2);
    bytes_set(&s->file, at + 10, bytes_get(&s->file, s->layout.local[2] + 28, 2) - 12, 2);
}
/* Record 1 without flag of a descriptor, whose bytes nobody claims then. */
static void no_descriptor(stages *s) {
    set_flags(s, 0x0800);
    for (int field = 0; field < 3; ++field)
        bytes_set(&s->file, s->layout.local[1] + 14 + 4 * (size_t)field,
                  bytes_get(&s->file, s->layout.central[1] + 16 + 4 * (size_t)field, 4), 4);
}
static void local_sizes(stages *s) {
    no_descriptor(s);
    bytes_set(&s->file, s->layout.local[1] + 22, 7, 4);
}
static void behind_directory(stages *s) {
    bytes_set(&s->file, s->layout.central[2] + 42, s->layout.directory + 46, 4);
}
static void disks64(stages *s) { bytes_set(&s->file, s->layout.end64 + 20, 1, 4); }
static void magic64(stages *s) { bytes_set(&s->file, s->layout.end64, 0, 4); }
static void disks_locator(stages *s) { bytes_set(&s->file, s->layout.locator + 16, 2, 4); }
static void no_entries(stages *s) {
    bytes_cut(&s->file, 0);
    bytes_text(&s->file, "PK\5\6");
    for (int i = 0; i < 18; ++i)
        bytes_le(&s->file, 0, 1);
}
static void outside(stages *s) {
    snprintf(s->archive.records[record(s, "version")].name, 96, "other/version");
}
static void hidden_version(stages *s) {
    snprintf(s->archive.records[record(s, "version")].name, 96, "model/.data/version");
}
static void no_byteorder(stages *s) {
    snprintf(s->archive.records[record(s, "byteorder")].name, 96, "model/endianness");
}
static void long_byteorder(stages *s) { set_record(s, "byteorder", "little, but with more words"); }
static void padded_version(stages *s) { set_record(s, "version", "3 \n\n"); }
static void version_none(stages *s) { set_record(s, "version", "\n"); }
static void version_0(stages *s) { set_record(s, "version", "0"); }
static void large_pickle(stages *s) {
    enum { LIMIT = 64 << 20 };
    bytes *data = &s->archive.records[0].data;
    data->data = realloc(data->data, LIMIT + 1);
    ck_assert_ptr_nonnull(data->data);
    memset(data->data, 'N', LIMIT + 1);
    data->size = data->capacity = LIMIT + 1;
}

/* {"state_dict": the tensors, "hook": os.system("true")} */
static void p18_beside(stages *s) {
    bytes *data = &s->archive.records[0].data, call = {0};
    s->tensors.wrapper = "state_dict";
    bytes_cut(data, 0);
    built_pickle(&s->tensors, false, data);
    pickle_string(&call, "hook");
    pickle_global(&call, "os", "system");
    pickle_string(&call, "true");
    pickle_op(&call, "\x85R");
    bytes_insert(data, data->size - 2, call.data, call.size);
    bytes_free(&call);
}

/* The archive behind 4 other bytes, with every offset right. */
static void z6_moved(stages *s) {
    const built_layout *l = &s->layout;
    for (int i = 0; i < s->archive.count; ++i)
        bytes_set(&s->file, l->central[i] + 42, l->local[i] + 4, 4);
    bytes_set(&s->file, l->end + 16, l->directory + 4, 4);
    bytes_set(&s->file, l->end64 + 48, l->directory + 4, 8);
    bytes_set(&s->file, l->locator + 8, l->end64 + 4, 8);
    bytes_insert(&s->file, 0, "PK\3\4", 4);
}

static const hostile_file files[] = {
    {.row = {"Z1 empty file", CS_ERROR_FORMAT, 0, NULL, NULL}, .file = z1},
    {.row = {"Z2 4 bytes", CS_ERROR_FORMAT, 4, NULL, NULL}, .file = z2},
    {.row = {"Z3 no end record", CS_ERROR_FORMAT, 7731, NULL, NULL}, .file = z3},
    {.row = {"Z4 comment past the end", CS_ERROR_FORMAT, 7751, NULL, NULL}, .file = z4},
    {.row = {"Z5 bytes behind the end", CS_ERROR_FORMAT, 7753, NULL, NULL}, .file = z5},
    {.row = {"Z6 bytes before the first header", CS_ERROR_FORMAT, 7723, NULL, NULL}, .file = z6},
    {.row = {"Z6 the same, all offsets right", CS_ERROR_FORMAT, 0, NULL, NULL}, .file = z6_moved},
    {.row = {"Z7 two end records", CS_ERROR_FORMAT, 7753, NULL, NULL}, .file = z7},
    {.row = {"Z8 disk number", CS_ERROR_FORMAT, 7735, NULL, NULL}, .file = z8},
    {.row = {"Z9 count too high", CS_ERROR_FORMAT, 7655, NULL, NULL}, .file = z9},
    {.row = {"Z10 count too low", CS_ERROR_FORMAT, 7596, NULL, NULL}, .file = z10},
    {.row = {"Z11 directory past the end", CS_ERROR_FORMAT, 7655, NULL, NULL}, .file = z11},
    {.row = {"Z12 directory wraps", CS_ERROR_FORMAT, 7655, NULL, NULL}, .file = z12},
    {.row = {"Z13 locator past the end", CS_ERROR_FORMAT, 7719, NULL, NULL}, .file = z13},
    {.row = {"Z14 locator into the data", CS_ERROR_FORMAT, 7719, NULL, NULL}, .file = z14},
    {.row = {"Z15 end records disagree", CS_ERROR_FORMAT, 7655, NULL, NULL}, .file = z15},
    {.row = {"Z16 65537 entries", CS_ERROR_LIMIT, 7655, NULL, NULL}, .file = z16},
    {.row = {"Z17 central magic", CS_ERROR_FORMAT, 6542, NULL, NULL}, .file = z17},
    {.row = {"Z18 name past the directory", CS_ERROR_FORMAT, 6570, NULL, NULL}, .file = z18},
    {.row = {"Z19 local magic", CS_ERROR_FORMAT, 2659, NULL, NULL}, .file = z19},
    {.row = {"Z20 names differ", CS_ERROR_FORMAT, 2689, NULL, NULL}, .file = z20},
    {.row = {"Z21 methods differ", CS_ERROR_FORMAT, 2665, NULL, NULL}, .file = z21},
    {.row = {"Z22 encrypted", CS_ERROR_UNSUPPORTED, 6550, NULL, NULL}, .file = z22},
    {.row = {"Z23 patched data", CS_ERROR_UNSUPPORTED, 6550, NULL, NULL}, .file = z23_patch},
    {.row = {"Z23 strong encryption", CS_ERROR_UNSUPPORTED, 6550, NULL, NULL}, .file = z23_strong},
    {.row = {"Z24 deflate", CS_ERROR_UNSUPPORTED, 6552, NULL,
             "torch.save never compresses; the list leaves open to inflate, and nothing that one "
             "reads "
             "needs it"},
     .file = z24},
    {.row = {"Z25 deflate bomb", CS_ERROR_UNSUPPORTED, 6552, NULL, "never inflated"}, .file = z25},
    {.row = {"Z26 method 99", CS_ERROR_UNSUPPORTED, 6552, NULL, NULL}, .file = z26},
    {.row = {"Z27 stored with two sizes", CS_ERROR_FORMAT, 6562, NULL, NULL}, .file = z27},
    {.row = {"Z28 2.2 GB in 2 KB", CS_ERROR_FORMAT, 2774, NULL, NULL}, .file = z28},
    {.row = {"Z29 overlap", CS_ERROR_FORMAT, 2758, NULL, NULL}, .file = z29},
    {.row = {"Z30 entry over the directory", CS_ERROR_FORMAT, 6360, NULL, NULL}, .file = z30},
    {.row = {"Z31 same name twice", CS_ERROR_FORMAT, 4072, NULL, NULL}, .records = z31},
    {.row = {"Z32 names by case", CS_ERROR_FORMAT, 4072, NULL, NULL}, .records = z32},
    {.row = {"Z33 ..", CS_ERROR_FORMAT, 6649, NULL, NULL}, .records = z33},
    {.row = {"Z34 /etc", CS_ERROR_FORMAT, 6585, NULL, NULL}, .records = z34},
    {.row = {"Z35 C:", CS_ERROR_FORMAT, 6585, NULL, NULL}, .records = z35},
    {.row = {"Z36 NUL in a name", CS_ERROR_FORMAT, 6649, NULL, NULL}, .file = z36},
    {.row = {"Z37 two data.pkl", CS_ERROR_FORMAT, 2774, NULL, NULL}, .records = z37},
    {.row = {"Z38 no data.pkl", CS_ERROR_FORMAT, 0, NULL, NULL}, .records = z38},
    {.row = {"Z39 no version", CS_ERROR_FORMAT, 0, NULL, NULL}, .records = z39_none},
    {.row = {"Z39 version 999", CS_ERROR_UNSUPPORTED, 6464, NULL, NULL}, .records = z39_new},
    {.row = {"Z39 version a word", CS_ERROR_FORMAT, 6464, NULL, NULL}, .records = z39_word},
    {.row = {"Z39 version empty", CS_ERROR_FORMAT, 6464, NULL, NULL}, .records = version_none},
    {.row = {"Z39 version 0", CS_ERROR_UNSUPPORTED, 6464, NULL, NULL}, .records = version_0},
    {.row = {"Z40 byteorder middle", CS_ERROR_FORMAT, 2752, NULL, NULL}, .records = z40},
    {.row = {"Z41 byteorder big, and the elements stored so", CS_OK, -1, NULL,
             "the list leaves open to convert or to refuse: big-endian elements are converted (the "
             "suite "
             "convert compares the values)"},
     .tensors = z41_data,
     .records = z41},
    {.row = {"Z42 CRC of data.pkl", CS_ERROR_FORMAT, 64, NULL, NULL}, .file = z42},
    {.row = {"Z43 CRC of data/0", CS_ERROR_FORMAT, 2880, NULL, NULL}, .file = z43},
    {.row = {"Z44 all CRCs 0", CS_OK, -1, "without CRCs",
             "torch.save writes so with compute_crc32=False"},
     .file = z44},
    {.row = {"Z45 one CRC 0", CS_ERROR_FORMAT, 2880, NULL, NULL}, .file = z45},
    {.row = {"Z46 descriptor disagrees", CS_ERROR_FORMAT, 4056, NULL, NULL}, .file = z46},
    {.row = {"Z47 extra field too long", CS_ERROR_FORMAT, 2816, NULL, NULL}, .file = z47},
    {.row = {"Z48 the file shrinks after it was opened", CS_ERROR_IO, 2880, "became shorter", NULL},
     .run = z48},
    {.row = {"Z48 the file grows while it is read", CS_ERROR_IO, -1, "changed", NULL},
     .run = z48_grown},
    {.row = {"- TorchScript", CS_ERROR_UNSUPPORTED, 6603, NULL, NULL}, .records = torchscript},
    {.row = {"- TorchScript, its code compressed", CS_ERROR_UNSUPPORTED, 6603, NULL, NULL},
     .records = torchscript,
     .file = torchscript_packed},
    {.row = {"- TorchScript, constants", CS_ERROR_UNSUPPORTED, 6603, NULL, NULL},
     .records = torchscript_constants},
    {.row = {"P18 os.system called beside the state_dict", CS_OK, -1, "os.system",
             "named, not run; --strict refuses it"},
     .records = p18_beside},
    {.row = {"- sizes in zip64 fields", CS_OK, -1, NULL, "as torch.save writes records of 4 GiB"},
     .file = wide},
    {.row = {"- a zip64 field too short", CS_ERROR_FORMAT, 6603, NULL, NULL}, .file = wide_short},
    {.row = {"- a 64-bit size without its field", CS_ERROR_FORMAT, 6603, NULL, NULL},
     .file = wide_missing},
    {.row = {"- two zip64 fields", CS_ERROR_FORMAT, 2824, NULL, NULL}, .file = wide_twice},
    {.row = {"- bytes behind an entry", CS_ERROR_FORMAT, 2758, NULL, NULL}, .file = no_descriptor},
    {.row = {"- another size in the local header", CS_ERROR_FORMAT, 2673, NULL, NULL},
     .file = local_sizes},
    {.row = {"- an entry behind the directory", CS_ERROR_FORMAT, 2758, NULL, NULL},
     .file = behind_directory},
    {.row = {"- zip64 end record of another disk", CS_ERROR_FORMAT, 7671, NULL, NULL},
     .file = disks64},
    {.row = {"- zip64 end record without magic", CS_ERROR_FORMAT, 7655, NULL, NULL},
     .file = magic64},
    {.row = {"- zip64 locator of two disks", CS_ERROR_FORMAT, 7711, NULL, NULL},
     .file = disks_locator},
    {.row = {"- a zip archive of no entries", CS_ERROR_FORMAT, 0, NULL, NULL}, .file = no_entries},
    {.row = {"- an entry outside the folder", CS_ERROR_FORMAT, 6360, NULL, NULL},
     .records = outside},
    {.row = {"- the version in .data/version", CS_OK, -1, NULL, "newest PyTorch"},
     .records = hidden_version},
    {.row = {"- no byteorder", CS_OK, -1, NULL, "before PyTorch 2.1: little"},
     .records = no_byteorder},
    {.row = {"- byteorder a sentence", CS_ERROR_FORMAT, 2752, NULL, NULL},
     .records = long_byteorder},
    {.row = {"- version with spaces behind", CS_OK, -1, NULL, NULL}, .records = padded_version},
    {.row = {"- a pickle of 64 MiB and a byte", CS_ERROR_LIMIT, 64, NULL, NULL},
     .records = large_pickle},
};

static hostile_row row(int index) { return files[index].row; }

static void run(int index, hostile_outcome *outcome) { hostile_file_run(&files[index], outcome); }

const hostile_list hostile_zip_list = {
    .title = "ZIP",
    .about = "The archive that torch.save writes.",
    .count = sizeof files / sizeof *files,
    .row = row,
    .run = run,
};
