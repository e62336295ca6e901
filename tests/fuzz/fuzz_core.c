/* What is fuzzed of the C core: whole streams, slices, entropy files, and the round trip.
 *
 * The functions have libFuzzer's names and can be linked with it; tests/fuzz/run links them with driver.c, which any
 * compiler has the means for. The first byte of an input chooses the target; HELIOGRAPH_ENTROPY names the entropy file
 * of slices and streams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_core.h"

enum { MAX_POSITIONS = 25, HEAD = 8, MERGED = 1, CUT = 2, SEGMENTS = 4, NO_ROOM = 32, NO_CAPACITY = 64, ILLEGAL = 128 };

hg_model golden;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *path = getenv("HELIOGRAPH_ENTROPY");
    FILE *file = fopen(path ? path : "tests/golden/codec/entropy.bin", "rb");
    static uint8_t *bytes; /* outlives the model */
    long size;
    (void)argc;
    (void)argv;
    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0) abort();
    rewind(file);
    bytes = malloc((size_t)size);
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size) abort();
    fclose(file);
    if (hg_open(&golden, bytes, (size_t)size) != HG_OK) abort();
    return 0;
}

/* What an input says of a slice, in its first HEAD bytes. */
typedef struct {
    uint32_t rows, columns, level, rounding, strength, share;
    int flags;
} slice;

static int read_slice(slice *s, const hg_model *m, const uint8_t *data, size_t size) {
    if (size < HEAD) return 0;
    s->rows = 1 + data[0] % 16;
    s->columns = 1 + data[1] % 16;
    while (s->rows > 1 && s->rows * s->columns * m->channels > MAX_POSITIONS * 24) s->rows--; /* the sooner done */
    s->level = data[2] | (uint32_t)data[3] << 8;
    s->flags = data[4];
    s->rounding = data[5];
    s->strength = data[6];
    s->share = data[7]; /* of the bytes that are left, in the first segment, and so on */
    if (s->flags & ILLEGAL) {
        if (data[0] >= 224) s->rows = 0;
        if (data[1] >= 224) s->columns = HG_MAX_SLICE + 1;
    } else {
        s->level &= HG_LEVELS - 1;
        s->rounding %= 129;
    }
    return 1;
}

static int is_legal(const slice *s) {
    return s->rows >= 1 && s->columns >= 1 && s->columns <= HG_MAX_SLICE && s->level < HG_LEVELS;
}

/* Decode segments of exactly the sizes given, each in a buffer of its own, so that any overrun is seen. */
static void decode(const hg_model *m, const uint8_t *const *segment, const size_t *length, uint32_t segments,
                   const slice *s) {
    int merged = s->flags & MERGED;
    uint32_t claimed = segments;
    size_t size = is_legal(s) ? hg_workspace(m, s->rows, s->columns, HG_DECODE) : 1, i;
    size_t given = s->flags & NO_ROOM ? size - 1 : size;
    size_t count = is_legal(s) ? (size_t)s->rows * s->columns * m->channels : 1;
    void *workspace = calloc(1, given ? given : 1);
    int16_t *symbols = calloc(count, sizeof *symbols);
    uint64_t done[HG_MAX_LAYERS];
    uint8_t *own[HG_MAX_LAYERS];
    hg_status status;
    for (i = 0; i < segments; i++) {
        own[i] = malloc(length[i] + (length[i] == 0));
        memcpy(own[i], segment[i], length[i]);
    }
    if (s->flags & ILLEGAL && s->share == 0) claimed = HG_MAX_LAYERS + 1;
    status = hg_decode(m, (const uint8_t *const *)own, length, claimed, s->flags & CUT, s->rows, s->columns, s->level,
                       merged, workspace, given, symbols, done);
    if (!is_legal(s)) {
        if (status != HG_BAD_ARGUMENT) abort();
    } else if (s->flags & NO_ROOM) {
        if (status != HG_NO_SPACE) abort();
    } else if (claimed > m->layers) {
        if (status != HG_BAD_ARGUMENT) abort();
    } else if (status == HG_OK) {
        for (i = 0; i < count; i++)
            if (symbols[i] > 894 || symbols[i] < -894) abort();
        for (i = 0; i < m->layers; i++)
            if (done[i] > count) abort();
    } else if (status != HG_CUT && status != HG_CORRUPT) {
        abort();
    }
    for (i = 0; i < segments; i++) free(own[i]);
    free(workspace);
    free(symbols);
}

static void fuzz_slice(const hg_model *m, const uint8_t *data, size_t size) {
    const uint8_t *segment[HG_MAX_LAYERS];
    size_t length[HG_MAX_LAYERS], left;
    uint32_t i, segments;
    slice s;
    if (!read_slice(&s, m, data, size)) return;
    segments = s.flags & MERGED ? 1 : 1 + (uint32_t)(s.flags / SEGMENTS & 7) % m->layers;
    left = size - HEAD;
    for (i = 0; i < segments; i++) {
        segment[i] = data + size - left;
        length[i] = i + 1 == segments ? left : left * s.share / 256;
        left -= length[i];
    }
    decode(m, segment, length, segments, &s);
}

size_t locate_segments(const hg_header *h, const uint8_t *data, size_t size, segment_place *out, size_t capacity) {
    size_t at = h->lengths_at, place;
    uint32_t i, length;
    for (i = 0; i < h->segments; i++)
        if (hg_next_length(data, size, &at, &length) != HG_OK) return 0;
    place = at + 4;
    at = h->lengths_at;
    for (i = 0; i < h->segments && i < capacity; i++) {
        hg_next_length(data, size, &at, &length);
        out[i].at = place < size ? place : size;
        out[i].length = length < size - out[i].at ? length : size - out[i].at;
        place += length ? (size_t)length + 4 : 0;
    }
    return h->segments < capacity ? h->segments : capacity;
}

static void check_header(const hg_header *h, const uint8_t *data, size_t size) {
    uint8_t *again = malloc(h->size);
    uint32_t *length = malloc(h->segments * sizeof *length), i;
    hg_header same = *h;
    size_t at = h->lengths_at;
    for (i = 0; i < h->segments; i++)
        if (hg_next_length(data, size, &at, &length[i]) != HG_OK) abort(); /* hg_parse has read them */
    if (hg_write_header(&same, length, again, h->size - 1) != HG_NO_SPACE) abort();
    if (hg_write_header(&same, length, again, h->size) != HG_OK || memcmp(again, data, h->size) != 0) abort();
    if (memcmp(&same, h, sizeof same) != 0) abort(); /* both are filled with zeros first */
    length[h->segments - 1] = 1u << 28;
    if (hg_write_header(&same, length, again, h->size) == HG_OK) abort();
    same.level = HG_LEVELS;
    if (hg_write_header(&same, length, again, h->size) != HG_BAD_ARGUMENT) abort();
    free(again);
    free(length);
}

static void fuzz_stream(const uint8_t *data, size_t size) {
    hg_header h;
    segment_place *places;
    uint32_t i, rows, columns, y, x;
    if (hg_parse(&h, data, size) != HG_OK) return;
    check_header(&h, data, size);
    rows = (h.height + 15) / 16;
    columns = (h.width + 15) / 16;
    if (rows * columns > MAX_POSITIONS || h.segments > 4096 || (h.parts != 1 && h.parts != golden.layers)) return;
    places = malloc(h.segments * sizeof *places);
    if (locate_segments(&h, data, size, places, h.segments) != h.segments) abort();
    for (i = 0; i < h.segments; i++) (void)hg_segment_crc(h.crc, i, data + places[i].at, places[i].length);
    for (y = 0; y < h.down; y++)
        for (x = 0; x < h.across; x++) {
            const uint8_t *segment[HG_MAX_LAYERS];
            size_t length[HG_MAX_LAYERS];
            uint32_t top = y * h.side, left = x * h.side;
            slice s = {0};
            s.rows = h.side && h.side < rows - top ? h.side : rows - top;
            s.columns = h.side && h.side < columns - left ? h.side : columns - left;
            s.level = h.level;
            s.flags = (h.parts == 1 ? MERGED : 0) | (h.level & 1 ? CUT : 0);
            for (i = 0; i < h.parts; i++) {
                const segment_place *place = &places[(i * h.down + y) * h.across + x];
                segment[i] = data + place->at;
                length[i] = place->length;
            }
            decode(&golden, segment, length, h.parts, &s);
        }
    free(places);
}

/* Latents through RDOQ and the encoder, and back: what the decoder gives is what was encoded, with any model. */
static void fuzz_round_trip(const hg_model *m, const uint8_t *data, size_t size) {
    size_t count, need, room, capacity, length[HG_MAX_LAYERS], i;
    const uint8_t *segment[HG_MAX_LAYERS], *at;
    uint64_t bits[HG_MAX_LAYERS], again_bits[HG_MAX_LAYERS];
    int16_t *symbols;
    int8_t *latents;
    uint8_t *out;
    void *workspace;
    hg_status status;
    slice s;
    if (!read_slice(&s, m, data, size)) return;
    if (!is_legal(&s) || s.rounding > 128) {
        int16_t symbol = 0;
        if (s.rows < 1 || s.columns > HG_MAX_SLICE) s.rows = s.columns = 0; /* nothing to quantise */
        if (hg_rdoq(m, NULL, s.rows, s.columns, s.level, s.rounding, 0, NULL, 0, &symbol, bits) != HG_BAD_ARGUMENT)
            abort();
        if (is_legal(&s)) return;
        if (hg_estimate(m, NULL, s.rows, s.columns, s.level, NULL, 0, bits) != HG_BAD_ARGUMENT) abort();
        if (hg_encode(m, NULL, s.rows, s.columns, s.level, 0, NULL, 0, NULL, 0, length) != HG_BAD_ARGUMENT) abort();
        return;
    }
    if (hg_rounding(m, s.level) > 128 || hg_step(m, s.level, m->channels - 1u) < 1) abort();
    count = (size_t)s.rows * s.columns * m->channels;
    latents = malloc(count);
    for (i = 0; i < count; i++) latents[i] = size > HEAD ? (int8_t)data[HEAD + i % (size - HEAD)] : 0;
    symbols = malloc(count * sizeof *symbols);
    need = hg_workspace(m, s.rows, s.columns, HG_ENCODE);
    room = s.flags & NO_ROOM ? need - 1 : need;
    workspace = calloc(1, room);
    status = hg_rdoq(m, latents, s.rows, s.columns, s.level, s.rounding, s.strength, workspace, room, symbols, bits);
    if (status != (s.flags & NO_ROOM ? HG_NO_SPACE : HG_OK)) abort();
    memset(workspace, 0, room);
    if (s.flags & ILLEGAL) symbols[count - 1] = HG_MAX_SYMBOL + 1;
    if (status == HG_OK && (s.flags & ILLEGAL || s.strength % 4 == 0)) { /* as slow as all that is before */
        status = hg_estimate(m, symbols, s.rows, s.columns, s.level, workspace, room, again_bits);
        if (status != (s.flags & ILLEGAL ? HG_BAD_SYMBOL : HG_OK)) abort();
        for (i = 0; status == HG_OK && i < m->layers; i++)
            if (bits[i] != again_bits[i]) abort();
        memset(workspace, 0, room);
    }
    capacity = s.flags & NO_CAPACITY ? size : 8 * count + 4096;
    out = malloc(capacity);
    status = hg_encode(m, symbols, s.rows, s.columns, s.level, s.flags & MERGED, workspace, room, out, capacity, length);
    if (status == HG_OK) {
        int16_t *again = calloc(count, sizeof *again);
        uint64_t done[HG_MAX_LAYERS];
        size_t space = hg_workspace(m, s.rows, s.columns, HG_DECODE);
        void *fresh = calloc(1, space);
        uint32_t segments = s.flags & MERGED ? 1 : m->layers, j;
        for (j = 0, at = out; j < segments; at += length[j], j++) segment[j] = at;
        if (hg_decode(m, segment, length, segments, 0, s.rows, s.columns, s.level, s.flags & MERGED, fresh, space, again,
                      done) != HG_OK)
            abort();
        for (i = 0; i < count; i++) /* channels that a level does not send come back as zero */
            if (again[i] != symbols[i] && (again[i] != 0 || i % m->channels < m->layer_end[0])) abort();
        free(again);
        free(fresh);
    } else {
        int is_illegal = !(s.flags & NO_ROOM) && s.flags & ILLEGAL;
        if (!(s.flags & (NO_ROOM | NO_CAPACITY | ILLEGAL)) || status != (is_illegal ? HG_BAD_SYMBOL : HG_NO_SPACE))
            abort();
    }
    free(latents);
    free(symbols);
    free(workspace);
    free(out);
}

/* A byte that says how many bytes of the end are a slice; before these an entropy file, from a stranger. */
static void fuzz_model(const uint8_t *data, size_t size) {
    size_t tail = size ? data[0] : 0;
    uint8_t *own;
    hg_model m;
    if (size < 1 + tail) return;
    size -= 1 + tail;
    own = malloc(size + (size == 0));
    memcpy(own, data + 1, size);
    if (hg_open(&m, own, size) == HG_OK) {
        fuzz_slice(&m, data + 1 + size, tail);
        fuzz_round_trip(&m, data + 1 + size, tail);
    }
    free(own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    switch (data[0] % TARGETS) {
    case STREAM: fuzz_stream(data + 1, size - 1); break;
    case SLICE: fuzz_slice(&golden, data + 1, size - 1); break;
    case MODEL: fuzz_model(data + 1, size - 1); break;
    default: fuzz_round_trip(&golden, data + 1, size - 1); break;
    }
    return 0;
}
