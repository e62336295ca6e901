/* Sums of inputs times weights, in the vectors of each machine: most of the time of entropy coding. */

enum { LIST = 64 };

/* Inputs that are not zero, and their rows of weights. */
typedef struct {
    uint16_t row[LIST + 8];
    uint16_t value[LIST + 8]; /* at most 127; two are read at once */
    size_t count;
} inputs;

#if defined(__SSE2__) || defined(HG_DSP)
/* Values i and i + 1, the first in the lower half; i is even. */
static inline uint32_t two_values(const inputs *in, size_t i) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t v;
    memcpy(&v, in->value + i, 4);
    return v;
#else
    return (uint32_t)in->value[i] | (uint32_t)in->value[i + 1] << 16;
#endif
}
#endif

#if defined(__SSE2__) || defined(__ARM_NEON)
#define UNROLLED _Pragma("GCC unroll 8") /* also under -O2, so that sums stay in registers */

/* sum[k] += the inputs times their weights, for 8 columns times `blocks`, a constant wherever this is called. */
static inline void add_blocks(int32_t *sum, const uint8_t *weight, size_t stride, const inputs *in, const size_t blocks) {
    size_t i, b;
#if defined(__SSE2__)
    __m128i s[8];
    UNROLLED for (b = 0; b < 2 * blocks; b++) s[b] = _mm_loadu_si128((const __m128i *)(const void *)(sum + 4 * b));
    for (i = 0; i < in->count; i += 2) {
        const uint8_t *upper = weight + in->row[i] * stride, *lower = weight + in->row[i + 1] * stride;
        const __m128i v = _mm_set1_epi32((int32_t)two_values(in, i));
        UNROLLED for (b = 0; b < blocks; b++) {
            __m128i w = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(const void *)(upper + 8 * b)),
                                          _mm_loadl_epi64((const __m128i *)(const void *)(lower + 8 * b)));
            __m128i low = _mm_srai_epi16(_mm_unpacklo_epi8(w, w), 8), high = _mm_srai_epi16(_mm_unpackhi_epi8(w, w), 8);
            s[2 * b] = _mm_add_epi32(s[2 * b], _mm_madd_epi16(low, v));
            s[2 * b + 1] = _mm_add_epi32(s[2 * b + 1], _mm_madd_epi16(high, v));
        }
    }
    UNROLLED for (b = 0; b < 2 * blocks; b++) _mm_storeu_si128((__m128i *)(void *)(sum + 4 * b), s[b]);
#else
    int32x4_t s[8];
    UNROLLED for (b = 0; b < 2 * blocks; b++) s[b] = vld1q_s32(sum + 4 * b);
    for (i = 0; i < in->count; i += 2) {
        const int8_t *upper = (const int8_t *)weight + in->row[i] * stride;
        const int8_t *lower = (const int8_t *)weight + in->row[i + 1] * stride;
        const int8x8_t v = vdup_n_s8((int8_t)in->value[i]), u = vdup_n_s8((int8_t)in->value[i + 1]);
        UNROLLED for (b = 0; b < blocks; b++) { /* two products fit 16 bits, since inputs are at most 127 */
            int16x8_t p = vmlal_s8(vmull_s8(vld1_s8(upper + 8 * b), v), vld1_s8(lower + 8 * b), u);
            s[2 * b] = vaddw_s16(s[2 * b], vget_low_s16(p));
            s[2 * b + 1] = vaddw_s16(s[2 * b + 1], vget_high_s16(p));
        }
    }
    UNROLLED for (b = 0; b < 2 * blocks; b++) vst1q_s32(sum + 4 * b, s[b]);
#endif
}
#endif

#if defined(HG_MVE)
/* Two rows' products fit 16 bits, since inputs are at most 127. */
static inline int16x8_t two_rows(const uint8_t *upper, const uint8_t *lower, uint16_t u, uint16_t v) {
    return vmlaq_n_s16(vmulq_n_s16(vldrbq_s16((const int8_t *)upper), (int16_t)u), vldrbq_s16((const int8_t *)lower),
                       (int16_t)v);
}

/* The same for 8 columns times `blocks`, 1 or 2. */
static inline void add_blocks(int32_t *sum, const uint8_t *weight, size_t stride, const inputs *in, const size_t blocks) {
    int32x4x2_t first = vld2q_s32(sum), second = vld2q_s32(sum + 8 * (blocks - 1));
    int32x4_t a = first.val[0], b = first.val[1], c = second.val[0], d = second.val[1]; /* even columns, odd columns */
    const uint16_t *row = in->row, *value = in->value, *const end = row + in->count;
    for (; row < end; row += 2, value += 2) {
        const uint8_t *upper = weight + row[0] * stride, *lower = weight + row[1] * stride;
        int16x8_t both = two_rows(upper, lower, value[0], value[1]);
        a = vaddq_s32(a, vmovlbq_s16(both));
        b = vaddq_s32(b, vmovltq_s16(both));
        if (blocks > 1) {
            both = two_rows(upper + 8, lower + 8, value[0], value[1]);
            c = vaddq_s32(c, vmovlbq_s16(both));
            d = vaddq_s32(d, vmovltq_s16(both));
        }
    }
    first.val[0] = a;
    first.val[1] = b;
    second.val[0] = c;
    second.val[1] = d;
    if (blocks > 1) vst2q_s32(sum + 8, second);
    vst2q_s32(sum, first);
}
#elif defined(HG_DSP)
/* Four bytes in the order of memory, which has the lowest first on these machines. */
static inline uint32_t word_at(const void *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* Bytes 0 and 2 as 16-bit pairs, and bytes 1 and 3; GCC makes two instructions of the latter otherwise. */
static inline int32_t bytes_0_2(uint32_t v) { return __sxtb16((int32_t)v); }

static inline int32_t bytes_1_3(uint32_t v) {
    int32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(v));
    return pair;
}

/* Of two rows the first two columns, or the last two: of each row's bytes 0 and 1, or 2 and 3. */
static inline uint32_t lower_two(uint32_t a, uint32_t b) {
    uint32_t v;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(v) : "r"(a), "r"(b));
    return v;
}

static inline uint32_t upper_two(uint32_t a, uint32_t b) {
    uint32_t v;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(v) : "r"(b), "r"(a));
    return v;
}
#endif

/* sum += the inputs times their weights, for at most 32 columns. Up to 7 columns more than `count` are computed, and
 * nobody looks at them: after every matrix of an entropy file there are as many bytes of something else. */
static void add_rows(int32_t *sum, size_t count, const uint8_t *weight, size_t stride, inputs *in) {
#if defined(__SSE2__) || defined(__ARM_NEON) || defined(HG_MVE) || defined(HG_DSP)
    if (in->count & 1) { /* an odd one out has a partner of zero */
        in->row[in->count] = in->row[0];
        in->value[in->count] = 0;
    }
#endif
#if defined(__SSE2__) || defined(__ARM_NEON)
    if (count > 24)
        add_blocks(sum, weight, stride, in, 4);
    else if (count > 16)
        add_blocks(sum, weight, stride, in, 3);
    else if (count > 8)
        add_blocks(sum, weight, stride, in, 2);
    else
        add_blocks(sum, weight, stride, in, 1);
#elif defined(HG_MVE)
    size_t k;
    for (k = 0; k + 8 < count; k += 16) add_blocks(sum + k, weight + k, stride, in, 2);
    if (k < count) add_blocks(sum + k, weight + k, stride, in, 1);
#elif defined(HG_DSP)
    size_t i, k;
    for (k = 0; k < count; k += 4, sum += 4, weight += 4) {
        int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
        for (i = 0; i < in->count; i += 2) {
            const uint32_t a = word_at(weight + in->row[i] * stride), b = word_at(weight + in->row[i + 1] * stride);
            const uint32_t low = lower_two(a, b), high = upper_two(a, b);
            const int32_t v = (int32_t)two_values(in, i);
            s0 = __smlad(v, bytes_0_2(low), s0);
            s1 = __smlad(v, bytes_1_3(low), s1);
            s2 = __smlad(v, bytes_0_2(high), s2);
            s3 = __smlad(v, bytes_1_3(high), s3);
        }
        sum[0] = s0;
        sum[1] = s1;
        sum[2] = s2;
        sum[3] = s3;
    }
#else
    size_t i, k;
    for (k = 0; k < count; k += 4, sum += 4, weight += 4) { /* as many as small machines have registers for */
        int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
        for (i = 0; i < in->count; i++) {
            const int8_t *w = (const int8_t *)weight + in->row[i] * stride;
            const int16_t v = (int16_t)in->value[i];
            s0 += v * w[0];
            s1 += v * w[1];
            s2 += v * w[2];
            s3 += v * w[3];
        }
        sum[0] = s0;
        sum[1] = s1;
        sum[2] = s2;
        sum[3] = s3;
    }
#endif
}

static void append(inputs *in, const uint8_t *v, size_t count, size_t row) {
    size_t i, n = in->count;
    for (i = 0; i < count; i++) {
        in->row[n] = (uint16_t)(row + i);
        in->value[n] = v[i];
        n += v[i] != 0;
    }
    in->count = n;
}

/* sum += v times a matrix whose rows are `count` wide. */
static void multiply(int32_t *sum, size_t count, const uint8_t *weight, const uint8_t *v, size_t rows) {
    inputs in;
    size_t i;
    in.count = 0;
    for (i = 0; i + 8 <= rows; i += 8) {
        uint64_t eight;
        memcpy(&eight, v + i, 8);
        if (eight == 0) continue;
        append(&in, v + i, 8, i);
        if (in.count < LIST) continue;
        add_rows(sum, count, weight, count, &in);
        in.count = 0;
    }
    append(&in, v + i, rows - i, i);
    if (in.count) add_rows(sum, count, weight, count, &in);
}

/* From sums to features: shifted, 0 to 127. */
static void squash(const int32_t *sum, size_t count, uint32_t shift, uint8_t *out) {
    size_t j = 0;
#if defined(__SSE2__)
    const __m128i by = _mm_cvtsi32_si128((int)shift);
    for (; j + 8 <= count; j += 8) {
        const __m128i low = _mm_sra_epi32(_mm_loadu_si128((const __m128i *)(const void *)(sum + j)), by);
        const __m128i high = _mm_sra_epi32(_mm_loadu_si128((const __m128i *)(const void *)(sum + j + 4)), by);
        const __m128i v = _mm_packs_epi32(low, high);
        _mm_storel_epi64((__m128i *)(void *)(out + j), _mm_min_epu8(_mm_packus_epi16(v, v), _mm_set1_epi8(127)));
    }
#endif
    for (; j < count; j++) {
        int32_t v = sum[j] < 0 ? 0 : sum[j] >> shift;
        out[j] = (uint8_t)(v > 127 ? 127 : v);
    }
}
