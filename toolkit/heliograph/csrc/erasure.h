/* Heliograph's erasure code: any k of n pieces give all. C99, no allocation, no state; 511 bytes of tables.
 *
 * PACKETS.md beside this folder specifies it: systematic Reed-Solomon over GF(256). A piece has a place from 0 to 254; the
 * bytes of k pieces lie on polynomials of degree below k, and any other piece is their value at its place. So one function
 * makes a parity piece of the first k and a lost piece of any k: it is interpolation both times.
 */
#ifndef HELIOGRAPH_ERASURE_H
#define HELIOGRAPH_ERASURE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HG_MAX_PLACES = 255 };

/* Weights of `count` different places, 1 to HG_MAX_PLACES of them, each below HG_MAX_PLACES; `places` NULL: they are 0, 1, 2
 * and so on. `weights` gets `count` bytes. Returns 1, or 0 for places or a count out of range, or one place twice. Takes time
 * with the square of `count`, once for all pieces that are asked for. */
int hg_erasure_weigh(const uint8_t *places, uint32_t count, uint8_t *weights);

/* The piece at `place`, below HG_MAX_PLACES, from those at `places`: `head` and then `data` have one of `piece` bytes for each,
 * in this order and without gaps; where they end early the rest counts as zeros. `out` gets `piece` bytes, apart from both. */
void hg_erasure_piece(const uint8_t *places, const uint8_t *weights, uint32_t count, const uint8_t *head, size_t head_size,
                      const uint8_t *data, size_t data_size, size_t piece, uint32_t place, uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
