/* sniff.c - what a file is, by its first bytes and never by its name. */
#include <string.h>

#include "checkpoint.h"

typedef struct signature {
    size_t offset, size;
    const char *bytes;
    const char *text; /* what it is, and what to do */
} signature;

static const signature refused[] = {
    {257, 5, "ustar",
     "a tar archive, as PyTorch before 0.1.10 wrote; load and save it again with a newer PyTorch"},
    {0, 4, "\x89HDF",
     "an HDF5 file (Keras); only PyTorch checkpoints are read: save a state_dict with torch.save"},
    {0, 4, "7z\xBC\xAF", "a 7-Zip archive; unpack it first"},
    {0, 2, "\x1F\x8B", "a gzip file; unpack it first (gunzip)"},
    {0, 3, "BZh", "a bzip2 file; unpack it first (bunzip2)"},
    {0, 6,
     "\xFD"
     "7zXZ\0",
     "an xz file; unpack it first (unxz)"},
    {0, 4, "GGUF", "a GGUF file (llama.cpp); only PyTorch checkpoints are read"},
    {0, 23, "version https://git-lfs",
     "a Git LFS pointer, not the file itself; get it with \"git lfs pull\""},
    {0, 9, "<!DOCTYPE", "a web page, not a checkpoint: the download went wrong, get it again"},
    {0, 9, "<!doctype", "a web page, not a checkpoint: the download went wrong, get it again"},
    {0, 5, "<html", "a web page, not a checkpoint: the download went wrong, get it again"},
    {0, 5, "<HTML", "a web page, not a checkpoint: the download went wrong, get it again"},
    {0, 5, "<?xml", "an XML text, not a checkpoint: the download went wrong, get it again"},
    {4, 4, "TFL3",
     "a TensorFlow Lite model; only PyTorch checkpoints are read: save a state_dict with "
     "torch.save"},
    {0, 4, "\x28\xB5\x2F\xFD", "a Zstandard file; unpack it first (unzstd)"},
    {0, 6, "Rar!\x1A\x07", "a RAR archive; unpack it first"},
    {0, 4, "\x89PNG", "a PNG image, not a checkpoint; give it to explain or predict"},
    {0, 3, "\xFF\xD8\xFF", "a JPEG image, not a checkpoint; give it to explain or predict"},
    {128, 4, "DICM", "a DICOM image, not a checkpoint; for explain, export it as PNG first"},
    {0, 4, "II*\0", "a TIFF image, not a checkpoint; for explain, save it as PNG first"},
    {0, 4, "MM\0*", "a TIFF image, not a checkpoint; for explain, save it as PNG first"},
    {4, 8, "ftypheic", "a HEIC image, not a checkpoint; for explain, save it as PNG first"},
    {4, 8, "ftypheix", "a HEIC image, not a checkpoint; for explain, save it as PNG first"},
    {4, 8, "ftypmif1", "a HEIF image, not a checkpoint; for explain, save it as PNG first"},
    {4, 8, "ftypavif", "an AVIF image, not a checkpoint; for explain, save it as PNG first"},
    {0, 6, "\x93NUMPY", "a NumPy array, not a checkpoint"},
    {0, 8, "CNNSCOPE", "the binary of a converted model: open the .json beside it"},
    {0, 1, "{", "a JSON text, not a checkpoint"},
};

static const char legacy_magic[15] = "\x80\x02\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19\x2E";

/* A header's size in 8 bytes, then its JSON text, which begins with '{' or white space. */
static bool begins_header(const unsigned char *head, size_t size) {
    return size >= 9 && head[8] != 0 && strchr("{ \t\n\r", head[8]) != NULL;
}

/* Models of other programs that have no signature of their own. */
static cs_status refuse_by_look(const cs_source *source, const unsigned char *head, size_t size,
                                cs_error *err) {
    if (size >= 3 && head[0] == 0x08 && head[1] < 16 && head[2] == 0x12)
        return cs_source_error(source, CS_ERROR_UNSUPPORTED, 0, err,
                               "looks like an ONNX model; only PyTorch checkpoints are read: save "
                               "the original model's state_dict with torch.save");
    if (size >= 2 && head[0] == 0x80 && head[1] <= 5)
        return cs_source_error(source, CS_ERROR_UNSUPPORTED, 0, err,
                               "a plain Python pickle, not written by torch.save; save it again "
                               "with torch.save");
    return cs_source_error(source, CS_ERROR_FORMAT, 0, err,
                           "not a checkpoint: neither a zip archive nor a legacy file of "
                           "torch.save, nor a safetensors file");
}

cs_status cs_checkpoint_sniff(const cs_source *source, cs_container *container, cs_error *err) {
    unsigned char head[512];
    size_t size = source->size < sizeof head ? (size_t)source->size : sizeof head;
    if (size == 0)
        return cs_source_error(source, CS_ERROR_FORMAT, 0, err, "the file is empty");
    CS_TRY(cs_source_read(source, 0, head, size, err));
    *container = CS_CONTAINER_ZIP;
    if (size >= 4 && memcmp(head, "PK", 2) == 0 &&
        ((head[2] == 3 && head[3] == 4) || (head[2] == 5 && head[3] == 6)))
        return CS_OK;
    *container = CS_CONTAINER_LEGACY;
    size_t magic = size < sizeof legacy_magic ? size : sizeof legacy_magic;
    if (size > 2 && memcmp(head, legacy_magic, magic) == 0)
        return CS_OK;
    *container = CS_CONTAINER_SAFETENSORS;
    bool header = begins_header(head, size);
    if (header && cs_le64(head) <= source->size - 8)
        return CS_OK; /* whatever signature the bytes of the size happen to be */
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i)
        if (size >= refused[i].offset + refused[i].size &&
            memcmp(head + refused[i].offset, refused[i].bytes, refused[i].size) == 0)
            return cs_source_error(source, CS_ERROR_UNSUPPORTED, (int64_t)refused[i].offset, err,
                                   "%s", refused[i].text);
    return header && head[8] == '{' ? CS_OK : refuse_by_look(source, head, size, err);
}
