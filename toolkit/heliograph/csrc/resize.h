/* Pictures made smaller by Lanczos-3 in integers, row by row; from a sixth of the side on means of squares come first. C99, no allocation, no OS, no floating point.
 *
 * Of the picture that comes in one row is in memory at a time, of the one that goes out at most six, as sums: a picture
 * of any height fits where its rows do. Nothing here needs the rest of the core.
 */
#ifndef HELIOGRAPH_RESIZE_H
#define HELIOGRAPH_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HG_RESIZE_OPEN = 6 }; /* rows of the small picture that one of the large has a part in, at most */

typedef struct {
    uint32_t width, height, small_width, small_height;
    uint32_t taken, given; /* rows so far, of the picture that comes in and of the one that goes out */
    uint32_t block; /* side of the squares whose mean is taken first */
    uint32_t taps, shift_across, shift_down;
    int16_t *weight; /* [small_width][taps], what each column has of the large picture's squares, from `first` on */
    uint16_t *first;
    uint8_t *row;                /* [small_width][3], a row that is small across already */
    uint32_t *squares;           /* [squares in a row][3], sums so far, and their means; nothing where they are single pixels */
    uint8_t *mean;
    int32_t *sum;                /* [HG_RESIZE_OPEN][small_width][3] */
    int32_t total[HG_RESIZE_OPEN]; /* of the weights in each sum */
} hg_resize;

/* Bytes of workspace, at an address that is a multiple of 4: about 12 for each pixel of a row, and 83 for each of a row
 * of the small picture. 0: the small picture has no pixels or more than the large one in a row or column, or a side is
 * above 65535. */
size_t hg_resize_workspace(uint32_t width, uint32_t height, uint32_t small_width, uint32_t small_height);

/* Begin a picture; 0 if the sizes or the workspace do not fit. */
int hg_resize_begin(hg_resize *r, uint32_t width, uint32_t height, uint32_t small_width, uint32_t small_height,
                    void *workspace, size_t size);

/* Take the next row, uint8 [width][3]. Call hg_resize_give after each until it returns 0. */
void hg_resize_take(hg_resize *r, const uint8_t *pixels);

/* Give the next row, uint8 [small_width][3], and return 1; 0 if it needs rows that were not taken yet, or was the last. */
int hg_resize_give(hg_resize *r, uint8_t *pixels);

#ifdef __cplusplus
}
#endif
#endif
