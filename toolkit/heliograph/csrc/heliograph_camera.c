/* Rows of a camera to a stream; heliograph_camera.h says what. */
#include "heliograph_camera.h"

#include <string.h>

#ifdef HELIOGRAPH_STAGE /* a function of a program that measures: which stage begins */
void HELIOGRAPH_STAGE(uint32_t stage);
#else
#define HELIOGRAPH_STAGE(stage) ((void)0)
#endif

enum { STRIDE = 16, OCTAVE = 150 }; /* OCTAVE: levels in which the bytes grow about twofold */
enum { SEGMENT_BYTES = 4 + 5, MOST_SIDE = 65535 }; /* of a segment beside its words: CRC, lanes and a state */

typedef struct {
    const hg_codec *codec;
    hg_camera *camera;
    hg_camera_state *state;
    hg_header header;
    uint32_t width, height;         /* of what is coded, in pixels */
    uint32_t rows, columns, layers; /* its positions */
    uint32_t *length;               /* [parts][slices] */
    int8_t *latents;                /* of a strip: slice by slice [rows][columns][channels], as the network gives them */
    uint8_t *raw, *kept, *scratch;  /* rows of the camera and of the network */
    uint8_t *work;                  /* hg_encode's, in the same place if the network rests then */
    size_t work_size, line;         /* line: bytes of a row of the camera */
    uint8_t *store;
    size_t capacity, used;
    uint64_t total; /* bytes of the stream so far, estimated from where it no longer fits */
    int fits;
} job;

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

size_t hg_line(hg_pixels pixels, uint32_t width) {
    switch (pixels) {
    case HG_RGB888: return 3 * (size_t)width;
    case HG_GREY: return width;
    case HG_RGB565:
    case HG_RGB565_SWAPPED: return 2 * (size_t)width;
    default: return 4 * (((size_t)width + 1) / 2);
    }
}

/* ---- pixels ---- */

static int8_t from_byte(uint32_t v) { return (int8_t)((int32_t)v - 128); }

static int8_t from_sum(int32_t v) { return (int8_t)(v < 0 ? -128 : v > 255 ? 127 : v - 128); }

static void from_565(uint32_t v, int8_t *out) {
    const uint32_t r = v >> 11, g = v >> 5 & 63, b = v & 31;
    out[0] = from_byte(r << 3 | r >> 2);
    out[1] = from_byte(g << 2 | g >> 4);
    out[2] = from_byte(b << 3 | b >> 2);
}

static void from_yuv(int32_t y, int32_t u, int32_t v, int8_t *out) { /* shifts of sums that are not negative */
    u -= 128;
    v -= 128;
    out[0] = from_sum(((y * 256 + 359 * v + 128 + (256 << 8)) >> 8) - 256);
    out[1] = from_sum(((y * 256 - 88 * u - 183 * v + 128 + (256 << 8)) >> 8) - 256);
    out[2] = from_sum(((y * 256 + 454 * u + 128 + (256 << 8)) >> 8) - 256);
}

/* A pixel of a row. */
static void convert_one(hg_pixels pixels, const uint8_t *row, uint32_t x, int8_t *out) {
    const uint8_t *two = row + 2 * (size_t)x, *pair = row + 4 * (size_t)(x / 2);
    switch (pixels) {
    case HG_RGB565: from_565((uint32_t)two[0] | (uint32_t)two[1] << 8, out); break;
    case HG_RGB565_SWAPPED: from_565((uint32_t)two[1] | (uint32_t)two[0] << 8, out); break;
    case HG_YUYV: from_yuv(pair[2 * (x & 1)], pair[1], pair[3], out); break;
    case HG_UYVY: from_yuv(pair[2 * (x & 1) + 1], pair[0], pair[2], out); break;
    default: out[0] = out[1] = out[2] = from_byte(row[x]);
    }
}

void hg_convert(hg_pixels pixels, uint32_t width, const uint8_t *row, uint32_t x, uint32_t count, int8_t *out) {
    const uint32_t inside = smaller(count, width - x);
    uint32_t i;
    if (pixels == HG_RGB888)
        for (i = 0; i < 3 * inside; i++) out[i] = from_byte(row[3 * (size_t)x + i]);
    else
        for (i = 0; i < inside; i++) convert_one(pixels, row, x + i, out + 3 * (size_t)i);
    for (i = 3 * inside; i < 3 * count; i++) out[i] = out[i - 3];
}

/* ---- a strip ---- */

/* Code the slices of a strip, whose first row of positions is `top`. */
static hg_camera_status code_strip(job *j, uint32_t top) {
    const hg_codec *codec = j->codec;
    const uint32_t slices = j->header.across * j->header.down, rows = smaller(codec->side, j->rows - top);
    const uint32_t channels = j->state->network.channels, parts = j->camera->layered ? j->layers : 1;
    uint32_t x, number = top / codec->side * j->header.across, part;
    hg_latents latents = {NULL, j->latents, codec->copies};
    HELIOGRAPH_STAGE(2);
    for (x = 0; x < j->columns; x += codec->side, number++) {
        const uint32_t columns = smaller(codec->side, j->columns - x);
        uint64_t bits = 0;
        hg_coded coded;
        hg_status status;
        memset(j->work, 0, j->work_size);
        status = hg_encode(&j->state->model, &latents, rows, columns, j->header.level, codec->rounding, codec->strength,
                           j->camera->layered ? 0 : UINT32_MAX, 0, NULL, j->work, j->work_size, NULL,
                           j->fits ? j->store + j->used : NULL, j->capacity - j->used, &coded);
        if (status != HG_OK && status != HG_NO_SPACE) return HG_CAMERA_BAD_SIZE;
        if (status == HG_NO_SPACE) j->fits = 0;
        latents.units += (size_t)rows * columns * channels;
        for (part = 0; part < j->layers; part++) bits += coded.bits[part];
        if (!j->fits) j->total += (bits >> 13) + (uint64_t)SEGMENT_BYTES * parts;
        for (part = 0; part < parts && j->fits; part++) {
            j->length[part * slices + number] = (uint32_t)coded.length[part];
            j->used += coded.length[part];
            j->total += coded.length[part] + (coded.length[part] ? 4 : 0);
        }
    }
    HELIOGRAPH_STAGE(1);
    return HG_CAMERA_OK;
}

/* Put new rows of a tile's latents into the slices of the strip. `row`: of the strip. */
static void place_latents(job *j, const hg_tile *tile, uint32_t row, uint32_t strip_rows, const int8_t *latents) {
    const uint32_t side = j->codec->side, channels = j->state->network.channels;
    uint32_t x;
    for (x = 0; x < tile->columns; x += side) {
        const uint32_t left = tile->left + x, columns = smaller(side, j->columns - left);
        memcpy(j->latents + ((size_t)left * strip_rows + (size_t)row * columns) * channels,
               latents + (size_t)x * channels, (size_t)columns * channels);
    }
}

/* Read a band of rows; `at` gets where they are. What is below the picture repeats its last row. */
static int read_band(job *j, uint32_t y, const uint8_t *at[HG_BAND]) {
    hg_camera *c = j->camera;
    uint32_t i;
    HELIOGRAPH_STAGE(0);
    for (i = 0; i < HG_BAND; i++, y++) {
        if (y < j->height) {
            const uint8_t *row = c->row(c->row_context, y);
            if (row == NULL) return 0;
            at[i] = row;
            if (i + 1 < HG_BAND && y + 1 < j->height) at[i] = memcpy(j->raw + i * j->line, row, j->line);
        } else {
            at[i] = at[i ? i - 1 : HG_BAND - 1];
        }
    }
    HELIOGRAPH_STAGE(1);
    return 1;
}

/* A row of tiles, from the position `top` down. */
static hg_camera_status run_tiles(job *j, uint32_t top) {
    const hg_network *n = &j->state->network;
    const uint32_t tile_side = (uint32_t)n->tile / STRIDE, side = j->codec->side;
    const uint32_t rows = smaller(tile_side, j->rows - top), lines = hg_network_pixels(n, rows);
    const uint8_t *at[HG_BAND];
    uint32_t band, y, i, ready = 0, fresh = 0, done = 0;
    for (band = 0; band * HG_BAND < lines; band++) {
        hg_tile tile;
        if (!read_band(j, top * STRIDE + band * HG_BAND, at)) return HG_CAMERA_NO_ROW;
        for (tile.left = 0; tile.left < j->columns; tile.left += tile_side) {
            int8_t *input = hg_network_input(n, j->scratch);
            tile.across = j->columns;
            tile.rows = rows;
            tile.columns = smaller(tile_side, j->columns - tile.left);
            for (y = 0; y < HG_BAND; y++)
                hg_convert(j->camera->pixels, j->width, at[y], tile.left * STRIDE,
                           hg_network_pixels(n, tile.columns), input + 3 * (size_t)n->tile * y);
            fresh = hg_network_band(n, &tile, band, j->kept, j->scratch, &done);
            for (i = 0; i < fresh; i++) {
                const uint32_t strip = (done + i) / side * side;
                place_latents(j, &tile, done + i - strip, smaller(side, rows - strip),
                              hg_network_output(n, j->scratch) + (size_t)i * tile_side * n->channels);
            }
        }
        ready = done + fresh;
        if (fresh && (ready % side == 0 || ready == rows)) {
            hg_camera_status status = code_strip(j, top + (ready - 1) / side * side);
            if (status != HG_CAMERA_OK) return status;
        }
    }
    return HG_CAMERA_OK;
}

/* Go through the picture once, at a level. */
static hg_camera_status run_pass(job *j, uint32_t level) {
    const uint32_t tile_side = (uint32_t)j->state->network.tile / STRIDE;
    uint32_t top;
    j->header.level = level;
    j->used = 0;
    j->total = 0;
    j->fits = 1;
    for (top = 0; top < j->rows; top += tile_side) {
        hg_camera_status status = run_tiles(j, top);
        if (status != HG_CAMERA_OK) return status;
    }
    if (j->fits) j->fits = hg_write_header(&j->header, j->length, j->work, j->work_size) == HG_OK;
    j->total += j->fits ? j->header.size : 22 + 2 * (uint64_t)j->header.segments;
    if (j->total > j->camera->budget) j->fits = 0;
    j->camera->size = (uint32_t)j->total;
    return HG_CAMERA_OK;
}

/* ---- the picture ---- */

static void reverse(uint8_t *data, size_t size) {
    size_t i;
    for (i = 0; i < size / 2; i++) {
        const uint8_t kept = data[i];
        data[i] = data[size - 1 - i];
        data[size - 1 - i] = kept;
    }
}

/* Let two neighbours change places. */
static void exchange(uint8_t *data, size_t first, size_t second) {
    reverse(data, first);
    reverse(data + first, second);
    reverse(data, first + second);
}

/* Bytes of some parts of some slices. */
static size_t bytes_of(const job *j, uint32_t part, uint32_t end_part, uint32_t slice, uint32_t end_slice) {
    size_t size = 0;
    uint32_t i;
    for (; part < end_part; part++)
        for (i = slice; i < end_slice; i++) size += j->length[part * j->header.across * j->header.down + i];
    return size;
}

/* From slices with all of their parts to parts with all slices, in place: neighbours are merged, ever more at once. */
static void order_parts(const job *j) {
    const uint32_t slices = j->header.across * j->header.down, parts = j->header.parts;
    uint32_t some, slice, part;
    for (some = 1; some < slices && parts > 1; some *= 2) {
        uint8_t *at = j->store;
        for (slice = 0; slice < slices; slice += 2 * some) {
            const uint32_t middle = smaller(slice + some, slices), end = smaller(slice + 2 * some, slices);
            for (part = 0; part < parts; part++) {
                const size_t next = bytes_of(j, part, part + 1, middle, end);
                at += bytes_of(j, part, part + 1, slice, middle);
                exchange(at, bytes_of(j, part + 1, parts, slice, middle), next);
                at += next;
            }
        }
    }
}

/* Make a stream of what run_pass left, the header in `work` and segments in the store, and send it. */
static hg_camera_status send(const job *j) {
    const hg_header *h = &j->header;
    uint8_t *from = j->store + j->used, *to = j->store + j->total;
    uint32_t number, k;
    HELIOGRAPH_STAGE(3);
    order_parts(j);
    for (number = h->segments; number-- > 0;) { /* from the last on, so that each moves where nothing is any more */
        const uint32_t size = j->length[number];
        if (size) {
            const uint32_t crc = hg_segment_crc(h->crc, number, from - size, size);
            for (k = 4; k-- > 0;) *--to = (uint8_t)(crc >> 8 * k);
            from -= size;
            to -= size;
            memmove(to, from, size);
        }
    }
    memcpy(j->store, j->work, h->size);
    return j->camera->send(j->camera->send_context, j->store, (size_t)j->total) ? HG_CAMERA_NOT_SENT : HG_CAMERA_OK;
}

static uint8_t *reserve(uint8_t **at, uint8_t *end, size_t size) {
    uint8_t *here = *at;
    size = (size + 7) & ~(size_t)7;
    if (here == NULL || size > (size_t)(end - here)) return *at = NULL;
    *at += size;
    return here;
}

/* Divide the memory. Lines of the network and the coder's workspace take turns where the network rests between strips. */
static hg_camera_status lay_out_memory(job *j, uint8_t *memory, size_t size) {
    const hg_codec *codec = j->codec;
    hg_camera *c = j->camera;
    uint8_t *at = memory, *end = memory + size, *lines;
    hg_camera_state *state = (hg_camera_state *)(void *)reserve(&at, end, sizeof *state);
    const uint32_t side = codec->side;
    uint32_t strip;
    size_t needed, coding;
    if (state == NULL) return HG_CAMERA_NO_MEMORY;
    j->state = state;
    if (hg_open(&state->model, codec->entropy, codec->entropy_size) != HG_OK ||
        hg_network_open(&state->network, codec->network, codec->network_size) != HG_OK ||
        state->network.channels != state->model.channels + (codec->copies ? codec->copies[state->model.channels] : 0u) ||
        side < 1 || state->network.tile / STRIDE % side ||
        !hg_network_divides(&state->network, side))
        return HG_CAMERA_BAD_CODEC;
    j->layers = state->model.layers;
    strip = smaller(side, j->rows);
    j->header.side = j->rows > side || j->columns > side ? side : 0;
    j->header.across = (j->columns + side - 1) / side;
    j->header.down = (j->rows + side - 1) / side;
    j->header.parts = c->layered ? j->layers : 1;
    j->header.segments = j->header.across * j->header.down * j->header.parts;
    j->length = (uint32_t *)(void *)reserve(&at, end, 4 * (size_t)j->header.segments);
    j->latents = (int8_t *)reserve(&at, end, (size_t)strip * j->columns * state->network.channels);
    j->line = hg_line(c->pixels, j->width);
    needed = 3 * j->line + hg_network_kept(&state->network, j->columns) + state->network.scratch;
    coding = hg_workspace(&state->model, strip, smaller(side, j->columns), HG_ENCODE, 0);
    if (coding < 64 + 4 * (size_t)j->header.segments) coding = 64 + 4 * (size_t)j->header.segments;
    if (hg_network_rests(&state->network, side)) {
        j->work = lines = reserve(&at, end, needed > coding ? needed : coding);
    } else {
        lines = reserve(&at, end, needed);
        j->work = reserve(&at, end, coding);
    }
    j->work_size = coding;
    j->capacity = c->budget;
    j->store = reserve(&at, end, j->capacity);
    if (at == NULL) return HG_CAMERA_NO_MEMORY;
    j->scratch = lines; /* the network's rows of words begin where words do */
    j->kept = lines + state->network.scratch;
    j->raw = j->kept + hg_network_kept(&state->network, j->columns);
    return HG_CAMERA_OK;
}

/* OCTAVE times the logarithm of v, between whole ones straight lines. */
static int32_t octaves(uint64_t v) {
    uint32_t whole = 0;
    while (v >> (whole + 1)) whole++;
    return (int32_t)(OCTAVE * whole + (uint32_t)(OCTAVE * (v - (UINT64_C(1) << whole)) >> whole));
}

/* What is known of levels and bytes: the finest that fits, or -1, and the coarsest that does not. */
typedef struct {
    int32_t low, high, low_octaves, high_octaves;
} bracket;

/* The level at which the next pass may take 15/16 of the budget, strictly between those that are known. */
static int32_t next_level(const job *j, const bracket *b) {
    const int32_t level = (int32_t)j->header.level, aim = octaves((uint64_t)j->camera->budget * 15) - octaves(16);
    int32_t guess = level + aim - octaves(j->total);
    if (b->low >= 0 && b->high_octaves > b->low_octaves) /* on the line between the two */
        guess = b->low + (b->high - b->low) * (aim - b->low_octaves) / (b->high_octaves - b->low_octaves);
    if (guess <= b->low) guess = b->low + 1;
    return guess < b->high ? guess : b->high - 1;
}

hg_camera_status hg_encode_picture(const hg_codec *codec, hg_camera *c, void *memory, size_t size) {
    const uint32_t finest = HG_LEVEL_0 + 8 * c->quality;
    uint32_t level = smaller(c->level, finest), left = c->passes;
    bracket b = {-1, 0, 0, 0};
    hg_camera_status status;
    job j;
    if (c->width < 1 || c->height < 1 || c->width > MOST_SIDE || c->height > MOST_SIDE || c->quality > 100 ||
        c->scale > HG_MAX_SCALE ||
        c->level > HG_LEVELS || c->passes < 1 || c->pixels > HG_GREY)
        return HG_CAMERA_BAD_SIZE;
    memset(&j, 0, sizeof j);
    j.codec = codec;
    j.camera = c;
    j.width = hg_scaled(c->width, c->scale);
    j.height = hg_scaled(c->height, c->scale);
    j.rows = (j.height + STRIDE - 1) / STRIDE;
    j.columns = (j.width + STRIDE - 1) / STRIDE;
    memcpy(j.header.codec, codec->id, 8);
    j.header.width = c->width;
    j.header.height = c->height;
    j.header.scale = c->scale;
    status = lay_out_memory(&j, (uint8_t *)memory, size);
    if (status != HG_CAMERA_OK) return status;
    b.high = (int32_t)finest + 1;
    for (;;) {
        int32_t next;
        status = run_pass(&j, level);
        if (status != HG_CAMERA_OK) return status;
        left--;
        if (j.fits) {
            b.low = (int32_t)level;
            b.low_octaves = octaves(j.total);
        } else {
            b.high = (int32_t)level;
            b.high_octaves = octaves(j.total);
        }
        next = b.high - b.low > 1 ? next_level(&j, &b) : b.low;
        /* A finer one is tried only if a pass is left to come back to this. */
        if (j.fits && (left < 2 || next <= b.low || 8 * j.total >= 7 * (uint64_t)c->budget)) {
            c->coded = level;
            c->level = (uint32_t)(8 * j.total >= 7 * (uint64_t)c->budget ? b.low : next);
            return send(&j);
        }
        if (left == 0 || next < 0) {
            c->level = next < 0 ? 0 : (uint32_t)next;
            return HG_CAMERA_OVER;
        }
        level = (uint32_t)(left == 1 && b.low >= 0 ? b.low : next);
    }
}
