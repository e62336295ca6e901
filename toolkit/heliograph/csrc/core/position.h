/* A position: its steps, tables and guesses, and what later ones see of it. */

enum { MOST_SEEN = 63, MOST_GROWTH = 24, MASKING_SHIFT = 8 };

/* Find the steps of a position, and with a rounding the least differences that they do not quantise to zero. */
static void grow_steps(place *p, uint32_t rounding) {
    static const uint16_t factor[16] = {1024, 1069, 1117, 1166, 1218, 1272, 1328, 1387,
                                        1448, 1512, 1579, 1649, 1722, 1798, 1878, 1961};
    const context *c = p->c;
    const uint16_t *step = c->step + p->start;
    const int32_t growth = p->layer ? c->growth[p->position] : 0;
    uint32_t by, shift;
    size_t k;
    p->step = step;
    p->least = c->least ? c->least + p->start : NULL;
    if (growth == 0) return;
    by = factor[growth & 15];
    shift = (uint32_t)(10 - shift_down(growth, 4));
    for (k = 0; k < p->channels; k++) {
        const uint32_t grown = (step[k] * by + (1u << (shift - 1))) >> shift;
        c->grown[k] = (uint16_t)(grown > 65535 ? 65535 : grown < LEAST_STEP ? LEAST_STEP : grown);
    }
    p->step = c->grown;
    if (!c->least) return;
    for (k = 0; k < p->channels; k++) c->grown_least[k] = least_of(c->grown[k], rounding);
    p->least = c->grown_least;
}

/* Keep how steps grow at a position whose layer 0 is known. */
static void keep_growth(const place *p) {
    const context *c = p->c;
    uint32_t octave = 0;
    int32_t apart;
    while (p->energy >> (octave + 1)) octave++;
    apart = (int32_t)(16 * octave + (16 * p->energy >> octave)) - 16 - c->ordinary;
    apart = shift_down(apart * c->masking + (1 << (MASKING_SHIFT - 1)), MASKING_SHIFT);
    c->growth[p->position] = (int8_t)clamp(apart, -MOST_GROWTH, MOST_GROWTH);
}

static const uint16_t nothing[HG_MAX_GROUP];

/* sum[k] += weight[k] times the taps' numbers together, `v` has rows of `stride`; of 4 taps they fit 16 bits. */
#define ADD_TAPS(type, sum, count, weight, v, stride)                                                            \
    do {                                                                                                         \
        const type *near_[4];                                                                                    \
        size_t t_;                                                                                               \
        for (t_ = 0; t_ < 4; t_++)                                                                               \
            near_[t_] = p->tap[t_] < 0 ? (const type *)(const void *)nothing : (v) + (size_t)p->tap[t_] * (stride); \
        for (t_ = 0; t_ < (count); t_++)                                                                         \
            (sum)[t_] += (near_[0][t_] + near_[1][t_] + near_[2][t_] + near_[3][t_]) * rds16((weight) + 2 * t_);   \
    } while (0)

#if defined(__SSE2__)
/* The same for taps of bytes, 8 at once. */
static void add_bytes(const place *p, int32_t *sum, size_t count, const uint8_t *weight, const uint8_t *v, size_t stride) {
    const __m128i zero = _mm_setzero_si128();
    size_t k, t;
    for (k = 0; k + 8 <= count; k += 8) {
        const __m128i w = _mm_loadu_si128((const __m128i *)(const void *)(weight + 2 * k));
        __m128i total = zero, low, high;
        for (t = 0; t < 4; t++) {
            const uint8_t *near = v + (size_t)(p->tap[t] < 0 ? 0 : p->tap[t]) * stride + k;
            const __m128i eight = _mm_loadl_epi64((const __m128i *)(const void *)near);
            if (p->tap[t] >= 0) total = _mm_add_epi16(total, _mm_unpacklo_epi8(eight, zero));
        }
        low = _mm_madd_epi16(_mm_unpacklo_epi16(total, zero), _mm_unpacklo_epi16(w, zero));
        high = _mm_madd_epi16(_mm_unpackhi_epi16(total, zero), _mm_unpackhi_epi16(w, zero));
        low = _mm_add_epi32(low, _mm_loadu_si128((const __m128i *)(const void *)(sum + k)));
        high = _mm_add_epi32(high, _mm_loadu_si128((const __m128i *)(const void *)(sum + k + 4)));
        _mm_storeu_si128((__m128i *)(void *)(sum + k), low);
        _mm_storeu_si128((__m128i *)(void *)(sum + k + 4), high);
    }
    if (k < count) ADD_TAPS(uint8_t, sum + k, count - k, weight + 2 * k, v + k, stride);
}
#else
static void add_bytes(const place *p, int32_t *sum, size_t count, const uint8_t *weight, const uint8_t *v, size_t stride) {
    ADD_TAPS(uint8_t, sum, count, weight, v, stride);
}
#endif

/* Whether a group of all taps is zero, by its sums, which have rows of `groups`. */
static int taps_are_flat(const place *p, const uint16_t *sum) {
    const size_t groups = p->c->m->groups;
    uint32_t any = 0;
    int t;
    for (t = 0; t < 4; t++)
        if (p->tap[t] >= 0) any |= sum[(size_t)p->tap[t] * groups];
    return any == 0;
}

/* From the sums of the third stage to tables: `offset` of the columns, `tables` of them. */
static void to_tables(const place *p, const int32_t *value, size_t count, const int16_t *offset, uint32_t tables,
                      uint8_t *table) {
    uint32_t shift = p->net ? p->net->shift[2] : COARSE_SHIFT;
    int32_t top = 16 * (int32_t)tables - 1, half = 1 << (shift - 1);
    size_t k = 0;
#if defined(__SSE2__)
    const __m128i by = _mm_cvtsi32_si128((int)shift), halves = _mm_set1_epi32(half), eights = _mm_set1_epi32(8);
    for (; k + 8 <= count; k += 8) {
        const __m128i o = _mm_loadu_si128((const __m128i *)(const void *)(offset + k));
        __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(value + k));
        __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(value + k + 4)), v;
        low = _mm_add_epi32(_mm_sra_epi32(_mm_add_epi32(low, halves), by), eights);
        high = _mm_add_epi32(_mm_sra_epi32(_mm_add_epi32(high, halves), by), eights);
        low = _mm_add_epi32(low, _mm_srai_epi32(_mm_unpacklo_epi16(o, o), 16));
        high = _mm_add_epi32(high, _mm_srai_epi32(_mm_unpackhi_epi16(o, o), 16));
        v = _mm_max_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128());
        v = _mm_srli_epi16(_mm_min_epi16(v, _mm_set1_epi16((int16_t)top)), 4);
        _mm_storel_epi64((__m128i *)(void *)(table + k), _mm_packus_epi16(v, v));
    }
#endif
    for (; k < count; k++) {
        int32_t v = shift_down(value[k] + half, shift) + offset[k] + 8;
        table[k] = (uint8_t)(clamp(v, 0, top) >> 4);
    }
}

/* Tables of the flags of a position. */
static void choose_flags(place *p, uint8_t *table) {
    const context *c = p->c;
    const hg_model *m = c->m;
    const hg_net *net = p->net;
    const uint8_t *own = net ? net->own : p->coarse;
    size_t k, done, count, at = 2 * p->channels;
    for (done = 0; done < p->groups; done += count) {
        int32_t value[HG_MAX_GROUP + 7]; /* 7 more, which nobody looks at: see add_rows */
        size_t group = p->first + done, here = p->position * m->groups + group, off = at + 2 * done;
        count = p->groups - done < HG_MAX_GROUP ? p->groups - done : HG_MAX_GROUP;
        for (k = 0; k < count; k++) value[k] = 0;
        if (net)
            add_rows(value, count, net->choose + p->channels + done, p->channels + p->groups, &p->seen);
        if (own) ADD_TAPS(uint16_t, value, count, own + off, c->sum + group, m->groups);
        if (c->reference) {
            if (net->own2) ADD_TAPS(uint16_t, value, count, net->own2 + off, c->change_sum + group, m->groups);
            for (k = 0; k < count; k++) value[k] += c->there_sum[here + k] * rds16(net->there + off + 2 * k);
        }
        to_tables(p, value, count, c->offset + m->channels + group, m->flag_tables, table + done);
    }
}

/* Tables of the residuals of group `number`: `count` channels from `at` of the layer. */
static void choose_residuals(place *p, size_t number, size_t at, size_t count, uint8_t *table) {
    const context *c = p->c;
    const hg_model *m = c->m;
    const hg_net *net = p->net;
    const uint8_t *own = net ? net->own : p->coarse;
    int32_t value[HG_MAX_GROUP + 7];
    size_t ch = p->start + at, here = p->position * m->channels + ch, group = p->first + number, k;
    for (k = 0; k < count; k++) value[k] = 0;
    if (net) add_rows(value, count, net->choose + at, p->channels + p->groups, &p->seen);
    if (own && !taps_are_flat(p, c->sum + group)) add_bytes(p, value, count, own + 2 * at, c->magnitude + ch, m->channels);
    if (c->reference) {
        if (net->own2 && !taps_are_flat(p, c->change_sum + group))
            add_bytes(p, value, count, net->own2 + 2 * at, c->change + ch, m->channels);
        for (k = 0; k < count; k++) value[k] += c->there[here + k] * rds16(net->there + 2 * (at + k));
    }
    to_tables(p, value, count, c->offset + ch, m->tables, table);
}

/* Start the guesses of a position: what neighbours foretell of the channels below P of layer 0, 0 for all others. With a
 * reference `there` gets the same of it. */
static void guess_near(const place *p, int16_t *guess, int16_t *there) {
    const context *c = p->c;
    const hg_model *m = c->m;
    if (c->reference) memset(guess, 0, p->channels * sizeof *guess); /* else they are, from enter_pass on */
    if (p->layer) return;
    predict(m, p->pass, p->tap, c->known, m->predicted, guess);
    if (c->reference) predict(m, p->pass, p->tap, c->reference, m->channels, there);
}

/* Move the guesses of a group towards the reference, as far as the gate is open. `there` is of channels below P. */
static void guess_from_reference(place *p, size_t at, size_t count, const int16_t *there, int16_t *guess) {
    const context *c = p->c;
    const hg_net *net = p->net;
    const int16_t *value = c->reference + p->position * c->m->channels + p->start + at;
    size_t k, predicted = p->layer ? 0 : c->m->predicted;
    int32_t open[HG_MAX_GROUP], apart[HG_MAX_GROUP], any = 0;
    for (k = 0; k < count; k++) {
        apart[k] = value[k] - (at + k < predicted ? there[at + k] : 0);
        any |= apart[k];
    }
    if (!any) return;
    for (k = 0; k < count; k++) open[k] = rds32(net->gate_bias + 4 * (at + k)) + (1 << (net->shift[3] - 1));
    add_rows(open, count, net->gate + at, p->channels, &p->seen);
    for (k = 0; k < count; k++) {
        int32_t o = open[k] < 0 ? 0 : open[k] >> net->shift[3];
        o = o > 64 ? 64 : o;
        guess[at + k] = (int16_t)clamp(guess[at + k] + shift_down(apart[k] * o + 32, 6), LOWEST, HIGHEST);
    }
}

/* Keep the values of a group and what later passes see of it. `residual` NULL: all are zero. */
static void keep(place *p, size_t number, size_t at, size_t count, const int16_t *residual, int16_t *values) {
    const context *c = p->c;
    const hg_model *m = c->m;
    size_t ch = p->start + at, here = p->position * m->channels + ch, k;
    size_t predicted = p->layer || at >= m->predicted ? 0 : m->predicted - at;
    const int16_t *guess = c->guess + at;
    const uint16_t *step = p->step + at;
    uint32_t total = 0, changed = 0;
    int16_t value[HG_MAX_GROUP];
    if (!residual && !predicted && !c->reference) return; /* all zero, as it was */
    if (residual) {
        for (k = 0; k < count; k++) {
            int32_t r = residual[k];
            uint8_t magnitude = magnitude_of(m, (uint32_t)(r < 0 ? -r : r));
            c->magnitude[here + k] = magnitude;
            total += magnitude;
        }
        c->sum[p->position * m->groups + p->first + number] = (uint16_t)total;
        if (!values && p->layer && !c->reference) return; /* nobody asks for the values */
        for (k = 0; k < count; k++)
            value[k] = (int16_t)clamp(guess[k] + residual[k] * (int32_t)step[k], LOWEST, HIGHEST);
    } else {
        memcpy(value, guess, count * sizeof *value);
    }
    for (k = 0; k < count && k < predicted; k++) c->known[p->position * m->predicted + at + k] = value[k];
    for (k = at < m->unmasked ? m->unmasked - at : 0; k < count && !p->layer; k++) {
        uint32_t steps = in_steps((uint32_t)(value[k] < 0 ? -value[k] : value[k]), step[k]);
        if (steps > MOST_SEEN) steps = MOST_SEEN;
        p->energy += steps * steps;
    }
    if (c->reference) {
        for (k = 0; k < count; k++) {
            int32_t apart = value[k] - c->reference[here + k];
            if (apart == 0) continue;
            c->change[here + k] = magnitude_of(m, in_steps((uint32_t)(apart < 0 ? -apart : apart), step[k]));
            changed += c->change[here + k];
        }
        c->change_sum[p->position * m->groups + p->first + number] = (uint16_t)changed;
    }
    if (values) memcpy(values + here, value, count * sizeof *value);
}
