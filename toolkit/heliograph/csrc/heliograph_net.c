/* The int8 encoder network; heliograph_net.h says what, NETWORK.md specifies the file and the arithmetic.
 *
 * One translation unit in several files, as heliograph.c is; here, a band of four rows of pixels through all layers. */
#include "heliograph_net.h"

#include <string.h>
#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { CONVOLUTION = 1, MAX_POOL = 2, ADDITION = 3, CONCATENATION = 4 };
enum { LATENT_SCALE = 4, LEFT_SHIFT = 20, MOST_VECTOR = 9 * HG_MAX_CHANNELS };

static uint32_t read_u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static uint32_t read_u32(const uint8_t *p) { return read_u16(p) | read_u16(p + 2) << 16; }

static int32_t read_i32(const uint8_t *p) {
    uint32_t v = read_u32(p);
    return v & 0x80000000u ? -(int32_t)(~v) - 1 : (int32_t)v;
}

static int8_t read_i8(const uint8_t *p) { return (int8_t)(p[0] < 128 ? p[0] : (int)p[0] - 256); }

#include "net/rows.h"
#include "net/file.h"
#include "net/arithmetic.h"

typedef struct {
    const hg_network *n;
    uint8_t *scratch;
    rows_of before, rows, columns;
    uint8_t *kept[HG_MAX_NETWORK_LAYERS + 1]; /* of the tile, its column 0 */
    uint32_t stride[HG_MAX_NETWORK_LAYERS + 1];
} band_state;

static int8_t *row_at(const band_state *s, uint32_t t, uint32_t y) {
    const hg_tensor *tensor = &s->n->tensor[t];
    if (y < s->before.of[t]) return (int8_t *)(s->kept[t] + (size_t)(y % tensor->kept) * s->stride[t]);
    return (int8_t *)(s->scratch + tensor->fresh_at +
                      (size_t)(y - s->before.of[t]) * side_of(s->n, tensor) * tensor->channels);
}

/* What a layer reads at a place of its output, with the zero point outside the tile. */
static void fill_patch(const hg_tensor *t, const int8_t *const row[3], uint32_t x, uint32_t side, uint32_t channels,
                       int8_t *patch) {
    const uint32_t across = (uint32_t)t->window * channels, edge = t->window == 3 ? 1 : 0;
    uint32_t r;
    for (r = 0; r < t->window; r++, patch += across) {
        const uint32_t left = edge && x == 0 ? channels : 0, right = edge && x + 1 == side ? channels : 0;
        const size_t first = (size_t)(t->window == 2 ? 2 * x : x) * channels - (edge ? channels - left : 0);
        if (row[r] == NULL || left || right) memset(patch, t->zero[0], across);
        if (row[r] != NULL) memcpy(patch + left, row[r] + first, across - left - right);
    }
}

static void convolve_row(const band_state *s, const hg_tensor *t, uint32_t y, int8_t *out, uint32_t width) {
    const hg_tensor *in = &s->n->tensor[t->from[0]], *whole = &s->n->tensor[t->whole];
    const uint32_t channels = in->channels, side = side_of(s->n, in), edge = t->window == 3 ? 1 : 0;
    const uint32_t across = (uint32_t)t->window * channels, first = t->window == 2 ? 2 * y : y - edge; /* may wrap */
    int8_t *const patch = (int8_t *)(s->scratch + s->n->patch_at);
    const int8_t *row[3];
    uint32_t r, x, i, built = across % 4;
    for (r = 0; r < t->window; r++) {
        row[r] = first + r < side ? row_at(s, t->from[0], first + r) : NULL;
        built |= row[r] == NULL;
    }
    for (x = 0; x < width; x += 2, out += 2 * (size_t)whole->channels) {
        const uint32_t last = x + 1 < width ? 1 : 0;
        patches p;
        p.spread = (int32_t *)(void *)(patch + 2 * (size_t)t->vector);
        if (built || (edge && (x == 0 || x + last + 1 == side))) {
            p.rows = 1;
            p.count = t->vector;
            for (i = 0; i <= last; i++) fill_patch(t, row, x + i, side, channels, patch + i * (size_t)t->vector);
            p.a[0] = patch;
            p.b[0] = patch + last * (size_t)t->vector;
        } else {
            p.rows = t->window;
            p.count = across;
            for (r = 0; r < t->window; r++) {
                p.a[r] = row[r] + (size_t)(t->window == 2 ? 2 * x : x - edge) * channels;
                p.b[r] = p.a[r] + last * (size_t)(t->window == 2 ? across : channels);
            }
        }
        convolve(t, &p, out, out + last * (size_t)whole->channels);
    }
}

static void pool_row(const hg_tensor *t, const int8_t *upper, const int8_t *lower, int8_t *out, uint32_t width,
                     size_t stride) {
    const size_t channels = t->channels;
    uint32_t x;
    size_t c;
    for (x = 0; x < width; x++, upper += 2 * channels, lower += 2 * channels, out += stride)
        for (c = 0; c < channels; c++) {
            const int8_t a = upper[c] > upper[c + channels] ? upper[c] : upper[c + channels];
            const int8_t b = lower[c] > lower[c + channels] ? lower[c] : lower[c + channels];
            out[c] = a > b ? a : b;
        }
}

static void add_row(const hg_tensor *t, const int8_t *a, const int8_t *b, int8_t *out, uint32_t width, size_t stride) {
    const int32_t ma = read_i32(t->multiplier), mb = read_i32(t->multiplier + 4), mo = read_i32(t->multiplier + 8);
    uint32_t x, c;
    for (x = 0; x < width; x++, out += stride)
        for (c = 0; c < t->channels; c++) {
            const int32_t v = scaled((*a++ - t->zero[0]) * (1 << LEFT_SHIFT), ma, t->shift[0]);
            const int32_t w = scaled((*b++ - t->zero[1]) * (1 << LEFT_SHIFT), mb, t->shift[1]);
            out[c] = limited(scaled(v + w, mo, t->shift[2]), t);
        }
}

/* What of a concatenation's row does not lie in it from the beginning. */
static void copy_parts(const band_state *s, const hg_tensor *t, uint32_t number, uint32_t y, int8_t *out, uint32_t width) {
    uint32_t i, x;
    for (i = 0; i < 2; i++) {
        const hg_tensor *part = &s->n->tensor[t->from[i]];
        if (part->whole != number) {
            const int8_t *in = row_at(s, t->from[i], y);
            for (x = 0; x < width; x++)
                memcpy(out + (size_t)x * t->channels, in + (size_t)x * part->channels, part->channels);
        }
        out += part->channels;
    }
}

static void compute_row(const band_state *s, uint32_t number, uint32_t y) {
    const hg_tensor *t = &s->n->tensor[number];
    const uint32_t width = s->columns.of[number];
    const size_t stride = s->n->tensor[t->whole].channels;
    int8_t *out = row_at(s, t->whole, y) + t->offset;
    if (t->kind == CONVOLUTION)
        convolve_row(s, t, y, out, width);
    else if (t->kind == MAX_POOL)
        pool_row(t, row_at(s, t->from[0], 2 * y), row_at(s, t->from[0], 2 * y + 1), out, width, stride);
    else if (t->kind == ADDITION)
        add_row(t, row_at(s, t->from[0], y), row_at(s, t->from[1], y), out, width, stride);
    else
        copy_parts(s, t, number, y, out, width);
}

size_t hg_network_kept(const hg_network *n, uint32_t across) {
    size_t total = 0;
    uint32_t t;
    for (t = 0; t < n->tensors; t++) {
        const hg_tensor *tensor = &n->tensor[t];
        total += (size_t)tensor->kept * tensor->channels * ((size_t)across * per_position(tensor) + tensor->halo);
    }
    return total;
}

uint32_t hg_network_pixels(const hg_network *n, uint32_t latents) {
    rows_of need;
    find_need(n, latents, 0, &need);
    return need.of[0];
}

int8_t *hg_network_input(const hg_network *n, uint8_t *scratch) { return (int8_t *)(scratch + n->tensor[0].fresh_at); }

const int8_t *hg_network_output(const hg_network *n, const uint8_t *scratch) {
    return (const int8_t *)(scratch + n->tensor[n->tensors - 1u].fresh_at);
}

uint32_t hg_network_band(const hg_network *n, const hg_tile *tile, uint32_t band, uint8_t *kept, uint8_t *scratch,
                         uint32_t *done) {
    band_state s;
    rows_of need, oldest;
    uint32_t t, y;
    s.n = n;
    s.scratch = scratch;
    find_need(n, tile->columns, 0, &s.columns);
    find_need(n, tile->rows, 0, &need);
    count_rows(n, &need, HG_BAND * band, &s.before);
    count_rows(n, &need, HG_BAND * (band + 1), &s.rows);
    for (t = 0; t < n->tensors; t++) {
        const hg_tensor *tensor = &n->tensor[t];
        s.kept[t] = kept + (size_t)tile->left * per_position(tensor) * tensor->channels;
        s.stride[t] = (tile->across * per_position(tensor) + tensor->halo) * tensor->channels;
        kept += (size_t)tensor->kept * s.stride[t];
    }
    for (t = 1; t < n->tensors; t++)
        for (y = s.before.of[t]; y < s.rows.of[t]; y++) compute_row(&s, t, y);
    find_oldest(n, &need, &s.rows, &oldest);
    for (t = 0; t < n->tensors; t++) {
        const hg_tensor *tensor = &n->tensor[t];
        y = oldest.of[t] > s.before.of[t] ? oldest.of[t] : s.before.of[t];
        for (; y < s.rows.of[t]; y++)
            memcpy(s.kept[t] + (size_t)(y % tensor->kept) * s.stride[t], row_at(&s, t, y),
                   (size_t)s.columns.of[t] * tensor->channels);
    }
    *done = s.before.of[n->tensors - 1u];
    return (uint32_t)s.rows.of[n->tensors - 1u] - *done;
}
