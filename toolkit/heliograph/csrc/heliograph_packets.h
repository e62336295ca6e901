/* A stream in packets, of which a few give a coarse picture and enough of them all of it. C99, no allocation, no OS.
 *
 * PACKETS.md specifies the bytes. The stream stays in memory as long as packets of it are made: parity is of all of it.
 */
#ifndef HELIOGRAPH_PACKETS_H
#define HELIOGRAPH_PACKETS_H

#include "erasure.h"
#include "heliograph.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HG_LEAST_PACKET = 24, HG_MOST_PACKET = 1400, HG_PLAN_LAYERS = 3, HG_MOST_PARTS = 255 };

/* Bytes of a stream at most: `needed` packets of each part give it, each with `width` bytes of it. */
typedef struct {
    uint32_t needed, width;
} hg_plan_layer;

typedef struct {
    uint32_t bytes;  /* of a packet, HG_LEAST_PACKET to HG_MOST_PACKET */
    uint32_t count;  /* packets that are sent, 1 to 255 * HG_MOST_PARTS */
    uint32_t arrive; /* how many of them shall do for the whole picture, 1 to count */
    uint32_t device; /* 0 to 65535: the first 2 bytes of SHA-256 of its name, or another */
    uint32_t picture; /* its number, below 2^28 and never used again; hg_send_packets moves it on */
    /* Give the first 8 bytes of HMAC-SHA256 of some bytes under the link's key (PACKETS.md); NULL: packets have a CRC. */
    void (*tag)(void *context, const uint8_t *data, size_t size, uint8_t tag[8]);
    /* Take a packet, which stays as it is until the next; anything but 0 gives up. */
    int (*send)(void *context, const uint8_t *packet, size_t size);
    void *context;
    uint8_t *packet; /* [bytes] */

    /* From here on the plan of a stream: filled in by hg_plan_packets; a sender of other views changes layers, then calls
     * hg_check_plan. */
    const uint8_t *stream;
    size_t size;
    uint32_t crc, parts, each; /* each: packets that each part has of `count` */
    uint32_t layers;
    hg_plan_layer layer[HG_PLAN_LAYERS];
    uint8_t weight[HG_PLAN_LAYERS][HG_MAX_PLACES];
} hg_packets;

/* Bytes of a stream for which there is room, with a base that fewer packets give: a camera's budget. With
 * tags give 6 bytes fewer. */
#define HELIOGRAPH_PACKETS_BUDGET(bytes, arrive) (((bytes) - 10u) * (arrive) / 6u * 5u)

/* Plan a stream of some size: all of it in `arrive` packets, its header and coarsest layer in as few as there is room for.
 * Returns 1, or 0: a setting is out of range, or it has no room. The stream must stay where it is. */
int hg_plan_packets(hg_packets *packets, const uint8_t *stream, size_t size);

/* Whether layers are legal and have room for the stream; makes the weights of the erasure code. */
int hg_check_plan(hg_packets *packets);

/* Make the packet of a place, 0 to 254, and a part, into packets->packet. Any places will do, also later ones, when more are
 * asked for. */
void hg_make_packet(const hg_packets *packets, uint32_t part, uint32_t place);

/* Plan a stream and send its packets; hg_camera.send, with the packets as send_context. Returns 0, or 1 where there is no room
 * or `send` gave up. */
int hg_send_packets(void *packets, const uint8_t *stream, size_t size);

#ifdef __cplusplus
}
#endif
#endif
