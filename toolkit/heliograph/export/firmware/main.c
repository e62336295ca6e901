/* Example: take a picture, encode it tile by tile, send the stream. Copy it and change the board's three functions. */
#include "board.h"
#include "encoder.h"
#include "picture.h"

static uint8_t tile[HELIOGRAPH_TILE * HELIOGRAPH_TILE * 3];
static uint8_t store[HELIOGRAPH_STORE];

static int read_latents(void *context, uint32_t row, uint32_t column, int8_t *latents) {
    size_t i;
    (void)context;
    if (board_read(column * HELIOGRAPH_TILE, row * HELIOGRAPH_TILE, HELIOGRAPH_TILE, HELIOGRAPH_TILE, tile)) return 1;
    for (i = 0; i < sizeof tile; i++) tile[i] ^= 0x80; /* uint8 to int8 = uint8 - 128, in place */
    return encoder_run((const int8_t *)tile, latents);
}

static int send(void *context, const uint8_t *data, size_t size) {
    (void)context;
    return board_send(data, size);
}

int main(void) {
    uint32_t width, height, quality;
    if (encoder_open() || board_take(&width, &height, &quality)) return 1;
    return (int)hg_picture(width, height, HG_LEVEL_0 + 8 * quality, read_latents, NULL, store, sizeof store, send, NULL);
}
