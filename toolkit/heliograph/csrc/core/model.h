/* An entropy file, checked and opened in place, and the steps of a level. FORMAT.md, sections 4 and 5. */

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
