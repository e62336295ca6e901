/* Latents to flags and residuals: rate-distortion optimised quantisation, and the bits that tables take. */

static uint32_t zigzag(int32_t r) { return r > 0 ? 2 * (uint32_t)r - 1 : 2 * (uint32_t)-r; }

/* 1024 * (14 - log2 f), by squaring a 31-bit mantissa. */
static uint16_t cost_of(uint32_t f) {
    uint32_t whole = 0, fraction = 0, i, v;
    while (f >> (whole + 1)) whole++;
    v = f << (31 - whole);
    for (i = 0; i < 11; i++) {
        const uint64_t square = (uint64_t)v * v;
        const uint32_t upper = (uint32_t)(square >> 32), two = upper >> 31; /* whether it is 2 or more */
        fraction = fraction << 1 | two;
        v = two ? upper : (uint32_t)(square >> 31);
    }
    return (uint16_t)((PRECISION - whole) * 1024 - ((fraction + 1) >> 1));
}

static uint32_t frequency(const hg_model *m, uint32_t table, uint32_t token, uint32_t *start) {
    const uint8_t *p = m->starts + 2 * (size_t)(m->at[table] + token);
    uint32_t end = token + 1u < m->count[table] ? rd16(p + 2) : TOTAL;
    *start = rd16(p);
    return end - *start;
}

static uint32_t bit_length(uint32_t v) {
    uint32_t n = 0;
    while (v >> n) n++;
    return n;
}

/* Slots of a flag, and the first of them. */
static uint32_t flag_frequency(const hg_model *m, uint32_t table, uint32_t flag, uint32_t *start) {
    uint32_t zero = rd16(m->zeros + 2 * (size_t)table);
    *start = flag ? zero : 0;
    return flag ? TOTAL - zero : zero;
}

static uint32_t flag_cost(const context *c, uint32_t table, uint32_t flag) {
    uint16_t *known = &c->flag_cost[2 * table + flag];
    uint32_t start;
    if (*known == 0) *known = (uint16_t)(1 + cost_of(flag_frequency(c->m, table, flag, &start)));
    return *known - 1u;
}

static uint32_t token_cost(const context *c, uint32_t table, uint32_t token) {
    uint16_t *known = &c->cost[c->m->at[table] + token];
    uint32_t start;
    if (*known == 0) *known = (uint16_t)(1 + cost_of(frequency(c->m, table, token, &start)));
    return *known - 1u;
}

/* Bits of a residual under a table, in 1/1024. */
static uint32_t cost_in(const context *c, uint32_t table, int32_t residual) {
    uint32_t end = c->m->count[table] - 1u, z = zigzag(residual);
    return z < end ? token_cost(c, table, z) : token_cost(c, table, end) + 1024u * (3u + bit_length(z - end + 1));
}

/* How a slice is quantised. */
typedef struct {
    const hg_latents *latents;
    uint32_t width; /* channels of a position of the latents, copies included */
    uint32_t rounding, strength, narrow; /* narrow: up to where a number times 1024 * strength fits 32 bits */
} choice;

/* Fetch the latents of a group at a position to `target`, `order` says which. */
static void fetch(const choice *how, size_t position, uint32_t channels, const uint8_t *order, size_t count,
                  int16_t *target) {
    const uint16_t *copies = how->latents->copies;
    const size_t at = position * how->width;
    const int8_t *unit;
    size_t k;
    if (how->latents->exact) {
        for (k = 0; k < count; k++) target[k] = how->latents->exact[at + rd16(order + 2 * k)];
        return;
    }
    unit = how->latents->units + at;
    for (k = 0; k < count; k++) {
        const uint32_t channel = rd16(order + 2 * k);
        int32_t sum = unit[channel], number = 1;
        uint32_t i;
        for (i = copies ? copies[channel] : 0; copies && i < copies[channel + 1]; i++, number++) sum += unit[channels + i];
        target[k] = (int16_t)(number == 1 ? 16 * sum : number == 2 ? 8 * sum : 4 * sum);
    }
}

/* Whether any of some latents is `least` or more away from its guess. */
static int is_apart(const int16_t *target, const int16_t *guess, const int16_t *least, size_t count) {
    int some = 0;
    size_t k = 0;
#if defined(__SSE2__)
    for (; k + 8 <= count; k += 8) {
        const __m128i d = _mm_sub_epi16(_mm_loadu_si128((const __m128i *)(const void *)(target + k)),
                                        _mm_loadu_si128((const __m128i *)(const void *)(guess + k)));
        const __m128i size = _mm_max_epi16(d, _mm_sub_epi16(_mm_setzero_si128(), d));
        const __m128i under = _mm_cmplt_epi16(size, _mm_loadu_si128((const __m128i *)(const void *)(least + k)));
        some |= _mm_movemask_epi8(under) != 0xFFFF;
    }
#endif
    for (; k < count; k++) {
        const int32_t d = target[k] - guess[k];
        some |= (d >= least[k]) | (d <= -least[k]);
    }
    return some;
}

/* 1024 * strength * v / step, which is below 65536: in 16-bit digits, as small machines take long to divide 64 bits. */
static uint64_t worth_of(const choice *how, uint32_t v, uint32_t step) {
    const uint64_t all = 1024ull * how->strength * v;
    uint64_t worth = 0;
    uint32_t rest = 0, digit;
    int shift;
    if (v <= how->narrow) return (uint32_t)all / step;
    for (shift = 32; shift >= 0; shift -= 16) {
        digit = rest << 16 | ((uint32_t)(all >> shift) & 0xFFFFu);
        worth = worth << 16 | digit / step;
        rest = digit % step;
    }
    return worth;
}

/* Quantise a group; 0 where all of it becomes zero. With `strength`, rate-distortion optimised: a residual moves by one
 * towards zero, and then the whole group to zero, where the bits that saves outweigh the error it adds: an error of one
 * step, squared, is worth `strength` bits. `bits` gets those of the group. */
static int quantise(place *p, const choice *how, size_t number, size_t at, size_t count, uint32_t flag_table,
                    uint8_t *table, int16_t *residual, uint64_t *bits) {
    const context *c = p->c;
    const int16_t *guess = c->guess + at, *target = c->target + at, *least = p->least + at;
    const uint16_t *steps = p->step + at;
    const uint32_t flat = flag_cost(c, flag_table, 0), coded = flag_cost(c, flag_table, 1);
    uint32_t spent = 0;
    uint64_t added = 0;
    int any = 0;
    size_t k;
    *bits += flat;
    fetch(how, p->position, c->m->channels, c->m->order + 2 * (p->start + at), count, c->target + at);
    if (!is_apart(target, guess, least, count)) return 0;
    choose_residuals(p, number, at, count, table);
    for (k = 0; k < count; k++) {
        int32_t d = target[k] - guess[k], r = 0;
        if (d >= least[k] || d <= -least[k]) {
            uint32_t step = steps[k], size = (uint32_t)(d < 0 ? -d : d), cost;
            int32_t sign = d < 0 ? -1 : 1;
            r = (int32_t)((size * 256 + step * how->rounding) / (step * 256));
            cost = cost_in(c, table[k], sign * r);
            if (how->strength) {
                int32_t more = (int32_t)(step + 2 * (size - (uint32_t)r * step));
                uint32_t less = cost_in(c, table[k], sign * (r - 1));
                if (more <= (int32_t)step && (int64_t)more * (int32_t)(1024 * how->strength) <
                                                 (int64_t)(int32_t)step * (int32_t)(cost - less)) {
                    r--;
                    cost = less;
                }
                added += worth_of(how, (uint32_t)r * (2 * size - (uint32_t)r * step), step);
            }
            if (d < 0) r = -r;
            any |= r;
            spent += cost;
        } else {
            spent += token_cost(c, table[k], 0);
        }
        residual[k] = (int16_t)r;
    }
    if (!any || (how->strength && added + flat < (uint64_t)spent + coded)) return 0;
    *bits += spent + coded;
    *bits -= flat;
    return 1;
}

/* Code a position: its flags and residuals go to the lists, its values to `values`. Returns the bits. */
static uint64_t code(place *p, const choice *how, uint32_t y, uint32_t x, int16_t *values, size_t *flags,
                     size_t *residuals) {
    const context *c = p->c;
    const hg_model *m = c->m;
    uint8_t seen[HG_MAX_SECOND];
    int16_t there[HG_MAX_PREDICTED];
    uint64_t bits = 0;
    size_t number, at;
    enter(p, y, x);
    if (p->net) {
        look(p, y, x, seen);
        p->seen.count = 0;
        append(&p->seen, seen, c->set->second, 0);
    }
    choose_flags(p, c->flag + *flags);
    grow_steps(p, how->rounding);
    guess_near(p, c->guess, there);
    for (number = 0, at = 0; number < p->groups; number++, at += m->group) {
        size_t count = p->channels - at < m->group ? p->channels - at : m->group;
        int16_t *residual = c->residual + *residuals;
        if (c->reference) guess_from_reference(p, at, count, there, c->guess);
        if (quantise(p, how, number, at, count, c->flag[*flags], c->table + *residuals, residual, &bits)) {
            c->flag[*flags] |= 0x80;
            *residuals += count;
        } else {
            residual = NULL;
        }
        ++*flags;
        keep(p, number, at, count, residual, values);
    }
    if (p->layer == 0) keep_growth(p);
    return bits;
}

/* Walk over all passes; the lists, and the bits of each layer. */
static void code_all(context *c, const choice *how, int16_t *values, uint64_t bits[HG_MAX_LAYERS]) {
    size_t flags = 0, residuals = 0;
    uint32_t layer, pass, number = 0, y, x, stride;
    place p;
    for (layer = 0; layer < c->m->layers; layer++) {
        bits[layer] = 0;
        for (pass = 0; pass < passes_of(layer); pass++) {
            enter_pass(&p, c, layer, pass);
            if (p.net) mix(c, p.net);
            for (y = 0; y < c->rows; y++)
                for (x = first_column(layer, pass, y, &stride); x < c->columns; x += stride)
                    bits[layer] += code(&p, how, y, x, values, &flags, &residuals);
            number++;
            c->flags[number] = flags;
            c->residuals[number] = residuals;
        }
    }
}
