/* Rows of a camera to a stream; heliograph_camera.h says what.
 *
 * One translation unit in several files, as heliograph.c is; here, the picture: memory, levels, order of parts, sending. */
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

#include "camera/pixels.h"
#include "camera/strip.h"

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
