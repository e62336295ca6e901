/* What the files of the C fuzzer share. */
#ifndef FUZZ_CORE_H
#define FUZZ_CORE_H

#include "heliograph.h"

enum { STREAM, SLICE, MODEL, ROUND_TRIP, NETWORK, TARGETS };

extern hg_model golden;
extern uint8_t *golden_file; /* its bytes */
extern size_t golden_size;

void fuzz_network(const uint8_t *data, size_t size);

typedef struct {
    size_t at, length;
} segment_place;

/* The places of a stream's first segments, as far as there are bytes of them; how many, or 0 if the lengths are bad.
 * Of `h` all that hg_parse fills in before it checks the CRC is used. */
size_t locate_segments(const hg_header *h, const uint8_t *data, size_t size, segment_place *out, size_t capacity);

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size); /* the engine's: bytes changed blindly */

#endif
