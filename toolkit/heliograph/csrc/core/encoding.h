/* Flags and residuals to the bytes of segments: rANS, last symbol first. FORMAT.md, section 7. */

typedef struct {
    uint32_t state[MAX_LANES];
    uint8_t *low, *top; /* words grow down from the end of the buffer to `low`, now at `top` */
} writer;

static void put_word(writer *w, uint32_t lane) {
    if (w->top - w->low >= 2) {
        w->top -= 2;
        w->top[0] = (uint8_t)w->state[lane];
        w->top[1] = (uint8_t)(w->state[lane] >> 8);
    } else {
        w->low = w->top + 1; /* marks the overflow */
    }
    w->state[lane] >>= 16;
}

static void put_bits(writer *w, uint32_t lane, uint32_t value, uint32_t bits) {
    if (bits == 0) return;
    if (w->state[lane] >= 1u << (32 - bits)) put_word(w, lane);
    w->state[lane] = w->state[lane] << bits | value;
}

/* Put a token of `f` slots from `start` on. */
static void put_token(writer *w, uint32_t lane, uint32_t f, uint32_t start) {
    uint32_t q;
    if (w->state[lane] >= f << (32 - PRECISION)) put_word(w, lane);
    q = w->state[lane] / f;
    w->state[lane] = (q << PRECISION) + (w->state[lane] - q * f) + start;
}

static void put_residual(const hg_model *m, writer *w, uint32_t lane, uint32_t t, uint32_t z) {
    uint32_t end = m->count[t] - 1u, token = z < end ? z : end, start, f;
    if (z >= end) {
        uint32_t rest = z - end + 1, bits = bit_length(rest) - 1;
        put_bits(w, lane, rest & ((1u << bits) - 1), bits);
        put_bits(w, lane, bits, 4);
    }
    f = frequency(m, t, token, &start);
    put_token(w, lane, f, start);
}

/* Write what a pass codes, last first. */
static void put_pass(const context *c, uint32_t number, uint32_t lanes, writer *w) {
    const hg_model *m = c->m;
    size_t flags = c->flags[number + 1] - c->flags[number], i;
    const uint8_t *flag = c->flag + c->flags[number], *table = c->table + c->residuals[number];
    const int16_t *residual = c->residual + c->residuals[number];
    for (i = c->residuals[number + 1] - c->residuals[number]; i-- > 0;)
        put_residual(m, w, (uint32_t)((flags + i) & (lanes - 1)), table[i], zigzag(residual[i]));
    for (i = flags; i-- > 0;) {
        uint32_t start, f = flag_frequency(m, flag[i] & 127u, flag[i] >> 7, &start);
        put_token(w, (uint32_t)(i & (lanes - 1)), f, start);
    }
}

/* Write the payload of the short form, all passes to `last` - 1: the state in as few bytes as it needs, then the words. */
static hg_status put_short(const context *c, uint32_t last, uint8_t *out, size_t capacity, size_t *length) {
    size_t body, size = 1, i;
    writer w;
    w.low = out;
    w.top = out + capacity;
    w.state[0] = 1;
    for (i = last; i-- > 0;) put_pass(c, (uint32_t)i, 1, &w);
    if (w.low > w.top) return HG_NO_SPACE;
    body = (size_t)(out + capacity - w.top);
    while (size < 4 && w.state[0] >> 8 * size) size++;
    if (body + size > capacity) return HG_NO_SPACE;
    memmove(out + size, w.top, body);
    for (i = 0; i < size; i++) out[i] = (uint8_t)(w.state[0] >> 8 * i);
    *length = body + size;
    return HG_OK;
}

/* Write a segment of the passes first to last - 1, of so many bits. */
static hg_status put_segment(const context *c, uint32_t first, uint32_t last, uint64_t bits, uint8_t *out,
                             size_t capacity, size_t *length) {
    uint32_t lanes = 1, log_lanes = 0, i;
    size_t body;
    writer w;
    *length = 0;
    if (c->residuals[first] == c->residuals[last]) return HG_OK;
    while (lanes < MAX_LANES && 2048u * lanes <= bits >> 13) {
        lanes *= 2;
        log_lanes++;
    }
    if (capacity < 1 + 4 * (size_t)lanes) return HG_NO_SPACE;
    w.low = out + 1 + 4 * lanes;
    w.top = out + capacity;
    for (i = 0; i < lanes; i++) w.state[i] = LOWER;
    for (i = last; i-- > first;) put_pass(c, i, lanes, &w);
    if (w.low > w.top) return HG_NO_SPACE;
    body = (size_t)(out + capacity - w.top);
    memmove(out + 1 + 4 * lanes, w.top, body);
    out[0] = (uint8_t)log_lanes;
    for (i = 0; i < lanes; i++) wr32(out + 1 + 4 * i, w.state[i]);
    *length = 1 + 4 * (size_t)lanes + body;
    return HG_OK;
}

hg_status hg_encode(const hg_model *m, const hg_latents *latents, uint32_t rows, uint32_t columns, uint32_t level,
                    uint32_t rounding, uint32_t strength, uint32_t merge_below, uint32_t short_below,
                    const hg_reference *reference, void *workspace, size_t workspace_size, int16_t *values,
                    uint8_t *out, size_t capacity, hg_coded *coded) {
    context c;
    choice how;
    uint64_t total = 0;
    uint32_t layer, first = 0, last = 0, ch;
    hg_status status;
    if (rounding > 128 || strength > HG_MAX_STRENGTH || short_below > HG_MAX_SHORT / 2) return HG_BAD_ARGUMENT;
    status = begin(&c, m, rows, columns, level, reference, HG_ENCODE, workspace, workspace_size);
    if (status != HG_OK) return status;
    how.latents = latents;
    how.width = m->channels + (!latents->exact && latents->copies ? latents->copies[m->channels] : 0u);
    how.rounding = rounding;
    how.strength = strength;
    how.narrow = strength ? UINT32_MAX / (1024 * strength) : 0;
    for (ch = 0; ch < m->channels; ch++) c.least[ch] = least_of(c.step[ch], rounding);
    code_all(&c, &how, values, coded->bits);
    for (layer = 0; layer < m->layers; layer++) total += coded->bits[layer];
    coded->is_short = total >> 13 < short_below && rows * columns <= HG_MAX_SHORT_POSITIONS;
    coded->segments = coded->is_short || total >> 13 < merge_below ? 1 : m->layers;
    memset(coded->length, 0, sizeof coded->length);
    if (coded->is_short && out) {
        for (layer = 0; layer < m->layers; layer++) last += passes_of(layer);
        return c.residuals[last] ? put_short(&c, last, out, capacity, coded->length) : HG_OK;
    }
    for (layer = 0; layer < m->layers && out; layer++) {
        size_t *length = &coded->length[coded->segments == 1 ? 0 : layer];
        last += passes_of(layer);
        if (coded->segments == 1 && layer + 1 < m->layers) continue;
        status = put_segment(&c, first, last, coded->segments == 1 ? total : coded->bits[layer], out, capacity, length);
        if (status != HG_OK) return status;
        first = last;
        out += *length;
        capacity -= *length;
    }
    return HG_OK;
}
