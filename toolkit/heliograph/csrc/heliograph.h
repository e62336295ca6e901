/* Heliograph's integer core: entropy model, rANS, steps and container. C99, no allocation, no OS, no floating point.
 *
 * FORMAT.md beside this folder specifies every byte. A caller gives all memory; each function that needs a
 * workspace has a twin that states its size. Nothing here keeps state between calls, so threads need no locks.
 */
#ifndef HELIOGRAPH_H
#define HELIOGRAPH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HG_MAX_LAYERS = 8,
    HG_MAX_CHANNELS = 256,
    HG_MAX_PREDICTED = 32,
    HG_MAX_FIRST = 16,
    HG_MAX_SECOND = 32,
    HG_MAX_TABLES = 128,
    HG_MAX_TOKENS = 256,
    HG_MAX_ANCHORS = 32,
    HG_MAX_NETS = 2 * HG_MAX_LAYERS,
    HG_MAX_SLICE = 4096, /* latents on a side */
    HG_MAX_SYMBOL = 256, /* largest magnitude that is encoded; decoding may yield up to 894 */
    HG_QUALITIES = 101,
    HG_LEVELS = 1024,
    HG_LEVEL_0 = 223
};

/* HG_BAD_MODEL, HG_CUT, HG_CORRUPT and HG_BAD_VERSION say that bytes are bad: a receiver may see them any day.
 * HG_NO_SPACE, HG_BAD_SYMBOL and HG_BAD_ARGUMENT are mistakes of the caller, whatever the bytes. */
typedef enum {
    HG_OK = 0,
    HG_BAD_MODEL,   /* the entropy file breaks a rule */
    HG_NO_SPACE,    /* a buffer the caller gave is too small */
    HG_CUT,         /* bytes end early */
    HG_CORRUPT,     /* bytes no encoder writes */
    HG_BAD_SYMBOL,  /* a symbol to encode is beyond HG_MAX_SYMBOL */
    HG_BAD_VERSION, /* a stream of another version of the format */
    HG_BAD_ARGUMENT /* a size, level, rounding or count is out of range */
} hg_status;

typedef struct {
    uint16_t known, start, stop; /* channels seen; channels coded */
    uint8_t mix_shift, look_shift, choose_shift;
    const uint8_t *mix_bias, *look_bias, *level, *own, *mix, *look, *choose;
} hg_net;

/* An entropy file opened in place: pointers into the caller's bytes, which must outlive it. */
typedef struct {
    uint16_t channels;
    uint8_t tile, layers, predicted, first, second, tables, anchors;
    uint16_t layer_end[HG_MAX_LAYERS];
    const uint8_t *order, *logarithm, *anchor, *steps, *rounding, *offsets, *predict, *coarse_own;
    hg_net net[HG_MAX_NETS];
    uint16_t count[HG_MAX_TABLES];
    uint32_t at[HG_MAX_TABLES]; /* first entry of each table */
    const uint8_t *starts;
    uint32_t entries;
} hg_model;

typedef enum { HG_ENCODE = 0, HG_DECODE = 1 } hg_task;

/* Check an entropy file and open it. */
hg_status hg_open(hg_model *model, const uint8_t *data, size_t size);

/* Step of a channel (internal order) at a level, in sixteenths of a latent unit. */
uint32_t hg_step(const hg_model *model, uint32_t level, uint32_t channel);

/* The codec's own rounding at a level, for hg_quantise. */
uint32_t hg_rounding(const hg_model *model, uint32_t level);

/* Latents int8 [positions][C] in the encoder's channel order to symbols int16 [positions][C] in internal order.
 * `rounding` 0 to 128 in 1/256 of a step. */
void hg_quantise(const hg_model *model, const int8_t *latents, size_t positions, uint32_t level, uint32_t rounding,
                 int16_t *symbols);

/* Bytes of workspace for a slice of rows x columns positions, each 1 to HG_MAX_SLICE. The functions below need it filled with zeros: calloc
 * leaves the pages of a large one untouched until the bytes of a stream pay for them. */
size_t hg_workspace(const hg_model *model, uint32_t rows, uint32_t columns, hg_task task);

/* Estimate the bits of every layer, in 1/1024 bit, of symbols [rows][columns][C] in internal order. */
hg_status hg_estimate(const hg_model *model, const int16_t *symbols, uint32_t rows, uint32_t columns, uint32_t level,
                      void *workspace, size_t workspace_size, uint64_t bits[HG_MAX_LAYERS]);

/* Latents of a slice, int8 [rows][columns][C] in the encoder's order, to symbols in internal order as hg_quantise makes
 * them, then by rate-distortion optimised quantisation with the tables that will code them: a symbol moves by one towards
 * its prediction where an error of one step, squared, counts as `strength` bits (0: none moves). Gives the bits of every
 * layer in 1/1024 bit. */
hg_status hg_rdoq(const hg_model *model, const int8_t *latents, uint32_t rows, uint32_t columns, uint32_t level,
                  uint32_t rounding, uint32_t strength, void *workspace, size_t workspace_size, int16_t *symbols,
                  uint64_t bits[HG_MAX_LAYERS]);

/* Encode a slice: its segments follow each other in `out`, `length[i]` bytes each; `merged` makes one segment of all
 * layers. */
hg_status hg_encode(const hg_model *model, const int16_t *symbols, uint32_t rows, uint32_t columns, uint32_t level,
                    int merged, void *workspace, size_t workspace_size, uint8_t *out, size_t capacity,
                    size_t length[HG_MAX_LAYERS]);

/* Decode a slice. `segment[i]` and `length[i]`: the segments in order, `segments` of them (fewer than the layers leave
 * the rest zero). `cut`: the last one may end early; what is lost becomes its prediction. `done[i]` gives how many
 * residuals of layer i were decoded. `symbols` must be filled with zeros. */
hg_status hg_decode(const hg_model *model, const uint8_t *const *segment, const size_t *length, uint32_t segments,
                    int cut, uint32_t rows, uint32_t columns, uint32_t level, int merged, void *workspace,
                    size_t workspace_size, int16_t *symbols, uint64_t done[HG_MAX_LAYERS]);

/* The header of a stream. */
typedef struct {
    uint8_t codec[8];
    uint32_t width, height, level;
    uint32_t parts;        /* segments of a slice: 1, or the codec's layers */
    uint32_t side;         /* of a slice in latents, 0 for one slice */
    uint32_t across, down; /* slices */
    uint32_t segments;     /* across * down * parts */
    size_t size;           /* bytes of the header, its CRC included */
    size_t lengths_at;     /* where the segment lengths begin */
    uint32_t crc;
} hg_header;

uint32_t hg_crc32c(uint32_t crc, const uint8_t *data, size_t size);

/* Parse and check a header, segment lengths included. HG_CUT when `size` ends within it. */
hg_status hg_parse(hg_header *header, const uint8_t *data, size_t size);

/* Write a header and its segment lengths, layer by layer and in each slice by slice. The caller fills in codec, width,
 * height, level, parts and side; the rest of `header` is filled in as hg_parse does. HG_BAD_ARGUMENT: a field or a length is out of
 * range. */
hg_status hg_write_header(hg_header *header, const uint32_t *length, uint8_t *out, size_t capacity);

/* The next segment length; `at` moves on. Call header.segments times, starting at lengths_at. */
hg_status hg_next_length(const uint8_t *data, size_t size, size_t *at, uint32_t *length);

/* CRC-32C of segment `number` of a stream. */
uint32_t hg_segment_crc(uint32_t header_crc, uint32_t number, const uint8_t *payload, size_t size);

#ifdef __cplusplus
}
#endif
#endif
