/* Heliograph's integer core; heliograph.h says what, FORMAT.md specifies the bytes. */
#include "heliograph.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#elif defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE
#include <arm_mve.h>
#define HG_MVE 1
#elif defined(__ARM_FEATURE_DSP) && !defined(__ARM_BIG_ENDIAN)
#include <arm_acle.h>
#define HG_DSP 1
#endif

#define PRECISION 14u
#define TOTAL (1u << PRECISION)
#define LOWER (1u << 16)
#define LEAST_STEP 4u
#define MOST_ESCAPE 11u /* bits that a residual has beyond its table: values are 4095 apart at most */
#define MAX_LANES 64u
#define LOG_SIZE 64u
#define COARSE_SHIFT 8u
#define PREDICT_SHIFT 12u
#define LOWEST (-2048)
#define HIGHEST 2047
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

static uint16_t first_group(const hg_model *m, uint32_t layer) { return layer ? m->group_end[layer - 1] : 0; }

/* Channels and then groups of a layer: what a table is chosen for. */
static size_t columns_of(const hg_model *m, uint32_t layer) {
    return (size_t)(m->layer_end[layer] - first_channel(m, layer)) + m->group_end[layer] - first_group(m, layer);
}

/* `number` counts the networks of a layer from its last pass down: 0 is that of the last pass. */
static int open_net(const hg_model *m, const hg_set *set, hg_net *net, reader *r, uint32_t layer, uint32_t number) {
    size_t first = set->first, second = set->second, n = columns_of(m, layer), count;
    int refers = set != m->set, own = layer == 0 || number == 0, i;
    const uint8_t *shifts = take(r, 4);
    net->start = first_channel(m, layer);
    net->stop = m->layer_end[layer];
    net->known = number == 2 ? 0 : own ? net->stop : net->start;
    net->inputs = (uint16_t)(refers ? 2 * net->known + net->stop : net->known);
    count = (size_t)(net->stop - net->start);
    net->mix_bias = take(r, 4 * first);
    net->look_bias = take(r, 4 * second);
    net->level = take(r, 2 * second);
    net->from = refers ? take(r, 2 * second) : NULL;
    net->own = own ? take(r, 2 * n) : NULL;
    net->own2 = own && refers ? take(r, 2 * n) : NULL;
    net->there = refers ? take(r, 2 * n) : NULL;
    net->gate_bias = refers ? take(r, 4 * count) : NULL;
    net->mix = take(r, net->inputs * first);
    net->look = take(r, 9 * first * second);
    net->choose = take(r, second * n);
    net->gate = refers ? take(r, second * count) : NULL;
    if (r->data == NULL) return 0;
    for (i = 0; i < 4; i++) {
        net->shift[i] = shifts[i];
        if (i < 3 || refers ? shifts[i] < 1 || shifts[i] > 24 : shifts[i] != 0) return 0;
    }
    return biases_fit(net->mix_bias, first) && biases_fit(net->look_bias, second) &&
           (!refers || biases_fit(net->gate_bias, count));
}

static int open_set(hg_model *m, hg_set *set, reader *r) {
    uint32_t layer, number, networks = 0;
    set->offsets = take(r, 2 * (size_t)m->anchors * ((size_t)m->channels + m->groups));
    if (set == m->set) m->coarse = take(r, 4 * columns_of(m, 0));
    for (layer = 0; layer < m->layers; layer++)
        for (number = layer == 0 && set != m->set ? 3 : 2; number-- > 0;)
            if (!open_net(m, set, &set->net[networks++], r, layer, number)) return 0;
    return r->data != NULL;
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
    m->zeros = take(r, 2 * (size_t)m->flag_tables);
    if (r->data == NULL) return 0;
    for (t = 0; t < m->tables; t++) {
        const uint8_t *start = m->starts + 2 * (size_t)m->at[t];
        if (rd16(start) != 0 || rd16(start + 2 * (m->count[t] - 1u)) >= TOTAL) return 0;
        for (i = 1; i < m->count[t]; i++)
            if (rd16(start + 2 * i) <= rd16(start + 2 * (i - 1))) return 0;
    }
    for (t = 0; t < m->flag_tables; t++)
        if (rd16(m->zeros + 2 * t) < 1 || rd16(m->zeros + 2 * t) >= TOTAL) return 0;
    return 1;
}

static int features_fit(uint32_t first, uint32_t second) {
    return first >= 1 && first <= HG_MAX_FIRST && second >= 1 && second <= HG_MAX_SECOND;
}

static int predict_fits(const hg_model *m) {
    uint32_t i, j;
    for (i = 0; i < 4u * m->predicted; i++) { /* pass i / predicted, output i % predicted */
        int32_t sum = 0;
        for (j = 0; j < 4u * m->predicted; j++) {
            size_t row = (size_t)(i / m->predicted) * 4 * m->predicted + j;
            int32_t w = rds16(m->predict + 2 * (row * m->predicted + i % m->predicted));
            sum += w < 0 ? -w : w;
        }
        if (sum > 1 << 17) return 0;
    }
    return 1;
}

hg_status hg_open(hg_model *m, const uint8_t *data, size_t size) {
    reader r;
    const uint8_t *head, *ends, *unmasked;
    uint32_t i, last = 0;
    uint8_t seen[HG_MAX_CHANNELS] = {0};
    r.data = data;
    r.size = size;
    r.at = 0;
    memset(m, 0, sizeof *m);
    head = take(&r, 18);
    if (head == NULL || memcmp(head, "HGE3", 4) != 0) return HG_BAD_MODEL;
    m->channels = (uint16_t)rd16(head + 4);
    m->tile = head[6];
    m->layers = head[7];
    m->predicted = head[8];
    m->group = head[9];
    m->tables = head[10];
    m->flag_tables = head[11];
    m->anchors = head[12];
    m->sets = head[13];
    for (i = 0; i < 2; i++) {
        m->set[i].first = head[14 + 2 * i];
        m->set[i].second = head[15 + 2 * i];
    }
    if (m->channels < 1 || m->channels > HG_MAX_CHANNELS || m->tile < 2 || m->tile > 64 || m->tile % 2 ||
        m->layers < 1 || m->layers > HG_MAX_LAYERS || m->predicted > HG_MAX_PREDICTED || m->group < 1 ||
        m->group > HG_MAX_GROUP || m->tables < 2 || m->tables > HG_MAX_TABLES || m->flag_tables < 2 ||
        m->flag_tables > HG_MAX_TABLES || m->anchors < 2 || m->anchors > HG_MAX_ANCHORS || m->sets < 1 ||
        m->sets > 2 || !features_fit(head[14], head[15]) ||
        !(m->sets == 2 ? features_fit(head[16], head[17]) : head[16] == 0 && head[17] == 0))
        return HG_BAD_MODEL;
    ends = take(&r, 2 * (size_t)m->layers);
    m->order = take(&r, 2 * (size_t)m->channels);
    m->logarithm = take(&r, LOG_SIZE);
    m->anchor = take(&r, 2 * (size_t)m->anchors);
    m->steps = take(&r, 2 * (size_t)HG_STEP_ROWS * m->channels);
    m->rounding = take(&r, HG_STEP_ROWS);
    unmasked = take(&r, 1);
    m->ordinary = take(&r, 2 * (size_t)m->anchors);
    m->masking = take(&r, m->anchors);
    m->predict = take(&r, 2 * (size_t)16 * m->predicted * m->predicted);
    if (r.data == NULL) return HG_BAD_MODEL;
    m->unmasked = *unmasked;
    for (i = 0; i < m->layers; i++) {
        m->layer_end[i] = (uint16_t)rd16(ends + 2 * i);
        if (m->layer_end[i] <= last || m->layer_end[i] > m->channels) return HG_BAD_MODEL;
        m->groups = (uint16_t)(m->groups + (m->layer_end[i] - last + m->group - 1u) / m->group);
        m->group_end[i] = m->groups;
        last = m->layer_end[i];
    }
    if (last != m->channels || m->predicted > m->layer_end[0]) return HG_BAD_MODEL;
    for (i = 0; i < m->channels; i++) {
        uint32_t place = rd16(m->order + 2 * i);
        if (place >= m->channels || seen[place]) return HG_BAD_MODEL;
        seen[place] = 1;
    }
    if (m->logarithm[0] != 0) return HG_BAD_MODEL;
    for (i = 0; i < LOG_SIZE; i++)
        if (m->logarithm[i] > 127) return HG_BAD_MODEL;
    if (rd16(m->anchor) != 0 || rd16(m->anchor + 2 * (m->anchors - 1u)) != HG_LEVELS - 1) return HG_BAD_MODEL;
    for (i = 1; i < m->anchors; i++)
        if (rd16(m->anchor + 2 * i) <= rd16(m->anchor + 2 * (i - 1))) return HG_BAD_MODEL;
    for (i = 0; i < HG_STEP_ROWS * (uint32_t)m->channels; i++)
        if (rd16(m->steps + 2 * i) < LEAST_STEP) return HG_BAD_MODEL;
    for (i = 0; i < HG_STEP_ROWS; i++)
        if (m->rounding[i] > 128) return HG_BAD_MODEL;
    if (!predict_fits(m)) return HG_BAD_MODEL;
    for (i = 0; i < m->sets; i++)
        if (!open_set(m, &m->set[i], &r)) return HG_BAD_MODEL;
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
        uint32_t whole = (level - HG_LEVEL_0) >> 5, part = (level - HG_LEVEL_0) & 31;
        uint32_t low = rd16(row + whole * stride);
        uint32_t high = whole + 1 < HG_STEP_ROWS ? rd16(row + (whole + 1) * stride) : low;
        return (low * (32 - part) + high * part + 16) >> 5;
    }
}

/* The least difference that is not quantised to zero. */
static int16_t least_of(uint32_t step, uint32_t rounding) {
    const uint32_t least = ((256 - rounding) * step + 255) / 256;
    return (int16_t)(least > 32767 ? 32767 : least);
}

uint32_t hg_rounding(const hg_model *m, uint32_t level) {
    return m->rounding[level < HG_LEVEL_0 ? 0 : (level - HG_LEVEL_0) >> 5];
}

/* ---- contexts ---- */

enum { MAX_PASSES = 5 + 2 * (HG_MAX_LAYERS - 1), LIST = 64 };

typedef struct {
    const hg_model *m;
    const hg_set *set;
    const int16_t *reference; /* [positions][C], or NULL */
    uint32_t rows, columns, level, reference_level;
    int16_t *offset;          /* [C + Q], of the level */
    uint16_t *step;           /* [C], of the level */
    int8_t *growth;           /* [positions], of the steps above layer 0 */
    int32_t ordinary, masking; /* of the level: the activity at which steps do not grow, and how they do elsewhere */
    uint16_t *grown;          /* [C], scratch of a position: its steps above layer 0 */
    uint8_t *magnitude;       /* [positions][C], of residuals, zero where not yet coded */
    uint16_t *sum;            /* [positions][Q], of the magnitudes of a group */
    uint8_t *change, *there;  /* with a reference: the same of change and of the reference */
    uint16_t *change_sum, *there_sum;
    int16_t *known;           /* [positions][P], values of the predicted channels */
    int16_t *guess;           /* [C], scratch of a position */
    uint8_t *feature;         /* [rows + 2][columns + 2][first], a border of zeros */
    const hg_net *mixed;      /* whose features these are */
    uint32_t *look_weight;    /* of a pass: the second stage's, as Cortex-M4 and M7 like them */
    int16_t *least;           /* encode: [C], the least difference that is not quantised to zero, by steps of the level */
    int16_t *grown_least;     /* encode: [C], the same, scratch of a position */
    int16_t *target;          /* encode: [C], scratch of a position */
    uint8_t *flag;            /* encode: [positions * Q] in the order of coding, table and in bit 7 the flag */
    uint8_t *table;           /* encode: [positions * C] in the order of coding, of groups whose flag is 1 */
    int16_t *residual;        /* encode: the same */
    uint16_t *cost;           /* encode: [entries], 1 + bits in 1/1024, 0 where not yet known */
    uint16_t *flag_cost;      /* encode: [flag tables][2], the same */
    size_t flags[MAX_PASSES + 1], residuals[MAX_PASSES + 1]; /* encode: where each pass begins */
    uint8_t *hint;            /* decode: [tables][256], a token at or before the first of 64 slots */
    uint8_t *look;            /* decode: [positions of a pass][second] */
    uint8_t *state;           /* decode: [positions of a pass][groups of the layer] */
} context;

static size_t aligned(size_t size) { return (size + 7) & ~(size_t)7; }

/* Words of the second stage's weights, inputs of a row of features and outputs in whole fours. */
static size_t look_words(const hg_set *set) {
    return 3 * ((3 * (size_t)set->first + 3) / 4) * (((size_t)set->second + 3) / 4) * 4;
}

static size_t lay_out(context *c, const hg_model *m, uint32_t rows, uint32_t columns, hg_task task, int referring,
                      uint8_t *base) {
    const hg_set *set = &m->set[referring ? 1 : 0];
    size_t n = (size_t)rows * columns, half = (n + 1) / 2, at = 0, channels = m->channels, groups = 0;
    uint32_t layer;
    for (layer = 0; layer < m->layers; layer++)
        if ((size_t)(m->group_end[layer] - first_group(m, layer)) > groups)
            groups = (size_t)(m->group_end[layer] - first_group(m, layer));
    c->m = m;
    c->set = set;
    c->rows = rows;
    c->columns = columns;
#define PLACE(field, type, count)                         \
    do {                                                  \
        if (base) c->field = (type *)(void *)(base + at); \
        at += aligned((count) * sizeof(type));            \
    } while (0)
    PLACE(offset, int16_t, channels + m->groups);
    PLACE(step, uint16_t, channels);
    PLACE(grown, uint16_t, channels);
    PLACE(growth, int8_t, n);
    PLACE(guess, int16_t, channels);
    PLACE(magnitude, uint8_t, n * channels);
    PLACE(sum, uint16_t, n * m->groups);
    PLACE(known, int16_t, n * m->predicted);
    PLACE(feature, uint8_t, ((size_t)rows + 2) * ((size_t)columns + 2) * set->first);
    PLACE(look_weight, uint32_t, look_words(set));
    if (referring) {
        PLACE(change, uint8_t, n * channels);
        PLACE(change_sum, uint16_t, n * m->groups);
        PLACE(there, uint8_t, n * channels);
        PLACE(there_sum, uint16_t, n * m->groups);
    }
    if (task == HG_ENCODE) {
        PLACE(least, int16_t, channels);
        PLACE(grown_least, int16_t, channels);
        PLACE(target, int16_t, channels);
        PLACE(flag, uint8_t, n * m->groups);
        PLACE(table, uint8_t, n * channels);
        PLACE(residual, int16_t, n * channels);
        PLACE(cost, uint16_t, m->entries);
        PLACE(flag_cost, uint16_t, 2 * (size_t)m->flag_tables);
    } else {
        PLACE(hint, uint8_t, (size_t)m->tables * 256);
        PLACE(look, uint8_t, half * set->second);
        PLACE(state, uint8_t, half * groups);
    }
#undef PLACE
    return at;
}

size_t hg_workspace(const hg_model *m, uint32_t rows, uint32_t columns, hg_task task, int referring) {
    context c;
    return lay_out(&c, m, rows, columns, task, referring, NULL) + 7;
}

/* What the model has at its anchors, at the level. */
static void fill_at_level(context *c) {
    const hg_model *m = c->m;
    size_t count = (size_t)m->channels + m->groups, i;
    uint32_t a = 0;
    int32_t p0, p1, l = (int32_t)c->level;
    while (a + 2 < m->anchors && rd16(m->anchor + 2 * (a + 1)) <= c->level) a++;
    p0 = (int32_t)rd16(m->anchor + 2 * a);
    p1 = (int32_t)rd16(m->anchor + 2 * (a + 1));
    for (i = 0; i < count; i++) {
        const uint8_t *low = c->set->offsets + 2 * (a * count + i);
        int32_t v = rds16(low) * (p1 - l) + rds16(low + 2 * count) * (l - p0);
        c->offset[i] = (int16_t)(v >= 0 ? v / (p1 - p0) : -((-v + p1 - p0 - 1) / (p1 - p0)));
    }
    c->ordinary = (int32_t)rd16(m->ordinary + 2 * a) * (p1 - l) + (int32_t)rd16(m->ordinary + 2 * (a + 1)) * (l - p0);
    c->ordinary /= p1 - p0;
    c->masking = (m->masking[a] * (p1 - l) + m->masking[a + 1] * (l - p0)) / (p1 - p0);
}

static uint8_t magnitude_of(const hg_model *m, uint32_t r) { return m->logarithm[r < LOG_SIZE ? r : LOG_SIZE - 1]; }

/* A value or a difference of two in whole steps, `v` without its sign. */
static uint32_t in_steps(uint32_t v, uint32_t step) {
    v += step >> 1;
    return v < step ? 0 : v / step;
}

static void fill_reference(context *c) {
    const hg_model *m = c->m;
    size_t n = (size_t)c->rows * c->columns, position, ch;
    const int16_t *value = c->reference;
    uint8_t *out = c->there;
    uint32_t layer;
    for (position = 0; position < n; position++) {
        uint16_t *sum = c->there_sum + position * m->groups;
        for (layer = 0, ch = 0; layer < m->layers; layer++)
            while (ch < m->layer_end[layer]) {
                size_t stop = ch + m->group < m->layer_end[layer] ? ch + m->group : m->layer_end[layer];
                uint32_t total = 0;
                for (; ch < stop; ch++, value++, out++) {
                    if (*value == 0) continue;
                    *out = magnitude_of(m, in_steps((uint32_t)(*value < 0 ? -*value : *value), c->step[ch]));
                    total += *out;
                }
                *sum++ = (uint16_t)total;
            }
    }
}

static hg_status begin(context *c, const hg_model *m, uint32_t rows, uint32_t columns, uint32_t level,
                       const hg_reference *reference, hg_task task, void *workspace, size_t size) {
    uint8_t *base = (uint8_t *)workspace;
    size_t skip = (size_t)(-(uintptr_t)base & 7u);
    uint32_t ch;
    if (rows == 0 || columns == 0 || rows > HG_MAX_SLICE || columns > HG_MAX_SLICE || level >= HG_LEVELS)
        return HG_BAD_ARGUMENT;
    if (reference && (m->sets < 2 || reference->level >= HG_LEVELS)) return HG_BAD_ARGUMENT;
    if (hg_workspace(m, rows, columns, task, reference != NULL) > size) return HG_NO_SPACE;
    memset(c, 0, sizeof *c);
    lay_out(c, m, rows, columns, task, reference != NULL, base + skip);
    c->level = level;
    fill_at_level(c);
    for (ch = 0; ch < m->channels; ch++) c->step[ch] = (uint16_t)hg_step(m, level, ch);
    if (reference) {
        c->reference = reference->values;
        c->reference_level = reference->level;
        fill_reference(c);
    }
    return HG_OK;
}

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

/* ---- encoding ---- */

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

/* ---- decoding ---- */

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

uint32_t hg_scaled(uint32_t side, uint32_t scale) {
    uint32_t halves = (2 + (scale & 1)) << (scale >> 1);
    return (2 * side + halves - 1) / halves;
}

/* Slices and segments of a header whose size, scale, side and parts are known. */
static void count_segments(hg_header *h) {
    uint32_t rows, columns;
    h->coded_width = hg_scaled(h->width, h->scale);
    h->coded_height = hg_scaled(h->height, h->scale);
    rows = (h->coded_height + 15) / 16;
    columns = (h->coded_width + 15) / 16;
    h->down = h->side ? (rows + h->side - 1) / h->side : 1;
    h->across = h->side ? (columns + h->side - 1) / h->side : 1;
    h->segments = h->down * h->across * h->parts;
}

static int size_fits(const hg_header *h) {
    return h->width >= 1 && h->height >= 1 && h->width <= MAX_SIDE && h->height <= MAX_SIDE &&
           h->width <= MAX_PIXELS / h->height;
}

/* Whether a header of the short form says what it may, its segments counted. */
static int short_fits(const hg_header *h, uint32_t length) {
    uint32_t positions = ((h->coded_height + 15) / 16) * ((h->coded_width + 15) / 16);
    return h->parts == 1 && h->side == 0 && length <= HG_MAX_SHORT && positions <= HG_MAX_SHORT_POSITIONS;
}

/* The base of a refined stream; a stream refers to its own base or to another picture, not to both. */
static int base_fits(const hg_header *h) { return h->base_level < h->level && !h->referring && !h->is_short; }

static int reference_fits(const hg_header *h) {
    return h->reference_level < HG_LEVELS && h->depth >= 1 && h->depth <= HG_MAX_DEPTH;
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
    if (!size_fits(h) || h->level >= HG_LEVELS || h->side > HG_MAX_SLICE) return HG_BAD_ARGUMENT;
    if (h->refined > 1 || h->parts < 1 + h->refined || h->parts > HG_MAX_LAYERS + h->refined) return HG_BAD_ARGUMENT;
    if (h->scale > HG_MAX_SCALE || h->is_short > 1) return HG_BAD_ARGUMENT;
    if (h->referring > 1 || (h->referring && !reference_fits(h))) return HG_BAD_ARGUMENT;
    if (h->refined && !base_fits(h)) return HG_BAD_ARGUMENT;
    count_segments(h);
    if (h->is_short && !short_fits(h, length[0])) return HG_BAD_ARGUMENT;
    if (capacity < at) return HG_NO_SPACE;
    bits = h->level;
    if (h->is_short)
        bits |= h->scale << 10 | h->referring << 15;
    else
        bits |= (h->parts - h->refined - 1) << 10 | (h->side ? 1u << 13 : 0u) | h->referring << 14 | (h->scale ? 1u << 15 : 0u);
    memcpy(out, h->is_short ? "HLO\x82" : h->refined ? "HLO\x42" : "HLO\2", 4);
    memcpy(out + 4, h->codec, 8);
    out[12] = (uint8_t)bits;
    out[13] = (uint8_t)(bits >> 8);
    fits = put_number(out, capacity, &at, h->width) && put_number(out, capacity, &at, h->height);
    if (h->scale && !h->is_short) fits = fits && put_number(out, capacity, &at, h->scale);
    if (h->side) fits = fits && put_number(out, capacity, &at, h->side);
    if (h->referring) {
        if (!fits || capacity - at < 10) return HG_NO_SPACE;
        bits = h->reference_level | h->depth << 10;
        memcpy(out + at, h->reference, 8);
        out[at + 8] = (uint8_t)bits;
        out[at + 9] = (uint8_t)(bits >> 8);
        at += 10;
    }
    if (h->refined) {
        if (!fits || capacity - at < 2) return HG_NO_SPACE;
        out[at++] = (uint8_t)h->base_level;
        out[at++] = (uint8_t)(h->base_level >> 8);
    }
    h->lengths_at = at;
    for (i = 0; i < h->segments && fits; i++) {
        if (length[i] >= 1u << 28) return HG_BAD_ARGUMENT;
        fits = put_number(out, capacity, &at, length[i]);
    }
    if (!fits || (!h->is_short && capacity - at < 4)) return HG_NO_SPACE;
    h->crc = hg_crc32c(0, out, at);
    if (!h->is_short) wr32(out + at, h->crc);
    h->size = h->is_short ? at : at + 4;
    return HG_OK;
}

/* The rest of a header of the short form, from its length on: the CRC is of all bytes. */
static hg_status parse_short(hg_header *h, const uint8_t *data, size_t size) {
    size_t at = h->lengths_at;
    uint32_t length;
    hg_status status = hg_next_length(data, size, &at, &length);
    if (status != HG_OK) return status;
    if (!short_fits(h, length)) return HG_CORRUPT;
    if (size - at < (size_t)length + 4) return HG_CUT;
    h->size = at;
    h->crc = hg_crc32c(0, data, at);
    return hg_crc32c(h->crc, data + at, length) == rd32(data + at + length) ? HG_OK : HG_CORRUPT;
}

/* The numbers of a header between its bits and its lengths. */
static hg_status parse_numbers(hg_header *h, const uint8_t *data, size_t size, size_t *at, int scaled, int sliced) {
    hg_status status;
    if ((status = hg_next_length(data, size, at, &h->width)) != HG_OK) return status;
    if ((status = hg_next_length(data, size, at, &h->height)) != HG_OK) return status;
    if (!size_fits(h)) return HG_CORRUPT;
    if (scaled) {
        if ((status = hg_next_length(data, size, at, &h->scale)) != HG_OK) return status;
        if (h->scale < 1 || h->scale > HG_MAX_SCALE) return HG_CORRUPT;
    }
    if (sliced) {
        if ((status = hg_next_length(data, size, at, &h->side)) != HG_OK) return status;
        if (h->side < 1 || h->side > HG_MAX_SLICE) return HG_CORRUPT;
    }
    if (h->referring) {
        if (size - *at < 10) return HG_CUT;
        memcpy(h->reference, data + *at, 8);
        h->reference_level = rd16(data + *at + 8) & 1023;
        h->depth = rd16(data + *at + 8) >> 10;
        if (!reference_fits(h)) return HG_CORRUPT;
        *at += 10;
    }
    if (h->refined) {
        if (h->referring) return HG_CORRUPT;
        if (size - *at < 2) return HG_CUT;
        h->base_level = rd16(data + *at);
        if (!base_fits(h)) return HG_CORRUPT;
        *at += 2;
    }
    return HG_OK;
}

hg_status hg_parse(hg_header *h, const uint8_t *data, size_t size) {
    size_t at = 14;
    uint32_t bits, i, length;
    hg_status status;
    memset(h, 0, sizeof *h);
    if (size < 4) return HG_CUT;
    if (memcmp(data, "HLO", 3) != 0) return HG_CORRUPT;
    if ((data[3] & 63) != 2) return HG_BAD_VERSION;
    if (size < 14) return HG_CUT;
    if (data[3] >> 6 == 3) return HG_CORRUPT; /* the short form has no base */
    memcpy(h->codec, data + 4, 8);
    bits = rd16(data + 12);
    h->is_short = data[3] >> 7;
    h->level = bits & 1023;
    if (h->is_short) {
        h->parts = 1;
        h->scale = bits >> 10 & 31;
        h->referring = bits >> 15;
        status = parse_numbers(h, data, size, &at, 0, 0);
    } else {
        h->refined = data[3] >> 6 & 1;
        h->parts = (bits >> 10 & 7) + 1 + h->refined;
        h->referring = bits >> 14 & 1;
        status = parse_numbers(h, data, size, &at, bits >> 15 & 1, bits >> 13 & 1);
    }
    if (status != HG_OK) return status;
    count_segments(h);
    h->lengths_at = at;
    if (h->is_short) return parse_short(h, data, size);
    if (size - at < h->segments) return HG_CUT; /* every length takes a byte at least */
    for (i = 0; i < h->segments; i++)
        if ((status = hg_next_length(data, size, &at, &length)) != HG_OK) return status;
    if (size - at < 4) return HG_CUT;
    h->crc = hg_crc32c(0, data, at);
    if (h->crc != rd32(data + at)) return HG_CORRUPT;
    h->size = at + 4;
    return HG_OK;
}
