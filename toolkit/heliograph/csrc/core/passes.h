/* Order of the positions of a layer, their coded neighbours, and what those foretell of layer 0. FORMAT.md, sections 5 and 6. */

/* Layer 0 has five passes, from a coarse grid to a fine one; the others two, the colours of a checkerboard. */
static uint32_t passes_of(uint32_t layer) { return layer ? 2 : 5; }

/* Columns of a row that a pass codes: from the one returned on, every `stride`th. */
static uint32_t first_column(uint32_t layer, uint32_t pass, uint32_t y, uint32_t *stride) {
    *stride = layer || pass > 2 ? 2 : 4;
    if (layer) return (y + pass) & 1;
    switch (pass) {
    case 0: return y & 3 ? HG_MAX_SLICE : 0;
    case 1: return (y & 3) == 2 ? 2 : HG_MAX_SLICE;
    case 2: return y & 1 ? HG_MAX_SLICE : 2 - (y & 2);
    case 3: return y & 1 ? 1 : HG_MAX_SLICE;
    default: return 1 - (y & 1);
    }
}

/* Index of the four coded neighbours of a position, the opposite one where one is outside, -1 where both are. */
static void find_taps(const context *c, uint32_t layer, uint32_t pass, uint32_t y, uint32_t x, ptrdiff_t tap[4]) {
    static const int8_t direct[4][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
    static const int8_t diagonal[4][2] = {{-1, -1}, {-1, 1}, {1, -1}, {1, 1}};
    int far = layer == 0 && pass < 3 ? 2 : 1, i;
    const int8_t(*step)[2] = layer == 0 && (pass & 1) ? diagonal : direct;
    for (i = 0; i < 4; i++) {
        int32_t ty = (int32_t)y + far * step[i][0], tx = (int32_t)x + far * step[i][1];
        if (ty < 0 || ty >= (int32_t)c->rows) ty = 2 * (int32_t)y - ty;
        if (tx < 0 || tx >= (int32_t)c->columns) tx = 2 * (int32_t)x - tx;
        tap[i] = pass == 0 || ty < 0 || ty >= (int32_t)c->rows || tx < 0 || tx >= (int32_t)c->columns
                     ? -1
                     : (ptrdiff_t)ty * (ptrdiff_t)c->columns + tx;
    }
}

/* The values of channels below P that the taps' foretell; `values` has rows of `stride`. */
static void predict(const hg_model *m, uint32_t pass, const ptrdiff_t tap[4], const int16_t *values, size_t stride,
                    int16_t *out) {
    size_t p = m->predicted, i, j;
    int32_t sum[HG_MAX_PREDICTED];
    int t;
#if defined(__SSE2__)
    for (j = 0; j < p; j += 8) { /* up to 7 more than there are, which nobody looks at */
        __m128i low = _mm_setzero_si128(), high = low;
        for (t = 0; t < 4; t++) {
            const uint8_t *w;
            const int16_t *k;
            if (pass == 0 || tap[t] < 0) continue;
            w = m->predict + 2 * (((size_t)(pass - 1) * 4 + (size_t)t) * p * p + j);
            k = values + (size_t)tap[t] * stride;
            for (i = 0; i < p; i += 2, w += 4 * p) {
                const int is_last = i + 1 == p;
                const uint32_t two = (uint16_t)k[i] | (is_last ? 0u : (uint32_t)(uint16_t)k[i + 1] << 16);
                if (two) {
                    const __m128i v = _mm_set1_epi32((int32_t)two);
                    const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)w);
                    const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(is_last ? w : w + 2 * p));
                    low = _mm_add_epi32(low, _mm_madd_epi16(_mm_unpacklo_epi16(a, b), v));
                    high = _mm_add_epi32(high, _mm_madd_epi16(_mm_unpackhi_epi16(a, b), v));
                }
            }
        }
        _mm_storeu_si128((__m128i *)(void *)(sum + j), low);
        _mm_storeu_si128((__m128i *)(void *)(sum + j + 4), high);
    }
#else
    for (j = 0; j < p; j += 4) { /* up to 3 more than there are, which nobody looks at: see add_rows */
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (t = 0; t < 4; t++) {
            const uint8_t *w;
            const int16_t *k;
            if (pass == 0 || tap[t] < 0) continue;
            w = m->predict + 2 * (((size_t)(pass - 1) * 4 + (size_t)t) * p * p + j);
            k = values + (size_t)tap[t] * stride;
            for (i = 0; i < p; i++, w += 2 * p) {
                const int16_t s = k[i];
                if (s == 0) continue;
                s0 += s * (int16_t)rds16(w);
                s1 += s * (int16_t)rds16(w + 2);
                s2 += s * (int16_t)rds16(w + 4);
                s3 += s * (int16_t)rds16(w + 6);
            }
        }
        sum[j] = s0;
        sum[j + 1] = s1;
        sum[j + 2] = s2;
        sum[j + 3] = s3;
    }
#endif
    for (j = 0; j < p; j++)
        out[j] = (int16_t)clamp(shift_down(sum[j] + (1 << (PREDICT_SHIFT - 1)), PREDICT_SHIFT), LOWEST, HIGHEST);
}

static const hg_net *net_of(const context *c, uint32_t layer, uint32_t pass) {
    if (c->reference) return &c->set->net[layer ? 2 * layer + 1 + pass : pass < 3 ? 0 : pass - 2];
    if (layer) return &c->set->net[2 * layer + pass];
    return pass >= 3 ? &c->set->net[pass - 3] : NULL;
}
