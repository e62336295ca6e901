/* Heliograph's integer core; heliograph.h says what, FORMAT.md specifies the bytes. */
#include "heliograph.h"

#include <string.h>

#define PRECISION 14u
#define TOTAL (1u << PRECISION)
#define LOWER (1u << 16)
#define MAX_LANES 64u
#define NOT_SENT (-32768)
#define LOG_SIZE 64u
#define COARSE_OWN_SHIFT 8u
#define PREDICT_SHIFT 12u
#define MAX_PREDICTION 255
#define MAX_BIAS (1 << 26)
#define MAX_SIDE 65535u
#define MAX_PIXELS (1u << 27)

static uint32_t rd16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static uint32_t rd32(const uint8_t *p) { return rd16(p) | rd16(p + 2) << 16; }

static void wr32(uint8_t *p, uint32_t v) {
    uint32_t i;
    for (i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static int32_t rds16(const uint8_t *p) { return (int32_t)(rd16(p) ^ 0x8000u) - 0x8000; }

static int32_t rds32(const uint8_t *p) {
    uint32_t v = rd32(p);
    return v & 0x80000000u ? -(int32_t)(~v) - 1 : (int32_t)v;
}

/* Shift that rounds down for negative values too, which C leaves to the compiler. */
static int32_t shift_down(int32_t v, uint32_t shift) { return v >= 0 ? v >> shift : ~(~v >> shift); }

static int32_t clamp(int32_t v, int32_t low, int32_t high) { return v < low ? low : v > high ? high : v; }

/* ---- the entropy file ---- */

/* First channel of a layer. */
static uint16_t first_channel(const hg_model *m, uint32_t layer) { return layer ? m->layer_end[layer - 1] : 0; }

typedef struct {
    const uint8_t *data;
    size_t size, at;
} reader;

static const uint8_t *take(reader *r, size_t size) {
    const uint8_t *p;
    if (r->data == NULL || size > r->size - r->at) {
        r->data = NULL;
        return NULL;
    }
    p = r->data + r->at;
    r->at += size;
    return p;
}

static int biases_fit(const uint8_t *p, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) {
        int32_t b = rds32(p + 4 * i);
        if (b < -MAX_BIAS || b > MAX_BIAS) return 0;
    }
    return 1;
}

static int open_net(hg_model *m, hg_net *net, reader *r, uint32_t layer, int own) {
    size_t first = m->first, second = m->second, count;
    const uint8_t *shifts = take(r, 4);
    net->start = first_channel(m, layer);
    net->stop = m->layer_end[layer];
    net->known = own ? net->stop : net->start;
    count = (size_t)(net->stop - net->start);
    net->mix_bias = take(r, 4 * first);
    net->look_bias = take(r, 4 * second);
    net->level = take(r, 2 * second);
    net->own = own ? take(r, 2 * count) : NULL;
    net->mix = take(r, net->known * first);
    net->look = take(r, 9 * first * second);
    net->choose = take(r, second * count);
    if (r->data == NULL) return 0;
    net->mix_shift = shifts[0];
    net->look_shift = shifts[1];
    net->choose_shift = shifts[2];
    return shifts[0] >= 1 && shifts[0] <= 24 && shifts[1] >= 1 && shifts[1] <= 24 && shifts[2] >= 1 &&
           shifts[2] <= 24 && shifts[3] == 0 && biases_fit(net->mix_bias, first) && biases_fit(net->look_bias, second);
}

static int open_tables(hg_model *m, reader *r) {
    const uint8_t *counts = take(r, m->tables);
    uint32_t t, i;
    if (counts == NULL) return 0;
    m->entries = 0;
    for (t = 0; t < m->tables; t++) {
        m->count[t] = (uint16_t)(counts[t] + 1u);
        m->at[t] = m->entries;
        m->entries += m->count[t];
        if (m->count[t] < 2) return 0;
    }
    m->starts = take(r, 2 * (size_t)m->entries);
    if (m->starts == NULL) return 0;
    for (t = 0; t < m->tables; t++) {
        const uint8_t *start = m->starts + 2 * (size_t)m->at[t];
        if (rd16(start) != 0 || rd16(start + 2 * (m->count[t] - 1u)) >= TOTAL) return 0;
        for (i = 1; i < m->count[t]; i++)
            if (rd16(start + 2 * i) <= rd16(start + 2 * (i - 1))) return 0;
    }
    return 1;
}

hg_status hg_open(hg_model *m, const uint8_t *data, size_t size) {
    reader r;
    const uint8_t *head, *ends;
    uint32_t i, j, layer, last = 0;
    uint8_t seen[HG_MAX_CHANNELS] = {0};
    r.data = data;
    r.size = size;
    r.at = 0;
    memset(m, 0, sizeof *m);
    head = take(&r, 16);
    if (head == NULL || memcmp(head, "HGE1", 4) != 0 || head[13] || head[14] || head[15]) return HG_BAD_MODEL;
    m->channels = (uint16_t)rd16(head + 4);
    m->tile = head[6];
    m->layers = head[7];
    m->predicted = head[8];
    m->first = head[9];
    m->second = head[10];
    m->tables = head[11];
    m->anchors = head[12];
    if (m->channels < 1 || m->channels > HG_MAX_CHANNELS || m->tile < 2 || m->tile > 64 || m->tile % 2 ||
        m->layers < 1 || m->layers > HG_MAX_LAYERS || m->predicted > HG_MAX_PREDICTED || m->first < 1 ||
        m->first > HG_MAX_FIRST || m->second < 1 || m->second > HG_MAX_SECOND || m->tables < 2 ||
        m->tables > HG_MAX_TABLES || m->anchors < 2 || m->anchors > HG_MAX_ANCHORS)
        return HG_BAD_MODEL;
    ends = take(&r, 2 * (size_t)m->layers);
    m->order = take(&r, m->channels);
    m->logarithm = take(&r, LOG_SIZE);
    m->anchor = take(&r, 2 * (size_t)m->anchors);
    m->steps = take(&r, 2 * (size_t)HG_QUALITIES * m->channels);
    m->rounding = take(&r, HG_QUALITIES);
    m->offsets = take(&r, 2 * (size_t)m->anchors * m->channels);
    m->predict = take(&r, 2 * (size_t)16 * m->predicted * m->predicted);
    if (r.data == NULL) return HG_BAD_MODEL;
    for (i = 0; i < m->layers; i++) {
        m->layer_end[i] = (uint16_t)rd16(ends + 2 * i);
        if (m->layer_end[i] <= last) return HG_BAD_MODEL;
        last = m->layer_end[i];
    }
    if (last != m->channels || m->predicted > m->layer_end[0]) return HG_BAD_MODEL;
    for (i = 0; i < m->channels; i++) {
        if (m->order[i] >= m->channels || seen[m->order[i]]) return HG_BAD_MODEL;
        seen[m->order[i]] = 1;
    }
    if (m->logarithm[0] != 0) return HG_BAD_MODEL;
    for (i = 0; i < LOG_SIZE; i++)
        if (m->logarithm[i] > 127) return HG_BAD_MODEL;
    if (rd16(m->anchor) != 0 || rd16(m->anchor + 2 * (m->anchors - 1u)) != HG_LEVELS - 1) return HG_BAD_MODEL;
    for (i = 1; i < m->anchors; i++)
        if (rd16(m->anchor + 2 * i) <= rd16(m->anchor + 2 * (i - 1))) return HG_BAD_MODEL;
    for (i = 0; i < HG_QUALITIES * (uint32_t)m->channels; i++)
        if (rd16(m->steps + 2 * i) < 16) return HG_BAD_MODEL;
    for (i = 0; i < HG_QUALITIES; i++)
        if (m->rounding[i] > 128) return HG_BAD_MODEL;
    for (i = 0; i < m->anchors; i++)
        for (j = 0; j < m->layer_end[0]; j++)
            if (rds16(m->offsets + 2 * ((size_t)i * m->channels + j)) == NOT_SENT) return HG_BAD_MODEL;
    for (i = 0; i < 4u * m->predicted; i++) { /* pass i / predicted, output i % predicted */
        int32_t sum = 0;
        for (j = 0; j < 4u * m->predicted; j++) {
            size_t row = (size_t)(i / m->predicted) * 4 * m->predicted + j;
            int32_t w = rds16(m->predict + 2 * (row * m->predicted + i % m->predicted));
            sum += w < 0 ? -w : w;
        }
        if (sum > 1 << 17) return HG_BAD_MODEL;
    }
    m->coarse_own = take(&r, 4 * (size_t)m->layer_end[0]);
    for (layer = 0; layer < m->layers; layer++)
        if (!open_net(m, &m->net[2 * layer], &r, layer, layer == 0) || !open_net(m, &m->net[2 * layer + 1], &r, layer, 1))
            return HG_BAD_MODEL;
    if (!open_tables(m, &r) || r.at != size) return HG_BAD_MODEL;
    return HG_OK;
}

/* ---- steps ---- */

uint32_t hg_step(const hg_model *m, uint32_t level, uint32_t channel) {
    const uint8_t *row = m->steps + 2 * (size_t)channel;
    size_t stride = 2 * (size_t)m->channels;
    if (level < HG_LEVEL_0) {
        uint64_t below = HG_LEVEL_0 - level, step = rd16(row) * (4096 + 64 * below + below * below) >> 12;
        return step > 65535 ? 65535 : (uint32_t)step;
    } else {
        uint32_t whole = (level - HG_LEVEL_0) >> 3, part = (level - HG_LEVEL_0) & 7;
        uint32_t low = rd16(row + whole * stride);
        uint32_t high = whole + 1 < HG_QUALITIES ? rd16(row + (whole + 1) * stride) : low;
        return (low * (8 - part) + high * part + 4) >> 3;
    }
}

uint32_t hg_rounding(const hg_model *m, uint32_t level) {
    return m->rounding[level < HG_LEVEL_0 ? 0 : (level - HG_LEVEL_0) >> 3];
}

void hg_quantise(const hg_model *m, const int8_t *latents, size_t positions, uint32_t level, uint32_t rounding,
                 int16_t *symbols) {
    uint32_t c;
    size_t p;
    for (c = 0; c < m->channels; c++) {
        uint32_t step = hg_step(m, level, c), divisor = step * 256, add = step * rounding;
        const int8_t *in = latents + m->order[c];
        int16_t *out = symbols + c;
        int16_t table[129];
        for (p = 0; p <= 128; p++) table[p] = (int16_t)(((uint32_t)p * 4096 + add) / divisor);
        for (p = 0; p < positions; p++) {
            int v = in[p * m->channels];
            out[p * m->channels] = (int16_t)(v < 0 ? -table[-v] : table[v]);
        }
    }
}

/* ---- contexts ---- */

typedef struct {
    const hg_model *m;
    uint32_t rows, columns, level;
    uint8_t *magnitude;  /* [positions][C], zero where not yet coded */
    uint8_t *feature;    /* [rows + 2][columns + 2][first], a border of zeros */
    int32_t *offset;     /* [C], of the level */
    uint8_t *sent;       /* [C] */
    int32_t *value;      /* [C], scratch */
    uint8_t *index;      /* encode: [positions][C], table of each symbol */
    int16_t *residual;   /* encode: [positions][predicted] */
    uint16_t *cost;      /* encode: [entries], 1/1024 bit */
    uint32_t *step;      /* encode: [C], of the level */
    uint8_t *hint;       /* decode: [tables][256], a token at or before the first of 64 slots */
} context;

static size_t aligned(size_t size) { return (size + 7) & ~(size_t)7; }

static size_t lay_out(context *c, const hg_model *m, uint32_t rows, uint32_t columns, hg_task task, uint8_t *base) {
    size_t n = (size_t)rows * columns, at = 0, channels = m->channels;
    c->m = m;
    c->rows = rows;
    c->columns = columns;
#define PLACE(field, type, count)                      \
    do {                                               \
        if (base) c->field = (type *)(void *)(base + at); \
        at += aligned((count) * sizeof(type));         \
    } while (0)
    PLACE(offset, int32_t, channels);
    PLACE(value, int32_t, channels);
    PLACE(sent, uint8_t, channels);
    PLACE(magnitude, uint8_t, n * channels);
    PLACE(feature, uint8_t, ((size_t)rows + 2) * ((size_t)columns + 2) * m->first);
    if (task == HG_ENCODE) {
        PLACE(index, uint8_t, n * channels);
        PLACE(residual, int16_t, n * m->predicted);
        PLACE(cost, uint16_t, m->entries);
        PLACE(step, uint32_t, channels);
    } else {
        PLACE(hint, uint8_t, (size_t)m->tables * 256);
    }
#undef PLACE
    return at;
}

size_t hg_workspace(const hg_model *m, uint32_t rows, uint32_t columns, hg_task task) {
    context c;
    return lay_out(&c, m, rows, columns, task, NULL) + 7;
}

static void level_offsets(context *c, uint32_t level) {
    const hg_model *m = c->m;
    uint32_t i = 0, ch;
    int32_t p0, p1, l = (int32_t)level;
    while (i + 2 < m->anchors && rd16(m->anchor + 2 * (i + 1)) <= level) i++;
    p0 = (int32_t)rd16(m->anchor + 2 * i);
    p1 = (int32_t)rd16(m->anchor + 2 * (i + 1));
    for (ch = 0; ch < m->channels; ch++) {
        int32_t low = rds16(m->offsets + 2 * ((size_t)i * m->channels + ch));
        int32_t high = rds16(m->offsets + 2 * ((size_t)(i + 1) * m->channels + ch));
        c->sent[ch] = (uint8_t)(low != NOT_SENT || high != NOT_SENT);
        if (low == NOT_SENT) low = high;
        if (high == NOT_SENT) high = low;
        low = low * (p1 - l) + high * (l - p0);
        c->offset[ch] = low >= 0 ? low / (p1 - p0) : -((-low + p1 - p0 - 1) / (p1 - p0));
    }
    c->level = level;
}

static hg_status begin(context *c, const hg_model *m, uint32_t rows, uint32_t columns, uint32_t level, hg_task task,
                       void *workspace, size_t size) {
    uint8_t *base = (uint8_t *)workspace;
    size_t skip = (size_t)(-(uintptr_t)base & 7u);
    if (rows == 0 || columns == 0 || rows > HG_MAX_SLICE || columns > HG_MAX_SLICE || level >= HG_LEVELS)
        return HG_BAD_ARGUMENT;
    if (hg_workspace(m, rows, columns, task) > size) return HG_NO_SPACE;
    lay_out(c, m, rows, columns, task, base + skip);
    level_offsets(c, level);
    return HG_OK;
}

/* Layer 0 has five passes, from a coarse grid to a fine one; the others two, the colours of a checkerboard. */
static uint32_t passes_of(uint32_t layer) { return layer ? 2 : 5; }

static int in_pass(uint32_t layer, uint32_t pass, uint32_t y, uint32_t x) {
    if (layer) return ((y + x) & 1) == pass;
    if ((y | x) & 1) return pass == ((y & x & 1) ? 3u : 4u);
    if (((y ^ x) & 2) != 0) return pass == 2;
    return pass == ((y & 2) ? 1u : 0u);
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
        tap[i] = ty < 0 || ty >= (int32_t)c->rows || tx < 0 || tx >= (int32_t)c->columns
                     ? -1
                     : (ptrdiff_t)ty * (ptrdiff_t)c->columns + tx;
    }
}

static void predict(const context *c, uint32_t pass, const ptrdiff_t tap[4], const int16_t *symbols, int32_t *out) {
    const hg_model *m = c->m;
    size_t p = m->predicted, i, j;
    int t;
    for (j = 0; j < p; j++) out[j] = 0;
    if (pass == 0) return;
    for (t = 0; t < 4; t++) {
        const uint8_t *w = m->predict + 2 * ((size_t)(pass - 1) * 4 + (size_t)t) * p * p;
        const int16_t *k;
        if (tap[t] < 0) continue;
        k = symbols + (size_t)tap[t] * m->channels;
        for (i = 0; i < p; i++) {
            int32_t s = k[i];
            if (s == 0) continue;
            for (j = 0; j < p; j++) out[j] += s * rds16(w + 2 * (i * p + j));
        }
    }
    for (j = 0; j < p; j++)
        out[j] = clamp(shift_down(out[j] + (1 << (PREDICT_SHIFT - 1)), PREDICT_SHIFT), -MAX_PREDICTION, MAX_PREDICTION);
}

static const hg_net *net_of(const hg_model *m, uint32_t layer, uint32_t pass) {
    if (layer) return &m->net[2 * layer + pass];
    return pass >= 3 ? &m->net[pass - 3] : NULL;
}

/* sum[i] += v * weight[i]. Zeros are frequent, and worth a branch; factors of 16 bits multiply faster. */
static void add_scaled(int32_t *restrict sum, const uint8_t *weight, size_t count, int32_t v) {
    const int8_t *restrict w = (const int8_t *)weight;
    const int16_t factor = (int16_t)v;
    size_t i;
    if (v == 0) return;
    for (i = 0; i < count; i++) sum[i] += factor * (int16_t)w[i];
}

/* First stage of a pass: features of every position from the channels seen so far. */
static void mix(context *c, const hg_net *net) {
    const hg_model *m = c->m;
    size_t first = m->first, j, ch;
    uint32_t y, x;
    int32_t half = 1 << (net->mix_shift - 1), sum[HG_MAX_FIRST];
    const uint8_t *magnitude = c->magnitude;
    for (y = 0; y < c->rows; y++) {
        uint8_t *out = c->feature + (((size_t)y + 1) * (c->columns + 2) + 1) * first;
        for (x = 0; x < c->columns; x++, out += first, magnitude += m->channels) {
            for (j = 0; j < first; j++) sum[j] = rds32(net->mix_bias + 4 * j);
            for (ch = 0; ch < net->known; ch++) add_scaled(sum, net->mix + ch * first, first, magnitude[ch]);
            for (j = 0; j < first; j++)
                out[j] = (uint8_t)clamp(shift_down(sum[j] + half, net->mix_shift), 0, 127);
        }
    }
}

/* Tables of a position's channels start..stop, from 3x3 features and the channel's own neighbours. */
static void choose(context *c, uint32_t layer, uint32_t pass, uint32_t y, uint32_t x, const ptrdiff_t tap[4],
                   uint8_t *restrict index) {
    const hg_model *m = c->m;
    const hg_net *net = net_of(m, layer, pass);
    size_t first = m->first, second = m->second, j, n;
    size_t start = first_channel(m, layer), stop = m->layer_end[layer], count = stop - start;
    int32_t *restrict value = c->value;
    const int32_t *restrict offset = c->offset + start;
    int32_t sum[HG_MAX_SECOND], top = 16 * m->tables - 1;
    const uint8_t *own = NULL;
    uint32_t shift = COARSE_OWN_SHIFT;
    int t, dy;
    for (n = 0; n < count; n++) value[n] = 0;
    if (net) {
        int32_t half = 1 << (net->look_shift - 1);
        const uint8_t *w = net->look;
        for (j = 0; j < second; j++)
            sum[j] = rds32(net->look_bias + 4 * j) + rds16(net->level + 2 * j) * (int32_t)c->level;
        for (dy = 0; dy < 3; dy++) {
            const uint8_t *f = c->feature + (((size_t)y + (size_t)dy) * (c->columns + 2) + x) * first;
            for (n = 0; n < 3 * first; n++, w += second) add_scaled(sum, w, second, f[n]);
        }
        for (j = 0; j < second; j++) {
            int32_t v = clamp(shift_down(sum[j] + half, net->look_shift), 0, 127);
            add_scaled(value, net->choose + j * count, count, v);
        }
        own = net->own;
        shift = net->choose_shift;
    } else if (pass) {
        own = m->coarse_own + 2 * (size_t)(pass - 1) * count;
    }
    if (own) {
        static const uint8_t nothing[HG_MAX_CHANNELS];
        const uint8_t *restrict near[4];
        for (t = 0; t < 4; t++)
            near[t] = tap[t] < 0 ? nothing : c->magnitude + (size_t)tap[t] * m->channels + start;
        for (n = 0; n < count; n++)
            value[n] += (near[0][n] + near[1][n] + near[2][n] + near[3][n]) * rds16(own + 2 * n);
    }
    for (n = 0; n < count; n++) {
        int32_t v = shift_down(value[n] + (1 << (shift - 1)), shift) + offset[n] + 8;
        index[n] = (uint8_t)(clamp(v, 0, top) >> 4);
    }
}

static uint8_t magnitude_of(const hg_model *m, int32_t r) {
    uint32_t a = (uint32_t)(r < 0 ? -r : r);
    return m->logarithm[a < LOG_SIZE ? a : LOG_SIZE - 1];
}

static uint32_t zigzag(int32_t r) { return r > 0 ? 2 * (uint32_t)r - 1 : 2 * (uint32_t)-r; }

/* ---- encoding ---- */

/* The residual that was put down for a symbol of a position. */
static int32_t residual_at(const context *c, const int16_t *symbols, size_t position, size_t ch) {
    if (ch < c->m->predicted) return c->residual[position * c->m->predicted + ch];
    return c->sent[ch] ? symbols[position * c->m->channels + ch] : 0;
}

/* 1024 * (14 - log2 f), by squaring a 31-bit mantissa. */
static uint16_t cost_of(uint32_t f) {
    uint32_t whole = 0, fraction = 0, i;
    uint64_t v;
    while (f >> (whole + 1)) whole++;
    v = (uint64_t)f << (31 - whole);
    for (i = 0; i < 11; i++) {
        v = v * v >> 31;
        fraction <<= 1;
        if (v >> 32) {
            v >>= 1;
            fraction |= 1;
        }
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

static void fill_costs(context *c) {
    uint32_t t, k, start;
    for (t = 0; t < c->m->tables; t++)
        for (k = 0; k < c->m->count[t]; k++) c->cost[c->m->at[t] + k] = cost_of(frequency(c->m, t, k, &start));
}

/* Bits of a residual under a table, in 1/1024. */
static uint32_t cost_in(const context *c, uint32_t t, int32_t residual) {
    uint32_t end = c->m->count[t] - 1u, z = zigzag(residual);
    if (z < end) return c->cost[c->m->at[t] + z];
    return c->cost[c->m->at[t] + end] + 1024u * (3u + bit_length(z - end + 1));
}

/* Move symbols of a position one towards their prediction where the bits that saves outweigh the error it adds: an
 * error of one step, squared, is worth `strength` bits. None ends more than a step away from its latent. */
static void rdoq(const context *c, uint32_t layer, const int8_t *latents, uint32_t strength, const int32_t *guess,
                 const uint8_t *index, int16_t *symbols) {
    const hg_model *m = c->m;
    size_t start = first_channel(m, layer), ch;
    for (ch = start; ch < m->layer_end[layer]; ch++) {
        int32_t k = symbols[ch], r = ch < m->predicted ? k - guess[ch] : k, way = r < 0 ? 1 : -1;
        int64_t step = c->step[ch], more, saved;
        if (!c->sent[ch]) symbols[ch] = 0;
        if (r == 0 || !c->sent[ch] || k + way > HG_MAX_SYMBOL || k + way < -HG_MAX_SYMBOL) continue;
        more = step - 2 * way * (16 * (int64_t)latents[m->order[ch]] - k * step); /* in squared steps, times the step */
        saved = (int64_t)cost_in(c, index[ch - start], r) - (int64_t)cost_in(c, index[ch - start], r + way);
        if (more <= step && (int64_t)strength * 1024 * more < saved * step) symbols[ch] = (int16_t)(k + way);
    }
}

/* Fill index and residual of all layers; with `chosen`, which is `symbols` then, RDOQ on the way. */
static hg_status model_all(context *c, const int16_t *symbols, int16_t *chosen, const int8_t *latents,
                           uint32_t strength) {
    const hg_model *m = c->m;
    size_t n = (size_t)c->rows * c->columns * m->channels, position, ch;
    int32_t guess[HG_MAX_PREDICTED];
    uint32_t layer, pass, y, x;
    ptrdiff_t tap[4];
    for (position = 0; position < n; position++)
        if (symbols[position] > HG_MAX_SYMBOL || symbols[position] < -HG_MAX_SYMBOL) return HG_BAD_SYMBOL;
    for (layer = 0; layer < m->layers; layer++) {
        size_t start = first_channel(m, layer);
        for (pass = 0; pass < passes_of(layer); pass++) {
            if (net_of(m, layer, pass)) mix(c, net_of(m, layer, pass));
            for (y = 0; y < c->rows; y++)
                for (x = 0; x < c->columns; x++) {
                    if (!in_pass(layer, pass, y, x)) continue;
                    position = (size_t)y * c->columns + x;
                    find_taps(c, layer, pass, y, x, tap);
                    choose(c, layer, pass, y, x, tap, c->index + position * m->channels + start);
                    if (layer == 0) predict(c, pass, tap, symbols, guess);
                    if (chosen)
                        rdoq(c, layer, latents + position * m->channels, strength, guess,
                             c->index + position * m->channels + start, chosen + position * m->channels);
                    if (layer == 0) {
                        for (ch = 0; ch < m->predicted; ch++)
                            c->residual[position * m->predicted + ch] =
                                (int16_t)(symbols[position * m->channels + ch] - guess[ch]);
                    }
                }
            for (y = 0; y < c->rows; y++) /* seen only by later passes */
                for (x = 0; x < c->columns; x++) {
                    if (!in_pass(layer, pass, y, x)) continue;
                    position = (size_t)y * c->columns + x;
                    for (ch = start; ch < m->layer_end[layer]; ch++)
                        c->magnitude[position * m->channels + ch] =
                            magnitude_of(m, residual_at(c, symbols, position, ch));
                }
        }
    }
    return HG_OK;
}

/* Bits in 1/1024 of layers first..last; also whether any residual is not zero. */
static uint64_t count_bits(const context *c, const int16_t *symbols, uint32_t first, uint32_t last, int *any) {
    const hg_model *m = c->m;
    size_t position, n = (size_t)c->rows * c->columns, ch;
    uint64_t bits = 0;
    *any = 0;
    for (position = 0; position < n; position++)
        for (ch = first_channel(m, first); ch < m->layer_end[last]; ch++) {
            int32_t r = residual_at(c, symbols, position, ch);
            if (!c->sent[ch]) continue;
            if (r) *any = 1;
            bits += cost_in(c, c->index[position * m->channels + ch], r);
        }
    return bits;
}

static hg_status start_encoding(context *c, const hg_model *m, uint32_t rows, uint32_t columns, uint32_t level,
                                void *workspace, size_t workspace_size) {
    uint32_t ch;
    hg_status status = begin(c, m, rows, columns, level, HG_ENCODE, workspace, workspace_size);
    if (status != HG_OK) return status;
    fill_costs(c);
    for (ch = 0; ch < m->channels; ch++) c->step[ch] = hg_step(m, level, ch);
    return HG_OK;
}

static void bits_of_layers(const context *c, const int16_t *symbols, uint64_t bits[HG_MAX_LAYERS]) {
    uint32_t layer;
    int any;
    for (layer = 0; layer < c->m->layers; layer++) bits[layer] = count_bits(c, symbols, layer, layer, &any);
}

hg_status hg_rdoq(const hg_model *m, const int8_t *latents, uint32_t rows, uint32_t columns, uint32_t level,
                  uint32_t rounding, uint32_t strength, void *workspace, size_t workspace_size, int16_t *symbols,
                  uint64_t bits[HG_MAX_LAYERS]) {
    context c;
    hg_status status;
    if (level >= HG_LEVELS || rounding > 128) return HG_BAD_ARGUMENT;
    hg_quantise(m, latents, (size_t)rows * columns, level, rounding, symbols);
    status = start_encoding(&c, m, rows, columns, level, workspace, workspace_size);
    if (status == HG_OK) status = model_all(&c, symbols, strength ? symbols : NULL, latents, strength);
    if (status == HG_OK) bits_of_layers(&c, symbols, bits);
    return status;
}

hg_status hg_estimate(const hg_model *m, const int16_t *symbols, uint32_t rows, uint32_t columns, uint32_t level,
                      void *workspace, size_t workspace_size, uint64_t bits[HG_MAX_LAYERS]) {
    context c;
    hg_status status = start_encoding(&c, m, rows, columns, level, workspace, workspace_size);
    if (status == HG_OK) status = model_all(&c, symbols, NULL, NULL, 0);
    if (status == HG_OK) bits_of_layers(&c, symbols, bits);
    return status;
}

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

static void put_symbol(const hg_model *m, writer *w, uint32_t lane, uint32_t t, uint32_t z) {
    uint32_t end = m->count[t] - 1u, token = z < end ? z : end, start, f, q;
    if (z >= end) {
        uint32_t rest = z - end + 1, bits = bit_length(rest) - 1;
        put_bits(w, lane, rest & ((1u << bits) - 1), bits);
        put_bits(w, lane, bits, 4);
    }
    f = frequency(m, t, token, &start);
    if (w->state[lane] >= f << (32 - PRECISION)) put_word(w, lane);
    q = w->state[lane] / f;
    w->state[lane] = (q << PRECISION) + (w->state[lane] - q * f) + start;
}

/* Write the symbols of a layer's pass, last first. */
static void put_pass(const context *c, const int16_t *symbols, uint32_t layer, uint32_t pass, uint32_t lanes,
                     writer *w) {
    const hg_model *m = c->m;
    size_t start = first_channel(m, layer), ch, count = 0;
    uint32_t y, x;
    for (ch = start; ch < m->layer_end[layer]; ch++) count += c->sent[ch];
    {
        size_t inside = 0;
        for (y = 0; y < c->rows; y++)
            for (x = 0; x < c->columns; x++) inside += (size_t)in_pass(layer, pass, y, x);
        count *= inside;
    }
    for (y = c->rows; y-- > 0;)
        for (x = c->columns; x-- > 0;) {
            size_t position = (size_t)y * c->columns + x;
            if (!in_pass(layer, pass, y, x)) continue;
            for (ch = m->layer_end[layer]; ch-- > start;) {
                if (!c->sent[ch]) continue;
                count--;
                put_symbol(m, w, (uint32_t)(count & (lanes - 1)), c->index[position * m->channels + ch],
                           zigzag(residual_at(c, symbols, position, ch)));
            }
        }
}

static hg_status put_segment(const context *c, const int16_t *symbols, uint32_t first, uint32_t last, uint8_t *out,
                             size_t capacity, size_t *length) {
    uint32_t lanes = 1, log_lanes = 0, layer, pass, i;
    size_t body;
    writer w;
    int any;
    uint64_t bytes = count_bits(c, symbols, first, last, &any) >> 13;
    *length = 0;
    if (!any) return HG_OK;
    while (lanes < MAX_LANES && 2048u * lanes <= bytes) {
        lanes *= 2;
        log_lanes++;
    }
    if (capacity < 1 + 4 * (size_t)lanes) return HG_NO_SPACE;
    w.low = out + 1 + 4 * lanes;
    w.top = out + capacity;
    for (i = 0; i < lanes; i++) w.state[i] = LOWER;
    for (layer = last + 1; layer-- > first;)
        for (pass = passes_of(layer); pass-- > 0;) put_pass(c, symbols, layer, pass, lanes, &w);
    if (w.low > w.top) return HG_NO_SPACE;
    body = (size_t)(out + capacity - w.top);
    memmove(out + 1 + 4 * lanes, w.top, body);
    out[0] = (uint8_t)log_lanes;
    for (i = 0; i < lanes; i++) wr32(out + 1 + 4 * i, w.state[i]);
    *length = 1 + 4 * (size_t)lanes + body;
    return HG_OK;
}

hg_status hg_encode(const hg_model *m, const int16_t *symbols, uint32_t rows, uint32_t columns, uint32_t level,
                    int merged, void *workspace, size_t workspace_size, uint8_t *out, size_t capacity,
                    size_t length[HG_MAX_LAYERS]) {
    context c;
    uint32_t i, segments = merged ? 1u : m->layers;
    hg_status status = start_encoding(&c, m, rows, columns, level, workspace, workspace_size);
    if (status == HG_OK) status = model_all(&c, symbols, NULL, NULL, 0);
    if (status != HG_OK) return status;
    for (i = 0; i < segments; i++) {
        status = put_segment(&c, symbols, i, merged ? m->layers - 1u : i, out, capacity, &length[i]);
        if (status != HG_OK) return status;
        out += length[i];
        capacity -= length[i];
    }
    return HG_OK;
}

/* ---- decoding ---- */

typedef struct {
    uint32_t state[MAX_LANES];
    uint32_t lanes;
    const uint8_t *at, *end;
    hg_status status;
} word_reader;

static void fill_hints(context *c) {
    uint32_t t, i, k;
    for (t = 0; t < c->m->tables; t++) {
        const uint8_t *start = c->m->starts + 2 * (size_t)c->m->at[t];
        for (i = 0, k = 0; i < 256; i++) {
            while (k + 1u < c->m->count[t] && rd16(start + 2 * (k + 1)) <= i * (TOTAL / 256)) k++;
            c->hint[t * 256 + i] = (uint8_t)k;
        }
    }
}

/* Begin to read a segment of a byte at least. */
static void open_words(word_reader *r, const uint8_t *data, size_t length) {
    uint32_t i;
    r->status = HG_OK;
    r->lanes = 1;
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

static void refill(word_reader *r, uint32_t lane) {
    if (r->state[lane] >= LOWER) return;
    if (r->end - r->at < 2) {
        r->status = HG_CUT;
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

static uint32_t get_symbol(const context *c, word_reader *r, uint32_t lane, uint32_t t) {
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
        if (bits > 9) {
            r->status = HG_CORRUPT;
            return 0;
        }
        token += (1u << bits) - 1 + get_bits(r, lane, bits);
    }
    return token;
}

/* Decode a pass; what comes after the words have ended is the prediction alone. */
static void get_pass(context *c, word_reader *r, uint32_t layer, uint32_t pass, int cut, int16_t *symbols,
                     uint64_t *done) {
    const hg_model *m = c->m;
    size_t start = first_channel(m, layer), stop = m->layer_end[layer], ch;
    uint32_t y, x, lane = 0, z;
    int32_t guess[HG_MAX_PREDICTED], residual;
    uint8_t index[HG_MAX_CHANNELS], fresh[HG_MAX_CHANNELS];
    ptrdiff_t tap[4];
    int live = r->status == HG_OK;
    if (live && net_of(m, layer, pass)) mix(c, net_of(m, layer, pass));
    for (y = 0; y < c->rows; y++)
        for (x = 0; x < c->columns; x++) {
            size_t position = (size_t)y * c->columns + x;
            int16_t *k = symbols + position * m->channels;
            if (!in_pass(layer, pass, y, x)) continue;
            find_taps(c, layer, pass, y, x, tap);
            if (live) choose(c, layer, pass, y, x, tap, index);
            if (layer == 0) predict(c, pass, tap, symbols, guess);
            for (ch = start; ch < stop; ch++) {
                residual = 0;
                if (live && c->sent[ch]) {
                    z = get_symbol(c, r, lane, index[ch - start]);
                    lane = (lane + 1) & (r->lanes - 1);
                    if (r->status == HG_OK) { /* else the words ended within this symbol: it is lost */
                        residual = z & 1 ? (int32_t)(z + 1) / 2 : -(int32_t)(z / 2);
                        ++*done;
                    }
                    live = r->status == HG_OK;
                    if (!live && (!cut || r->status != HG_CUT)) return;
                }
                fresh[ch - start] = magnitude_of(m, residual);
                k[ch] = (int16_t)(residual + (ch < m->predicted && layer == 0 ? guess[ch] : 0));
            }
            /* Positions of one pass are never each other's context, so this may be written at once. */
            memcpy(c->magnitude + position * m->channels + start, fresh, stop - start);
        }
}

hg_status hg_decode(const hg_model *m, const uint8_t *const *segment, const size_t *length, uint32_t segments,
                    int cut, uint32_t rows, uint32_t columns, uint32_t level, int merged, void *workspace,
                    size_t workspace_size, int16_t *symbols, uint64_t done[HG_MAX_LAYERS]) {
    context c;
    word_reader r;
    uint32_t layer, pass, i, all = merged ? 1u : m->layers;
    hg_status status = begin(&c, m, rows, columns, level, HG_DECODE, workspace, workspace_size);
    if (status != HG_OK) return status;
    if (segments > all) return HG_BAD_ARGUMENT;
    fill_hints(&c);
    memset(&r, 0, sizeof r);
    for (layer = 0; layer < m->layers; layer++) done[layer] = 0;
    for (i = 0; i < all; i++) {
        int empty = i >= segments || length[i] == 0, last = i + 1 == segments;
        uint32_t stop = merged ? m->layers : i + 1;
        if (empty)
            r.status = HG_CUT; /* nothing to read: residuals are zero */
        else
            open_words(&r, segment[i], length[i]);
        if (r.status == HG_CORRUPT) return HG_CORRUPT;
        for (layer = merged ? 0 : i; layer < stop; layer++)
            for (pass = 0; pass < passes_of(layer); pass++) {
                get_pass(&c, &r, layer, pass, empty || (cut && last), symbols, &done[layer]);
                if (!empty && r.status != HG_OK && !(cut && last && r.status == HG_CUT)) return r.status;
            }
        if (empty || r.status == HG_CUT) continue;
        if (r.at != r.end) return HG_CORRUPT;
        for (pass = 0; pass < r.lanes; pass++)
            if (r.state[pass] != LOWER) return HG_CORRUPT;
    }
    return HG_OK;
}

/* ---- the container ---- */

uint32_t hg_crc32c(uint32_t crc, const uint8_t *data, size_t size) {
    static const uint32_t nibble[16] = {0x00000000u, 0x105EC76Fu, 0x20BD8EDEu, 0x30E349B1u, 0x417B1DBCu, 0x5125DAD3u,
                                        0x61C69362u, 0x7198540Du, 0x82F63B78u, 0x92A8FC17u, 0xA24BB5A6u, 0xB21572C9u,
                                        0xC38D26C4u, 0xD3D3E1ABu, 0xE330A81Au, 0xF36E6F75u};
    crc = ~crc;
    while (size--) {
        crc ^= *data++;
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}

uint32_t hg_segment_crc(uint32_t header_crc, uint32_t number, const uint8_t *payload, size_t size) {
    uint8_t seed[8];
    wr32(seed, header_crc);
    wr32(seed + 4, number);
    return hg_crc32c(hg_crc32c(0, seed, 8), payload, size);
}

hg_status hg_next_length(const uint8_t *data, size_t size, size_t *at, uint32_t *value) {
    uint32_t v = 0, shift;
    for (shift = 0; shift < 28; shift += 7) { /* at most four bytes */
        uint32_t byte;
        if (*at >= size) return HG_CUT;
        byte = data[(*at)++];
        v |= (byte & 127) << shift;
        if (byte < 128) {
            *value = v;
            return byte == 0 && shift ? HG_CORRUPT : HG_OK; /* only the shortest form is legal */
        }
    }
    return HG_CORRUPT;
}

/* Slices and segments of a header whose size, side and parts are known. */
static void count_segments(hg_header *h) {
    uint32_t rows = (h->height + 15) / 16, columns = (h->width + 15) / 16;
    h->down = h->side ? (rows + h->side - 1) / h->side : 1;
    h->across = h->side ? (columns + h->side - 1) / h->side : 1;
    h->segments = h->down * h->across * h->parts;
}

static int size_fits(const hg_header *h) {
    return h->width >= 1 && h->height >= 1 && h->width <= MAX_SIDE && h->height <= MAX_SIDE &&
           h->width <= MAX_PIXELS / h->height;
}

static int put_number(uint8_t *out, size_t capacity, size_t *at, uint32_t v) {
    for (;;) {
        if (*at >= capacity) return 0;
        out[(*at)++] = (uint8_t)(v < 128 ? v : (v & 127) | 128);
        if (v < 128) return 1;
        v >>= 7;
    }
}

hg_status hg_write_header(hg_header *h, const uint32_t *length, uint8_t *out, size_t capacity) {
    size_t at = 14;
    uint32_t bits, i;
    int fits;
    if (!size_fits(h) || h->level >= HG_LEVELS || h->parts < 1 || h->parts > HG_MAX_LAYERS || h->side > HG_MAX_SLICE)
        return HG_BAD_ARGUMENT;
    count_segments(h);
    if (capacity < at) return HG_NO_SPACE;
    bits = h->level | (h->parts - 1) << 10 | (h->side ? 1u << 13 : 0u);
    memcpy(out, "HLO\1", 4);
    memcpy(out + 4, h->codec, 8);
    out[12] = (uint8_t)bits;
    out[13] = (uint8_t)(bits >> 8);
    fits = put_number(out, capacity, &at, h->width) && put_number(out, capacity, &at, h->height);
    if (h->side) fits = fits && put_number(out, capacity, &at, h->side);
    h->lengths_at = at;
    for (i = 0; i < h->segments && fits; i++) {
        if (length[i] >= 1u << 28) return HG_BAD_ARGUMENT;
        fits = put_number(out, capacity, &at, length[i]);
    }
    if (!fits || capacity - at < 4) return HG_NO_SPACE;
    h->crc = hg_crc32c(0, out, at);
    wr32(out + at, h->crc);
    h->size = at + 4;
    return HG_OK;
}

hg_status hg_parse(hg_header *h, const uint8_t *data, size_t size) {
    size_t at = 14;
    uint32_t bits, i, length;
    hg_status status;
    memset(h, 0, sizeof *h);
    if (size < 4) return HG_CUT;
    if (memcmp(data, "HLO", 3) != 0) return HG_CORRUPT;
    if (data[3] != 1) return HG_BAD_VERSION;
    if (size < 14) return HG_CUT;
    memcpy(h->codec, data + 4, 8);
    bits = rd16(data + 12);
    if (bits >> 14) return HG_CORRUPT;
    h->level = bits & 1023;
    h->parts = (bits >> 10 & 7) + 1;
    if ((status = hg_next_length(data, size, &at, &h->width)) != HG_OK) return status;
    if ((status = hg_next_length(data, size, &at, &h->height)) != HG_OK) return status;
    if (!size_fits(h)) return HG_CORRUPT;
    if (bits >> 13 & 1) {
        if ((status = hg_next_length(data, size, &at, &h->side)) != HG_OK) return status;
        if (h->side < 1 || h->side > HG_MAX_SLICE) return HG_CORRUPT;
    }
    count_segments(h);
    h->lengths_at = at;
    if (size - at < h->segments) return HG_CUT; /* every length takes a byte at least */
    for (i = 0; i < h->segments; i++)
        if ((status = hg_next_length(data, size, &at, &length)) != HG_OK) return status;
    if (size - at < 4) return HG_CUT;
    h->crc = hg_crc32c(0, data, at);
    if (h->crc != rd32(data + at)) return HG_CORRUPT;
    h->size = at + 4;
    return HG_OK;
}
