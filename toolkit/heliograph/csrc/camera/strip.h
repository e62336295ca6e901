/* A strip: the rows of one row of slices through the network and the entropy coder, tile by tile and band by band. */

/* Code the slices of a strip, whose first row of positions is `top`. */
static hg_camera_status code_strip(job *j, uint32_t top) {
    const hg_codec *codec = j->codec;
    const uint32_t slices = j->header.across * j->header.down, rows = smaller(codec->side, j->rows - top);
    const uint32_t channels = j->state->network.channels, parts = j->camera->layered ? j->layers : 1;
    uint32_t x, number = top / codec->side * j->header.across, part;
    hg_latents latents = {NULL, j->latents, codec->copies};
    HELIOGRAPH_STAGE(2);
    for (x = 0; x < j->columns; x += codec->side, number++) {
        const uint32_t columns = smaller(codec->side, j->columns - x);
        uint64_t bits = 0;
        hg_coded coded;
        hg_status status;
        memset(j->work, 0, j->work_size);
        status = hg_encode(&j->state->model, &latents, rows, columns, j->header.level, codec->rounding, codec->strength,
                           j->camera->layered ? 0 : UINT32_MAX, 0, NULL, j->work, j->work_size, NULL,
                           j->fits ? j->store + j->used : NULL, j->capacity - j->used, &coded);
        if (status != HG_OK && status != HG_NO_SPACE) return HG_CAMERA_BAD_SIZE;
        if (status == HG_NO_SPACE) j->fits = 0;
        latents.units += (size_t)rows * columns * channels;
        for (part = 0; part < j->layers; part++) bits += coded.bits[part];
        if (!j->fits) j->total += (bits >> 13) + (uint64_t)SEGMENT_BYTES * parts;
        for (part = 0; part < parts && j->fits; part++) {
            j->length[part * slices + number] = (uint32_t)coded.length[part];
            j->used += coded.length[part];
            j->total += coded.length[part] + (coded.length[part] ? 4 : 0);
        }
    }
    HELIOGRAPH_STAGE(1);
    return HG_CAMERA_OK;
}

/* Put new rows of a tile's latents into the slices of the strip. `row`: of the strip. */
static void place_latents(job *j, const hg_tile *tile, uint32_t row, uint32_t strip_rows, const int8_t *latents) {
    const uint32_t side = j->codec->side, channels = j->state->network.channels;
    uint32_t x;
    for (x = 0; x < tile->columns; x += side) {
        const uint32_t left = tile->left + x, columns = smaller(side, j->columns - left);
        memcpy(j->latents + ((size_t)left * strip_rows + (size_t)row * columns) * channels,
               latents + (size_t)x * channels, (size_t)columns * channels);
    }
}

/* Read a band of rows; `at` gets where they are. What is below the picture repeats its last row. */
static int read_band(job *j, uint32_t y, const uint8_t *at[HG_BAND]) {
    hg_camera *c = j->camera;
    uint32_t i;
    HELIOGRAPH_STAGE(0);
    for (i = 0; i < HG_BAND; i++, y++) {
        if (y < j->height) {
            const uint8_t *row = c->row(c->row_context, y);
            if (row == NULL) return 0;
            at[i] = row;
            if (i + 1 < HG_BAND && y + 1 < j->height) at[i] = memcpy(j->raw + i * j->line, row, j->line);
        } else {
            at[i] = at[i ? i - 1 : HG_BAND - 1];
        }
    }
    HELIOGRAPH_STAGE(1);
    return 1;
}

/* A row of tiles, from the position `top` down. */
static hg_camera_status run_tiles(job *j, uint32_t top) {
    const hg_network *n = &j->state->network;
    const uint32_t tile_side = (uint32_t)n->tile / STRIDE, side = j->codec->side;
    const uint32_t rows = smaller(tile_side, j->rows - top), lines = hg_network_pixels(n, rows);
    const uint8_t *at[HG_BAND];
    uint32_t band, y, i, ready = 0, fresh = 0, done = 0;
    for (band = 0; band * HG_BAND < lines; band++) {
        hg_tile tile;
        if (!read_band(j, top * STRIDE + band * HG_BAND, at)) return HG_CAMERA_NO_ROW;
        for (tile.left = 0; tile.left < j->columns; tile.left += tile_side) {
            int8_t *input = hg_network_input(n, j->scratch);
            tile.across = j->columns;
            tile.rows = rows;
            tile.columns = smaller(tile_side, j->columns - tile.left);
            for (y = 0; y < HG_BAND; y++)
                hg_convert(j->camera->pixels, j->width, at[y], tile.left * STRIDE,
                           hg_network_pixels(n, tile.columns), input + 3 * (size_t)n->tile * y);
            fresh = hg_network_band(n, &tile, band, j->kept, j->scratch, &done);
            for (i = 0; i < fresh; i++) {
                const uint32_t strip = (done + i) / side * side;
                place_latents(j, &tile, done + i - strip, smaller(side, rows - strip),
                              hg_network_output(n, j->scratch) + (size_t)i * tile_side * n->channels);
            }
        }
        ready = done + fresh;
        if (fresh && (ready % side == 0 || ready == rows)) {
            hg_camera_status status = code_strip(j, top + (ready - 1) / side * side);
            if (status != HG_CAMERA_OK) return status;
        }
    }
    return HG_CAMERA_OK;
}

/* Go through the picture once, at a level. */
static hg_camera_status run_pass(job *j, uint32_t level) {
    const uint32_t tile_side = (uint32_t)j->state->network.tile / STRIDE;
    uint32_t top;
    j->header.level = level;
    j->used = 0;
    j->total = 0;
    j->fits = 1;
    for (top = 0; top < j->rows; top += tile_side) {
        hg_camera_status status = run_tiles(j, top);
        if (status != HG_CAMERA_OK) return status;
    }
    if (j->fits) j->fits = hg_write_header(&j->header, j->length, j->work, j->work_size) == HG_OK;
    j->total += j->fits ? j->header.size : 22 + 2 * (uint64_t)j->header.segments;
    if (j->total > j->camera->budget) j->fits = 0;
    j->camera->size = (uint32_t)j->total;
    return HG_CAMERA_OK;
}
