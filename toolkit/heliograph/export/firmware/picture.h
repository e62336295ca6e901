/* A whole picture on a device, tile by tile: latents in, a .helio stream out. One tile's memory, whatever the size. */
#ifndef HELIOGRAPH_PICTURE_H
#define HELIOGRAPH_PICTURE_H

#include "codec.h"
#include "heliograph.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef HELIOGRAPH_MAX_TILES
#define HELIOGRAPH_MAX_TILES 64 /* of a picture; costs 4 bytes of RAM for each of its layers */
#endif

/* Give what the network makes, int8 [SIDE][SIDE][OUTPUTS], of the tile at a row and column, counted in tiles. What a tile covers
 * beyond the picture repeats the picture's last row and column. Anything but 0 gives up. */
typedef int (*hg_tile_source)(void *context, uint32_t row, uint32_t column, int8_t *latents);

/* Take the next bytes of the stream. Anything but 0 gives up. */
typedef int (*hg_sink)(void *context, const uint8_t *data, size_t size);

typedef enum {
    HG_PICTURE_OK = 0,
    HG_PICTURE_BAD_CODEC,  /* the entropy tables are damaged: flash them again */
    HG_PICTURE_BAD_SIZE,   /* no pixels, or more tiles than HELIOGRAPH_MAX_TILES */
    HG_PICTURE_NO_SPACE,   /* the store is too small for this quality: make it larger, or lower the level */
    HG_PICTURE_NO_LATENTS, /* the tile source gave up */
    HG_PICTURE_NOT_SENT    /* the sink gave up */
} hg_picture_status;

/* Encode a picture at a level of 0 to 1023 (223 + 8 times the quality). Every tile becomes a slice that survives the loss
 * of the others. The header comes first in a stream and holds all lengths, so coded bytes wait in `store`. */
hg_picture_status hg_picture(uint32_t width, uint32_t height, uint32_t level, hg_tile_source tile, void *tile_context,
                             uint8_t *store, size_t capacity, hg_sink sink, void *sink_context);

#ifdef __cplusplus
}
#endif
#endif
