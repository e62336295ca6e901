/* Headers, lengths and CRCs of a stream. FORMAT.md, sections 2 and 3. */

uint32_t hg_crc32c(uint32_t crc, const uint8_t *data, size_t size) {
    static const uint32_t nibble[16] = {0x00000000u, 0x105EC76Fu, 0x20BD8EDEu, 0x30E349B1u, 0x417B1DBCu, 0x5125DAD3u,
                                        0x61C69362u, 0x7198540Du, 0x82F63B78u, 0x92A8FC17u, 0xA24BB5A6u, 0xB21572C9u,
                                        0xC38D26C4u, 0xD3D3E1ABu, 0xE330A81Au, 0xF36E6F75u};
    crc = ~crc;
    while (size--) {
        crc ^= *data++;
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}

uint32_t hg_segment_crc(uint32_t header_crc, uint32_t number, const uint8_t *payload, size_t size) {
    uint8_t seed[8];
    wr32(seed, header_crc);
    wr32(seed + 4, number);
    return hg_crc32c(hg_crc32c(0, seed, 8), payload, size);
}

hg_status hg_next_length(const uint8_t *data, size_t size, size_t *at, uint32_t *value) {
    uint32_t v = 0, shift;
    for (shift = 0; shift < 28; shift += 7) { /* at most four bytes */
        uint32_t byte;
        if (*at >= size) return HG_CUT;
        byte = data[(*at)++];
        v |= (byte & 127) << shift;
        if (byte < 128) {
            *value = v;
            return byte == 0 && shift ? HG_CORRUPT : HG_OK; /* only the shortest form is legal */
        }
    }
    return HG_CORRUPT;
}

uint32_t hg_scaled(uint32_t side, uint32_t scale) {
    uint32_t halves = (2 + (scale & 1)) << (scale >> 1);
    return (2 * side + halves - 1) / halves;
}

/* Slices and segments of a header whose size, scale, side and parts are known. */
static void count_segments(hg_header *h) {
    uint32_t rows, columns;
    h->coded_width = hg_scaled(h->width, h->scale);
    h->coded_height = hg_scaled(h->height, h->scale);
    rows = (h->coded_height + 15) / 16;
    columns = (h->coded_width + 15) / 16;
    h->down = h->side ? (rows + h->side - 1) / h->side : 1;
    h->across = h->side ? (columns + h->side - 1) / h->side : 1;
    h->segments = h->down * h->across * h->parts;
}

static int size_fits(const hg_header *h) {
    return h->width >= 1 && h->height >= 1 && h->width <= MAX_SIDE && h->height <= MAX_SIDE &&
           h->width <= MAX_PIXELS / h->height;
}

/* Whether a header of the short form says what it may, its segments counted. */
static int short_fits(const hg_header *h, uint32_t length) {
    uint32_t positions = ((h->coded_height + 15) / 16) * ((h->coded_width + 15) / 16);
    return h->parts == 1 && h->side == 0 && length <= HG_MAX_SHORT && positions <= HG_MAX_SHORT_POSITIONS;
}

/* The base of a refined stream; a stream refers to its own base or to another picture, not to both. */
static int base_fits(const hg_header *h) { return h->base_level < h->level && !h->referring && !h->is_short; }

static int reference_fits(const hg_header *h) {
    return h->reference_level < HG_LEVELS && h->depth >= 1 && h->depth <= HG_MAX_DEPTH;
}

static int put_number(uint8_t *out, size_t capacity, size_t *at, uint32_t v) {
    for (;;) {
        if (*at >= capacity) return 0;
        out[(*at)++] = (uint8_t)(v < 128 ? v : (v & 127) | 128);
        if (v < 128) return 1;
        v >>= 7;
    }
}

hg_status hg_write_header(hg_header *h, const uint32_t *length, uint8_t *out, size_t capacity) {
    size_t at = 14;
    uint32_t bits, i;
    int fits;
    if (!size_fits(h) || h->level >= HG_LEVELS || h->side > HG_MAX_SLICE) return HG_BAD_ARGUMENT;
    if (h->refined > 1 || h->parts < 1 + h->refined || h->parts > HG_MAX_LAYERS + h->refined) return HG_BAD_ARGUMENT;
    if (h->scale > HG_MAX_SCALE || h->is_short > 1) return HG_BAD_ARGUMENT;
    if (h->referring > 1 || (h->referring && !reference_fits(h))) return HG_BAD_ARGUMENT;
    if (h->refined && !base_fits(h)) return HG_BAD_ARGUMENT;
    count_segments(h);
    if (h->is_short && !short_fits(h, length[0])) return HG_BAD_ARGUMENT;
    if (capacity < at) return HG_NO_SPACE;
    bits = h->level;
    if (h->is_short)
        bits |= h->scale << 10 | h->referring << 15;
    else
        bits |= (h->parts - h->refined - 1) << 10 | (h->side ? 1u << 13 : 0u) | h->referring << 14 | (h->scale ? 1u << 15 : 0u);
    memcpy(out, h->is_short ? "HLO\x82" : h->refined ? "HLO\x42" : "HLO\2", 4);
    memcpy(out + 4, h->codec, 8);
    out[12] = (uint8_t)bits;
    out[13] = (uint8_t)(bits >> 8);
    fits = put_number(out, capacity, &at, h->width) && put_number(out, capacity, &at, h->height);
    if (h->scale && !h->is_short) fits = fits && put_number(out, capacity, &at, h->scale);
    if (h->side) fits = fits && put_number(out, capacity, &at, h->side);
    if (h->referring) {
        if (!fits || capacity - at < 10) return HG_NO_SPACE;
        bits = h->reference_level | h->depth << 10;
        memcpy(out + at, h->reference, 8);
        out[at + 8] = (uint8_t)bits;
        out[at + 9] = (uint8_t)(bits >> 8);
        at += 10;
    }
    if (h->refined) {
        if (!fits || capacity - at < 2) return HG_NO_SPACE;
        out[at++] = (uint8_t)h->base_level;
        out[at++] = (uint8_t)(h->base_level >> 8);
    }
    h->lengths_at = at;
    for (i = 0; i < h->segments && fits; i++) {
        if (length[i] >= 1u << 28) return HG_BAD_ARGUMENT;
        fits = put_number(out, capacity, &at, length[i]);
    }
    if (!fits || (!h->is_short && capacity - at < 4)) return HG_NO_SPACE;
    h->crc = hg_crc32c(0, out, at);
    if (!h->is_short) wr32(out + at, h->crc);
    h->size = h->is_short ? at : at + 4;
    return HG_OK;
}

/* The rest of a header of the short form, from its length on: the CRC is of all bytes. */
static hg_status parse_short(hg_header *h, const uint8_t *data, size_t size) {
    size_t at = h->lengths_at;
    uint32_t length;
    hg_status status = hg_next_length(data, size, &at, &length);
    if (status != HG_OK) return status;
    if (!short_fits(h, length)) return HG_CORRUPT;
    if (size - at < (size_t)length + 4) return HG_CUT;
    h->size = at;
    h->crc = hg_crc32c(0, data, at);
    return hg_crc32c(h->crc, data + at, length) == rd32(data + at + length) ? HG_OK : HG_CORRUPT;
}

/* The numbers of a header between its bits and its lengths. */
static hg_status parse_numbers(hg_header *h, const uint8_t *data, size_t size, size_t *at, int scaled, int sliced) {
    hg_status status;
    if ((status = hg_next_length(data, size, at, &h->width)) != HG_OK) return status;
    if ((status = hg_next_length(data, size, at, &h->height)) != HG_OK) return status;
    if (!size_fits(h)) return HG_CORRUPT;
    if (scaled) {
        if ((status = hg_next_length(data, size, at, &h->scale)) != HG_OK) return status;
        if (h->scale < 1 || h->scale > HG_MAX_SCALE) return HG_CORRUPT;
    }
    if (sliced) {
        if ((status = hg_next_length(data, size, at, &h->side)) != HG_OK) return status;
        if (h->side < 1 || h->side > HG_MAX_SLICE) return HG_CORRUPT;
    }
    if (h->referring) {
        if (size - *at < 10) return HG_CUT;
        memcpy(h->reference, data + *at, 8);
        h->reference_level = rd16(data + *at + 8) & 1023;
        h->depth = rd16(data + *at + 8) >> 10;
        if (!reference_fits(h)) return HG_CORRUPT;
        *at += 10;
    }
    if (h->refined) {
        if (h->referring) return HG_CORRUPT;
        if (size - *at < 2) return HG_CUT;
        h->base_level = rd16(data + *at);
        if (!base_fits(h)) return HG_CORRUPT;
        *at += 2;
    }
    return HG_OK;
}

hg_status hg_parse(hg_header *h, const uint8_t *data, size_t size) {
    size_t at = 14;
    uint32_t bits, i, length;
    hg_status status;
    memset(h, 0, sizeof *h);
    if (size < 4) return HG_CUT;
    if (memcmp(data, "HLO", 3) != 0) return HG_CORRUPT;
    if ((data[3] & 63) != 2) return HG_BAD_VERSION;
    if (size < 14) return HG_CUT;
    if (data[3] >> 6 == 3) return HG_CORRUPT; /* the short form has no base */
    memcpy(h->codec, data + 4, 8);
    bits = rd16(data + 12);
    h->is_short = data[3] >> 7;
    h->level = bits & 1023;
    if (h->is_short) {
        h->parts = 1;
        h->scale = bits >> 10 & 31;
        h->referring = bits >> 15;
        status = parse_numbers(h, data, size, &at, 0, 0);
    } else {
        h->refined = data[3] >> 6 & 1;
        h->parts = (bits >> 10 & 7) + 1 + h->refined;
        h->referring = bits >> 14 & 1;
        status = parse_numbers(h, data, size, &at, bits >> 15 & 1, bits >> 13 & 1);
    }
    if (status != HG_OK) return status;
    count_segments(h);
    h->lengths_at = at;
    if (h->is_short) return parse_short(h, data, size);
    if (size - at < h->segments) return HG_CUT; /* every length takes a byte at least */
    for (i = 0; i < h->segments; i++)
        if ((status = hg_next_length(data, size, &at, &length)) != HG_OK) return status;
    if (size - at < 4) return HG_CUT;
    h->crc = hg_crc32c(0, data, at);
    if (h->crc != rd32(data + at)) return HG_CORRUPT;
    h->size = at + 4;
    return HG_OK;
}
