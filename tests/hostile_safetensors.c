/* hostile_safetensors.c - .safetensors files with one thing wrong each (list SAFETENSORS), and
 * files of other formats, which are refused by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "hostile_table.h"

/* The valid file: header, then data. In the header the first `from` becomes `to`. */
typedef struct hostile_header {
    hostile_row row;
    const char *from, *to;
    void (*file)(bytes *file); /* changes the whole file */
} hostile_header;

static void set_size(bytes *file, uint64_t size) { bytes_set(file, 0, size, 8); }
static void s1(bytes *file) { bytes_cut(file, 7); }
static void s1_prefix(bytes *file) { bytes_cut(file, 8); }
static void s2(bytes *file) { set_size(file, UINT64_MAX); }
static void s3(bytes *file) { set_size(file, file->size - 7); }
static void s4(bytes *file) { set_size(file, 100000001); }
static void s15(bytes *file) { bytes_cut(file, file->size - 4); }
static void s16(bytes *file) { bytes_le(file, 0, 4); }
static void more_data(bytes *file) { bytes_le(file, 0, 8); }

/* Replaces everything by a header and no data. */
static void put_header(bytes *file, const bytes *header) {
    bytes_cut(file, 0);
    bytes_le(file, header->size, 8);
    bytes_put(file, header->data, header->size);
}
static void put_text(bytes *file, const char *text) {
    bytes header = {0};
    bytes_text(&header, text);
    put_header(file, &header);
    bytes_free(&header);
}
static void s6_array(bytes *file) { put_text(file, " [1, 2]"); }
static void s6_cut(bytes *file) { put_text(file, "{\"a\": {\"dtype\": "); }
static void s6_empty(bytes *file) { put_text(file, "{}"); }
static void s7(bytes *file) {
    set_size(file, bytes_get(file, 0, 8) + 2);
    bytes_insert(file, (size_t)bytes_get(file, 0, 8) + 6, "\0\0", 2);
}
static void put_empty_tensors(bytes *file, int count) {
    bytes header = {0};
    for (int i = 0; i < count; ++i) {
        char entry[80];
        snprintf(entry, sizeof entry, "%c\"%d\":{\"dtype\":\"F32\",\"shape\":[0],%s}",
                 i ? ',' : '{', i, "\"data_offsets\":[0,0]");
        bytes_text(&header, entry);
    }
    bytes_text(&header, "}");
    put_header(file, &header);
    bytes_free(&header);
}
static void s19(bytes *file) { put_empty_tensors(file, 1000000); }
static void s19_fewer(bytes *file) { put_empty_tensors(file, 65537); }
static void s20(bytes *file) {
    bytes header = {0};
    bytes_text(&header, "{\"a\":");
    for (int i = 0; i < 100000; ++i)
        bytes_text(&header, "[");
    put_header(file, &header);
    bytes_free(&header);
}
static void s21(bytes *file) {
    put_text(file, "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}");
    bytes_le(file, 0, 1);
}
static void s22_zip_first(bytes *file) { /* a size that is a zip entry's first bytes */
    bytes_set(file, 0, 0x04034b50, 8);
}
static void put_zip_end(bytes *file) {
    bytes_text(file, "PK\5\6");
    for (int i = 0; i < 18; ++i)
        bytes_le(file, 0, 1);
}
static void s22_zip_behind(bytes *file) { put_zip_end(file); }
static void s22_zip_within(bytes *file) {
    put_text(file, "{\"a\":{\"dtype\":\"U8\",\"shape\":[22],\"data_offsets\":[0,22]}}");
    put_zip_end(file);
}
static void s22_pickle(bytes *file) { /* 66176 spaces and header: 80 02 01 */
    size_t size = (size_t)bytes_get(file, 0, 8);
    bytes spaces = {0};
    while (size + spaces.size < 0x010280)
        bytes_text(&spaces, " ");
    bytes_insert(file, 8 + size, spaces.data, spaces.size);
    set_size(file, 0x010280);
    bytes_free(&spaces);
}

/* Names, sizes and places of the tensors in the valid file: conv1.weight [0,1176],
 * bn1.weight [1176,1184], bn1.bias [1184,1192], ..., fc.bias [1576,1584]. */
#define BIAS "\"bn1.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1184,1192]}"
#define BIAS_WITH(dtype, shape, offsets)                                                           \
    "\"bn1.bias\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define BIAS_AT(offsets) BIAS_WITH("\"F32\"", "[2]", offsets)
#define LAST             "\"F32\",\"shape\":[2],\"data_offsets\":[1576,1584]"

static const hostile_header headers[] = {
    {{"S0 the valid file", CS_OK, -1, NULL, NULL}, "", "", NULL},
    {{"S0 white space before the header", CS_OK, -1, NULL,
      "the format's text wants '{' first, its code and its tests accept white space"},
     "{",
     " \n {",
     NULL},
    {{"S0 with __metadata__", CS_OK, -1, NULL, NULL},
     "{",
     "{\"__metadata__\":{\"format\":\"pt\"},",
     NULL},
    {{"S1 7 bytes", CS_ERROR_FORMAT, 0, NULL, NULL}, "", "", s1},
    {{"S1 8 bytes", CS_ERROR_FORMAT, 0, NULL, NULL}, "", "", s1_prefix},
    {{"S2 header size 2^64 - 1", CS_ERROR_LIMIT, 0, NULL, NULL}, "", "", s2},
    {{"S3 header size past the end", CS_ERROR_FORMAT, 0, NULL, NULL}, "", "", s3},
    {{"S4 header size 100 MB + 1", CS_ERROR_LIMIT, 0, NULL, NULL}, "", "", s4},
    {{"S5 not UTF-8", CS_ERROR_FORMAT, 158, NULL, NULL}, "bn1.bias", "bn1.bia\xff", NULL},
    {{"S6 not JSON", CS_ERROR_FORMAT, 39, NULL, NULL}, ",", ",,", NULL},
    {{"S6 cut JSON", CS_ERROR_FORMAT, 24, NULL, NULL}, "", "", s6_cut},
    {{"S6 an array", CS_ERROR_FORMAT, 8, NULL, NULL}, "", "", s6_array},
    {{"S6 no tensors", CS_ERROR_MISMATCH, -1, NULL, "a valid file, but no state_dict"},
     "",
     "",
     s6_empty},
    {{"S7 padded with NUL", CS_ERROR_FORMAT, 1301, NULL,
      "seen in the wild; the format allows spaces only"},
     "",
     "",
     s7},
    {{"S8 two tensors of one name", CS_ERROR_FORMAT, 150, NULL, NULL},
     "bn1.bias",
     "bn1.weight",
     NULL},
    {{"S8 one name, once escaped", CS_ERROR_FORMAT, 150, NULL, NULL},
     "bn1.bias",
     "bn1.weigh\\u0074",
     NULL},
    {{"S9 a hole", CS_ERROR_FORMAT, 2877, NULL, NULL}, "[1576,1584]", "[1584,1592]", more_data},
    {{"S9 a hole at the begin", CS_ERROR_FORMAT, 1228, NULL, NULL},
     "\"conv1.weight\":{\"dtype\":\"F32\",\"shape\":[2,3,7,7],\"data_offsets\":[0,1176]},",
     "",
     NULL},
    {{"S10 overlap", CS_ERROR_FORMAT, 2477, NULL, NULL}, BIAS, BIAS_AT("[1176,1184]"), NULL},
    {{"S11 reversed", CS_ERROR_FORMAT, 8, NULL, NULL}, BIAS, BIAS_AT("[1192,1184]"), NULL},
    {{"S12 one offset", CS_ERROR_FORMAT, 8, NULL, NULL}, BIAS, BIAS_AT("[1184]"), NULL},
    {{"S12 three offsets", CS_ERROR_FORMAT, 8, NULL, NULL},
     BIAS,
     BIAS_AT("[1184,1192,1192]"),
     NULL},
    {{"S12 offsets in an object", CS_ERROR_FORMAT, 8, NULL, NULL},
     BIAS,
     BIAS_AT("{\"a\":1184}"),
     NULL},
    {{"S13 shape larger than the bytes", CS_ERROR_FORMAT, 8, NULL, NULL},
     BIAS,
     BIAS_WITH("\"F32\"", "[3]", "[1184,1192]"),
     NULL},
    {{"S13 shape product wraps to the bytes", CS_ERROR_FORMAT, 8, NULL, NULL},
     BIAS,
     BIAS_WITH("\"F32\"", "[4503599627370496,4096,2]", "[1184,1192]"),
     NULL},
    {{"S13 9 dimensions", CS_ERROR_LIMIT, 8, NULL, NULL},
     BIAS,
     BIAS_WITH("\"F32\"", "[2,1,1,1,1,1,1,1,1]", "[1184,1192]"),
     NULL},
    {{"S13 a string for a shape", CS_ERROR_FORMAT, 8, NULL, NULL},
     BIAS,
     BIAS_WITH("\"F32\"", "\"2\"", "[1184,1192]"),
     NULL},
    {{"S14 offset 1.5", CS_ERROR_FORMAT, 208, NULL, NULL}, BIAS, BIAS_AT("[1184.5,1192]"), NULL},
    {{"S14 offset -1", CS_ERROR_FORMAT, 204, NULL, NULL}, BIAS, BIAS_AT("[-1,1192]"), NULL},
    {{"S14 an offset in quotes", CS_ERROR_FORMAT, 8, NULL, NULL},
     BIAS,
     BIAS_AT("[\"1184\",1192]"),
     NULL},
    {{"S14 offset 1e3", CS_ERROR_FORMAT, 213, NULL, NULL}, BIAS, BIAS_AT("[1184,1192e0]"), NULL},
    {{"S14 offset 2^63", CS_ERROR_FORMAT, 209, NULL, NULL},
     BIAS,
     BIAS_AT("[1184,9223372036854775808]"),
     NULL},
    {{"S15 data too short", CS_ERROR_FORMAT, 8, NULL, NULL}, "", "", s15},
    {{"S16 data too long", CS_ERROR_FORMAT, 2885, NULL, NULL}, "", "", s16},
    {{"S17 unknown dtype", CS_ERROR_UNSUPPORTED, 8, NULL, NULL},
     BIAS,
     BIAS_WITH("\"F99\"", "[2]", "[1184,1192]"),
     NULL},
    {{"S17 no dtype", CS_ERROR_FORMAT, 8, NULL, NULL}, "\"dtype\"", "\"type\"", NULL},
    {{"S17 a number for a dtype", CS_ERROR_FORMAT, 8, NULL, NULL},
     BIAS,
     BIAS_WITH("32", "[2]", "[1184,1192]"),
     NULL},
    {{"S17 a dtype that models cannot have", CS_ERROR_UNSUPPORTED, 2877, NULL, NULL},
     LAST,
     "\"U64\",\"shape\":[2],\"data_offsets\":[1576,1592]",
     more_data},
    {{"S18 a number in __metadata__", CS_ERROR_FORMAT, 8, NULL, NULL},
     "{",
     "{\"__metadata__\":{\"epoch\":7},",
     NULL},
    {{"S18 __metadata__ null", CS_ERROR_FORMAT, 24, NULL, NULL},
     "{",
     "{\"__metadata__\":null,",
     NULL},
    {{"S18 __metadata__ a string", CS_ERROR_FORMAT, 8, NULL, NULL},
     "{",
     "{\"__metadata__\":\"pt\",",
     NULL},
    {{"S19 10^6 empty tensors", CS_ERROR_LIMIT, 14388922, NULL, NULL}, "", "", s19},
    {{"S19 65537 empty tensors", CS_ERROR_LIMIT, 8, NULL, NULL}, "", "", s19_fewer},
    {{"S20 10^5 nested arrays", CS_ERROR_FORMAT, 16, NULL, NULL}, "", "", s20},
    {{"S21 half a byte of F4", CS_ERROR_FORMAT, 8, NULL, NULL}, "", "", s21},
    {{"S22 begins as a zip archive", CS_ERROR_FORMAT, 2885, NULL,
      "taken for a zip archive, and refused as one"},
     "",
     "",
     s22_zip_first},
    {{"S22 a zip archive behind it", CS_ERROR_FORMAT, 2885, NULL, NULL}, "", "", s22_zip_behind},
    {{"S22 a zip archive in a tensor", CS_ERROR_FORMAT, 63, NULL, NULL}, "", "", s22_zip_within},
    {{"S22 the size begins as a pickle, 80 02", CS_OK, -1, NULL,
      "nothing else is a pickle in it: read as safetensors"},
     "",
     "",
     s22_pickle},
    {{"- an unknown field", CS_ERROR_FORMAT, 8, NULL, "the package ignores it; nobody writes one"},
     BIAS,
     BIAS_AT("[1184,1192],\"stride\":[1]"),
     NULL},
    {{"- a list for a tensor", CS_ERROR_FORMAT, 8, NULL, NULL}, BIAS, "\"bn1.bias\":[0,8]", NULL},
    {{"- a name with a line feed", CS_ERROR_FORMAT, -1, NULL, NULL},
     "bn1.bias",
     "bn1.\\nbias",
     NULL},
};

/* header[0..size) with the first `from` replaced. */
static void replace(bytes *header, const char *from, const char *to) {
    bytes old = *header;
    bytes_le(&old, 0, 1);
    const char *text = (const char *)old.data, *at = strstr(text, from);
    ck_assert_msg(at != NULL, "the header has no %s", from);
    *header = (bytes){0};
    bytes_put(header, text, (size_t)(at - text));
    bytes_text(header, to);
    bytes_text(header, at + strlen(from));
    bytes_free(&old);
}

static hostile_row header_row(int index) { return headers[index].row; }

static void run_header(int index, hostile_outcome *outcome) {
    const hostile_header *one = &headers[index];
    built_checkpoint c;
    bytes header = {0}, file = {0};
    built_tiny(&c);
    built_safetensors_header(&c, &header);
    replace(&header, one->from, one->to);
    bytes_le(&file, header.size, 8);
    bytes_put(&file, header.data, header.size);
    for (int i = 0; i < c.count; ++i)
        bytes_put(&file, c.tensors[i].data.data, c.tensors[i].data.size);
    if (one->file)
        one->file(&file);
    hostile_convert(&file, outcome);
    bytes_free(&header);
    bytes_free(&file);
    built_free(&c);
}

const hostile_list hostile_safetensors_list = {
    .title = "SAFETENSORS",
    .about = "The 8 bytes before the header count: the header begins at byte 8.",
    .count = sizeof headers / sizeof *headers,
    .row = header_row,
    .run = run_header,
};

/* ------------------------------------------------------------------ other formats -------- */

typedef struct other_format {
    hostile_row row;
    size_t at;
    const char *bytes;
    size_t size;
} other_format;

#define OTHER(name, at, text, says)                                                                \
    { {name, CS_ERROR_UNSUPPORTED, at, says, NULL}, at, text, sizeof(text) - 1 }

static const other_format formats[] = {
    OTHER("- ONNX", 0, "\x08\x07\x12\x07pytorch", "ONNX"),
    OTHER("- TensorFlow Lite", 4, "TFL3", "TensorFlow Lite"),
    OTHER("- HDF5 (Keras)", 0, "\x89HDF\r\n\x1a\n", "HDF5"),
    OTHER("- GGUF", 0, "GGUF\3\0\0\0", "GGUF"),
    OTHER("- tar", 257, "ustar\0", "tar archive"),
    OTHER("- 7-Zip", 0, "7z\xBC\xAF\x27\x1C", "7-Zip"),
    OTHER("- gzip", 0, "\x1F\x8B\x08", "gunzip"),
    OTHER("- bzip2", 0, "BZh91AY", "bunzip2"),
    OTHER("- xz", 0,
          "\xFD"
          "7zXZ\0",
          "unxz"),
    OTHER("- Zstandard", 0, "\x28\xB5\x2F\xFD", "unzstd"),
    OTHER("- RAR", 0, "Rar!\x1A\x07\0", "RAR"),
    OTHER("- a Git LFS pointer", 0,
          "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "git lfs pull"),
    OTHER("- a saved web page", 0, "<!DOCTYPE html><html>", "web page"),
    OTHER("- a saved web page, in lower case", 0, "<!doctype html><html>", "web page"),
    OTHER("- a saved web page without its type", 0, "<html><head>", "web page"),
    OTHER("- an XML answer", 0, "<?xml version=\"1.0\"?><Error>", "XML"),
    OTHER("- a plain pickle of protocol 4", 0, "\x80\4\x95\7\0\0\0\0\0\0\0}\x94.",
          "plain Python pickle"),
    OTHER("- a plain pickle of protocol 2", 0, "\x80\2}q\0.", "plain Python pickle"),
    OTHER("- a PNG image", 0, "\x89PNG\r\n\x1a\n", "PNG"),
    OTHER("- a JPEG image", 0, "\xFF\xD8\xFF\xE0", "JPEG"),
    OTHER("- a DICOM image", 128, "DICM", "export it as PNG"),
    OTHER("- a TIFF image", 0, "II*\0", "TIFF"),
    OTHER("- a TIFF image, big-endian", 0, "MM\0*", "TIFF"),
    OTHER("- a HEIC image", 4, "ftypheic", "HEIC"),
    OTHER("- an AVIF image", 4, "ftypavif", "AVIF"),
    OTHER("- a NumPy array", 0, "\x93NUMPY\1\0", "NumPy"),
    OTHER("- a converted model's binary", 0, "CNNSCOPE\4\3\2\1", ".json"),
    OTHER("- a JSON text", 0, "{\"metadata\": {\"total_size\": 1}}", "JSON"),
};

static hostile_row format_row(int index) { return formats[index].row; }

static void run_format(int index, hostile_outcome *outcome) {
    bytes file = {0};
    for (size_t i = 0; i < formats[index].at; ++i)
        bytes_le(&file, 0, 1);
    bytes_put(&file, formats[index].bytes, formats[index].size);
    while (file.size < 600)
        bytes_text(&file, "~");
    hostile_convert(&file, outcome);
    bytes_free(&file);
}

const hostile_list hostile_formats_list = {
    .title = "OTHER FORMATS",
    .about = "What a file is, its bytes say, never its name. What `convert` does not read, it "
             "refuses by name.",
    .count = sizeof formats / sizeof *formats,
    .row = format_row,
    .run = run_format,
};
