/* Sums of int8 products in the vectors of each machine, and a convolution's outputs from them. */

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
