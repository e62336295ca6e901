/* What is fuzzed of networks: files from strangers, and what runs on those that open, by bands and as a camera.
 *
 * An input: rows, columns of the picture in pixels, format of its rows, a seed of them; then the file.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz_core.h"
#include "heliograph_packets.h"
#include "heliograph_scaling.h"

enum { HEAD = 4, MOST_TILE = 48, MOST_SCRATCH = 1 << 17, MOST_MEMORY = 1 << 23 };

typedef struct {
    uint32_t drawn;
    size_t line, sent;
    uint8_t *row; /* of exactly a row's size, so that any overrun is seen */
} feed;

static const uint8_t *next_row(void *context, uint32_t y) {
    feed *f = context;
    size_t i;
    (void)y;
    for (i = 0; i < f->line; i++) {
        f->drawn = f->drawn * 1664525u + 1013904223u;
        f->row[i] = (uint8_t)(f->drawn >> 24);
    }
    return f->row;
}

static int count_bytes(void *context, const uint8_t *data, size_t size) {
    feed *f = context;
    (void)hg_crc32c(0, data, size); /* all of it is there */
    f->sent += size;
    return 0;
}

/* One tile, by itself, with kept rows and scratch of exactly the sizes that are asked for. */
static void run_tile(const hg_network *n, uint32_t rows, uint32_t columns, uint32_t seed) {
    const uint32_t side = n->tile / 16u;
    hg_tile tile = {0, columns % side + 1, rows % side + 1, columns % side + 1};
    uint8_t *kept = malloc(hg_network_kept(n, tile.across) + 1), *scratch = malloc(n->scratch);
    uint32_t band, lines = hg_network_pixels(n, tile.rows), done = 0, fresh = 0;
    size_t i;
    if (!kept || !scratch) abort();
    for (band = 0; band * HG_BAND < lines; band++) {
        for (i = 0; i < n->scratch; i++) scratch[i] = (uint8_t)(seed = seed * 69069u + 1u) >> 1;
        fresh = hg_network_band(n, &tile, band, kept, scratch, &done);
        (void)hg_crc32c(0, (const uint8_t *)hg_network_output(n, scratch), (size_t)fresh * side * n->channels);
    }
    if (done + fresh != tile.rows) abort();
    free(kept);
    free(scratch);
}

static int count_packets(void *context, const uint8_t *packet, size_t size) {
    feed *f = context;
    (void)hg_crc32c(0, packet, size);
    f->sent++;
    return 0;
}

/* A picture, in memory that ends where what was asked for ends: of some sizes only the last is enough. */
static void run_camera(const hg_codec *codec, uint32_t height, uint32_t width, uint32_t pixels, uint32_t seed) {
    hg_camera camera;
    hg_camera_status status = HG_CAMERA_NO_MEMORY;
    static hg_packets packets;
    hg_scaling scaling;
    uint8_t *packet = NULL;
    void *lines = NULL;
    size_t size;
    feed f;
    memset(&camera, 0, sizeof camera);
    camera.width = width;
    camera.height = height;
    camera.pixels = (hg_pixels)pixels;
    camera.quality = seed % 101;
    camera.budget = 32 + 24 * seed;
    camera.passes = 1 + seed % 3;
    camera.layered = seed & 1;
    camera.level = HG_LEVELS;
    camera.row = next_row;
    camera.row_context = &f;
    camera.send = count_bytes;
    camera.send_context = &f;
    memset(&packets, 0, sizeof packets);
    if (seed & 4) { /* packets, which may have no room */
        packets.bytes = 24 + seed;
        packets.count = 1 + seed % 77 * (seed % 7);
        packets.arrive = 1 + packets.count / 2;
        packets.send = count_packets;
        packets.context = &f;
        packets.packet = packet = malloc(packets.bytes);
        if (!packet) abort();
        camera.send = hg_send_packets;
        camera.send_context = &packets;
    }
    if (seed & 8) { /* a smaller picture, in lines of exactly the size that is asked for */
        const size_t pixel = pixels == HG_RGB888 ? 3 : pixels == HG_GREY ? 1 : 2;
        camera.scale = seed % 7;
        scaling.width = width;
        scaling.height = height;
        scaling.scale = camera.scale;
        scaling.pixels = camera.pixels;
        scaling.row = next_row;
        scaling.context = &f;
        camera.pixels = HG_RGB888;
        camera.row = hg_scaling_row;
        camera.row_context = &scaling;
        size = HELIOGRAPH_SCALING(width, height, pixel, camera.scale);
        lines = malloc(size);
        if (!lines || !hg_scaling_begin(&scaling, lines, size)) abort();
    }
    f.drawn = seed;
    f.sent = 0;
    f.line = (pixels == HG_RGB888 ? 3 : pixels == HG_GREY ? 1 : 2) * (size_t)width;
    if (pixels == HG_YUYV || pixels == HG_UYVY) f.line = 4 * (((size_t)width + 1) / 2);
    f.row = malloc(f.line);
    for (size = 8192; status == HG_CAMERA_NO_MEMORY; size += 64 + size / 64) {
        void *memory = malloc(size); /* not filled: nothing is taken for granted */
        if (!memory || size > MOST_MEMORY) abort();
        status = hg_encode_picture(codec, &camera, memory, size);
        free(memory);
    }
    if (status == HG_CAMERA_OK && f.sent != (packet ? packets.each * packets.parts : camera.size)) abort();
    if (status == HG_CAMERA_OK && camera.size > camera.budget) abort();
    if (status == HG_CAMERA_NOT_SENT && packet && f.sent == 0) status = HG_CAMERA_OK; /* no room */
    if (status != HG_CAMERA_OK && status != HG_CAMERA_OVER && status != HG_CAMERA_BAD_CODEC) abort();
    free(f.row);
    free(lines);
    free(packet);
}

void fuzz_network(const uint8_t *data, size_t size) {
    static hg_network n;
    hg_codec codec;
    if (size < HEAD || hg_network_open(&n, data + HEAD, size - HEAD) != HG_OK) return;
    if (n.tile > MOST_TILE || n.scratch > MOST_SCRATCH) return; /* the sooner done */
    run_tile(&n, data[0], data[1], data[3]);
    if (n.channels != golden.channels) return;
    memset(&codec, 0, sizeof codec);
    codec.network = data + HEAD;
    codec.network_size = size - HEAD;
    codec.entropy = golden_file;
    codec.entropy_size = golden_size;
    codec.side = (uint16_t)(data[3] & 2 ? n.tile / 16 : 1);
    codec.strength = data[3] & 16;
    codec.rounding = data[3] & 127;
    run_camera(&codec, 1 + data[0] % 70, 1 + data[1] % 70, data[2] % (HG_GREY + 1u), data[3]);
}
