/* See picture.h. Nothing is allocated; the arrays below are all the RAM it takes beside the caller's store. */
#include "picture.h"

#include <string.h>

enum { POSITIONS = HELIOGRAPH_SIDE * HELIOGRAPH_SIDE, SEGMENTS = HELIOGRAPH_LAYERS * HELIOGRAPH_MAX_TILES };

static int8_t latents[POSITIONS * HELIOGRAPH_OUTPUTS];
static uint64_t workspace[(HELIOGRAPH_WORKSPACE + 7) / 8];
static uint32_t segment_length[SEGMENTS]; /* layer by layer, in each tile by tile */
static uint8_t header_bytes[64 + 4 * SEGMENTS];
static hg_model model;

/* Close up the rows of latents that lie within the picture. */
static void keep_inside(uint32_t rows, uint32_t columns) {
    uint32_t y;
    for (y = 0; y < rows; y++)
        memmove(latents + (size_t)y * columns * HELIOGRAPH_OUTPUTS,
                latents + (size_t)y * HELIOGRAPH_SIDE * HELIOGRAPH_OUTPUTS, (size_t)columns * HELIOGRAPH_OUTPUTS);
}

static uint32_t inside(uint32_t total, uint32_t tile) {
    uint32_t left = total - tile * HELIOGRAPH_SIDE;
    return left < HELIOGRAPH_SIDE ? left : HELIOGRAPH_SIDE;
}

/* Encode one tile to `out`. A small picture of one tile gets one segment, which is shorter. */
static hg_picture_status encode_tile(hg_header *h, uint32_t tile, uint32_t rows, uint32_t columns, uint8_t *out,
                                     size_t capacity, size_t *used) {
    uint32_t layer, alone = h->across * h->down == 1;
    hg_coded coded;
    const hg_latents given = {NULL, latents, heliograph_copies};
    keep_inside(rows, columns);
    memset(workspace, 0, sizeof workspace);
    if (hg_encode(&model, &given, rows, columns, h->level, HELIOGRAPH_ROUNDING, HELIOGRAPH_STRENGTH,
                  alone ? HELIOGRAPH_MERGE_BELOW : 0, 0, NULL, workspace, sizeof workspace, NULL, out, capacity,
                  &coded) != HG_OK)
        return HG_PICTURE_NO_SPACE;
    h->parts = coded.segments;
    *used = 0;
    for (layer = 0; layer < h->parts; layer++) {
        *used += coded.length[layer];
        segment_length[layer * h->across * h->down + tile] = (uint32_t)coded.length[layer];
    }
    return HG_PICTURE_OK;
}

/* Send the segments: in the store they lie tile by tile, in a stream layer by layer. */
static hg_picture_status send(const hg_header *h, const uint8_t *store, hg_sink sink, void *context) {
    uint32_t tiles = h->across * h->down, number, tile, layer;
    uint8_t crc_bytes[4];
    for (number = 0; number < h->segments; number++) {
        const uint8_t *at = store;
        uint32_t size = segment_length[number], crc, i;
        if (size == 0) continue;
        for (tile = 0; tile <= number % tiles; tile++)
            for (layer = 0; layer < (tile < number % tiles ? h->parts : number / tiles); layer++)
                at += segment_length[layer * tiles + tile];
        crc = hg_segment_crc(h->crc, number, at, size);
        for (i = 0; i < 4; i++) crc_bytes[i] = (uint8_t)(crc >> 8 * i);
        if (sink(context, at, size) || sink(context, crc_bytes, 4)) return HG_PICTURE_NOT_SENT;
    }
    return HG_PICTURE_OK;
}

hg_picture_status hg_picture(uint32_t width, uint32_t height, uint32_t level, hg_tile_source tile_source,
                             void *tile_context, uint8_t *store, size_t capacity, hg_sink sink, void *sink_context) {
    hg_header h;
    uint32_t rows = (height + 15) / 16, columns = (width + 15) / 16, tile;
    size_t at = 0, used;
    memset(&h, 0, sizeof h);
    if (hg_open(&model, heliograph_entropy, heliograph_entropy_size) != HG_OK) return HG_PICTURE_BAD_CODEC;
    if (width < 1 || height < 1 || width > 65535 || height > 65535 || level >= HG_LEVELS) return HG_PICTURE_BAD_SIZE;
    memcpy(h.codec, heliograph_codec_id, 8);
    h.width = width;
    h.height = height;
    h.level = level;
    h.across = (columns + HELIOGRAPH_SIDE - 1) / HELIOGRAPH_SIDE;
    h.down = (rows + HELIOGRAPH_SIDE - 1) / HELIOGRAPH_SIDE;
    h.side = h.across * h.down > 1 ? HELIOGRAPH_SIDE : 0;
    if (h.across > HELIOGRAPH_MAX_TILES || h.across * h.down > HELIOGRAPH_MAX_TILES) return HG_PICTURE_BAD_SIZE;
    for (tile = 0; tile < h.across * h.down; tile++) {
        uint32_t row = tile / h.across, column = tile % h.across;
        hg_picture_status status;
        if (tile_source(tile_context, row, column, latents)) return HG_PICTURE_NO_LATENTS;
        status = encode_tile(&h, tile, inside(rows, row), inside(columns, column), store + at, capacity - at, &used);
        if (status != HG_PICTURE_OK) return status;
        at += used;
    }
    if (hg_write_header(&h, segment_length, header_bytes, sizeof header_bytes) != HG_OK) return HG_PICTURE_BAD_SIZE;
    if (sink(sink_context, header_bytes, h.size)) return HG_PICTURE_NOT_SENT;
    return send(&h, store, sink, sink_context);
}
