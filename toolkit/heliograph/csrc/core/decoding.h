/* Segments to values. */

typedef struct {
    uint32_t state[MAX_LANES];
    uint32_t lanes, lane; /* how many, and the next symbol's */
    uint32_t start;       /* the state that the encoder began with, where all must end */
    const uint8_t *at, *end;
    hg_status status;
} word_reader;

static void fill_hints(context *c) {
    uint32_t t, k;
    for (t = 0; t < c->m->tables; t++) {
        const uint8_t *start = c->m->starts + 2 * (size_t)c->m->at[t];
        uint32_t from = 0;
        for (k = 0; k < c->m->count[t]; k++) { /* a token is the hint from the first 64 slots that begin in it */
            uint32_t to = k + 1u < c->m->count[t] ? (rd16(start + 2 * (k + 1)) + 63) / 64 : 256;
            if (to > from) memset(c->hint + t * 256 + from, (int)k, to - from);
            from = to;
        }
    }
}

/* Begin to read a segment of a byte at least. */
static void open_words(word_reader *r, const uint8_t *data, size_t length) {
    uint32_t i;
    r->status = HG_OK;
    r->lanes = 1;
    r->start = LOWER;
    if (data[0] > 6) {
        r->status = HG_CORRUPT;
        return;
    }
    r->lanes = 1u << data[0];
    if (length < 1 + 4 * (size_t)r->lanes) {
        r->status = HG_CUT;
        return;
    }
    for (i = 0; i < r->lanes; i++) {
        r->state[i] = rd32(data + 1 + 4 * i);
        if (r->state[i] < LOWER) r->status = HG_CORRUPT;
    }
    r->at = data + 1 + 4 * r->lanes;
    r->end = data + length;
}

/* Begin to read a payload of the short form, of a byte at least. */
static void open_short(word_reader *r, const uint8_t *data, size_t length) {
    size_t size = length <= 4 ? length : 4 - length % 2, i;
    r->lanes = 1;
    r->start = 1;
    r->state[0] = 0;
    for (i = 0; i < size; i++) r->state[0] |= (uint32_t)data[i] << 8 * i;
    r->status = data[size - 1] ? HG_OK : HG_CORRUPT; /* only the fewest bytes are legal */
    r->at = data + size;
    r->end = data + length;
}

static void refill(word_reader *r, uint32_t lane) {
    if (r->state[lane] >= LOWER) return;
    if (r->end - r->at < 2) {
        if (r->start == LOWER) r->status = HG_CUT; /* in the short form the last symbols need no more words */
        return;
    }
    r->state[lane] = r->state[lane] << 16 | rd16(r->at);
    r->at += 2;
}

static uint32_t get_bits(word_reader *r, uint32_t lane, uint32_t bits) {
    uint32_t v = r->state[lane] & ((1u << bits) - 1);
    r->state[lane] >>= bits;
    refill(r, lane);
    return v;
}

static uint32_t get_flag(const hg_model *m, word_reader *r, uint32_t lane, uint32_t table) {
    uint32_t state = r->state[lane], slot = state & (TOTAL - 1), zero = rd16(m->zeros + 2 * (size_t)table);
    uint32_t flag = slot >= zero;
    r->state[lane] = (flag ? TOTAL - zero : zero) * (state >> PRECISION) + slot - (flag ? zero : 0);
    refill(r, lane);
    return flag;
}

static int32_t get_residual(const context *c, word_reader *r, uint32_t lane, uint32_t t) {
    const hg_model *m = c->m;
    uint32_t state = r->state[lane], slot = state & (TOTAL - 1), token = c->hint[t * 256 + (slot >> 6)];
    uint32_t count = m->count[t], start, next;
    const uint8_t *p = m->starts + 2 * (size_t)(m->at[t] + token);
    start = rd16(p);
    for (;;) {
        next = token + 1 < count ? rd16(p + 2) : TOTAL;
        if (slot < next) break;
        start = next;
        token++;
        p += 2;
    }
    r->state[lane] = (next - start) * (state >> PRECISION) + slot - start;
    refill(r, lane);
    if (token + 1 == count) {
        uint32_t bits = r->status == HG_OK ? get_bits(r, lane, 4) : 0;
        if (r->status != HG_OK) return 0;
        if (bits > MOST_ESCAPE) {
            r->status = HG_CORRUPT;
            return 0;
        }
        token += (1u << bits) - 1 + get_bits(r, lane, bits);
    }
    return token & 1 ? (int32_t)(token + 1) / 2 : -(int32_t)(token / 2);
}

enum { FLAT = 0, CODED = 1, LOST = 2 }; /* what is known of a group: its residuals are zero, follow, or are missing */

/* First part of a pass: what the second stage sees, and the state of each group. */
static void get_flags(place *p, word_reader *r, int is_empty, uint64_t *done) {
    const context *c = p->c;
    uint8_t *state = c->state, *seen = c->look;
    uint32_t y, x, stride, lane = 0;
    size_t i;
    int sees = p->net && (!is_empty || c->reference);
    for (y = 0; y < c->rows; y++)
        for (x = first_column(p->layer, p->pass, y, &stride); x < c->columns;
             x += stride, state += p->groups, seen += c->set->second) {
            if (r->status != HG_OK) {
                memset(state, LOST, p->groups);
                continue;
            }
            if (sees) look(p, y, x, seen);
            if (is_empty) {
                memset(state, FLAT, p->groups);
                continue;
            }
            enter(p, y, x);
            if (p->net) {
                p->seen.count = 0;
                append(&p->seen, seen, c->set->second, 0);
            }
            choose_flags(p, state);
            for (i = 0; i < p->groups; i++) {
                uint32_t flag = get_flag(c->m, r, lane, state[i]);
                if (r->status != HG_OK) break; /* the words ended within this flag: it is lost */
                lane = (lane + 1) & (r->lanes - 1);
                state[i] = flag ? CODED : FLAT;
                ++*done;
            }
            if (i < p->groups) memset(state + i, LOST, p->groups - i);
        }
    r->lane = lane;
}

/* Second part: residuals of the groups that have some, and the values of all. What is missing is as in the reference,
 * without one as it is guessed. */
static void get_residuals(place *p, word_reader *r, int tolerant, int16_t *values, uint64_t *done) {
    const context *c = p->c;
    const hg_model *m = c->m;
    const uint8_t *state = c->state, *seen = c->look;
    uint8_t table[HG_MAX_GROUP];
    int16_t residual[HG_MAX_GROUP], there[HG_MAX_PREDICTED];
    uint32_t y, x, stride, lane = r->lane;
    size_t number, at, k;
    for (y = 0; y < c->rows; y++)
        for (x = first_column(p->layer, p->pass, y, &stride); x < c->columns;
             x += stride, state += p->groups, seen += c->set->second) {
            if (!c->reference && p->layer && !memchr(state, CODED, p->groups)) continue;
            enter(p, y, x);
            grow_steps(p, 0);
            guess_near(p, c->guess, there);
            p->seen.count = 0;
            if (p->net) append(&p->seen, seen, c->set->second, 0);
            for (number = 0, at = 0; number < p->groups; number++, at += m->group) {
                size_t count = p->channels - at < m->group ? p->channels - at : m->group, read = count;
                int is_lost = state[number] == LOST || (state[number] == CODED && r->status != HG_OK);
                if (is_lost) read = 0;
                if (c->reference && !is_lost) guess_from_reference(p, at, count, there, c->guess);
                if (state[number] == CODED && !is_lost) {
                    choose_residuals(p, number, at, count, table);
                    for (k = 0; k < count; k++) {
                        residual[k] = (int16_t)get_residual(c, r, lane, table[k]);
                        if (r->status != HG_OK) break; /* the words ended within this symbol: it is lost */
                        lane = (lane + 1) & (r->lanes - 1);
                        ++*done;
                    }
                    if (k < count) {
                        if (!tolerant || r->status != HG_CUT) return;
                        memset(residual + k, 0, (count - k) * sizeof *residual);
                        read = k;
                    }
                    keep(p, number, at, count, residual, values);
                } else {
                    keep(p, number, at, count, NULL, values);
                }
                if (c->reference && read < count) {
                    size_t here = p->position * m->channels + p->start + at;
                    memcpy(values + here + read, c->reference + here + read, (count - read) * sizeof *values);
                }
            }
            if (p->layer == 0) keep_growth(p);
        }
}

/* Decode a pass. `is_empty`: all of it is zero. */
static void get_pass(place *p, context *c, uint32_t layer, uint32_t pass, word_reader *r, int is_empty, int tolerant,
                     int16_t *values, uint64_t *done) {
    int is_lost = r->status != HG_OK;
    if (layer && !c->reference && (is_empty || is_lost)) return; /* values are zero, as they were */
    enter_pass(p, c, layer, pass);
    if (p->net && !is_lost && (!is_empty || c->reference)) mix(c, p->net);
    get_flags(p, r, is_empty, done);
    if (r->status == HG_OK || tolerant) get_residuals(p, r, tolerant, values, done);
}

hg_status hg_decode(const hg_model *m, const uint8_t *const *segment, const size_t *length, uint32_t segments,
                    int cut, uint32_t rows, uint32_t columns, uint32_t level, hg_form form,
                    const hg_reference *reference, void *workspace, size_t workspace_size, int16_t *values,
                    uint64_t done[HG_MAX_LAYERS]) {
    context c;
    place p;
    word_reader r;
    uint32_t layer, pass, i, all = form == HG_LAYERED ? m->layers : 1u;
    hg_status status = begin(&c, m, rows, columns, level, reference, HG_DECODE, workspace, workspace_size);
    if (status != HG_OK) return status;
    if (segments > all) return HG_BAD_ARGUMENT;
    if (form == HG_SHORT && (segments != 1 || cut || rows * columns > HG_MAX_SHORT_POSITIONS)) return HG_BAD_ARGUMENT;
    fill_hints(&c);
    memset(&r, 0, sizeof r);
    for (layer = 0; layer < m->layers; layer++) done[layer] = 0;
    for (i = 0; i < all; i++) {
        int is_missing = i >= segments, is_empty = !is_missing && length[i] == 0;
        int tolerant = is_missing || (cut && i + 1 == segments);
        uint32_t stop = form == HG_LAYERED ? i + 1 : m->layers;
        r.status = is_missing ? HG_CUT : HG_OK;
        if (!is_missing && !is_empty) (form == HG_SHORT ? open_short : open_words)(&r, segment[i], length[i]);
        if (r.status == HG_CORRUPT) return HG_CORRUPT;
        for (layer = form == HG_LAYERED ? i : 0; layer < stop; layer++)
            for (pass = 0; pass < passes_of(layer); pass++) {
                get_pass(&p, &c, layer, pass, &r, is_empty, tolerant, values, &done[layer]);
                if (r.status != HG_OK && !(tolerant && r.status == HG_CUT)) return r.status;
            }
        if (is_empty || r.status == HG_CUT) continue;
        if (r.at != r.end) return HG_CORRUPT;
        for (pass = 0; pass < r.lanes; pass++)
            if (r.state[pass] != r.start) return HG_CORRUPT;
    }
    return HG_OK;
}
