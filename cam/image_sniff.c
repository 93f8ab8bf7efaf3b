/* image_sniff.c - what a file is, by its first bytes, and what to do about those we do not read. */
#include "cam_internal.h"

#include <string.h>

#define TO_PNG "convert it to PNG first, for example: magick FILE out.png"

typedef struct signature {
    size_t offset;
    size_t length;
    const char *bytes;
    cs_file_kind kind; /* CS_FILE_UNKNOWN: refused by name */
    const char *name;
    const char *advice;
} signature;

#define SIGNATURE(offset, bytes, kind, name, advice)                                               \
    { offset, sizeof(bytes) - 1, bytes, kind, name, advice }
#define REFUSED(offset, bytes, name, advice) SIGNATURE(offset, bytes, CS_FILE_UNKNOWN, name, advice)

#define DICOM_ADVICE                                                                               \
    "apply its window and write a PNG first, for example: dcmj2pnm --write-16-bit-png FILE "       \
    "out.png"
#define HEIF_ADVICE "convert it to PNG first, for example: heif-convert FILE out.png"

static const signature signatures[] = {
    SIGNATURE(0, "\x89PNG\r\n\x1a\n", CS_FILE_PNG, "PNG", ""),
    SIGNATURE(0, "\xff\xd8\xff", CS_FILE_JPEG, "JPEG", ""),
    SIGNATURE(0, "\x93NUMPY", CS_FILE_NPY, "NumPy", ""),
    SIGNATURE(0, "P1", CS_FILE_PNM, "PNM", ""),
    SIGNATURE(0, "P2", CS_FILE_PNM, "PNM", ""),
    SIGNATURE(0, "P3", CS_FILE_PNM, "PNM", ""),
    SIGNATURE(0, "P4", CS_FILE_PNM, "PNM", ""),
    SIGNATURE(0, "P5", CS_FILE_PNM, "PNM", ""),
    SIGNATURE(0, "P6", CS_FILE_PNM, "PNM", ""),
    REFUSED(0, "P7\n", "a PAM image", TO_PNG),
    REFUSED(0, "PF\n", "a PFM image", TO_PNG),
    REFUSED(0, "Pf\n", "a PFM image", TO_PNG),
    REFUSED(0, "II*\0", "a TIFF image", TO_PNG),
    REFUSED(0, "MM\0*", "a TIFF image", TO_PNG),
    REFUSED(0, "II+\0", "a BigTIFF image", TO_PNG),
    REFUSED(0, "MM\0+", "a BigTIFF image", TO_PNG),
    REFUSED(128, "DICM", "a DICOM file", DICOM_ADVICE),
    REFUSED(4, "ftypheic", "a HEIC image", HEIF_ADVICE),
    REFUSED(4, "ftypheix", "a HEIC image", HEIF_ADVICE),
    REFUSED(4, "ftyphevc", "a HEIC image", HEIF_ADVICE),
    REFUSED(4, "ftypmif1", "a HEIF image", HEIF_ADVICE),
    REFUSED(4, "ftypmsf1", "a HEIF image", HEIF_ADVICE),
    REFUSED(4, "ftypavif", "an AVIF image", HEIF_ADVICE),
    REFUSED(8, "WEBP", "a WebP image", TO_PNG),
    REFUSED(0, "GIF8", "a GIF image", TO_PNG),
    REFUSED(0, "BM", "a BMP image", TO_PNG),
    REFUSED(0, "8BPS", "a Photoshop file", TO_PNG),
    REFUSED(0, "\0\0\0\x0cjP  ", "a JPEG 2000 image", TO_PNG),
    REFUSED(0, "\xff\x4f\xff\x51", "a JPEG 2000 image", TO_PNG),
    REFUSED(0, "\xff\x0a", "a JPEG XL image", TO_PNG),
    REFUSED(0, "\0\0\0\x0cJXL ", "a JPEG XL image", TO_PNG),
    REFUSED(0, "v/1\x01", "an OpenEXR image", TO_PNG),
    REFUSED(0, "#?RADIANCE", "a Radiance HDR image", TO_PNG),
    REFUSED(0, "%PDF", "a PDF document", "extract the picture first: pdfimages -png FILE out"),
    REFUSED(0, "\x1f\x8b", "a gzip file", "unpack it first: gunzip FILE"),
    REFUSED(0, "PK\x03\x04", "a zip archive", "unpack it first"),
    REFUSED(344, "n+1\0", "a NIfTI volume", "write a slice of it as PNG first"),
    REFUSED(0, "version https://git-lfs", "a Git LFS pointer, not the picture itself",
            "fetch it: git lfs pull"),
    REFUSED(0, "<svg", "an SVG drawing", TO_PNG),
    REFUSED(0, "<?xml", "an XML document", "give a PNG or JPEG"),
    REFUSED(0, "<!DOCTYPE", "a web page", "download the picture itself"),
    REFUSED(0, "<!doctype", "a web page", "download the picture itself"),
    REFUSED(0, "<html", "a web page", "download the picture itself"),
};

cs_status cs_image_sniff(const uint8_t *data, size_t size, const char *name, cs_file_kind *kind,
                         cs_error *err) {
    *kind = CS_FILE_UNKNOWN;
    if (size == 0)
        return cs_error_set(err, CS_ERROR_FORMAT, name, 0,
                            "the file is empty; a PNG, JPEG or PNM is expected");
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const signature *s = &signatures[i];
        if (size < s->offset + s->length || memcmp(data + s->offset, s->bytes, s->length) != 0)
            continue;
        *kind = s->kind;
        if (s->kind != CS_FILE_UNKNOWN)
            return CS_OK;
        return cs_error_set(err, CS_ERROR_UNSUPPORTED, name, 0, "this is %s, which is not read: %s",
                            s->name, s->advice);
    }
    return cs_error_set(
        err, CS_ERROR_FORMAT, name, 0,
        "neither a PNG, JPEG nor PNM (its first byte is 0x%02x); if it is a picture, " TO_PNG,
        data[0]);
}
