/* A picture from a camera to a .helio stream, in strips of rows. C99, no allocation, no OS, no floating point.
 *
 * The caller gives rows, takes bytes and owns all memory; nothing is kept between pictures but what hg_camera holds.
 */
#ifndef HELIOGRAPH_CAMERA_H
#define HELIOGRAPH_CAMERA_H

#include "heliograph.h"
#include "heliograph_net.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A codec in flash: the network file, the entropy file, the codec's id, how many positions a slice has on a side, what
 * hg_encode is told, and which latents the network computes several times, see hg_latents: NULL, or `copies` [C + 1]. */
typedef struct {
    const uint8_t *network, *entropy;
    size_t network_size, entropy_size;
    uint8_t id[8];
    uint16_t side, strength, rounding;
    const uint16_t *copies;
} hg_codec;

/* How a row's pixels lie in memory. */
typedef enum {
    HG_RGB888,         /* 3 bytes: red, green, blue */
    HG_RGB565,         /* 2 bytes, the low one first: red in the upper 5 bits */
    HG_RGB565_SWAPPED, /* the high one first, as most sensors send it */
    HG_YUYV,           /* 2 pixels in 4 bytes: Y U Y V, full range (BT.601, as in JPEG) */
    HG_UYVY,           /* U Y V Y */
    HG_GREY            /* 1 byte */
} hg_pixels;

typedef struct {
    uint32_t width, height; /* of the picture in pixels, 1 to 65535 */
    uint32_t scale;         /* 0 to HG_MAX_SCALE: rows are those of a smaller picture, see hg_scaled; or of the picture: 0 */
    hg_pixels pixels;
    uint32_t quality; /* 0 to 100, the finest that is wanted */
    uint32_t budget;  /* bytes of a stream at most; as many must be in memory */
    uint32_t passes;  /* how often rows may be asked for from the first on, 1 or more, to find the level that fits */
    uint32_t layered; /* 1: a segment for each layer, the coarsest of all slices first; takes more bytes */
    uint32_t level;   /* where to begin: HG_LEVELS the first time, then what the last picture left here */
    uint32_t coded;   /* gets the level of the stream: quality is (level - 223) / 8 */
    uint32_t size;    /* gets the stream's bytes; of one that does not fit the budget, about how many it would have */

    /* Give row y, which stays as it is until the next call; NULL gives up. Rows come in order, each once in a pass. A new
     * pass begins with row 0 again: of the same picture, or of the sensor's next, which does as well. At a scale rows are
     * small already: the sensor made them so, or hg_scaling_row does. */
    const uint8_t *(*row)(void *context, uint32_t y);
    void *row_context;
    /* Take the stream, which stays in the memory until that is used again; anything but 0 says that it was not sent. Called
     * once, when the last row has been read. hg_send_packets makes packets of it. */
    int (*send)(void *context, const uint8_t *stream, size_t size);
    void *send_context;
} hg_camera;

typedef enum {
    HG_CAMERA_OK = 0,
    HG_CAMERA_BAD_CODEC, /* the codec's bytes are damaged: flash them again */
    HG_CAMERA_BAD_SIZE,  /* width, height, scale, quality, level or passes are out of range */
    HG_CAMERA_NO_MEMORY, /* less than HELIOGRAPH_MEMORY of this picture */
    HG_CAMERA_NO_ROW,    /* row gave up */
    HG_CAMERA_OVER,      /* no pass fitted the budget; `level` says where to begin with the next picture */
    HG_CAMERA_NOT_SENT   /* send gave up */
} hg_camera_status;

/* What of a picture's memory does not depend on the codec: this, and 4 bytes for each segment. */
typedef struct {
    hg_model model;
    hg_network network;
    uint64_t align;
} hg_camera_state;

/* Pixels x to x + count - 1 of a row of `width`, RGB less 128, int8 [count][3]; beyond the row its last one is repeated. */
void hg_convert(hg_pixels pixels, uint32_t width, const uint8_t *row, uint32_t x, uint32_t count, int8_t *out);

/* Bytes of a row of `width` pixels. */
size_t hg_line(hg_pixels pixels, uint32_t width);

/* Encode a picture: the finest level, up to the quality, at which the stream fits the budget. `memory` is aligned as a
 * uint64_t; codec.h has HELIOGRAPH_MEMORY, how much it must be. */
hg_camera_status hg_encode_picture(const hg_codec *codec, hg_camera *camera, void *memory, size_t size);

#ifdef __cplusplus
}
#endif
#endif
