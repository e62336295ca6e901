/* Rows as cameras give them to the network's int8. */

size_t hg_line(hg_pixels pixels, uint32_t width) {
    switch (pixels) {
    case HG_RGB888: return 3 * (size_t)width;
    case HG_GREY: return width;
    case HG_RGB565:
    case HG_RGB565_SWAPPED: return 2 * (size_t)width;
    default: return 4 * (((size_t)width + 1) / 2);
    }
}

static int8_t from_byte(uint32_t v) { return (int8_t)((int32_t)v - 128); }

static int8_t from_sum(int32_t v) { return (int8_t)(v < 0 ? -128 : v > 255 ? 127 : v - 128); }

static void from_565(uint32_t v, int8_t *out) {
    const uint32_t r = v >> 11, g = v >> 5 & 63, b = v & 31;
    out[0] = from_byte(r << 3 | r >> 2);
    out[1] = from_byte(g << 2 | g >> 4);
    out[2] = from_byte(b << 3 | b >> 2);
}

static void from_yuv(int32_t y, int32_t u, int32_t v, int8_t *out) { /* shifts of sums that are not negative */
    u -= 128;
    v -= 128;
    out[0] = from_sum(((y * 256 + 359 * v + 128 + (256 << 8)) >> 8) - 256);
    out[1] = from_sum(((y * 256 - 88 * u - 183 * v + 128 + (256 << 8)) >> 8) - 256);
    out[2] = from_sum(((y * 256 + 454 * u + 128 + (256 << 8)) >> 8) - 256);
}

/* A pixel of a row. */
static void convert_one(hg_pixels pixels, const uint8_t *row, uint32_t x, int8_t *out) {
    const uint8_t *two = row + 2 * (size_t)x, *pair = row + 4 * (size_t)(x / 2);
    switch (pixels) {
    case HG_RGB565: from_565((uint32_t)two[0] | (uint32_t)two[1] << 8, out); break;
    case HG_RGB565_SWAPPED: from_565((uint32_t)two[1] | (uint32_t)two[0] << 8, out); break;
    case HG_YUYV: from_yuv(pair[2 * (x & 1)], pair[1], pair[3], out); break;
    case HG_UYVY: from_yuv(pair[2 * (x & 1) + 1], pair[0], pair[2], out); break;
    default: out[0] = out[1] = out[2] = from_byte(row[x]);
    }
}

void hg_convert(hg_pixels pixels, uint32_t width, const uint8_t *row, uint32_t x, uint32_t count, int8_t *out) {
    const uint32_t inside = smaller(count, width - x);
    uint32_t i;
    if (pixels == HG_RGB888)
        for (i = 0; i < 3 * inside; i++) out[i] = from_byte(row[3 * (size_t)x + i]);
    else
        for (i = 0; i < inside; i++) convert_one(pixels, row, x + i, out + 3 * (size_t)i);
    for (i = 3 * inside; i < 3 * count; i++) out[i] = out[i - 3];
}
