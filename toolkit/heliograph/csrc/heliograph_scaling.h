/* Rows of a camera made smaller before hg_encode_picture takes them. C99, no allocation, no OS, no floating point.
 *
 * A camera that has no use for this links nothing of it; one whose sensor scales gives its rows as they are.
 */
#ifndef HELIOGRAPH_SCALING_H
#define HELIOGRAPH_SCALING_H

#include "heliograph_camera.h"
#include "resize.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint32_t width, height; /* of the rows that come in, in pixels */
    uint32_t scale;         /* 0 to HG_MAX_SCALE, as hg_camera's */
    hg_pixels pixels;
    const uint8_t *(*row)(void *context, uint32_t y); /* as hg_camera's, of the large picture */
    void *context;
    hg_resize resize; /* from here on its own */
    void *workspace;
    size_t workspace_size;
    uint8_t *wide, *small; /* rows of RGB888, wide where the camera's are not */
} hg_scaling;

/* Get ready for pictures of this size. `memory` is aligned as a uint32_t; heliograph_scaling.h has HELIOGRAPH_SCALING, how
 * much it must be. Returns 1, or 0 for a size out of range or too little memory. */
int hg_scaling_begin(hg_scaling *scaling, void *memory, size_t size);

/* hg_camera.row, with the scaling as row_context and HG_RGB888 as its pixels. */
const uint8_t *hg_scaling_row(void *scaling, uint32_t y);

/* Pixels of a side at a scale: hg_scaled as a constant. */
#define HELIOGRAPH_SCALED(side, scale) \
    (((side) * 2u + ((2u + ((scale) & 1u)) << ((scale) >> 1)) - 1u) / ((2u + ((scale) & 1u)) << ((scale) >> 1)))

/* Bytes of memory for hg_scaling_begin: `pixel` is how many a pixel has in the camera's rows. */
#define HELIOGRAPH_SCALING(width, height, pixel, scale)                                               \
    (HELIOGRAPH_SHRINKING(width, HELIOGRAPH_SCALED(width, scale),                                     \
                          HELIOGRAPH_SQUARE(width, height, scale)) +                                  \
     3u * HELIOGRAPH_SCALED(width, scale) + ((pixel) == 3 ? 0u : 3u * (width)) + 4u)
#define HELIOGRAPH_SHRINKING(width, small, square)                                \
    ((small) * (77u + 2u * (6u * (width) / ((small) * (square)) + 3u)) +          \
     ((square) > 1u ? 15u * (((width) + (square) - 1u) / (square)) : 0u))
#define HELIOGRAPH_SQUARE(width, height, scale)                                                              \
    HELIOGRAPH_WITHIN(HELIOGRAPH_LESS((width) / HELIOGRAPH_SCALED(width, scale) / 3u,                        \
                                      (height) / HELIOGRAPH_SCALED(height, scale) / 3u))
#define HELIOGRAPH_LESS(a, b) ((a) < (b) ? (a) : (b))
#define HELIOGRAPH_WITHIN(a) ((a) < 1u ? 1u : (a) > 2048u ? 2048u : (a))

#ifdef __cplusplus
}
#endif
#endif
