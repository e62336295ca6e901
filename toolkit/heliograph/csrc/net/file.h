/* A network file, checked and opened in place. NETWORK.md. */

typedef struct {
    const uint8_t *data;
    size_t size, at;
} network_reader;

static const uint8_t *take_part(network_reader *r, size_t size) {
    const uint8_t *p;
    size = (size + 3) & ~(size_t)3;
    if (r->data == NULL || size > r->size - r->at) {
        r->data = NULL;
        return NULL;
    }
    p = r->data + r->at;
    r->at += size;
    return p;
}

static int scales_fit(const uint8_t *multiplier, const uint8_t *shift, uint32_t count) {
    uint32_t i;
    for (i = 0; i < count; i++)
        if (read_u32(multiplier + 4 * i) & 0x80000000u || shift[i] > 31) return 0;
    return 1;
}

static int open_convolution(const hg_network *n, hg_tensor *t, network_reader *r) {
    const uint8_t *head = take_part(r, 8);
    const hg_tensor *in = &n->tensor[t->from[0]];
    uint32_t i;
    if (head == NULL || t->window < 1 || t->window > 3) return 0;
    t->channels = (uint16_t)read_u16(head);
    t->zero[0] = read_i8(head + 2);
    t->zero_out = read_i8(head + 3);
    t->low = read_i8(head + 4);
    t->high = read_i8(head + 5);
    if (t->channels < 1 || t->channels > HG_MAX_CHANNELS || t->low > t->high || read_u16(head + 6) != 0) return 0;
    t->scale = (uint8_t)(in->scale + (t->window == 2));
    t->vector = ((uint32_t)t->window * t->window * in->channels + 3) & ~3u;
    t->bias = take_part(r, 4 * (size_t)t->channels);
    t->multiplier = take_part(r, 4 * (size_t)t->channels);
    t->shifts = take_part(r, t->channels);
    t->weight = take_part(r, (size_t)t->channels * t->vector);
    if (r->data == NULL || !scales_fit(t->multiplier, t->shifts, t->channels)) return 0;
    for (i = 0; i < t->channels; i++) { /* so that sums fit 32 bits: products add less than 2^27 */
        int32_t bias = read_i32(t->bias + 4 * (size_t)i);
        if (bias > 1 << 30 || bias < -(1 << 30)) return 0;
    }
    return 1;
}

static int open_addition(const hg_network *n, hg_tensor *t, network_reader *r) {
    const uint8_t *head = take_part(r, 8);
    const hg_tensor *a = &n->tensor[t->from[0]], *b = &n->tensor[t->from[1]];
    if (head == NULL || t->window != 0) return 0;
    t->multiplier = take_part(r, 12);
    if (r->data == NULL || a->channels != b->channels || a->scale != b->scale) return 0;
    t->zero[0] = read_i8(head);
    t->zero[1] = read_i8(head + 1);
    t->zero_out = read_i8(head + 2);
    t->low = read_i8(head + 3);
    t->high = read_i8(head + 4);
    memcpy(t->shift, head + 5, 3);
    t->channels = a->channels;
    t->scale = a->scale;
    return t->low <= t->high && scales_fit(t->multiplier, t->shift, 3);
}

static int open_concatenation(const hg_network *n, hg_tensor *t) {
    const hg_tensor *a = &n->tensor[t->from[0]], *b = &n->tensor[t->from[1]];
    if (t->window != 0 || a->scale != b->scale || (uint32_t)a->channels + b->channels > HG_MAX_CHANNELS) return 0;
    t->scale = a->scale;
    t->channels = (uint16_t)(a->channels + b->channels);
    return 1;
}

static int open_layer(hg_network *n, uint32_t number, network_reader *r) {
    hg_tensor *t = &n->tensor[number];
    const uint8_t *head = take_part(r, 4);
    uint32_t i;
    if (head == NULL) return 0;
    t->kind = head[0];
    t->window = head[1];
    t->from[0] = head[2];
    t->from[1] = head[3];
    t->whole = (uint8_t)number;
    if (t->kind < CONVOLUTION || t->kind > CONCATENATION || (inputs_of(t) == 1 && head[3] != 0)) return 0;
    for (i = 0; i < inputs_of(t); i++)
        if (t->from[i] >= number) return 0;
    switch (t->kind) {
    case CONVOLUTION:
        if (!open_convolution(n, t, r)) return 0;
        break;
    case MAX_POOL:
        if (t->window != 2) return 0;
        t->channels = n->tensor[t->from[0]].channels;
        t->scale = (uint8_t)(n->tensor[t->from[0]].scale + 1);
        break;
    case ADDITION:
        if (!open_addition(n, t, r)) return 0;
        break;
    default:
        if (!open_concatenation(n, t)) return 0;
    }
    return t->scale <= LATENT_SCALE;
}

/* What a concatenation alone reads is computed into its rows, the rest is copied there. Every tensor but the last is read. */
static int place_parts(hg_network *n) {
    uint32_t t, i, read[HG_MAX_NETWORK_LAYERS + 1] = {0};
    for (t = 1; t < n->tensors; t++)
        for (i = 0; i < inputs_of(&n->tensor[t]); i++) read[n->tensor[t].from[i]]++;
    for (t = 1; t < n->tensors; t++) {
        const hg_tensor *whole = &n->tensor[t];
        uint32_t offset = 0;
        if (whole->kind != CONCATENATION) continue;
        for (i = 0; i < 2; i++) {
            hg_tensor *part = &n->tensor[whole->from[i]];
            if (read[whole->from[i]] == 1 && part->kind != 0 && part->kind != CONCATENATION) {
                part->whole = (uint8_t)t;
                part->offset = (uint16_t)offset;
            }
            offset += part->channels;
        }
    }
    for (t = 0; t + 1u < n->tensors; t++)
        if (read[t] == 0) return 0;
    return 1;
}

/* Find what is kept and what scratch holds. */
static void plan(hg_network *n) {
    rows_of one;
    uint32_t t, most = 0;
    size_t at = 0;
    for (t = 1; t <= (uint32_t)n->tile >> LATENT_SCALE; t++) rehearse(n, t);
    find_need(n, 1, 1, &one);
    for (t = 0; t < n->tensors; t++) {
        hg_tensor *tensor = &n->tensor[t];
        tensor->halo = (uint16_t)(one.of[t] - per_position(tensor));
        tensor->fresh_at = (uint32_t)at;
        if (t == 0) tensor->fresh = HG_BAND;
        if (tensor->whole == t) at += (size_t)tensor->fresh * side_of(n, tensor) * tensor->channels;
        at = (at + 3) & ~(size_t)3;
        if (tensor->vector > most) most = tensor->vector;
    }
    n->patch_at = (uint32_t)at;
    n->scratch = at + 6 * (size_t)most; /* two patches, and the same in 16 bits */
}

hg_status hg_network_open(hg_network *n, const uint8_t *data, size_t size) {
    network_reader r;
    const uint8_t *head;
    uint32_t t, layers;
    memset(n, 0, sizeof *n);
    if (size < 16 || read_u32(data + size - 4) != hg_crc32c(0, data, size - 4)) return HG_BAD_MODEL;
    r.data = data;
    r.size = size - 4;
    r.at = 0;
    head = take_part(&r, 12);
    if (head == NULL || memcmp(head, "HGN1", 4) != 0) return HG_BAD_MODEL;
    n->tile = (uint16_t)read_u16(head + 4);
    n->channels = (uint16_t)read_u16(head + 6);
    layers = head[8];
    if (n->tile < 16 || n->tile > HG_MAX_NETWORK_TILE || n->tile % 16 || layers < 1 ||
        layers > HG_MAX_NETWORK_LAYERS || head[9] || head[10] || head[11])
        return HG_BAD_MODEL;
    n->tensors = (uint8_t)(layers + 1);
    n->tensor[0].channels = 3;
    for (t = 1; t < n->tensors; t++)
        if (!open_layer(n, t, &r)) return HG_BAD_MODEL;
    if (r.at != r.size || n->tensor[layers].scale != LATENT_SCALE || n->tensor[layers].channels != n->channels ||
        !place_parts(n))
        return HG_BAD_MODEL;
    plan(n);
    return HG_OK;
}
