/* In the network's place: latents that were recorded, latents.bin, int8 [tiles][SIDE][SIDE][OUTPUTS] in the order that
 * tiles are asked for. */
#include "codec.h"
#include "encoder.h"

#include <stdio.h>

static FILE *recorded;

int encoder_open(void) {
    recorded = fopen("latents.bin", "rb");
    return recorded == NULL;
}

int encoder_run(const int8_t *tile, int8_t *latents) {
    size_t size = (size_t)HELIOGRAPH_SIDE * HELIOGRAPH_SIDE * HELIOGRAPH_OUTPUTS;
    (void)tile;
    return fread(latents, 1, size, recorded) != size;
}
