/* libFuzzer target for the C core: header, entropy file, slices, whole streams, and the round trip.
 *
 *   tests/fuzz/run [SECONDS]
 *
 * builds it with AddressSanitizer and UndefinedBehaviorSanitizer and runs it on a corpus made of the golden streams.
 * The first byte of an input chooses what is fuzzed; HELIOGRAPH_ENTROPY names the entropy file of the slices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heliograph.h"

enum { MAX_POSITIONS = 1024 };

static uint8_t *model_bytes;
static hg_model model;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *path = getenv("HELIOGRAPH_ENTROPY");
    FILE *file = fopen(path ? path : "tests/golden/codec/entropy.bin", "rb");
    long size;
    (void)argc;
    (void)argv;
    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0) abort();
    rewind(file);
    model_bytes = malloc((size_t)size);
    if (fread(model_bytes, 1, (size_t)size, file) != (size_t)size) abort();
    fclose(file);
    if (hg_open(&model, model_bytes, (size_t)size) != HG_OK) abort();
    return 0;
}

/* Decode segments of exactly the sizes given, each in a buffer of its own, so that any overrun is seen. */
static void decode(const hg_model *m, const uint8_t *const *segment, const size_t *length, uint32_t segments, int cut,
                   uint32_t rows, uint32_t columns, uint32_t level, int merged) {
    size_t size = hg_workspace(m, rows, columns, HG_DECODE), i;
    size_t count = (size_t)rows * columns * m->channels;
    void *workspace = calloc(1, size);
    int16_t *symbols = calloc(count, sizeof *symbols);
    uint64_t done[HG_MAX_LAYERS];
    uint8_t *own[HG_MAX_LAYERS];
    hg_status status;
    for (i = 0; i < segments; i++) {
        own[i] = malloc(length[i] + (length[i] == 0));
        memcpy(own[i], segment[i], length[i]);
    }
    status = hg_decode(m, (const uint8_t *const *)own, length, segments, cut, rows, columns, level, merged, workspace,
                       size, symbols, done);
    if (status == HG_OK)
        for (i = 0; i < count; i++)
            if (symbols[i] > 894 || symbols[i] < -894) abort();
    for (i = 0; i < segments; i++) free(own[i]);
    free(workspace);
    free(symbols);
}

static void fuzz_slice(const hg_model *m, const uint8_t *data, size_t size) {
    const uint8_t *segment[HG_MAX_LAYERS];
    size_t length[HG_MAX_LAYERS], left;
    uint32_t i, segments, rows, columns, level;
    int merged, cut;
    if (size < 6) return;
    rows = 1 + data[0] % 32;
    columns = 1 + data[1] % 32;
    level = (data[2] | (uint32_t)data[3] << 8) & 1023;
    merged = data[4] & 1;
    cut = data[4] >> 1 & 1;
    segments = merged ? 1 : 1 + (data[4] >> 2) % m->layers;
    left = size - 6;
    for (i = 0; i < segments; i++) {
        segment[i] = data + 6 + (size - 6 - left);
        length[i] = i + 1 == segments ? left : left * data[5] / 256;
        left -= length[i];
    }
    decode(m, segment, length, segments, cut, rows, columns, level, merged);
}

static void fuzz_stream(const uint8_t *data, size_t size) {
    hg_header h;
    size_t at, place, *start;
    uint32_t i, rows, columns, y, x;
    if (hg_parse(&h, data, size) != HG_OK) return;
    rows = (h.height + 15) / 16;
    columns = (h.width + 15) / 16;
    if (rows * columns > MAX_POSITIONS || h.segments > 4096 || (h.parts != 1 && h.parts != model.layers)) return;
    start = calloc(2 * (size_t)h.segments, sizeof *start);
    at = h.lengths_at;
    place = h.size;
    for (i = 0; i < h.segments; i++) {
        uint32_t length;
        if (hg_next_length(data, size, &at, &length) != HG_OK) abort(); /* hg_parse has read them */
        start[2 * i] = place < size ? place : size;
        start[2 * i + 1] = length < size - start[2 * i] ? length : size - start[2 * i];
        place += length ? (size_t)length + 4 : 0;
        (void)hg_segment_crc(h.crc, i, data + start[2 * i], start[2 * i + 1]);
    }
    for (y = 0; y < h.down; y++)
        for (x = 0; x < h.across; x++) {
            const uint8_t *segment[HG_MAX_LAYERS];
            size_t length[HG_MAX_LAYERS];
            uint32_t top = y * h.side, left = x * h.side;
            uint32_t down = h.side && h.side < rows - top ? h.side : rows - top;
            uint32_t across = h.side && h.side < columns - left ? h.side : columns - left;
            for (i = 0; i < h.parts; i++) {
                uint32_t number = (i * h.down + y) * h.across + x;
                segment[i] = data + start[2 * number];
                length[i] = start[2 * number + 1];
            }
            decode(&model, segment, length, h.parts, (int)(h.level & 1), down, across, h.level, h.parts == 1);
        }
    free(start);
}

static void fuzz_model(const uint8_t *data, size_t size) {
    static const uint8_t noise[64] = {0, 17, 99, 201, 3, 250, 7, 128, 64, 32, 90, 13, 77, 5, 240, 18, 60};
    uint8_t *own = malloc(size + (size == 0));
    hg_model m;
    memcpy(own, data, size);
    if (hg_open(&m, own, size) == HG_OK) {
        uint8_t input[64];
        memcpy(input, noise, sizeof input);
        fuzz_slice(&m, input, sizeof input);
    }
    free(own);
}

static void fuzz_round_trip(const uint8_t *data, size_t size) {
    uint32_t rows, columns, level, i;
    int merged;
    size_t count, need, capacity, length[HG_MAX_LAYERS];
    int16_t *symbols;
    int8_t *latents;
    uint8_t *out, *at;
    void *workspace;
    const uint8_t *segment[HG_MAX_LAYERS];
    uint64_t bits[HG_MAX_LAYERS];
    hg_status status;
    if (size < 5) return;
    rows = 1 + data[0] % 12;
    columns = 1 + data[1] % 12;
    level = (data[2] | (uint32_t)data[3] << 8) & 1023;
    merged = data[4] & 1;
    count = (size_t)rows * columns * model.channels;
    latents = malloc(count);
    for (i = 0; i < count; i++) latents[i] = size > 5 ? (int8_t)data[5 + i % (size - 5)] : 0;
    symbols = malloc(count * sizeof *symbols);
    need = hg_workspace(&model, rows, columns, HG_ENCODE);
    workspace = calloc(1, need);
    status = hg_rdoq(&model, latents, rows, columns, level, data[4] >> 1, data[1] >> 4, workspace, need, symbols, bits);
    if (status != HG_OK) abort();
    memset(workspace, 0, need);
    capacity = 4 * count + 4096;
    if (data[4] >> 1 == 5) capacity = size; /* too small: must be told, not overrun */
    out = malloc(capacity);
    status = hg_encode(&model, symbols, rows, columns, level, merged, workspace, need, out, capacity, length);
    if (status == HG_OK) {
        int16_t *again = calloc(count, sizeof *again);
        uint64_t done[HG_MAX_LAYERS];
        size_t space = hg_workspace(&model, rows, columns, HG_DECODE);
        void *fresh = calloc(1, space);
        for (i = 0, at = out; i < (merged ? 1u : model.layers); at += length[i], i++) segment[i] = at;
        if (hg_decode(&model, segment, length, i, 0, rows, columns, level, merged, fresh, space, again, done) != HG_OK)
            abort();
        for (i = 0; i < count; i++) /* channels that a level does not send come back as zero */
            if (again[i] != symbols[i] && (again[i] != 0 || i % model.channels < model.layer_end[0])) abort();
        free(again);
        free(fresh);
    } else if (status != HG_NO_SPACE) {
        abort();
    }
    free(latents);
    free(symbols);
    free(workspace);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    switch (data[0] & 3) {
    case 0: fuzz_stream(data + 1, size - 1); break;
    case 1: fuzz_slice(&model, data + 1, size - 1); break;
    case 2: fuzz_model(data + 1, size - 1); break;
    default: fuzz_round_trip(data + 1, size - 1); break;
    }
    return 0;
}

#ifndef HG_LIBFUZZER
/* Without libFuzzer: run the inputs named, one after the other. */
int main(int argc, char **argv) {
    int i;
    LLVMFuzzerInitialize(&argc, &argv);
    for (i = 1; i < argc; i++) {
        static uint8_t buffer[1 << 20];
        FILE *file = fopen(argv[i], "rb");
        size_t size;
        uint8_t *own;
        if (!file) return 1;
        size = fread(buffer, 1, sizeof buffer, file);
        fclose(file);
        own = malloc(size + 1);
        memcpy(own, buffer, size);
        LLVMFuzzerTestOneInput(own, size);
        free(own);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
#endif
