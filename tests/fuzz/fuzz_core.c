/* What is fuzzed of the C core: whole streams, slices, entropy files, the round trip, and networks (fuzz_network.c).
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
enum { ALONE = 128 }; /* of the byte that says how many columns: without a reference */

hg_model golden;
uint8_t *golden_file; /* outlives the model */
size_t golden_size;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *path = getenv("HELIOGRAPH_ENTROPY");
    FILE *file = fopen(path ? path : "tests/golden/codec/entropy.bin", "rb");
    long size;
    (void)argc;
    (void)argv;
    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0) abort();
    rewind(file);
    golden_size = (size_t)size;
    golden_file = malloc(golden_size);
    if (fread(golden_file, 1, golden_size, file) != golden_size) abort();
    fclose(file);
    if (hg_open(&golden, golden_file, golden_size) != HG_OK) abort();
    return 0;
}

/* What an input says of a slice, in its first HEAD bytes. */
typedef struct {
    uint32_t rows, columns, level, rounding, strength, share;
    int flags, refers, is_short;
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
    s->refers = m->sets == 2 && !(data[1] & ALONE);
    s->is_short = s->flags & MERGED && !(s->flags & CUT) && data[3] & 128;
    s->share = data[7]; /* of the bytes that are left, in the first segment, and so on */
    if (s->flags & ILLEGAL) {
        if (data[0] >= 224) s->rows = 0;
        if (data[1] >= 224) s->columns = HG_MAX_SLICE + 1;
        s->strength <<= 4;
    } else {
        s->level &= HG_LEVELS - 1;
        s->rounding %= 129;
    }
    return 1;
}

static int is_legal(const slice *s) {
    return s->rows >= 1 && s->columns >= 1 && s->columns <= HG_MAX_SLICE && s->level < HG_LEVELS;
}

/* A reference for a slice: zeros, and values of all sizes, the largest among them. */
static int16_t *make_reference(hg_reference *reference, const slice *s, size_t count) {
    int16_t *values = malloc(count * sizeof *values);
    uint32_t drawn = 1 + s->share;
    size_t i;
    for (i = 0; i < count; i++) {
        drawn = drawn * 1664525u + 1013904223u;
        values[i] = (int16_t)(drawn >> 30 ? (int32_t)(drawn >> 18 & 4095) - 2048 : 0);
        if (drawn >> 31) values[i] /= 64;
    }
    reference->values = values;
    reference->level = s->share * 4;
    return values;
}

/* Decode segments of exactly the sizes given, each in a buffer of its own, so that any overrun is seen. */
static void decode(const hg_model *m, const uint8_t *const *segment, const size_t *length, uint32_t segments,
                   const slice *s) {
    hg_form form = s->is_short ? HG_SHORT : s->flags & MERGED ? HG_MERGED : HG_LAYERED;
    uint32_t claimed = segments;
    size_t size = is_legal(s) ? hg_workspace(m, s->rows, s->columns, HG_DECODE, s->refers) : 1, i;
    size_t given = s->flags & NO_ROOM ? size - 1 : size;
    size_t count = is_legal(s) ? (size_t)s->rows * s->columns * m->channels : 1;
    void *workspace = calloc(1, given ? given : 1);
    int16_t *values = calloc(count, sizeof *values), *there;
    hg_reference reference;
    uint64_t done[HG_MAX_LAYERS];
    uint8_t *own[HG_MAX_LAYERS];
    hg_status status;
    there = make_reference(&reference, s, count);
    for (i = 0; i < segments; i++) {
        own[i] = malloc(length[i] + (length[i] == 0));
        memcpy(own[i], segment[i], length[i]);
    }
    if (s->flags & ILLEGAL && s->share == 0) claimed = HG_MAX_LAYERS + 1;
    status = hg_decode(m, (const uint8_t *const *)own, length, claimed, s->flags & CUT, s->rows, s->columns, s->level,
                       form, s->refers ? &reference : NULL, workspace, given, values, done);
    if (!is_legal(s)) {
        if (status != HG_BAD_ARGUMENT) abort();
    } else if (s->flags & NO_ROOM) {
        if (status != HG_NO_SPACE) abort();
    } else if (claimed > (form == HG_LAYERED ? m->layers : 1u)) {
        if (status != HG_BAD_ARGUMENT) abort();
    } else if (status == HG_OK) {
        for (i = 0; i < count; i++)
            if (values[i] > 2047 || values[i] < -2048) abort();
        for (i = 0; i < m->layers; i++)
            if (done[i] > 2 * count) abort(); /* a flag for each residual at most */
    } else if (status != HG_CUT && status != HG_CORRUPT) {
        abort();
    }
    for (i = 0; i < segments; i++) free(own[i]);
    free(workspace);
    free(values);
    free(there);
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
        if (h->is_short) place = at;
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
    same.scale = HG_MAX_SCALE + 1;
    if (hg_write_header(&same, length, again, h->size) != HG_BAD_ARGUMENT) abort();
    same.level = HG_LEVELS;
    if (hg_write_header(&same, length, again, h->size) != HG_BAD_ARGUMENT) abort();
    free(again);
    free(length);
}

static uint32_t crc_behind(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void fuzz_stream(const uint8_t *data, size_t size) {
    hg_header h;
    segment_place *places;
    uint32_t i, rows, columns, y, x;
    if (hg_parse(&h, data, size) != HG_OK) return;
    check_header(&h, data, size);
    rows = (h.coded_height + 15) / 16;
    columns = (h.coded_width + 15) / 16;
    if (rows * columns > MAX_POSITIONS || h.segments > 4096) return;
    if (h.parts - h.refined != 1 && h.parts - h.refined != golden.layers) return;
    places = malloc(h.segments * sizeof *places);
    if (locate_segments(&h, data, size, places, h.segments) != h.segments) abort();
    for (i = 0; i < h.segments; i++) (void)hg_segment_crc(h.crc, i, data + places[i].at, places[i].length);
    if (h.is_short && hg_crc32c(h.crc, data + h.size, places[0].length) != crc_behind(data + h.size + places[0].length))
        abort();
    for (y = 0; y < h.down; y++)
        for (x = 0; x < h.across; x++) {
            const uint8_t *segment[HG_MAX_LAYERS + 1];
            size_t length[HG_MAX_LAYERS + 1];
            uint32_t base = h.refined, top = y * h.side, left = x * h.side;
            slice s = {0};
            s.rows = h.side && h.side < rows - top ? h.side : rows - top;
            s.columns = h.side && h.side < columns - left ? h.side : columns - left;
            s.level = h.level;
            s.share = h.reference_level & 255;
            s.refers = (int)h.referring;
            s.is_short = (int)h.is_short;
            s.flags = (h.parts - base == 1 ? MERGED : 0) | (h.level & 1 && !s.is_short ? CUT : 0);
            for (i = 0; i < h.parts; i++) {
                const segment_place *place = &places[(i * h.down + y) * h.across + x];
                segment[i] = data + place->at;
                length[i] = place->length;
            }
            if (base) { /* alone, then as something for the others to refer to */
                slice coarse = s;
                coarse.level = h.base_level;
                coarse.flags |= MERGED;
                decode(&golden, segment, length, 1, &coarse);
                s.refers = 1;
            }
            decode(&golden, segment + base, length + base, h.parts - base, &s);
        }
    free(places);
}

/* Latents through the encoder and back: what the decoder gives is what the encoder said, with any model. */
static void fuzz_round_trip(const hg_model *m, const uint8_t *data, size_t size) {
    size_t count, need, room, capacity, i;
    const uint8_t *segment[HG_MAX_LAYERS], *at;
    int16_t *values, *there;
    int8_t *units;
    hg_latents latents = {NULL, NULL, NULL};
    uint8_t *out;
    uint32_t merge_below, short_below;
    void *workspace;
    hg_reference reference;
    hg_coded coded, estimated;
    hg_status status;
    slice s;
    if (!read_slice(&s, m, data, size)) return;
    merge_below = s.flags & MERGED ? 4096 : 0;
    short_below = s.is_short ? HG_MAX_SHORT / 2 : 0;
    if (!is_legal(&s) || s.rounding > 128 || s.strength > HG_MAX_STRENGTH) {
        if (hg_encode(m, &latents, s.rows, s.columns, s.level, s.rounding, s.strength, merge_below, short_below, NULL, NULL, 0,
                      NULL, NULL, 0, &coded) != HG_BAD_ARGUMENT)
            abort();
        return;
    }
    if (hg_rounding(m, s.level) > 128 || hg_step(m, s.level, m->channels - 1u) < 1) abort();
    count = (size_t)s.rows * s.columns * m->channels;
    latents.units = units = malloc(count);
    for (i = 0; i < count; i++) units[i] = size > HEAD ? (int8_t)data[HEAD + i % (size - HEAD)] : 0;
    there = make_reference(&reference, &s, count);
    if (s.flags & ILLEGAL) {
        reference.level = HG_LEVELS;
        if (hg_encode(m, &latents, s.rows, s.columns, s.level, s.rounding, s.strength, merge_below, short_below,
                      &reference, NULL, 0, NULL, NULL, 0, &coded) != HG_BAD_ARGUMENT)
            abort();
        if (hg_encode(m, &latents, s.rows, s.columns, s.level, s.rounding, s.strength, merge_below, HG_MAX_SHORT / 2 + 1,
                      NULL, NULL, 0, NULL, NULL, 0, &coded) != HG_BAD_ARGUMENT)
            abort();
        reference.level = HG_LEVELS - 1;
    }
    values = calloc(count, sizeof *values);
    need = hg_workspace(m, s.rows, s.columns, HG_ENCODE, s.refers);
    room = s.flags & NO_ROOM ? need - 1 : need;
    workspace = calloc(1, room);
    capacity = s.flags & NO_CAPACITY ? size : 8 * count + 4096;
    out = malloc(capacity);
    status = hg_encode(m, &latents, s.rows, s.columns, s.level, s.rounding, s.strength, merge_below, short_below,
                       s.refers ? &reference : NULL, workspace, room, values, out, capacity, &coded);
    if (status == HG_OK) {
        int16_t *again = calloc(count, sizeof *again);
        uint64_t done[HG_MAX_LAYERS];
        size_t space = hg_workspace(m, s.rows, s.columns, HG_DECODE, s.refers);
        void *fresh = calloc(1, space);
        uint32_t j;
        if (s.flags & NO_ROOM || (coded.segments != 1 && coded.segments != m->layers)) abort();
        for (j = 0, at = out; j < coded.segments; at += coded.length[j], j++) segment[j] = at;
        if (hg_decode(m, segment, coded.length, coded.segments, 0, s.rows, s.columns, s.level,
                      coded.is_short ? HG_SHORT : coded.segments != m->layers ? HG_MERGED : HG_LAYERED, s.refers ? &reference : NULL, fresh, space, again, done) != HG_OK)
            abort();
        if (memcmp(again, values, count * sizeof *again) != 0) abort();
        if (s.strength % 4 == 0) { /* as slow as all that is before */
            memset(workspace, 0, room);
            if (hg_encode(m, &latents, s.rows, s.columns, s.level, s.rounding, s.strength, merge_below, short_below,
                          s.refers ? &reference : NULL, workspace, room, NULL, NULL, 0, &estimated) != HG_OK)
                abort();
            if (memcmp(coded.bits, estimated.bits, m->layers * sizeof *coded.bits) != 0) abort();
        }
        free(again);
        free(fresh);
    } else if (status != HG_NO_SPACE || !(s.flags & (NO_ROOM | NO_CAPACITY))) {
        abort();
    }
    free(units);
    free(there);
    free(values);
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
    case ROUND_TRIP: fuzz_round_trip(&golden, data + 1, size - 1); break;
    default: fuzz_network(data + 1, size - 1); break;
    }
    return 0;
}
