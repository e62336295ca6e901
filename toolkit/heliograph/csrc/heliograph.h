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
    HG_MAX_CHANNELS = 512,
    HG_MAX_PREDICTED = 32,
    HG_MAX_GROUP = 32,
    HG_MAX_FIRST = 16,
    HG_MAX_SECOND = 32,
    HG_MAX_TABLES = 128,
    HG_MAX_TOKENS = 256,
    HG_MAX_ANCHORS = 32,
    HG_MAX_NETS = 2 * HG_MAX_LAYERS + 1,
    HG_MAX_SLICE = 4096,    /* positions on a side */
    HG_MAX_STRENGTH = 1024, /* of rate-distortion optimised quantisation */
    HG_MAX_DEPTH = 63,      /* of references that refer to references */
    HG_MAX_SCALE = 31,
    HG_MAX_SHORT = 16383,   /* bytes of the short form's payload */
    HG_MAX_SHORT_POSITIONS = 4096,
    HG_STEP_ROWS = 26,      /* of the tables of steps: every fourth quality */
    HG_LEVELS = 1024,
    HG_LEVEL_0 = 223
};

/* HG_BAD_MODEL, HG_CUT, HG_CORRUPT and HG_BAD_VERSION say that bytes are bad: a receiver may see them any day.
 * HG_NO_SPACE and HG_BAD_ARGUMENT are mistakes of the caller, whatever the bytes. */
typedef enum {
    HG_OK = 0,
    HG_BAD_MODEL,   /* the entropy file breaks a rule */
    HG_NO_SPACE,    /* a buffer the caller gave is too small */
    HG_CUT,         /* bytes end early */
    HG_CORRUPT,     /* bytes no encoder writes */
    HG_BAD_VERSION, /* a stream of another version of the format */
    HG_BAD_ARGUMENT /* a size, level, rounding, strength, count or reference is out of range */
} hg_status;

typedef struct {
    uint16_t start, stop, known, inputs; /* channels coded; channels of this picture, and what else, that it sees */
    uint8_t shift[4];
    const uint8_t *mix_bias, *look_bias, *level, *from, *own, *own2, *there, *gate_bias, *mix, *look, *choose, *gate;
} hg_net;

/* Offsets and networks: one set for pictures alone, one for pictures with a reference. */
typedef struct {
    uint8_t first, second; /* features of the two stages */
    const uint8_t *offsets;
    hg_net net[HG_MAX_NETS];
} hg_set;

/* An entropy file opened in place: pointers into the caller's bytes, which must outlive it. */
typedef struct {
    uint16_t channels, groups;
    uint8_t tile, layers, predicted, group, tables, flag_tables, anchors, sets, unmasked;
    uint16_t layer_end[HG_MAX_LAYERS], group_end[HG_MAX_LAYERS];
    const uint8_t *order, *logarithm, *anchor, *steps, *rounding, *ordinary, *masking, *predict, *coarse;
    hg_set set[2];
    uint16_t count[HG_MAX_TABLES];
    uint32_t at[HG_MAX_TABLES]; /* first entry of each table */
    const uint8_t *starts, *zeros;
    uint32_t entries;
} hg_model;

/* What a slice refers to: its values in another picture, int16 [rows][columns][C] in coding order, and that one's level. */
typedef struct {
    const int16_t *values;
    uint32_t level;
} hg_reference;

typedef enum { HG_ENCODE = 0, HG_DECODE = 1 } hg_task;

/* What a slice's segments are: one of each layer, one of all layers, or the payload of the short form. */
typedef enum { HG_LAYERED = 0, HG_MERGED = 1, HG_SHORT = 2 } hg_form;

/* Check an entropy file and open it. */
hg_status hg_open(hg_model *model, const uint8_t *data, size_t size);

/* Step of a channel (coding order) at a level, in sixteenths of a latent unit. */
uint32_t hg_step(const hg_model *model, uint32_t level, uint32_t channel);

/* The codec's own rounding at a level, for hg_encode. */
uint32_t hg_rounding(const hg_model *model, uint32_t level);

/* Bytes of workspace for a slice of rows x columns positions, each 1 to HG_MAX_SLICE, with or without a reference. The
 * functions below need it filled with zeros: calloc leaves the pages of a large one untouched until the bytes of a stream
 * pay for them. */
size_t hg_workspace(const hg_model *model, uint32_t rows, uint32_t columns, hg_task task, int referring);

/* What hg_encode gives: segments that follow each other, their lengths, and the bits of each layer in 1/1024 bit as its
 * tables estimate them. */
typedef struct {
    uint32_t segments;
    uint32_t is_short; /* 1 for the payload of the short form, one segment of all layers; else 0 */
    size_t length[HG_MAX_LAYERS];
    uint64_t bits[HG_MAX_LAYERS];
} hg_coded;

/* Latents of a slice in the encoder's channel order, in one of two forms.
 * `exact`: int16 [rows][columns][C] in sixteenths of a unit, -2048 to 2047; or NULL, and then
 * `units`: int8 [rows][columns][C], or [rows][columns][C + copies[C]] of a network that computes some latents several times:
 * `copies`: NULL, or uint16 [C + 1] that never falls: channels C + copies[c] to C + copies[c + 1] - 1 are further copies of
 * latent c. 1, 2 or 4 of it in all have their mean as its value. */
typedef struct {
    const int16_t *exact;
    const int8_t *units;
    const uint16_t *copies;
} hg_latents;

/* Quantise and encode a slice.
 * `rounding` 0 to 128 in 1/256 of a step: how far below a half residuals are rounded down.
 * `strength` 0 to HG_MAX_STRENGTH: rate-distortion optimised quantisation, where an error of one step, squared, counts as so
 * many bits. A residual moves by one towards zero, or all of a group to zero, where that saves more bits. 0: none.
 * `merge_below`: one segment of all layers where they are estimated to take fewer bytes; else one for each layer.
 * `short_below`: the payload of the short form where they are estimated to take fewer bytes, of at most
 * HG_MAX_SHORT_POSITIONS; at most HG_MAX_SHORT / 2.
 * `reference`, or NULL; it needs a model of two sets.
 * `values` gets int16 [rows][columns][C] in coding order, what a decoder will know, and must be filled with zeros; or NULL.
 * `out` gets the segments; NULL only estimates: lengths are 0 then. */
hg_status hg_encode(const hg_model *model, const hg_latents *latents, uint32_t rows, uint32_t columns, uint32_t level,
                    uint32_t rounding, uint32_t strength, uint32_t merge_below, uint32_t short_below,
                    const hg_reference *reference, void *workspace, size_t workspace_size, int16_t *values,
                    uint8_t *out, size_t capacity, hg_coded *coded);

/* Decode a slice. `segment[i]` and `length[i]`: the segments in order, `segments` of them; a length of 0 says that all is
 * zero. `cut`: the last one may end early. What that loses, and layers whose segments are not given, have the values of the
 * reference, without one what neighbours foretell. The short form is whole: one segment, not `cut`. `done[i]` gives how many flags and residuals of layer i were decoded.
 * `values` int16 [rows][columns][C] in coding order must be filled with zeros.
 * A slice of a refined stream takes two calls: segment 0 alone at the base's level, HG_MERGED and without a reference; then
 * the others, with what that gave as their reference, of the base's level. Encoding is the same way round. */
hg_status hg_decode(const hg_model *model, const uint8_t *const *segment, const size_t *length, uint32_t segments,
                    int cut, uint32_t rows, uint32_t columns, uint32_t level, hg_form form,
                    const hg_reference *reference, void *workspace, size_t workspace_size, int16_t *values,
                    uint64_t done[HG_MAX_LAYERS]);

/* The header of a stream. */
typedef struct {
    uint8_t codec[8];
    uint32_t width, height, level;
    uint32_t scale;        /* 0 to HG_MAX_SCALE: what is coded is smaller, see hg_scaled */
    uint32_t is_short;     /* 1 for the short form */
    uint32_t parts;        /* segments of a slice: 1, or the codec's layers; one more if it is refined */
    uint32_t side;         /* of a slice in latents, 0 for one slice */
    uint32_t referring;    /* 1 if it refers to another picture, whose id, level and depth follow; else 0 */
    uint8_t reference[8];
    uint32_t reference_level, depth;
    uint32_t refined;      /* 1 if segment 0 of a slice is its base, at base_level: see hg_decode; else 0 */
    uint32_t base_level;
    uint32_t coded_width, coded_height; /* of what is coded, in pixels */
    uint32_t across, down; /* slices */
    uint32_t segments;     /* across * down * parts */
    size_t size;           /* bytes before the first payload */
    size_t lengths_at;     /* where the segment lengths begin */
    uint32_t crc;          /* of the header; the short form's goes on over the payload */
} hg_header;

/* Pixels of a side, below 2^30, as it is coded at a scale: divided by 1, 1.5, 2, 3, 4, 6 and so on, rounded up. */
uint32_t hg_scaled(uint32_t side, uint32_t scale);

uint32_t hg_crc32c(uint32_t crc, const uint8_t *data, size_t size);

/* Parse and check a header, segment lengths included. HG_CUT when `size` ends within it. The short form has one CRC,
 * behind its payload: it is parsed when all of it is there, and is good then. */
hg_status hg_parse(hg_header *header, const uint8_t *data, size_t size);

/* Write a header and its segment lengths, layer by layer and in each slice by slice. The caller fills in codec, width,
 * height, level, scale, is_short, parts, side and the reference; the rest of `header` is filled in as hg_parse does.
 * HG_BAD_ARGUMENT: a field or a length is out of range. The short form goes on with the payload and
 * hg_crc32c(header->crc, payload, length). */
hg_status hg_write_header(hg_header *header, const uint32_t *length, uint8_t *out, size_t capacity);

/* The next segment length; `at` moves on. Call header.segments times, starting at lengths_at. */
hg_status hg_next_length(const uint8_t *data, size_t size, size_t *at, uint32_t *length);

/* CRC-32C of segment `number` of a stream. */
uint32_t hg_segment_crc(uint32_t header_crc, uint32_t number, const uint8_t *payload, size_t size);

#ifdef __cplusplus
}
#endif
#endif
