/* A camera made of a file, for a computer: a picture (binary PPM, P6) becomes a .helio stream.
 *   heliograph PICTURE.ppm STREAM.helio [QUALITY [BYTES]]
 * QUALITY is 0 to 100, the finest that is wanted; BYTES is the most that the stream may take. */
#include "codec.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    FILE *picture, *stream;
    long pixels_at;
    size_t line;
    uint8_t *row;
} files;

static const uint8_t *read_row(void *context, uint32_t y) {
    files *f = context;
    if (fseek(f->picture, f->pixels_at + (long)y * (long)f->line, SEEK_SET)) return NULL;
    return fread(f->row, 1, f->line, f->picture) == f->line ? f->row : NULL;
}

static int write_bytes(void *context, const uint8_t *data, size_t size) {
    files *f = context;
    return fwrite(data, 1, size, f->stream) != size;
}

static int fail(const char *what, const char *next) {
    fprintf(stderr, "heliograph: %s; %s\n", what, next);
    return 1;
}

int main(int count, char **word) {
    static const char *const reasons[] = {"", "the codec is damaged", "size or quality is out of range",
                                          "too little memory", "the picture ends early",
                                          "not even the coarsest level fits the bytes", "the stream cannot be written"};
    unsigned width, height, top;
    hg_camera camera = {0};
    hg_camera_status status;
    files f;
    size_t size;
    void *memory;
    if (count < 3 || count > 5) return fail("wrong words", "give PICTURE.ppm STREAM.helio [QUALITY [BYTES]]");
    f.picture = fopen(word[1], "rb");
    if (f.picture == NULL || fscanf(f.picture, "P6 %u %u %u", &width, &height, &top) != 3 || top != 255 || width < 1 ||
        height < 1 || width > 65535 || height > 65535 || fgetc(f.picture) == EOF)
        return fail("the picture is no binary PPM of 8 bits", "convert it: convert PICTURE PICTURE.ppm");
    f.pixels_at = ftell(f.picture);
    f.line = 3 * (size_t)width;
    camera.width = width;
    camera.height = height;
    camera.pixels = HG_RGB888;
    camera.quality = count > 3 ? (uint32_t)strtoul(word[3], NULL, 10) : 50;
    camera.budget = count > 4 ? (uint32_t)strtoul(word[4], NULL, 10) : 4096 + width * height;
    camera.passes = 8;
    camera.level = HG_LEVELS;
    camera.row = read_row;
    camera.send = write_bytes;
    camera.context = &f;
    size = HELIOGRAPH_MEMORY(camera.width, camera.height, 3, camera.budget);
    memory = malloc(size);
    f.row = malloc(f.line);
    f.stream = fopen(word[2], "wb");
    if (memory == NULL || f.row == NULL || f.stream == NULL) return fail("no memory, or no stream", "look at both");
    status = hg_encode_picture(&heliograph_codec, &camera, memory, size);
    if (fclose(f.stream)) status = HG_CAMERA_NOT_SENT;
    free(memory);
    free(f.row);
    fclose(f.picture);
    if (status != HG_CAMERA_OK) {
        remove(word[2]);
        return fail(reasons[status], "see heliograph.h");
    }
    printf("%u bytes at quality %.4g, in %u bytes of memory\n", (unsigned)camera.size,
           ((double)camera.coded - HG_LEVEL_0) / 8, (unsigned)size);
    return 0;
}
