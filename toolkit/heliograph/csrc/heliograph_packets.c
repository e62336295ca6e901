/* A stream in packets; heliograph_packets.h says what, PACKETS.md specifies the bytes. */
#include "heliograph_packets.h"

#include <string.h>

enum { HEAD = 8, CHECK = 2, TAG = 8, WHOLE = 15 };
#define PICTURES (UINT32_C(1) << 28)
#define MOST_STREAM (UINT32_C(1) << 26)

static const uint8_t widths[WHOLE] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192};

static uint32_t carried(const hg_packets *p) { return p->bytes - HEAD - (p->tag ? TAG : CHECK); }

static uint32_t varint(uint8_t *out, uint32_t v) {
    uint32_t n = 0;
    for (; v > 127; v >>= 7) out[n++] = (uint8_t)(v | 128);
    out[n++] = (uint8_t)v;
    return n;
}

enum { PLAN = 16 }; /* bytes of a plan, at most */

static uint32_t write_plan(const hg_packets *p, uint32_t part, uint8_t *out) {
    uint32_t n = varint(out, (uint32_t)p->size), i;
    out[n++] = (uint8_t)((p->layers - 1) | (p->parts > 1 ? 1u << 4 : 0u));
    for (i = 0; i < 4; i++) out[n++] = (uint8_t)(p->crc >> 8 * i);
    for (i = 1; i < p->layers; i++) out[n++] = (uint8_t)p->layer[i].needed;
    for (i = 1; i + 1 < p->layers; i++) n += varint(out + n, p->layer[i].width);
    if (p->parts > 1) {
        out[n++] = (uint8_t)part;
        out[n++] = (uint8_t)p->parts;
    }
    return n;
}

/* Bytes of the stream that a layer has room for in each part. */
static size_t room_of(const hg_packets *p, uint32_t layer, uint32_t plan) {
    return (size_t)p->layer[layer].needed * p->layer[layer].width - (layer ? 0 : plan);
}

int hg_check_plan(hg_packets *p) {
    uint8_t plan[PLAN];
    uint32_t i, before = 1, width = 0, head, whole = p->layers == 1;
    size_t at = 0;
    if (p->layers < 1 || p->layers > HG_PLAN_LAYERS || p->size < 1 || p->size > MOST_STREAM) return 0;
    for (i = 0; i < p->layers; i++) {
        const hg_plan_layer *layer = &p->layer[i];
        if (layer->needed < before || layer->needed > HG_MAX_PLACES || layer->width < 1) return 0;
        if (layer->width > carried(p) - width) return 0;
        before = layer->needed;
        width += layer->width;
    }
    if (width != carried(p)) return 0;
    for (i = 0; i < WHOLE; i++) whole |= p->layer[0].width == widths[i];
    head = write_plan(p, 0, plan);
    if (!whole || (size_t)p->layer[0].needed * p->layer[0].width < head) return 0;
    for (i = 0; i < p->layers; i++) {
        if (at >= p->size) return 0; /* each layer has a byte at least */
        at += room_of(p, i, head) * p->parts;
        hg_erasure_weigh(NULL, p->layer[i].needed, p->weight[i]);
    }
    return at >= p->size;
}

/* Two layers, the first `width` bytes of a packet and of so many bytes of the stream; 0 where they do not fit. */
static int plan_two(hg_packets *p, uint32_t width, size_t base, uint32_t arrive) {
    uint8_t plan[PLAN];
    const uint32_t left = carried(p) - width;
    uint32_t head;
    size_t share = (base + p->parts - 1) / p->parts, all = (p->size + p->parts - 1) / p->parts, there;
    p->layers = 2;
    p->layer[0].width = width;
    p->layer[1].width = left;
    head = write_plan(p, 0, plan);
    p->layer[0].needed = (uint32_t)((head + share + width - 1) / width);
    there = (size_t)p->layer[0].needed * width - head;
    if (all <= there || p->layer[0].needed > arrive) return 0;
    p->layer[1].needed = (uint32_t)((all - there + left - 1) / left);
    if (p->layer[1].needed < p->layer[0].needed) p->layer[1].needed = p->layer[0].needed;
    return p->layer[1].needed <= arrive && hg_check_plan(p);
}

/* Bytes of the header and the first part of all slices. */
static size_t base_of(const uint8_t *stream, size_t size) {
    hg_header h;
    uint32_t i, length;
    size_t at, base;
    if (hg_parse(&h, stream, size) != HG_OK || h.is_short) return size;
    at = h.lengths_at;
    base = h.size;
    for (i = 0; i < h.across * h.down; i++)
        if (hg_next_length(stream, size, &at, &length) == HG_OK && length) base += length + 4;
    return base;
}

int hg_plan_packets(hg_packets *p, const uint8_t *stream, size_t size) {
    uint8_t plan[PLAN];
    uint32_t i, arrive;
    size_t base;
    if (p->bytes < HG_LEAST_PACKET || p->bytes > HG_MOST_PACKET || p->count < 1 ||
        p->count > HG_MAX_PLACES * HG_MOST_PARTS || p->arrive < 1 || p->arrive > p->count || p->device > 65535 ||
        size < 1 || size > MOST_STREAM)
        return 0;
    p->parts = (p->count + HG_MAX_PLACES - 1) / HG_MAX_PLACES;
    p->each = p->count / p->parts;
    p->stream = stream;
    p->size = size;
    p->crc = hg_crc32c(0, stream, size);
    if (p->picture >= PICTURES || PICTURES - p->picture < p->parts) return 0;
    arrive = p->arrive / p->parts;
    base = base_of(stream, size);
    for (i = WHOLE; i-- > 0;) /* a wide piece: few packets give the base */
        if (widths[i] < carried(p) && plan_two(p, widths[i], base, arrive)) return 1;
    p->layers = 1;
    p->layer[0].width = carried(p);
    size = (size + p->parts - 1) / p->parts + write_plan(p, 0, plan);
    p->layer[0].needed = (uint32_t)((size + carried(p) - 1) / carried(p));
    return p->layer[0].needed <= arrive && hg_check_plan(p);
}

void hg_make_packet(const hg_packets *p, uint32_t part, uint32_t place) {
    uint8_t plan[PLAN], *out = p->packet;
    const uint32_t head = write_plan(p, part, plan), number = p->picture + part;
    uint32_t i, code = WHOLE, crc;
    size_t edge = 0;
    for (i = 0; i < WHOLE && p->layers > 1; i++)
        if (widths[i] == p->layer[0].width) code = i;
    out[0] = (uint8_t)p->device;
    out[1] = (uint8_t)(p->device >> 8);
    for (i = 0; i < 4; i++) out[2 + i] = (uint8_t)((number | code << 28) >> 8 * i);
    out[6] = (uint8_t)place;
    out[7] = (uint8_t)p->layer[0].needed;
    out += HEAD;
    for (i = 0; i < p->layers; i++) {
        const hg_plan_layer *layer = &p->layer[i];
        const size_t room = room_of(p, i, head), end = edge + room * p->parts < p->size ? edge + room * p->parts : p->size;
        const size_t from = edge + part * room < end ? edge + part * room : end;
        const size_t size = end - from < room ? end - from : room;
        hg_erasure_piece(NULL, p->weight[i], layer->needed, plan, i ? 0 : head, p->stream + from, size, layer->width, place,
                         out);
        out += layer->width;
        edge = end;
    }
    if (p->tag) {
        p->tag(p->context, p->packet, (size_t)(out - p->packet), out);
        return;
    }
    crc = hg_crc32c(0, p->packet, (size_t)(out - p->packet));
    out[0] = (uint8_t)crc;
    out[1] = (uint8_t)(crc >> 8);
}

int hg_send_packets(void *packets, const uint8_t *stream, size_t size) {
    hg_packets *p = (hg_packets *)packets;
    uint32_t place, part;
    if (!hg_plan_packets(p, stream, size)) return 1;
    for (place = 0; place < p->each; place++)
        for (part = 0; part < p->parts; part++) {
            hg_make_packet(p, part, place);
            if (p->send(p->context, p->packet, p->bytes)) return 1;
        }
    p->picture += p->parts;
    return 0;
}
