/* On an emulated Cortex-M: encode recorded latents, decode streams, and count instructions and stack on the way.
 *   job.txt: width height level, then streams to decode, one a line: its name, and that of the one it refers to, or -
 *   latents.bin -> encoded.helio; NAME -> NAME.values, int16 [rows][columns][C] in coding order */
#include "erasure.h"
#include "picture.h"
#include "startup.h"

#include <stdio.h>
#include <string.h>

static uint8_t store[3 << 16], stream[3 << 16];
static int8_t latents[1 << 19];
static uint64_t memory[1 << 17];
static int16_t values[1 << 17], there[1 << 17], picture[1 << 19];
static size_t stream_size;

/* The tiles' latents, one after the other, from memory: reading a file would count and use stack. */
static int recorded(void *context, uint32_t row, uint32_t column, int8_t *out) {
    size_t *at = (size_t *)context, size = (size_t)HELIOGRAPH_SIDE * HELIOGRAPH_SIDE * HELIOGRAPH_OUTPUTS;
    (void)row;
    (void)column;
    if (size > sizeof latents - *at) return 1;
    memcpy(out, latents + *at, size);
    *at += size;
    return 0;
}

static int keep(void *context, const uint8_t *data, size_t size) {
    (void)context;
    if (size > sizeof stream - stream_size) return 1;
    memcpy(stream + stream_size, data, size);
    stream_size += size;
    return 0;
}

static int encode(uint32_t width, uint32_t height, uint32_t level) {
    hg_picture_status status;
    uint32_t count, used;
    size_t at = 0;
    FILE *out, *in = fopen("latents.bin", "rb");
    if (in == NULL || fread(latents, 1, sizeof latents, in) == 0 || fclose(in)) return 1;
    paint_stack();
    count_from_here();
    status = hg_picture(width, height, level, recorded, &at, store, sizeof store, keep, NULL);
    count = instructions_since();
    used = painted_bytes_used();
    if (status != HG_PICTURE_OK) return (int)status;
    out = fopen("encoded.helio", "wb");
    if (out == NULL || fwrite(stream, 1, stream_size, out) != stream_size || fclose(out)) return 1;
    printf("encode %lu instructions %lu stack\n", (unsigned long)count, (unsigned long)used);
    return 0;
}

/* Read what a slice refers to from the values of a picture. */
static int read_slice(FILE *file, size_t top, size_t left, size_t down, size_t across, size_t columns, size_t channels) {
    size_t y, size = across * channels;
    for (y = 0; y < down; y++) {
        size_t at = ((top + y) * columns + left) * channels * sizeof *there;
        if (fseek(file, (long)at, SEEK_SET) || fread(there + y * size, sizeof *there, size, file) != size) return 0;
    }
    return 1;
}

/* Decode a slice of so many parts to `values`; what it refers to, which of a refined stream is its base, lies `there`. */
static int decode_slice(const hg_model *m, const hg_header *h, const uint8_t *const *part, const size_t *length,
                        uint32_t down, uint32_t across) {
    const size_t size = (size_t)down * across * m->channels * sizeof *values;
    const uint32_t parts = h->parts - h->refined;
    uint64_t done[HG_MAX_LAYERS];
    hg_reference reference;
    reference.values = there;
    reference.level = h->refined ? h->base_level : h->reference_level;
    if (h->refined) {
        memset(memory, 0, sizeof memory);
        memset(there, 0, size);
        if (hg_decode(m, part++, length++, 1, 0, down, across, h->base_level, HG_MERGED, NULL, memory, sizeof memory,
                      there, done) != HG_OK)
            return 0;
    }
    memset(memory, 0, sizeof memory);
    memset(values, 0, size);
    return hg_decode(m, part, length, parts, 0, down, across, h->level,
                     h->is_short ? HG_SHORT : parts == 1 ? HG_MERGED : HG_LAYERED,
                     h->referring || h->refined ? &reference : NULL, memory, sizeof memory, values, done) == HG_OK;
}

/* Decode the stream in memory to `picture`; its values are `*total` numbers. */
static const char *decode(const hg_model *m, FILE *other, size_t *total, uint32_t *count) {
    enum { MOST = (HG_MAX_LAYERS + 1) * HELIOGRAPH_MAX_TILES };
    hg_header h;
    size_t at, offset[MOST], length[MOST];
    uint32_t i, slice, layer, one, rows, columns;
    if (hg_parse(&h, stream, stream_size) != HG_OK) return "header";
    if (memcmp(h.codec, heliograph_codec_id, 8) != 0) return "codec";
    if (h.segments > MOST || (h.parts - h.refined != 1 && h.parts - h.refined != m->layers)) return "segments";
    if (h.referring && other == NULL) return "reference";
    rows = (h.coded_height + 15) / 16;
    columns = (h.coded_width + 15) / 16;
    *total = (size_t)rows * columns * m->channels;
    if (*total > sizeof picture / sizeof *picture) return "size";
    for (i = 0, at = h.lengths_at; i < h.segments; i++) {
        if (hg_next_length(stream, stream_size, &at, &one) != HG_OK) return "length";
        length[i] = one;
    }
    for (i = 0, at = h.size; i < h.segments; i++) {
        uint32_t crc;
        offset[i] = at;
        if (length[i] == 0 && !h.is_short) continue;
        if (length[i] + 4 > stream_size - at) return "cut";
        if (h.is_short) { /* its one CRC was checked with its header */
            at += length[i] + 4;
            continue;
        }
        crc = hg_segment_crc(h.crc, i, stream + at, length[i]);
        at += length[i];
        for (one = 0; one < 4; one++)
            if (stream[at++] != (uint8_t)(crc >> 8 * one)) return "crc";
    }
    if (at != stream_size) return "end";
    for (slice = 0; slice < h.across * h.down; slice++) {
        const uint8_t *part[HG_MAX_LAYERS + 1];
        size_t part_length[HG_MAX_LAYERS + 1], n, y;
        uint32_t top = slice / h.across * h.side, left = slice % h.across * h.side;
        uint32_t down = h.side && rows - top > h.side ? h.side : rows - top;
        uint32_t across = h.side && columns - left > h.side ? h.side : columns - left;
        n = (size_t)down * across * m->channels;
        if (n > sizeof values / sizeof *values) return "slice";
        if (h.referring && !read_slice(other, top, left, down, across, columns, m->channels)) return "reference";
        for (layer = 0; layer < h.parts; layer++) {
            part[layer] = stream + offset[layer * h.across * h.down + slice];
            part_length[layer] = length[layer * h.across * h.down + slice];
        }
        count_from_here();
        if (!decode_slice(m, &h, part, part_length, down, across)) return "decode";
        *count += instructions_since();
        n = (size_t)across * m->channels;
        for (y = 0; y < down; y++)
            memcpy(picture + ((top + y) * columns + left) * m->channels, values + y * n, n * sizeof *values);
    }
    return NULL;
}

static int decode_file(const hg_model *m, const char *name, const char *reference) {
    char path[96];
    const char *failed;
    uint32_t count = 0;
    size_t total = 0;
    FILE *in = fopen(name, "rb"), *other, *out;
    if (in == NULL) return 1;
    stream_size = fread(stream, 1, sizeof stream, in);
    fclose(in);
    snprintf(path, sizeof path, "%s.values", reference);
    other = fopen(path, "rb");
    failed = decode(m, other, &total, &count);
    if (other) fclose(other);
    if (!failed) {
        snprintf(path, sizeof path, "%s.values", name);
        out = fopen(path, "wb");
        if (out == NULL || fwrite(picture, sizeof *picture, total, out) != total || fclose(out)) return 1;
    }
    printf("decode %s %s %lu instructions\n", name, failed ? failed : "ok", (unsigned long)count);
    return 0;
}

/* Count a loop of known length, so that the counting itself is checked. */
static void calibrate(void) {
    uint32_t n = 1000000, count;
    count_from_here();
    __asm__ volatile("1: subs %0, %0, #1\n bne 1b" : "+r"(n) : : "cc");
    count = instructions_since();
    printf("calibrate 2000000 instructions counted %lu\n", (unsigned long)count);
}

/* Count what a parity packet takes: the weights once a picture, then each. */
static int parity(uint32_t count, uint32_t piece) {
    static uint8_t places[HG_MAX_PLACES], weights[HG_MAX_PLACES];
    uint32_t i, once, each;
    for (i = 0; i < count; i++) places[i] = (uint8_t)i;
    for (i = 0; i < count * piece; i++) stream[i] = (uint8_t)(i * 7 + 1);
    count_from_here();
    if (!hg_erasure_weigh(places, count, weights)) return 1;
    once = instructions_since();
    count_from_here();
    hg_erasure_piece(places, weights, count, NULL, 0, stream, count * piece, piece, count, store);
    each = instructions_since();
    printf("parity of %lu x %lu bytes %lu instructions and %lu once\n", (unsigned long)count, (unsigned long)piece,
           (unsigned long)each, (unsigned long)once);
    return 0;
}

int main(void) {
    static hg_model model;
    unsigned width, height, level;
    char name[64], reference[64];
    FILE *job = fopen("job.txt", "r");
    if (job == NULL || fscanf(job, "%u %u %u", &width, &height, &level) != 3) return 1;
    calibrate();
    if (width && encode(width, height, level)) return 2;
    if (width && parity(75, 246)) return 5;
    if (hg_open(&model, heliograph_entropy, heliograph_entropy_size) != HG_OK) return 3;
    while (fscanf(job, "%63s %63s", name, reference) == 2)
        if (decode_file(&model, name, reference)) return 4;
    return 0;
}
