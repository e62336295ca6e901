/* The int8 encoder network; heliograph_net.h says what, NETWORK.md specifies the file and the arithmetic. */
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

/* ---- rows: how many of each tensor there are, and how many stay ---- */

typedef struct {
    uint16_t of[HG_MAX_NETWORK_LAYERS + 1];
} rows_of;

static uint32_t side_of(const hg_network *n, const hg_tensor *t) { return (uint32_t)n->tile >> t->scale; }

static uint32_t per_position(const hg_tensor *t) { return 1u << (LATENT_SCALE - t->scale); }

static uint32_t inputs_of(const hg_tensor *t) { return t->kind == ADDITION || t->kind == CONCATENATION ? 2 : 1; }

/* Rows or columns of every tensor that so many of the latents need; beyond the tile's edge only if `unbounded`. */
static void find_need(const hg_network *n, uint32_t latents, int unbounded, rows_of *need) {
    uint32_t t = n->tensors, i;
    memset(need, 0, sizeof *need);
    need->of[t - 1] = (uint16_t)latents;
    while (--t > 0) {
        const hg_tensor *layer = &n->tensor[t];
        for (i = 0; i < inputs_of(layer); i++) {
            uint32_t from = layer->from[i], most = side_of(n, &n->tensor[from]), want = need->of[t];
            if (layer->window == 2) want *= 2;
            if (layer->window == 3) want++;
            if (want > most && !unbounded) want = most;
            if (want > need->of[from]) need->of[from] = (uint16_t)want;
        }
    }
}

/* Rows of every tensor that can be there when so many rows of pixels are. What lies in a concatenation's waits for all of it. */
static void count_rows(const hg_network *n, const rows_of *need, uint32_t pixels, rows_of *rows) {
    uint32_t t;
    rows->of[0] = (uint16_t)(pixels < need->of[0] ? pixels : need->of[0]);
    for (t = 1; t < n->tensors; t++) {
        const hg_tensor *layer = &n->tensor[t];
        uint32_t in = rows->of[layer->from[0]];
        if (inputs_of(layer) == 2 && rows->of[layer->from[1]] < in) in = rows->of[layer->from[1]];
        if (layer->window == 2) in /= 2;
        if (layer->window == 3 && in > 0 && in < side_of(n, layer)) in--;
        rows->of[t] = (uint16_t)(in < need->of[t] ? in : need->of[t]);
    }
    for (t = 1; t < n->tensors; t++) rows->of[t] = rows->of[n->tensor[t].whole];
}

/* The first row of every tensor that a layer still needs when so many are there. */
static void find_oldest(const hg_network *n, const rows_of *need, const rows_of *rows, rows_of *oldest) {
    uint32_t t, i;
    *oldest = *rows;
    for (t = 1; t < n->tensors; t++) {
        const hg_tensor *layer = &n->tensor[t];
        uint32_t first = rows->of[t];
        if (rows->of[t] == need->of[t]) continue;
        if (layer->window == 2) first *= 2;
        if (layer->window == 3 && first > 0) first--;
        for (i = 0; i < inputs_of(layer); i++) {
            const uint32_t from = layer->from[i];
            if (n->tensor[from].whole == from && first < oldest->of[from]) oldest->of[from] = (uint16_t)first;
        }
    }
}

/* Go through the bands of a tile of so many rows of latents: what is kept and what is new at most. */
static void rehearse(hg_network *n, uint32_t latents) {
    rows_of need, before, rows, oldest;
    uint32_t pixels, t;
    find_need(n, latents, 0, &need);
    memset(&before, 0, sizeof before);
    for (pixels = HG_BAND; pixels < need.of[0] + (uint32_t)HG_BAND; pixels += HG_BAND) {
        count_rows(n, &need, pixels, &rows);
        find_oldest(n, &need, &rows, &oldest);
        for (t = 0; t < n->tensors; t++) {
            hg_tensor *tensor = &n->tensor[t];
            uint32_t fresh = (uint32_t)rows.of[t] - before.of[t], kept = (uint32_t)rows.of[t] - oldest.of[t];
            if (tensor->whole != t) continue;
            if (fresh > tensor->fresh) tensor->fresh = (uint16_t)fresh;
            if (kept > tensor->kept) tensor->kept = (uint16_t)kept;
        }
        before = rows;
    }
}

int hg_network_rests(const hg_network *n, uint32_t latents) {
    rows_of need, rows, oldest;
    uint32_t pixels, t, before = 0;
    find_need(n, (uint32_t)n->tile >> LATENT_SCALE, 0, &need);
    for (pixels = HG_BAND; pixels < n->tile; pixels += HG_BAND) {
        count_rows(n, &need, pixels, &rows);
        find_oldest(n, &need, &rows, &oldest);
        if (rows.of[n->tensors - 1u] / latents == before) continue;
        before = rows.of[n->tensors - 1u] / latents;
        for (t = 0; t < n->tensors; t++)
            if (oldest.of[t] < rows.of[t]) return 0;
    }
    return 1;
}

int hg_network_divides(const hg_network *n, uint32_t latents) {
    rows_of need, rows;
    uint32_t tall, pixels, before;
    for (tall = 1; tall <= (uint32_t)n->tile >> LATENT_SCALE; tall++) {
        find_need(n, tall, 0, &need);
        for (pixels = HG_BAND, before = 0; pixels < need.of[0] + (uint32_t)HG_BAND; pixels += HG_BAND) {
            const uint32_t first = before;
            count_rows(n, &need, pixels, &rows);
            before = rows.of[n->tensors - 1u];
            if (before > first && first / latents != (before - 1) / latents) return 0;
        }
    }
    return 1;
}

/* ---- the file ---- */

typedef struct {
    const uint8_t *data;
    size_t size, at;
} network_reader;

static const uint8_t *take_part(network_reader *r, size_t size) {
    const uint8_t *p;
    size = (size + 3) & ~(size_t)3;
    if (r->data == NULL || size > r->size - r->at) {
        r->data = NULL;
        return NULL;
    }
    p = r->data + r->at;
    r->at += size;
    return p;
}

static int scales_fit(const uint8_t *multiplier, const uint8_t *shift, uint32_t count) {
    uint32_t i;
    for (i = 0; i < count; i++)
        if (read_u32(multiplier + 4 * i) & 0x80000000u || shift[i] > 31) return 0;
    return 1;
}

static int open_convolution(const hg_network *n, hg_tensor *t, network_reader *r) {
    const uint8_t *head = take_part(r, 8);
    const hg_tensor *in = &n->tensor[t->from[0]];
    uint32_t i;
    if (head == NULL || t->window < 1 || t->window > 3) return 0;
    t->channels = (uint16_t)read_u16(head);
    t->zero[0] = read_i8(head + 2);
    t->zero_out = read_i8(head + 3);
    t->low = read_i8(head + 4);
    t->high = read_i8(head + 5);
    if (t->channels < 1 || t->channels > HG_MAX_CHANNELS || t->low > t->high || read_u16(head + 6) != 0) return 0;
    t->scale = (uint8_t)(in->scale + (t->window == 2));
    t->vector = ((uint32_t)t->window * t->window * in->channels + 3) & ~3u;
    t->bias = take_part(r, 4 * (size_t)t->channels);
    t->multiplier = take_part(r, 4 * (size_t)t->channels);
    t->shifts = take_part(r, t->channels);
    t->weight = take_part(r, (size_t)t->channels * t->vector);
    if (r->data == NULL || !scales_fit(t->multiplier, t->shifts, t->channels)) return 0;
    for (i = 0; i < t->channels; i++) { /* so that sums fit 32 bits: products add less than 2^27 */
        int32_t bias = read_i32(t->bias + 4 * (size_t)i);
        if (bias > 1 << 30 || bias < -(1 << 30)) return 0;
    }
    return 1;
}

static int open_addition(const hg_network *n, hg_tensor *t, network_reader *r) {
    const uint8_t *head = take_part(r, 8);
    const hg_tensor *a = &n->tensor[t->from[0]], *b = &n->tensor[t->from[1]];
    if (head == NULL || t->window != 0) return 0;
    t->multiplier = take_part(r, 12);
    if (r->data == NULL || a->channels != b->channels || a->scale != b->scale) return 0;
    t->zero[0] = read_i8(head);
    t->zero[1] = read_i8(head + 1);
    t->zero_out = read_i8(head + 2);
    t->low = read_i8(head + 3);
    t->high = read_i8(head + 4);
    memcpy(t->shift, head + 5, 3);
    t->channels = a->channels;
    t->scale = a->scale;
    return t->low <= t->high && scales_fit(t->multiplier, t->shift, 3);
}

static int open_concatenation(const hg_network *n, hg_tensor *t) {
    const hg_tensor *a = &n->tensor[t->from[0]], *b = &n->tensor[t->from[1]];
    if (t->window != 0 || a->scale != b->scale || (uint32_t)a->channels + b->channels > HG_MAX_CHANNELS) return 0;
    t->scale = a->scale;
    t->channels = (uint16_t)(a->channels + b->channels);
    return 1;
}

static int open_layer(hg_network *n, uint32_t number, network_reader *r) {
    hg_tensor *t = &n->tensor[number];
    const uint8_t *head = take_part(r, 4);
    uint32_t i;
    if (head == NULL) return 0;
    t->kind = head[0];
    t->window = head[1];
    t->from[0] = head[2];
    t->from[1] = head[3];
    t->whole = (uint8_t)number;
    if (t->kind < CONVOLUTION || t->kind > CONCATENATION || (inputs_of(t) == 1 && head[3] != 0)) return 0;
    for (i = 0; i < inputs_of(t); i++)
        if (t->from[i] >= number) return 0;
    switch (t->kind) {
    case CONVOLUTION:
        if (!open_convolution(n, t, r)) return 0;
        break;
    case MAX_POOL:
        if (t->window != 2) return 0;
        t->channels = n->tensor[t->from[0]].channels;
        t->scale = (uint8_t)(n->tensor[t->from[0]].scale + 1);
        break;
    case ADDITION:
        if (!open_addition(n, t, r)) return 0;
        break;
    default:
        if (!open_concatenation(n, t)) return 0;
    }
    return t->scale <= LATENT_SCALE;
}

/* What a concatenation alone reads is computed into its rows, the rest is copied there. Every tensor but the last is read. */
static int place_parts(hg_network *n) {
    uint32_t t, i, read[HG_MAX_NETWORK_LAYERS + 1] = {0};
    for (t = 1; t < n->tensors; t++)
        for (i = 0; i < inputs_of(&n->tensor[t]); i++) read[n->tensor[t].from[i]]++;
    for (t = 1; t < n->tensors; t++) {
        const hg_tensor *whole = &n->tensor[t];
        uint32_t offset = 0;
        if (whole->kind != CONCATENATION) continue;
        for (i = 0; i < 2; i++) {
            hg_tensor *part = &n->tensor[whole->from[i]];
            if (read[whole->from[i]] == 1 && part->kind != 0 && part->kind != CONCATENATION) {
                part->whole = (uint8_t)t;
                part->offset = (uint16_t)offset;
            }
            offset += part->channels;
        }
    }
    for (t = 0; t + 1u < n->tensors; t++)
        if (read[t] == 0) return 0;
    return 1;
}

/* Find what is kept and what scratch holds. */
static void plan(hg_network *n) {
    rows_of one;
    uint32_t t, most = 0;
    size_t at = 0;
    for (t = 1; t <= (uint32_t)n->tile >> LATENT_SCALE; t++) rehearse(n, t);
    find_need(n, 1, 1, &one);
    for (t = 0; t < n->tensors; t++) {
        hg_tensor *tensor = &n->tensor[t];
        tensor->halo = (uint16_t)(one.of[t] - per_position(tensor));
        tensor->fresh_at = (uint32_t)at;
        if (t == 0) tensor->fresh = HG_BAND;
        if (tensor->whole == t) at += (size_t)tensor->fresh * side_of(n, tensor) * tensor->channels;
        at = (at + 3) & ~(size_t)3;
        if (tensor->vector > most) most = tensor->vector;
    }
    n->patch_at = (uint32_t)at;
    n->scratch = at + 6 * (size_t)most; /* two patches, and the same in 16 bits */
}

hg_status hg_network_open(hg_network *n, const uint8_t *data, size_t size) {
    network_reader r;
    const uint8_t *head;
    uint32_t t, layers;
    memset(n, 0, sizeof *n);
    if (size < 16 || read_u32(data + size - 4) != hg_crc32c(0, data, size - 4)) return HG_BAD_MODEL;
    r.data = data;
    r.size = size - 4;
    r.at = 0;
    head = take_part(&r, 12);
    if (head == NULL || memcmp(head, "HGN1", 4) != 0) return HG_BAD_MODEL;
    n->tile = (uint16_t)read_u16(head + 4);
    n->channels = (uint16_t)read_u16(head + 6);
    layers = head[8];
    if (n->tile < 16 || n->tile > HG_MAX_NETWORK_TILE || n->tile % 16 || layers < 1 ||
        layers > HG_MAX_NETWORK_LAYERS || head[9] || head[10] || head[11])
        return HG_BAD_MODEL;
    n->tensors = (uint8_t)(layers + 1);
    n->tensor[0].channels = 3;
    for (t = 1; t < n->tensors; t++)
        if (!open_layer(n, t, &r)) return HG_BAD_MODEL;
    if (r.at != r.size || n->tensor[layers].scale != LATENT_SCALE || n->tensor[layers].channels != n->channels ||
        !place_parts(n))
        return HG_BAD_MODEL;
    plan(n);
    return HG_OK;
}

/* ---- arithmetic ---- */

/* v * multiplier / 2^(31 + shift), rounded twice as TFLite does: to 2^31 upwards at a half, to 2^shift away from zero. */
static inline int32_t scaled(int32_t v, int32_t multiplier, uint32_t shift) {
    const uint32_t high = (uint32_t)((uint64_t)((int64_t)v * multiplier + (1 << 30)) >> 31); /* its sign in bit 31 */
    const uint32_t half = (1u << shift) >> 1;
    if (high >> 31) return -(int32_t)((0u - high + half) >> shift);
    return (int32_t)((high + half) >> shift);
}

static inline int8_t limited(int32_t v, const hg_tensor *t) {
    v += t->zero_out;
    return (int8_t)(v < t->low ? t->low : v > t->high ? t->high : v);
}

/* Two places' inputs, in up to three rows, against two channels' weights. */
typedef struct {
    const int8_t *a[3], *b[3];
    uint32_t rows, count; /* count: bytes of a row, a multiple of 4 */
    int32_t *spread;      /* room for all of it in 16 bits */
} patches;

/* sum += a0, b0, a1, b1: each place's inputs times each channel's weights `u` and `v`. The same on all machines; a few
 * lines for each kind of vector unit. */
#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE
static inline void dots(const patches *p, const int8_t *u, const int8_t *v, int32_t sum[4]) {
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    uint32_t r;
    for (r = 0; r < p->rows; r++) {
        const int8_t *a = p->a[r], *b = p->b[r];
        int32_t left = (int32_t)p->count;
        for (; left >= 16; left -= 16, a += 16, b += 16, u += 16, v += 16) {
            const int8x16_t x = vldrbq_s8(a), y = vldrbq_s8(b), w = vldrbq_s8(u), z = vldrbq_s8(v);
            s0 = vmladavaq_s8(s0, x, w);
            s1 = vmladavaq_s8(s1, y, w);
            s2 = vmladavaq_s8(s2, x, z);
            s3 = vmladavaq_s8(s3, y, z);
        }
        if (left) {
            const mve_pred16_t here = vctp8q((uint32_t)left);
            const int8x16_t x = vldrbq_z_s8(a, here), y = vldrbq_z_s8(b, here);
            const int8x16_t w = vldrbq_z_s8(u, here), z = vldrbq_z_s8(v, here);
            s0 = vmladavaq_s8(s0, x, w);
            s1 = vmladavaq_s8(s1, y, w);
            s2 = vmladavaq_s8(s2, x, z);
            s3 = vmladavaq_s8(s3, y, z);
            u += left;
            v += left;
        }
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}
#elif defined(__ARM_FEATURE_DSP)
static inline int32_t four(const int8_t *p) {
    int32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* Bytes 1 and 3; GCC makes two instructions of it otherwise. */
static inline int32_t odd(int32_t v) {
    int32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(v));
    return pair;
}

/* The inputs as 16-bit pairs, once for all channels: of four bytes of each place bytes 0 and 2, then 1 and 3. */
#define SPREAD 1
static void spread(const patches *p, int32_t *out) {
    uint32_t r, k;
    for (r = 0; r < p->rows; r++)
        for (k = 0; k < p->count; k += 4, out += 4) {
            const int32_t x = four(p->a[r] + k), y = four(p->b[r] + k);
            out[0] = __sxtb16(x);
            out[1] = odd(x);
            out[2] = __sxtb16(y);
            out[3] = odd(y);
        }
}

static __attribute__((noinline)) void dots(const patches *p, const int8_t *u, const int8_t *v, int32_t sum[4]) {
    const int32_t *in = p->spread, *const end = in + p->rows * p->count;
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
#if defined(__clang__)
    for (; in < end; in += 4, u += 4, v += 4) {
        const int32_t w = four(u), z = four(v);
        s0 = __smlad(in[1], odd(w), __smlad(in[0], __sxtb16(w), s0));
        s1 = __smlad(in[3], odd(w), __smlad(in[2], __sxtb16(w), s1));
        s2 = __smlad(in[1], odd(z), __smlad(in[0], __sxtb16(z), s2));
        s3 = __smlad(in[3], odd(z), __smlad(in[2], __sxtb16(z), s3));
    }
#else /* the same: all but the end fits the registers, which GCC does not find by itself */
    int32_t x0, x1, y0, y1, w, z;
    __asm__("1: ldr %[w], [%[u]], #4\n"
            "ldrd %[x0], %[x1], [%[in]], #8\n"
            "ldrd %[y0], %[y1], [%[in]], #8\n"
            "sxtb16 %[z], %[w]\n"
            "sxtb16 %[w], %[w], ror #8\n"
            "smlad %[s0], %[x0], %[z], %[s0]\n"
            "smlad %[s1], %[y0], %[z], %[s1]\n"
            "smlad %[s0], %[x1], %[w], %[s0]\n"
            "smlad %[s1], %[y1], %[w], %[s1]\n"
            "ldr %[w], [%[v]], #4\n"
            "sxtb16 %[z], %[w]\n"
            "sxtb16 %[w], %[w], ror #8\n"
            "smlad %[s2], %[x0], %[z], %[s2]\n"
            "smlad %[s3], %[y0], %[z], %[s3]\n"
            "smlad %[s2], %[x1], %[w], %[s2]\n"
            "smlad %[s3], %[y1], %[w], %[s3]\n"
            "ldr %[z], %[end]\n"
            "cmp %[in], %[z]\n"
            "bne 1b\n"
            : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [in] "+r"(in), [u] "+r"(u), [v] "+r"(v),
              [x0] "=&r"(x0), [x1] "=&r"(x1), [y0] "=&r"(y0), [y1] "=&r"(y1), [w] "=&r"(w), [z] "=&r"(z)
            : [end] "m"(end)
            : "cc", "memory");
#endif
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}
#elif defined(__ARM_NEON) || defined(__SSE2__)
#if defined(__ARM_NEON)
typedef int8x8_t eight;
typedef int32x4_t sums;
#define LOAD_EIGHT(p) vld1_s8(p)
#define ADD_PRODUCTS(s, x, w) vpadalq_s16(s, vmull_s8(x, w))
#define NO_SUMS vdupq_n_s32(0)
#define STORE_SUMS(p, s) vst1q_s32(p, s)
#else
typedef __m128i eight, sums;
static inline __m128i load_eight(const int8_t *p) {
    const __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm_srai_epi16(_mm_unpacklo_epi8(v, v), 8);
}
#define LOAD_EIGHT(p) load_eight(p)
#define ADD_PRODUCTS(s, x, w) _mm_add_epi32(s, _mm_madd_epi16(x, w))
#define NO_SUMS _mm_setzero_si128()
#define STORE_SUMS(p, s) _mm_storeu_si128((__m128i *)(void *)(p), s)
#endif

static inline void dots(const patches *p, const int8_t *u, const int8_t *v, int32_t sum[4]) {
    sums s0 = NO_SUMS, s1 = s0, s2 = s0, s3 = s0;
    int32_t parts[4][4];
    uint32_t r, k, i;
    for (r = 0; r < p->rows; r++, u += p->count, v += p->count) {
        const int8_t *a = p->a[r], *b = p->b[r];
        for (k = 0; k + 8 <= p->count; k += 8) {
            const eight x = LOAD_EIGHT(a + k), y = LOAD_EIGHT(b + k), w = LOAD_EIGHT(u + k), z = LOAD_EIGHT(v + k);
            s0 = ADD_PRODUCTS(s0, x, w);
            s1 = ADD_PRODUCTS(s1, y, w);
            s2 = ADD_PRODUCTS(s2, x, z);
            s3 = ADD_PRODUCTS(s3, y, z);
        }
        for (; k < p->count; k++) {
            sum[0] += a[k] * u[k];
            sum[1] += b[k] * u[k];
            sum[2] += a[k] * v[k];
            sum[3] += b[k] * v[k];
        }
    }
    STORE_SUMS(parts[0], s0);
    STORE_SUMS(parts[1], s1);
    STORE_SUMS(parts[2], s2);
    STORE_SUMS(parts[3], s3);
    for (i = 0; i < 4; i++) sum[i] += parts[i][0] + parts[i][1] + parts[i][2] + parts[i][3];
}
#else
static inline void dots(const patches *p, const int8_t *u, const int8_t *v, int32_t sum[4]) {
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    uint32_t r, k;
    for (r = 0; r < p->rows; r++, u += p->count, v += p->count) {
        const int8_t *a = p->a[r], *b = p->b[r];
        for (k = 0; k < p->count; k++) {
            s0 += a[k] * u[k];
            s1 += b[k] * u[k];
            s2 += a[k] * v[k];
            s3 += b[k] * v[k];
        }
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}
#endif

/* All channels at two places, which may be the same. */
static void convolve(const hg_tensor *t, const patches *p, int8_t *out_a, int8_t *out_b) {
    const int8_t *weight = (const int8_t *)t->weight;
    uint32_t channel, i;
#ifdef SPREAD
    spread(p, p->spread);
#endif
    for (channel = 0; channel < t->channels; channel += 2) {
        const uint32_t pair = channel + 1u < t->channels ? 1 : 0;
        const int32_t bias[2] = {read_i32(t->bias + 4 * (size_t)channel), read_i32(t->bias + 4 * (size_t)(channel + pair))};
        int32_t sum[4];
        sum[0] = sum[1] = bias[0];
        sum[2] = sum[3] = bias[1];
        dots(p, weight + (size_t)channel * t->vector, weight + (size_t)(channel + pair) * t->vector, sum);
        for (i = 0; i <= pair; i++) {
            const int32_t multiplier = read_i32(t->multiplier + 4 * (size_t)(channel + i));
            const uint32_t shift = t->shifts[channel + i];
            out_a[channel + i] = limited(scaled(sum[2 * i], multiplier, shift), t);
            out_b[channel + i] = limited(scaled(sum[2 * i + 1], multiplier, shift), t);
        }
    }
}

/* ---- a band ---- */

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
