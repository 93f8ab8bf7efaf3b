/* hostile_jpegs.c - JPEGs with one thing wrong each (IMAGE 1, 2, 3, 8). */
#include "hostile_images.h"

#include <string.h>

#include "test_support.h"

typedef struct hostile_jpeg {
    hostile_image row;
    void (*before)(built_jpeg *jpeg);
    void (*after)(bytes *file);
    bool is_color;
} hostile_jpeg;

static void make(const hostile_image *self, bytes *file) {
    const hostile_jpeg *c = (const hostile_jpeg *)self;
    built_jpeg jpeg = c->is_color ? built_jpeg_color() : built_jpeg_grey();
    if (c->before)
        c->before(&jpeg);
    built_jpeg_write(&jpeg, file);
    if (c->after)
        c->after(file);
}

static void width_0(built_jpeg *j) { j->width = 0; }
static void height_0(built_jpeg *j) { j->height = 0; }
static void all_65535(built_jpeg *j) { j->width = j->height = 65535; }
static void large(built_jpeg *j) {
    j->width = 16384;
    j->height = 3000;
}
static void large_progressive(built_jpeg *j) {
    large(j);
    j->frame = 0xC2;
}
static void scans_101(built_jpeg *j) {
    j->frame = 0xC2;
    j->scan_count = 101;
}
static void progressive(built_jpeg *j) { j->frame = 0xC2; }
static void extended(built_jpeg *j) { j->frame = 0xC1; }
static void lossless(built_jpeg *j) { j->frame = 0xC3; }
static void lossless_difference(built_jpeg *j) { j->frame = 0xC7; }
static void lossless_arithmetic(built_jpeg *j) { j->frame = 0xCB; }
static void lossless_both(built_jpeg *j) { j->frame = 0xCF; }
static void hierarchical(built_jpeg *j) { j->frame = 0xC5; }
static void arithmetic(built_jpeg *j) { j->frame = 0xC9; }
static void bits_12(built_jpeg *j) { j->precision = 12; }
static void bits_16(built_jpeg *j) { j->precision = 16; }
static void cmyk(built_jpeg *j) { j->components = j->scan_components = 4; }
static void two_components(built_jpeg *j) { j->components = j->scan_components = 2; }
static void no_components(built_jpeg *j) { j->components = j->scan_components = 0; }
static void sampling_0(built_jpeg *j) { j->sampling[0] = 0x01; }
static void sampling_5(built_jpeg *j) { j->sampling[0] = 0x51; }
static void sampling_3_2(built_jpeg *j) {
    j->sampling[0] = 0x31;
    j->sampling[1] = 0x21;
    j->data = "\0\x03";
    j->data_size = 2;
}
static void sampling_4(built_jpeg *j) { j->sampling[0] = 0x44; }
static void same_ids(built_jpeg *j) { j->ids[1] = 1; }
static void one_of_three(built_jpeg *j) { j->scan_components = 1; }
static void no_quantisation(built_jpeg *j) { j->quantisation = false; }
static void no_dc_table(built_jpeg *j) { j->dc_table = false; }
static void no_ac_table(built_jpeg *j) { j->ac_table = false; }
static void no_scan(built_jpeg *j) { j->scan_count = 0; }
static void no_end(built_jpeg *j) { j->end = false; }
static void no_data(built_jpeg *j) {
    j->width = j->height = 64;
    j->data = "";
}

static void second_frame(bytes *file) {
    size_t at = jpeg_find(file, 0xC0);
    unsigned char frame[13];
    memcpy(frame, file->data + at, sizeof frame);
    bytes_insert(file, at, frame, sizeof frame);
}
static void scan_first(bytes *file) {
    size_t at = jpeg_find(file, 0xC0);
    unsigned char frame[13];
    memcpy(frame, file->data + at, sizeof frame);
    memmove(file->data + at, file->data + at + sizeof frame, file->size - at - sizeof frame);
    bytes_cut(file, file->size - sizeof frame - 2);
    bytes_put(file, frame, sizeof frame);
    bytes_put(file, "\xff\xd9", 2);
}
static void set(bytes *file, int marker, size_t delta, int value) {
    file->data[jpeg_find(file, marker) + delta] = (unsigned char)value;
}
static void unknown_component(bytes *file) { set(file, 0xDA, 5, 9); }
static void table_3(bytes *file) { set(file, 0xDA, 6, 0x33); }
static void scan_of_none(bytes *file) { set(file, 0xDA, 4, 0); }
static void scan_of_5(bytes *file) { set(file, 0xDA, 4, 5); }
static void ends_at_64(bytes *file) { set(file, 0xDA, 8, 64); }
static void segment_0(bytes *file) { set(file, 0xDB, 3, 0); }
static void segment_1(bytes *file) { set(file, 0xDB, 3, 1); }
static void segment_long(bytes *file) { set(file, 0xDB, 2, 0xFF); }
static void frame_short(bytes *file) { set(file, 0xC0, 3, 7); }
static void frame_10(bytes *file) { set(file, 0xC0, 3, 10); }
static void quantisation_4(bytes *file) { set(file, 0xDB, 4, 4); }
static void quantisation_16(bytes *file) { set(file, 0xDB, 4, 0x10); }
static void frame_table_4(bytes *file) { set(file, 0xC0, 12, 4); }
static void frame_table_3(bytes *file) { set(file, 0xC0, 12, 3); }
static void huffman_many(bytes *file) { memset(file->data + jpeg_find(file, 0xC4) + 5, 255, 16); }
static void huffman_full(bytes *file) { set(file, 0xC4, 4, 0x20); }
static void huffman_three(bytes *file) { /* three codes of one bit */
    unsigned char table[20] = {0, 3};
    bytes segment = {0};
    jpeg_segment(&segment, 0xC4, table, sizeof table);
    bytes_insert(file, jpeg_find(file, 0xDA), segment.data, segment.size);
    bytes_free(&segment);
}
static void restarts(bytes *file) {
    bytes_insert(file, jpeg_find(file, 0xDA), "\xff\xdd\0\4\0\1", 6);
}
static void comment(bytes *file) { bytes_insert(file, 2, "\xff\xfe\0\5any", 7); }
static void fill(bytes *file) { bytes_insert(file, 2, "\xff\xff\xff", 3); }
static void behind(bytes *file) { bytes_text(file, "PK and more"); }

#define F CS_ERROR_FORMAT
#define U CS_ERROR_UNSUPPORTED
#define ROW(name, status, offset, why)                                                             \
    { {name, status, offset, NULL, why}, NULL, make }
/* Where segments of the grey one begin: 2 DQT, 71 SOF, 84 and 106 DHT, 128 SOS, 138 data. */

static const hostile_jpeg cases[] = {
    {.row = ROW("I0 JPEG", CS_OK, -1, NULL)},
    {.row = ROW("I0 JPEG colour", CS_OK, -1, NULL), .is_color = true},
    {.row = ROW("I1 JPEG width 0", F, 76, NULL), .before = width_0},
    {.row = ROW("I1 JPEG height 0", F, 76, NULL), .before = height_0},
    {.row = ROW("I2 JPEG 65535 x 65535: width and height 65535", CS_ERROR_LIMIT, 76, NULL),
     .before = all_65535},
    {.row = ROW("I2 JPEG 16384 x 3000: 49 million pixels, one byte of data", F, 138, NULL),
     .before = large},
    {.row = ROW("I2 JPEG progressive: 49 million pixels, one byte of data", F, 138, NULL),
     .before = large_progressive},
    {.row = ROW("I2 JPEG 101 scans", CS_ERROR_LIMIT, 1230, NULL), .before = scans_101},
    {.row = ROW("I3 JPEG no end: no end marker", F, 139, NULL), .before = no_end},
    {.row = ROW("I3 JPEG no data: 64 blocks without a byte", F, 138, NULL), .before = no_data},
    {.row = ROW("I3 JPEG no scan", F, 130, NULL), .before = no_scan},
    {.row = ROW("I8 CMYK: 4 components", U, 80, NULL), .before = cmyk},
    {.row = ROW("I8 2 components", U, 80, NULL), .before = two_components},
    {.row = ROW("I8 no components: 0 components", U, 80, NULL), .before = no_components},
    {.row = ROW("I8 progressive", CS_OK, -1, NULL), .before = progressive},
    {.row = ROW("I8 extended", CS_OK, -1, NULL), .before = extended},
    {.row = ROW("I8 12 bits: 12 bits a sample", U, 75, NULL), .before = bits_12},
    {.row = ROW("I8 16 bits: 16 bits a sample", U, 75, NULL), .before = bits_16},
    {.row = ROW("I8 lossless: a lossless frame", U, 71, NULL), .before = lossless},
    {.row = ROW("I8 lossless (ff c7): a lossless hierarchical frame", U, 71, NULL),
     .before = lossless_difference},
    {.row = ROW("I8 lossless (ff cb): a lossless arithmetic-coded frame", U, 71, NULL),
     .before = lossless_arithmetic},
    {.row = ROW("I8 lossless (ff cf): a lossless frame of all kinds", U, 71, NULL),
     .before = lossless_both},
    {.row = ROW("I8 hierarchical: a hierarchical frame", U, 71, NULL), .before = hierarchical},
    {.row = ROW("I8 arithmetic: an arithmetic-coded frame", U, 71, NULL), .before = arithmetic},
    {.row = ROW("I8 sampling 0: sampling 0 x 1", F, 81, NULL), .before = sampling_0},
    {.row = ROW("I8 sampling 5: sampling 5 x 1", F, 81, NULL), .before = sampling_5},
    {.row = ROW("I8 sampling 3 to 2: sampling that is no whole ratio", F, -1, NULL),
     .before = sampling_3_2,
     .is_color = true},
    {.row = ROW("I8 sampling 4", CS_OK, -1, "one component may have any sampling"),
     .before = sampling_4},
    {.row = ROW("I8 same ids: two components 1", F, 84, NULL),
     .before = same_ids,
     .is_color = true},
    {.row = ROW("I8 a scan of three: two components have no scan", F, 147, NULL),
     .before = one_of_three,
     .is_color = true},
    {.row = ROW("I8 no quantisation: the quantisation table is missing", F, 64, NULL),
     .before = no_quantisation},
    {.row = ROW("I8 no DC table: the DC Huffman table is missing", F, 111, NULL),
     .before = no_dc_table},
    {.row = ROW("I8 no AC table: the AC Huffman table is missing", F, 111, NULL),
     .before = no_ac_table},
    {.row = ROW("I8 two frames: second frame header", F, 86, NULL), .after = second_frame},
    {.row = ROW("I8 scan first: a scan before the frame header", F, 117, NULL),
     .after = scan_first},
    {.row = ROW("I8 unknown component: a scan of component 9", F, 133, NULL),
     .after = unknown_component},
    {.row = ROW("I8 unknown table: a scan with Huffman table 3", F, 133, NULL), .after = table_3},
    {.row = ROW("I8 scan of none: a scan of 0 components", F, 130, NULL), .after = scan_of_none},
    {.row = ROW("I8 scan of 5: a scan of 5 components", F, 130, NULL), .after = scan_of_5},
    {.row = ROW("I8 65 coefficients: a progressive scan up to coefficient 64", F, -1, NULL),
     .before = progressive,
     .after = ends_at_64},
    {.row = ROW("I8 segment of 0: a segment of length 0", F, 4, NULL), .after = segment_0},
    {.row = ROW("I8 segment of 1: a segment of length 1", F, 4, NULL), .after = segment_1},
    {.row = ROW("I8 segment past the end: a segment longer than the file", F, 141, NULL),
     .after = segment_long},
    {.row = ROW("I8 frame of 7 bytes: frame header of 7 bytes", F, 73, NULL), .after = frame_short},
    {.row = ROW("I8 frame of 10 bytes: frame header of 10 bytes", F, 73, NULL), .after = frame_10},
    {.row = ROW("I8 quantisation 4: defines quantisation table 4", F, 6, NULL),
     .after = quantisation_4},
    {.row = ROW("I8 quantisation 16 bits: a table of half its size", F, 6, NULL),
     .after = quantisation_16},
    {.row = ROW("I8 uses quantisation 4: a component with table 4", F, 81, NULL),
     .after = frame_table_4},
    {.row = ROW("I8 uses quantisation 3: a component with a table that is not there", F, 133, NULL),
     .after = frame_table_3},
    {.row = ROW("I8 4080 Huffman codes: more codes than the segment has", F, 88, NULL),
     .after = huffman_many},
    {.row = ROW("I8 Huffman class 2: a Huffman table of class 2", F, 88, NULL),
     .after = huffman_full},
    {.row = ROW("I8 Huffman 3 codes of 1 bit: codes that cannot be told apart", F, -1, NULL),
     .after = huffman_three},
    {.row = ROW("I8 restart interval", CS_OK, -1, NULL), .after = restarts},
    {.row = ROW("I8 comment", CS_OK, -1, NULL), .after = comment},
    {.row = ROW("I8 fill bytes", CS_OK, -1, NULL), .after = fill},
    {.row = ROW("I8 bytes behind the end", CS_OK, -1, "what follows is not looked at"),
     .after = behind},
};

static int count(void) { return (int)(sizeof cases / sizeof *cases); }
static const hostile_image *get(int index) { return &cases[index].row; }

const hostile_image_group hostile_jpegs = {count, get};
