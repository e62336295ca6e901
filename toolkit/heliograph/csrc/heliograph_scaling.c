/* Rows made smaller; heliograph_scaling.h says what. */
#include "heliograph_scaling.h"

int hg_scaling_begin(hg_scaling *s, void *memory, size_t size) {
    const uint32_t width = hg_scaled(s->width, s->scale), height = hg_scaled(s->height, s->scale);
    const size_t wide = s->pixels == HG_RGB888 ? 0 : 3 * (size_t)s->width, rows = wide + 3 * (size_t)width;
    if (s->scale > HG_MAX_SCALE || s->pixels > HG_GREY || size < rows) return 0;
    s->workspace = memory;
    s->workspace_size = size - rows;
    s->small = (uint8_t *)memory + s->workspace_size;
    s->wide = s->small + 3 * (size_t)width;
    return hg_resize_begin(&s->resize, s->width, s->height, width, height, s->workspace, s->workspace_size);
}

/* The next row of the camera as RGB888; NULL where it gave up. */
static const uint8_t *next_row(hg_scaling *s) {
    const uint8_t *row = s->row(s->context, s->resize.taken);
    size_t i, size = 3 * (size_t)s->width;
    if (row == NULL || s->pixels == HG_RGB888) return row;
    hg_convert(s->pixels, s->width, row, 0, s->width, (int8_t *)s->wide);
    for (i = 0; i < size; i++) s->wide[i] ^= 0x80;
    return s->wide;
}

const uint8_t *hg_scaling_row(void *scaling, uint32_t y) {
    hg_scaling *s = (hg_scaling *)scaling;
    hg_resize *r = &s->resize;
    if (y == 0 && r->taken) /* a new pass */
        hg_resize_begin(r, r->width, r->height, r->small_width, r->small_height, s->workspace, s->workspace_size);
    while (!hg_resize_give(r, s->small)) {
        const uint8_t *row = r->taken < r->height ? next_row(s) : NULL;
        if (row == NULL) return NULL;
        hg_resize_take(r, row);
    }
    return s->small;
}
