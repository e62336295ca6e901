/* For the tests: a picture through hg_network_band, as a camera's firmware does it, tile by tile in bands. */
#include "heliograph_net.h"

#include <stdlib.h>
#include <string.h>

/* Sizes that a network asks for: scratch, kept of so many positions across, and each tensor's kept and fresh rows. */
int network_sizes(const uint8_t *data, size_t size, uint32_t across, uint32_t *out) {
    static hg_network n;
    uint32_t t;
    if (hg_network_open(&n, data, size) != HG_OK) return -1;
    *out++ = (uint32_t)n.scratch;
    *out++ = (uint32_t)hg_network_kept(&n, across);
    for (t = 0; t < n.tensors; t++) {
        *out++ = n.tensor[t].kept;
        *out++ = n.tensor[t].fresh;
        *out++ = n.tensor[t].halo;
    }
    return n.tensors;
}

int network_rests(const uint8_t *data, size_t size, uint32_t rows) {
    static hg_network n;
    return hg_network_open(&n, data, size) == HG_OK ? hg_network_rests(&n, rows) : -1;
}

int network_divides(const uint8_t *data, size_t size, uint32_t rows) {
    static hg_network n;
    return hg_network_open(&n, data, size) == HG_OK ? hg_network_divides(&n, rows) : -1;
}

/* pixels uint8 [16 * rows][16 * columns][3] to latents int8 [rows][columns][C]. 0, or what went wrong. */
int network_run(const uint8_t *data, size_t size, const uint8_t *pixels, uint32_t rows, uint32_t columns, int8_t *latents) {
    hg_network *n = malloc(sizeof *n);
    uint8_t *kept, *scratch;
    uint32_t side, top, i, x, y, band, count = 0, done;
    if (hg_network_open(n, data, size) != HG_OK) {
        free(n);
        return 1;
    }
    side = n->tile / 16u;
    kept = malloc(hg_network_kept(n, columns) + 1);
    scratch = malloc(n->scratch);
    for (top = 0; top < rows; top += side) {
        uint32_t left, tile_rows = rows - top < side ? rows - top : side, lines = hg_network_pixels(n, tile_rows);
        memset(kept, 0x55, hg_network_kept(n, columns));
        for (band = 0; band * HG_BAND < lines; band++)
            for (left = 0; left < columns; left += side) {
                hg_tile tile = {left, columns, tile_rows, columns - left < side ? columns - left : side};
                const uint32_t width = hg_network_pixels(n, tile.columns);
                int8_t *in = hg_network_input(n, scratch);
                memset(scratch, 0x55, n->scratch); /* nothing stays in it */
                for (y = 0; y < HG_BAND; y++)
                    for (x = 0; x < 3 * width; x++) {
                        uint32_t row = 16 * top + band * HG_BAND + y, at = 48 * left + x;
                        if (row >= 16 * rows) row = 16 * rows - 1;
                        while (at >= 48 * columns) at -= 3;
                        in[3 * (size_t)n->tile * y + x] = (int8_t)(pixels[48 * (size_t)columns * row + at] ^ 0x80);
                    }
                count = hg_network_band(n, &tile, band, kept, scratch, &done);
                for (i = 0; i < count; i++)
                    memcpy(latents + ((size_t)(top + done + i) * columns + left) * n->channels,
                           hg_network_output(n, scratch) + (size_t)i * side * n->channels,
                           (size_t)tile.columns * n->channels);
            }
        if (done + count != tile_rows) top = rows; /* a row is missing */
    }
    done = top > rows + side;
    free(kept);
    free(scratch);
    free(n);
    return (int)done;
}
