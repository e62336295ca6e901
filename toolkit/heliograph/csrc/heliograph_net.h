/* An int8 encoder network, from pixels to latents, row by row. C99, no allocation, no OS, no floating point.
 *
 * NETWORK.md beside this folder specifies the file that hg_network_open reads, and the arithmetic: that of TFLite's reference
 * kernels, to the bit. A tile of the picture is computed in bands of HG_BAND rows, from its top; between two bands only
 * rows of layers that a later band needs are kept, so that the tiles of a row of tiles take turns as a camera delivers rows.
 */
#ifndef HELIOGRAPH_NET_H
#define HELIOGRAPH_NET_H

#include "heliograph.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HG_BAND = 4, /* rows of pixels */
    HG_MAX_NETWORK_LAYERS = 32,
    HG_MAX_NETWORK_TILE = 1024 /* pixels on a side */
};

/* A tensor: the picture, or what a layer gives. What a concatenation alone reads lies in the rows of that. */
typedef struct {
    uint8_t kind, window, from[2]; /* of the layer: what it does, window side, tensors it reads */
    int8_t zero[2], zero_out, low, high;
    uint8_t shift[3];              /* of an addition */
    uint8_t scale;                 /* a row or column is 2^scale of the picture's */
    uint8_t whole;                 /* the concatenation whose rows it lies in, else itself */
    uint16_t channels, offset;     /* offset: in the rows of `whole` */
    uint16_t halo;                 /* columns and rows of it that latents need beyond their own pixels */
    uint16_t kept, fresh;          /* rows: at most so many stay from band to band, so many are new in a band */
    uint32_t fresh_at;             /* where these are in scratch */
    uint32_t vector;               /* bytes of a channel's weights, a multiple of 4 */
    const uint8_t *bias, *multiplier, *shifts, *weight;
} hg_tensor;

/* A network file opened in place: pointers into the caller's bytes, which must outlive it. */
typedef struct {
    uint16_t tile, channels; /* pixels on a side, latent channels */
    uint8_t tensors;         /* layers and the picture; the last is the latents */
    uint32_t patch_at;       /* in scratch */
    size_t scratch;          /* bytes that hg_network_band needs, for nothing but its own call and the pixels before */
    hg_tensor tensor[HG_MAX_NETWORK_LAYERS + 1];
} hg_network;

/* Check a network file and open it. */
hg_status hg_network_open(hg_network *network, const uint8_t *data, size_t size);

/* Bytes of rows that stay from band to band, for a picture of so many positions across. */
size_t hg_network_kept(const hg_network *network, uint32_t across);

/* Whether nothing is kept after a latent row that is a multiple of `rows` from the tile's top, if more follow. */
int hg_network_rests(const hg_network *network, uint32_t rows);

/* Whether no band ends one strip of so many rows of latents and begins the next. */
int hg_network_divides(const hg_network *network, uint32_t rows);

/* Rows and columns of pixels that so many rows and columns of a tile's latents need, from its corner. */
uint32_t hg_network_pixels(const hg_network *network, uint32_t latents);

/* Where a band's pixels go: int8 [HG_BAND][tile][3], each the byte less 128; hg_network_pixels says how many columns are read. */
int8_t *hg_network_input(const hg_network *network, uint8_t *scratch);

/* Where it left its latents: int8 [tile / 16][channels] a row. */
const int8_t *hg_network_output(const hg_network *network, const uint8_t *scratch);

/* A tile: its place among the picture's positions, and how many rows and columns of its latents are wanted. */
typedef struct {
    uint32_t left, across; /* position of its first column, positions across the picture */
    uint32_t rows, columns;
} hg_tile;

/* Compute what a band of pixels adds to a tile, the bands from 0 on. Returns the number of latent rows that are new;
 * `done` gets how many there were before. */
uint32_t hg_network_band(const hg_network *network, const hg_tile *tile, uint32_t band, uint8_t *kept, uint8_t *scratch,
                         uint32_t *done);

#ifdef __cplusplus
}
#endif
#endif
