/* Rows of each tensor: how many there are, and how many stay while a picture passes. */

typedef struct {
    uint16_t of[HG_MAX_NETWORK_LAYERS + 1];
} rows_of;

static uint32_t side_of(const hg_network *n, const hg_tensor *t) { return (uint32_t)n->tile >> t->scale; }

static uint32_t per_position(const hg_tensor *t) { return 1u << (LATENT_SCALE - t->scale); }

static uint32_t inputs_of(const hg_tensor *t) { return t->kind == ADDITION || t->kind == CONCATENATION ? 2 : 1; }

/* Rows or columns of every tensor that so many of the latents need; beyond the tile's edge only if `unbounded`. */
static void find_need(const hg_network *n, uint32_t latents, int unbounded, rows_of *need) {
    uint32_t t = n->tensors, i;
    memset(need, 0, sizeof *need);
    need->of[t - 1] = (uint16_t)latents;
    while (--t > 0) {
        const hg_tensor *layer = &n->tensor[t];
        for (i = 0; i < inputs_of(layer); i++) {
            uint32_t from = layer->from[i], most = side_of(n, &n->tensor[from]), want = need->of[t];
            if (layer->window == 2) want *= 2;
            if (layer->window == 3) want++;
            if (want > most && !unbounded) want = most;
            if (want > need->of[from]) need->of[from] = (uint16_t)want;
        }
    }
}

/* Rows of every tensor that can be there when so many rows of pixels are. What lies in a concatenation's waits for all of it. */
static void count_rows(const hg_network *n, const rows_of *need, uint32_t pixels, rows_of *rows) {
    uint32_t t;
    rows->of[0] = (uint16_t)(pixels < need->of[0] ? pixels : need->of[0]);
    for (t = 1; t < n->tensors; t++) {
        const hg_tensor *layer = &n->tensor[t];
        uint32_t in = rows->of[layer->from[0]];
        if (inputs_of(layer) == 2 && rows->of[layer->from[1]] < in) in = rows->of[layer->from[1]];
        if (layer->window == 2) in /= 2;
        if (layer->window == 3 && in > 0 && in < side_of(n, layer)) in--;
        rows->of[t] = (uint16_t)(in < need->of[t] ? in : need->of[t]);
    }
    for (t = 1; t < n->tensors; t++) rows->of[t] = rows->of[n->tensor[t].whole];
}

/* The first row of every tensor that a layer still needs when so many are there. */
static void find_oldest(const hg_network *n, const rows_of *need, const rows_of *rows, rows_of *oldest) {
    uint32_t t, i;
    *oldest = *rows;
    for (t = 1; t < n->tensors; t++) {
        const hg_tensor *layer = &n->tensor[t];
        uint32_t first = rows->of[t];
        if (rows->of[t] == need->of[t]) continue;
        if (layer->window == 2) first *= 2;
        if (layer->window == 3 && first > 0) first--;
        for (i = 0; i < inputs_of(layer); i++) {
            const uint32_t from = layer->from[i];
            if (n->tensor[from].whole == from && first < oldest->of[from]) oldest->of[from] = (uint16_t)first;
        }
    }
}

/* Go through the bands of a tile of so many rows of latents: what is kept and what is new at most. */
static void rehearse(hg_network *n, uint32_t latents) {
    rows_of need, before, rows, oldest;
    uint32_t pixels, t;
    find_need(n, latents, 0, &need);
    memset(&before, 0, sizeof before);
    for (pixels = HG_BAND; pixels < need.of[0] + (uint32_t)HG_BAND; pixels += HG_BAND) {
        count_rows(n, &need, pixels, &rows);
        find_oldest(n, &need, &rows, &oldest);
        for (t = 0; t < n->tensors; t++) {
            hg_tensor *tensor = &n->tensor[t];
            uint32_t fresh = (uint32_t)rows.of[t] - before.of[t], kept = (uint32_t)rows.of[t] - oldest.of[t];
            if (tensor->whole != t) continue;
            if (fresh > tensor->fresh) tensor->fresh = (uint16_t)fresh;
            if (kept > tensor->kept) tensor->kept = (uint16_t)kept;
        }
        before = rows;
    }
}

int hg_network_rests(const hg_network *n, uint32_t latents) {
    rows_of need, rows, oldest;
    uint32_t pixels, t, before = 0;
    find_need(n, (uint32_t)n->tile >> LATENT_SCALE, 0, &need);
    for (pixels = HG_BAND; pixels < n->tile; pixels += HG_BAND) {
        count_rows(n, &need, pixels, &rows);
        find_oldest(n, &need, &rows, &oldest);
        if (rows.of[n->tensors - 1u] / latents == before) continue;
        before = rows.of[n->tensors - 1u] / latents;
        for (t = 0; t < n->tensors; t++)
            if (oldest.of[t] < rows.of[t]) return 0;
    }
    return 1;
}

int hg_network_divides(const hg_network *n, uint32_t latents) {
    rows_of need, rows;
    uint32_t tall, pixels, before;
    for (tall = 1; tall <= (uint32_t)n->tile >> LATENT_SCALE; tall++) {
        find_need(n, tall, 0, &need);
        for (pixels = HG_BAND, before = 0; pixels < need.of[0] + (uint32_t)HG_BAND; pixels += HG_BAND) {
            const uint32_t first = before;
            count_rows(n, &need, pixels, &rows);
            before = rows.of[n->tensors - 1u];
            if (before > first && first / latents != (before - 1) / latents) return 0;
        }
    }
    return 1;
}
