/* What is kept of a slice while it is coded: where it lies in the workspace, and what is known at the start. */

enum { MAX_PASSES = 5 + 2 * (HG_MAX_LAYERS - 1) };

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
