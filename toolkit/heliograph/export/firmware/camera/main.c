/* A camera made of a file, for a computer: a picture (binary PPM, P6) becomes a .helio stream, or packets in a folder.
 *   heliograph PICTURE.ppm STREAM.helio [QUALITY [BYTES [SCALE]]]
 *   heliograph PICTURE.ppm FOLDER [QUALITY [PACKETSxBYTES [SCALE]]]
 * QUALITY is 0 to 100, the finest that is wanted; BYTES is the most that the stream or each packet may take; at a SCALE of 1 to
 * 31 the picture is made smaller first: by 1.5, 2, 3, 4, 6 and so on. */
#include "codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    FILE *picture, *stream;
    long pixels_at;
    size_t line;
    uint8_t *row;
    const char *folder;
    hg_packets packets;
    unsigned sent;
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

static int write_packet(void *context, const uint8_t *packet, size_t size) {
    files *f = context;
    char name[1024];
    FILE *file;
    int length = snprintf(name, sizeof name, "%s/%05u-%09u-%05u.packet", f->folder, (unsigned)f->packets.device,
                          (unsigned)f->packets.picture, f->sent++);
    if (length < 0 || (size_t)length >= sizeof name || (file = fopen(name, "wb")) == NULL) return 1;
    length = fwrite(packet, 1, size, file) == size;
    return fclose(file) || !length;
}

static int fail(const char *what, const char *next) {
    fprintf(stderr, "heliograph: %s; %s\n", what, next);
    return 1;
}

static uint32_t number_in(char **word, int count, int at, uint32_t otherwise) {
    return count > at ? (uint32_t)strtoul(word[at], NULL, 10) : otherwise;
}

int main(int count, char **word) {
    static const char *const reasons[] = {"", "the codec is damaged", "size, scale or quality is out of range",
                                          "too little memory", "the picture ends early",
                                          "not even the coarsest level fits the bytes", "the stream cannot be written"};
    static files f;
    static hg_scaling scaling;
    unsigned width, height, top;
    hg_camera camera = {0};
    hg_camera_status status;
    size_t size, scaling_size = 0;
    const char *x;
    void *memory, *scaling_memory = NULL;
    if (count < 3 || count > 6) return fail("wrong words", "give PICTURE.ppm STREAM.helio [QUALITY [BYTES [SCALE]]]");
    f.picture = fopen(word[1], "rb");
    if (f.picture == NULL || fscanf(f.picture, "P6 %u %u %u", &width, &height, &top) != 3 || top != 255 || width < 1 ||
        height < 1 || width > 65535 || height > 65535 || fgetc(f.picture) == EOF)
        return fail("the picture is no binary PPM of 8 bits", "convert it: convert PICTURE PICTURE.ppm");
    f.pixels_at = ftell(f.picture);
    f.line = 3 * (size_t)width;
    camera.width = width;
    camera.height = height;
    camera.pixels = HG_RGB888;
    camera.quality = number_in(word, count, 3, 50);
    camera.budget = number_in(word, count, 4, 4096 + width * height);
    camera.scale = number_in(word, count, 5, 0);
    camera.passes = 8;
    camera.level = HG_LEVELS;
    camera.row = read_row;
    camera.send = write_bytes;
    camera.row_context = camera.send_context = &f;
    if (camera.scale > HG_MAX_SCALE) return fail("the scale is out of range", "give 0 to 31");
    x = count > 4 ? strchr(word[4], 'x') : NULL;
    if (x) { /* packets: of the stream's layers, so that a few of them give a coarse picture */
        f.folder = word[2];
        f.packets.count = camera.budget;
        f.packets.bytes = (uint32_t)strtoul(x + 1, NULL, 10);
        f.packets.arrive = (f.packets.count * 11 + 10) / 20; /* as may be at a loss of a tenth */
        f.packets.picture = (uint32_t)((time(NULL) - 1767225600) / 4); /* one that was never used, by the clock */
        f.packets.send = write_packet;
        f.packets.context = &f;
        if (f.packets.count < 1 || f.packets.count > HG_MAX_PLACES * HG_MOST_PARTS ||
            f.packets.bytes < HG_LEAST_PACKET || f.packets.bytes > HG_MOST_PACKET)
            return fail("packets are out of range", "give such as 40x222, of 24 to 1400 bytes");
        camera.budget = HELIOGRAPH_PACKETS_BUDGET(f.packets.bytes, f.packets.arrive);
        camera.layered = 1;
        camera.send = hg_send_packets;
        camera.send_context = &f.packets;
    }
    if (camera.scale) {
        scaling.width = width;
        scaling.height = height;
        scaling.scale = camera.scale;
        scaling.pixels = HG_RGB888;
        scaling.row = read_row;
        scaling.context = &f;
        camera.row = hg_scaling_row;
        camera.row_context = &scaling;
        scaling_size = HELIOGRAPH_SCALING(width, height, 3, camera.scale);
        scaling_memory = malloc(scaling_size);
    }
    size = HELIOGRAPH_MEMORY(HELIOGRAPH_SCALED(width, camera.scale), HELIOGRAPH_SCALED(height, camera.scale), 3,
                             camera.budget);
    memory = malloc(size);
    f.row = malloc(f.line);
    f.packets.packet = malloc(HG_MOST_PACKET);
    if (f.folder == NULL) f.stream = fopen(word[2], "wb");
    if (memory == NULL || f.row == NULL || f.packets.packet == NULL || (f.folder == NULL && f.stream == NULL) ||
        (camera.scale && (scaling_memory == NULL || !hg_scaling_begin(&scaling, scaling_memory, scaling_size))))
        return fail("no memory, or no stream", "look at both");
    status = hg_encode_picture(&heliograph_codec, &camera, memory, size);
    if (f.stream && fclose(f.stream)) status = HG_CAMERA_NOT_SENT;
    free(memory);
    free(scaling_memory);
    free(f.row);
    free(f.packets.packet);
    fclose(f.picture);
    if (status != HG_CAMERA_OK) {
        if (f.stream) remove(word[2]);
        return fail(reasons[status], "see heliograph.h");
    }
    printf("%u bytes at quality %.4g, in %u bytes of memory\n", (unsigned)camera.size,
           ((double)camera.coded - HG_LEVEL_0) / 8, (unsigned)(size + scaling_size));
    if (f.folder) printf("%u packets of %u bytes\n", f.sent, (unsigned)f.packets.bytes);
    return 0;
}
