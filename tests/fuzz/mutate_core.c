/* Changes inputs where their fields are, and makes lengths and checksums fit again, so that they get past the door.
 *
 * Where a field is, the core's own parser says: nothing here knows an offset of a format.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz_core.h"

enum { MAX_SEGMENTS = 64, FIELDS = 22 };

static uint32_t drawn;

static uint32_t draw(uint32_t below) {
    drawn ^= drawn << 13;
    drawn ^= drawn >> 17;
    drawn ^= drawn << 5;
    return below ? drawn % below : 0;
}

static void put32(uint8_t *p, uint32_t v) {
    int i;
    for (i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

/* Put in the CRC of a header whose fields are legal, and those of the segments that are all there. */
static void seal_stream(uint8_t *data, size_t size) {
    segment_place place[MAX_SEGMENTS];
    size_t count, i;
    hg_header h;
    hg_status status = hg_parse(&h, data, size);
    if (status != HG_OK && (status != HG_CORRUPT || !h.crc)) return; /* a field is illegal: the CRC was not reached */
    count = locate_segments(&h, data, size, place, MAX_SEGMENTS);
    if (h.is_short && count && size - place[0].at - place[0].length >= 4)
        put32(data + place[0].at + place[0].length, hg_crc32c(h.crc, data + place[0].at, place[0].length));
    if (!count || place[0].at < 4 || h.is_short) return;
    if (status != HG_OK) put32(data + place[0].at - 4, h.crc);
    for (i = 0; i < count; i++)
        if (place[i].length && size - place[i].at - place[i].length >= 4)
            put32(data + place[i].at + place[i].length,
                  hg_segment_crc(h.crc, (uint32_t)i, data + place[i].at, place[i].length));
}

/* Write a stream anew with another size, level, division or other lengths; what does not fit stays as it was. */
static size_t change_header(uint8_t *data, size_t size, size_t max_size) {
    static const uint32_t sides[] = {1, 15, 16, 17, 64, 255, 256, 4096, 11585, 65535};
    segment_place place[MAX_SEGMENTS];
    uint32_t length[MAX_SEGMENTS];
    size_t count, i, at;
    uint8_t *out;
    hg_header h;
    if (hg_parse(&h, data, size) != HG_OK) return size;
    count = locate_segments(&h, data, size, place, MAX_SEGMENTS);
    switch (draw(9)) {
    case 0: h.width = draw(2) ? sides[draw(10)] : 1 + draw(400); break;
    case 1: h.height = draw(2) ? sides[draw(10)] : 1 + draw(400); break;
    case 2: h.level = draw(HG_LEVELS); break;
    case 3: h.parts = draw(2) ? golden.layers : 1 + draw(HG_MAX_LAYERS); break;
    case 4: /* refer to another picture, or to none */
        h.referring = draw(4) > 0;
        h.reference_level = draw(HG_LEVELS);
        h.depth = draw(HG_MAX_DEPTH + 2);
        break;
    case 5: h.scale = draw(HG_MAX_SCALE + 1); break;
    case 6: /* begin with a base, or with none */
        h.parts += h.refined ? 0u - 1u : 1u;
        h.refined = !h.refined;
        h.base_level = draw(h.level + 1);
        break;
    case 7:
        h.is_short = !h.is_short;
        h.parts = 1;
        h.side = 0;
        break;
    default: h.side = draw(3) ? draw(20) : draw(HG_MAX_SLICE + 1); break;
    }
    for (i = 0; i < MAX_SEGMENTS; i++) {
        length[i] = i < count ? (uint32_t)place[i].length : 0;
        if (draw(16) == 0) length[i] = draw(1u << draw(29));
    }
    { /* the header says how many there are only when it is written */
        uint32_t rows = (hg_scaled(h.height, h.scale) + 15) / 16, columns = (hg_scaled(h.width, h.scale) + 15) / 16;
        uint32_t down = h.side ? (rows + h.side - 1) / h.side : 1, across = h.side ? (columns + h.side - 1) / h.side : 1;
        if ((uint64_t)down * across * h.parts > MAX_SEGMENTS) return size;
    }
    out = malloc(max_size);
    if (hg_write_header(&h, length, out, max_size) == HG_OK) {
        at = h.size;
        for (i = 0; i < h.segments && length[i]; i++) {
            size_t whole = (size_t)length[i] + 4, there = i < count ? place[i].length : 0;
            if (whole > max_size - at) break;
            memset(out + at, 0, whole);
            memcpy(out + at, data + (i < count ? place[i].at : 0), there < length[i] ? there : length[i]);
            at += whole;
        }
        memcpy(data, out, at);
        size = at;
    }
    free(out);
    return size;
}

/* Change numbers of an entropy file near the beginning of one of its fields. */
static void change_model(uint8_t *data, size_t size) {
    static const uint8_t telling[] = {0, 1, 2, 15, 16, 24, 64, 127, 128, 129, 254, 255};
    const uint8_t *field[FIELDS];
    const hg_set *set;
    const hg_net *net;
    uint32_t times = 1 + draw(4);
    size_t at;
    hg_model m;
    if (hg_open(&m, data, size) != HG_OK) return;
    set = &m.set[draw(m.sets)];
    net = &set->net[draw(2u * m.layers + (set != m.set))];
    field[0] = m.order;
    field[1] = m.logarithm;
    field[2] = m.anchor;
    field[3] = m.steps;
    field[4] = m.rounding;
    field[5] = set->offsets;
    field[6] = m.predict;
    field[7] = m.coarse;
    field[8] = m.starts;
    field[9] = m.zeros;
    field[10] = net->mix_bias;
    field[11] = net->look_bias;
    field[12] = net->level;
    field[13] = net->own ? net->own : net->mix;
    field[14] = net->mix;
    field[15] = net->look;
    field[16] = net->choose;
    field[17] = net->from ? net->from : data;
    field[18] = net->own2 ? net->own2 : data + 6;
    field[19] = net->there ? net->there : data + 6;
    field[20] = net->gate_bias ? net->gate_bias : data + 14;
    field[21] = net->gate ? net->gate : net->choose;
    at = (size_t)(field[draw(FIELDS)] - data) + draw(64);
    while (times-- > 0 && at < size) {
        data[at] = draw(2) ? telling[draw(12)] : (uint8_t)draw(256);
        at += 1 + draw(2);
    }
    if (draw(8) == 0) { /* two channels change places: still a permutation */
        size_t a = (size_t)(m.order - data) + 2 * draw(m.channels), b = (size_t)(m.order - data) + 2 * draw(m.channels);
        uint8_t kept[2];
        memcpy(kept, data + a, 2);
        memmove(data + a, data + b, 2);
        memcpy(data + b, kept, 2);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    uint8_t target;
    size_t tail;
    drawn = seed | 1;
    draw(0);
    if (size < 2 || draw(64) == 0) return LLVMFuzzerMutate(data, size, max_size);
    target = data[0] % TARGETS;
    if (target == STREAM) {
        if (draw(2)) size = 1 + change_header(data + 1, size - 1, max_size - 1);
        if (draw(3)) size = 1 + LLVMFuzzerMutate(data + 1, size - 1, max_size - 1);
        if (draw(16)) seal_stream(data + 1, size - 1);
        return size;
    }
    if (target == NETWORK && size >= 1 + 4 + 4) { /* what a file is checked by lies at its end */
        if (draw(3)) size = 1 + LLVMFuzzerMutate(data + 1, size - 1, max_size - 1);
        if (size < 1 + 4 + 4) return size;
        if (draw(2)) data[5 + draw(draw(2) ? 48 : (uint32_t)(size - 9)) % (size - 9 + (size == 9))] = (uint8_t)draw(256);
        if (draw(16)) put32(data + size - 4, hg_crc32c(0, data + 5, size - 9));
        return size;
    }
    tail = data[1];
    if (target == MODEL && size > 2 + tail && draw(4)) {
        change_model(data + 2, size - 2 - tail);
        if (tail && draw(2)) (void)LLVMFuzzerMutate(data + size - tail, tail, tail);
        return size;
    }
    return 1 + LLVMFuzzerMutate(data + 1, size - 1, max_size - 1);
}
