/* The network on the device: encoder_tflm.cc runs it with TensorFlow Lite Micro; a maker's runtime may take its place. */
#ifndef HELIOGRAPH_ENCODER_H
#define HELIOGRAPH_ENCODER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Load the network; 0 when it is ready. */
int encoder_open(void);

/* A tile int8 [TILE][TILE][3], sRGB minus 128, to latents int8 [SIDE][SIDE][OUTPUTS]; 0 when done. */
int encoder_run(const int8_t *tile, int8_t *latents);

#ifdef __cplusplus
}
#endif
#endif
