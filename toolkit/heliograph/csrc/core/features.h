/* First and second stage of contexts: features of a pass's positions, and what those around a position say.
 * FORMAT.md, section 6. */

/* First stage of a pass: features of every position from what is seen so far. */
static void mix(context *c, const hg_net *net) {
    const hg_model *m = c->m;
    size_t first = c->set->first, j, position = 0;
    uint32_t y, x, shift = net->shift[0];
    int32_t bias[HG_MAX_FIRST] = {0}, sum[HG_MAX_FIRST];
    if (net == c->mixed) return; /* the coarse passes see the reference alone */
    c->mixed = net;
    for (j = 0; j < first; j++) bias[j] = rds32(net->mix_bias + 4 * j) + (1 << (shift - 1));
    for (y = 0; y < c->rows; y++) {
        uint8_t *out = c->feature + (((size_t)y + 1) * (c->columns + 2) + 1) * first;
        for (x = 0; x < c->columns; x++, out += first, position += m->channels) {
            const uint8_t *weight = net->mix;
            memcpy(sum, bias, sizeof sum);
            multiply(sum, first, weight, c->magnitude + position, net->known);
            if (c->reference) {
                weight += net->known * first;
                multiply(sum, first, weight, c->change + position, net->known);
                weight += net->known * first;
                multiply(sum, first, weight, c->there + position, net->stop);
            }
            squash(sum, first, shift, out);
        }
    }
}

enum { LOOK_PAIRS = (3 * HG_MAX_FIRST + 1) / 2 };

/* A position of a pass, as the third stage sees it. */
typedef struct {
    const context *c;
    const hg_net *net;     /* NULL in the coarse passes without a reference */
    const uint8_t *coarse; /* their weights, NULL in pass 0 */
    uint32_t layer, pass;
    size_t position, start, first, channels, groups; /* of the layer: first channel and group, how many */
    int32_t bias[HG_MAX_SECOND]; /* of the second stage, all that is the same at every position */
#if defined(__SSE2__)
    __m128i pair[3 * LOOK_PAIRS][HG_MAX_SECOND / 4]; /* its weights, of two inputs side by side */
#endif
    ptrdiff_t tap[4];
    inputs seen; /* of the second stage, what is not zero */
    const uint16_t *step; /* of the layer's channels at the position */
    const int16_t *least;
    uint32_t energy; /* in layer 0, 1 and that of what is kept of the position */
} place;

/* Features are seldom zero, unlike all other inputs: it pays to arrange the weights once for a pass and to use all. */
#if defined(__SSE2__)
static void arrange_look(place *p) {
    size_t inputs = 3 * (size_t)p->c->set->first, second = p->c->set->second, dy, i, j;
    int16_t(*pair)[2 * HG_MAX_SECOND] = (int16_t(*)[2 * HG_MAX_SECOND])(void *)p->pair;
    const int8_t *w = (const int8_t *)p->net->look;
    memset(p->pair, 0, sizeof p->pair);
    for (dy = 0; dy < 3; dy++)
        for (i = 0; i < inputs; i++, w += second)
            for (j = 0; j < second; j++) pair[dy * LOOK_PAIRS + i / 2][2 * j + (i & 1)] = w[j];
}

/* sum += a row of features times their weights, for 16 columns times `blocks`, a constant wherever this is called. Up to 7
 * bytes more than the row are read; their weights are zero. */
static inline void look_at_pairs(const place *p, size_t dy, const uint8_t *feature, int32_t *sum, const size_t blocks) {
    size_t inputs = 3 * (size_t)p->c->set->first, i, b;
    const __m128i *w = p->pair[dy * LOOK_PAIRS];
    __m128i s[2 * 4];
    UNROLLED for (b = 0; b < 4 * blocks; b++) s[b] = _mm_loadu_si128((const __m128i *)(const void *)(sum + 4 * b));
#define ADD_PAIR(k)                                                                                                \
    do {                                                                                                           \
        const __m128i v = _mm_shuffle_epi32(eight, 0x55 * (k));                                                    \
        UNROLLED for (b = 0; b < 4 * blocks; b++) s[b] = _mm_add_epi32(s[b], _mm_madd_epi16(w[b], v));             \
        w += HG_MAX_SECOND / 4;                                                                                    \
    } while (0)
    for (i = 0; i < inputs; i += 8) {
        const __m128i eight = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(const void *)(feature + i)),
                                                _mm_setzero_si128());
        ADD_PAIR(0);
        if (i + 2 < inputs) ADD_PAIR(1);
        if (i + 4 < inputs) ADD_PAIR(2);
        if (i + 6 < inputs) ADD_PAIR(3);
    }
#undef ADD_PAIR
    UNROLLED for (b = 0; b < 4 * blocks; b++) _mm_storeu_si128((__m128i *)(void *)(sum + 4 * b), s[b]);
}

static void look_at(place *p, const uint8_t *const row[3], int32_t *sum) {
    size_t dy;
    for (dy = 0; dy < 3; dy++) {
        if (p->c->set->second > 16)
            look_at_pairs(p, dy, row[dy], sum, 2);
        else
            look_at_pairs(p, dy, row[dy], sum, 1);
    }
}
#elif defined(HG_DSP)
/* Of four inputs' rows and four outputs: pairs of rows 0 and 2, and of rows 1 and 3, as bytes_0_2 and bytes_1_3 take them
 * apart. */
static void arrange_look(place *p) {
    const hg_set *set = p->c->set;
    const size_t row = 3 * (size_t)set->first, second = set->second;
    uint32_t *out = p->c->look_weight;
    size_t dy, i, j, k;
    for (j = 0; j < second; j += 4)
        for (dy = 0; dy < 3; dy++)
            for (i = 0; i < row; i += 4, out += 4) {
                const uint8_t *w = p->net->look + (dy * row + i) * second + j;
                uint32_t v[4] = {0, 0, 0, 0};
                for (k = 0; k < 4 && i + k < row; k++) v[k] = word_at(w + k * second);
                out[0] = lower_two(v[0], v[2]);
                out[1] = upper_two(v[0], v[2]);
                out[2] = lower_two(v[1], v[3]);
                out[3] = upper_two(v[1], v[3]);
            }
}

static void look_at(place *p, const uint8_t *const row[3], int32_t *sum) {
    const size_t inputs = 3 * (size_t)p->c->set->first, outputs = p->c->set->second;
    const uint32_t *w = p->c->look_weight;
    int32_t spread[3 * LOOK_PAIRS + 6], *end = spread;
    size_t i, j;
    for (j = 0; j < 3; j++)
        for (i = 0; i < inputs; i += 4, end += 2) { /* up to 3 bytes beyond the row have weights of zero */
            const uint32_t v = word_at(row[j] + i);
            end[0] = bytes_0_2(v);
            end[1] = bytes_1_3(v);
        }
    for (j = 0; j < outputs; j += 4, sum += 4) {
        int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
        const int32_t *in = spread;
#if defined(__thumb2__) && !defined(__clang__) /* the same in 21 instructions where GCC takes 26 */
        int32_t x, y, u, v, t;
        __asm__("1: ldrd %[x], %[y], [%[in]], #8\n"
                "ldrd %[u], %[v], [%[w]], #8\n"
                "sxtb16 %[t], %[u]\n"
                "sxtb16 %[u], %[u], ror #8\n"
                "smlad %[s0], %[x], %[t], %[s0]\n"
                "smlad %[s1], %[x], %[u], %[s1]\n"
                "sxtb16 %[t], %[v]\n"
                "sxtb16 %[v], %[v], ror #8\n"
                "smlad %[s2], %[x], %[t], %[s2]\n"
                "smlad %[s3], %[x], %[v], %[s3]\n"
                "ldrd %[u], %[v], [%[w]], #8\n"
                "sxtb16 %[t], %[u]\n"
                "sxtb16 %[u], %[u], ror #8\n"
                "smlad %[s0], %[y], %[t], %[s0]\n"
                "smlad %[s1], %[y], %[u], %[s1]\n"
                "sxtb16 %[t], %[v]\n"
                "sxtb16 %[v], %[v], ror #8\n"
                "smlad %[s2], %[y], %[t], %[s2]\n"
                "smlad %[s3], %[y], %[v], %[s3]\n"
                "cmp %[in], %[end]\n"
                "bne 1b\n"
                : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [in] "+r"(in), [w] "+r"(w),
                  [x] "=&r"(x), [y] "=&r"(y), [u] "=&r"(u), [v] "=&r"(v), [t] "=&r"(t)
                : [end] "r"(end)
                : "cc", "memory");
#else
        for (; in < end; in += 2, w += 4) {
            s0 = __smlad(in[0], bytes_0_2(w[0]), s0);
            s1 = __smlad(in[0], bytes_1_3(w[0]), s1);
            s2 = __smlad(in[0], bytes_0_2(w[1]), s2);
            s3 = __smlad(in[0], bytes_1_3(w[1]), s3);
            s0 = __smlad(in[1], bytes_0_2(w[2]), s0);
            s1 = __smlad(in[1], bytes_1_3(w[2]), s1);
            s2 = __smlad(in[1], bytes_0_2(w[3]), s2);
            s3 = __smlad(in[1], bytes_1_3(w[3]), s3);
        }
#endif
        sum[0] = s0;
        sum[1] = s1;
        sum[2] = s2;
        sum[3] = s3;
    }
}
#else
static void arrange_look(place *p) { (void)p; }

/* With all features of a row as inputs, in the room for what is seen afterwards. */
static void look_at(place *p, const uint8_t *const row[3], int32_t *sum) {
    const size_t count = 3 * (size_t)p->c->set->first, second = p->c->set->second;
    inputs *in = &p->seen;
    size_t dy, i;
#if defined(HG_MVE)
    for (i = 0; i < count; i += 8) vstrhq_u16(in->row + i, vidupq_n_u16((uint32_t)i, 1));
#else
    for (i = 0; i < count; i++) in->row[i] = (uint16_t)i;
#endif
    for (dy = 0; dy < 3; dy++) {
        in->count = count;
#if defined(HG_MVE)
        for (i = 0; i < count; i += 8) vstrhq_u16(in->value + i, vldrbq_u16(row[dy] + i));
#else
        for (i = 0; i < count; i++) in->value[i] = row[dy][i];
#endif
        add_rows(sum, second, p->net->look + dy * count * second, second, in);
    }
}
#endif

/* Second stage, at the place's position. */
static void look(place *p, uint32_t y, uint32_t x, uint8_t *out) {
    const context *c = p->c;
    size_t first = c->set->first, j;
    int32_t sum[HG_MAX_SECOND];
    const uint8_t *row[3];
    memcpy(sum, p->bias, sizeof sum);
    for (j = 0; j < 3; j++) row[j] = c->feature + ((y + j) * (c->columns + 2) + x) * first;
    look_at(p, row, sum);
    squash(sum, c->set->second, p->net->shift[1], out);
}

static void enter_pass(place *p, context *c, uint32_t layer, uint32_t pass) {
    const hg_model *m = c->m;
    size_t j;
    memset(p, 0, sizeof *p);
    p->c = c;
    p->net = net_of(c, layer, pass);
    p->layer = layer;
    p->pass = pass;
    p->start = first_channel(m, layer);
    p->channels = m->layer_end[layer] - p->start;
    p->first = first_group(m, layer);
    p->groups = m->group_end[layer] - p->first;
    memset(c->guess, 0, p->channels * sizeof *c->guess);
    p->coarse = p->net || pass == 0 ? NULL : m->coarse + 2 * (size_t)(pass - 1) * (p->channels + p->groups);
    for (j = 0; j < c->set->second && p->net; j++) {
        p->bias[j] = rds32(p->net->look_bias + 4 * j) + (1 << (p->net->shift[1] - 1));
        p->bias[j] += rds16(p->net->level + 2 * j) * (int32_t)c->level;
        if (c->reference) p->bias[j] += rds16(p->net->from + 2 * j) * (int32_t)c->reference_level;
    }
    if (p->net) arrange_look(p);
}

static void enter(place *p, uint32_t y, uint32_t x) {
    p->position = (size_t)y * p->c->columns + x;
    p->energy = 1;
    find_taps(p->c, p->layer, p->pass, y, x, p->tap);
}
