/* Pictures made smaller; resize.h says what. codec/resize.py does the same in numpy, to the same bits. */
#include "resize.h"

#include <string.h>

enum { PHASES = 32, LOBES = 3, LONGEST_SIDE = 65535, MAX_BLOCK = 2048 };

/* Lanczos-3 in 1/16384, 32 places for each pixel of the small picture. */
static const int16_t kernel[LOBES * PHASES + 1] = {
    16384, 16355, 16267, 16122, 15921, 15664, 15354, 14993, 14583, 14128, 13630, 13093, 12521, 11917, 11287, 10633,
    9960, 9273, 8576, 7874, 7170, 6470, 5776, 5094, 4427, 3778, 3151, 2549, 1975, 1431, 919, 442,
    0, -405, -772, -1101, -1391, -1643, -1858, -2035, -2177, -2284, -2358, -2400, -2413, -2398, -2359, -2296,
    -2213, -2113, -1996, -1867, -1728, -1580, -1426, -1269, -1111, -953, -798, -646, -501, -362, -232, -111,
    0, 100, 190, 268, 335, 390, 435, 468, 492, 506, 511, 507, 497, 479, 457, 429,
    398, 365, 329, 292, 256, 219, 184, 151, 121, 93, 68, 47, 30, 17, 7, 2,
    0,
};

/* Weight of block `large`, of `block` pixels of `count`, in pixel `small` of `small_count`; it fades linearly between two
 * places. */
static int32_t weight_of(uint32_t large, uint32_t block, uint32_t count, uint32_t small, uint32_t small_count,
                         uint32_t shift) {
    int64_t apart = (int64_t)(2 * large + 1) * block * small_count - (int64_t)(2 * small + 1) * count;
    uint64_t far = (uint64_t)(apart < 0 ? -apart : apart);
    uint32_t at = (uint32_t)far, place, rest;
    int32_t v;
    if (far >= 2 * LOBES * count) return 0;
    place = at * (PHASES / 2) / count; /* a pixel of the small picture is 2 * count wide */
    rest = at * (PHASES / 2) % count;
    v = kernel[place] * (int32_t)1024 + (kernel[place + 1] - kernel[place]) * (int32_t)(rest * (uint64_t)1024 / count);
    v += 1 << (9 + shift);
    return v >= 0 ? v >> (10 + shift) : ~(~v >> (10 + shift));
}

static uint32_t blocks_of(uint32_t count, uint32_t block) { return (count + block - 1) / block; }

/* The first block of the large picture that a pixel of the small has a part of. */
static uint32_t first_of(uint32_t small, uint32_t block, uint32_t count, uint32_t small_count) {
    uint64_t middle = (2 * (uint64_t)small + 1) * count, reach = 2 * LOBES * (uint64_t)count;
    return middle <= reach ? 0 : (uint32_t)((middle - reach) / (2 * (uint64_t)small_count * block));
}

/* One more than the last. */
static uint32_t end_of(uint32_t small, uint32_t block, uint32_t count, uint32_t small_count) {
    uint64_t reach = (2 * (uint64_t)small + 1 + 2 * LOBES) * count, step = (uint64_t)small_count * block;
    uint64_t end = (reach + step - 1) / (2 * step);
    return end < blocks_of(count, block) ? (uint32_t)end : blocks_of(count, block);
}

/* Halvings of weights, so that sums of many stay within 32 bits. */
static uint32_t shift_of(uint32_t block, uint32_t count, uint32_t small_count) {
    uint32_t shift = 0;
    while (count / (small_count * block) >> (shift + 1)) shift++;
    return shift;
}

static uint32_t taps_of(uint32_t block, uint32_t count, uint32_t small_count) {
    return 2 * LOBES * count / (small_count * block) + 3;
}

/* The side of squares whose mean is taken first: three of them or more become one pixel. */
static uint32_t block_of(uint32_t width, uint32_t height, uint32_t small_width, uint32_t small_height) {
    uint32_t across = width / small_width / 3, down = height / small_height / 3, least = across < down ? across : down;
    return least > 1 ? least < MAX_BLOCK ? least : MAX_BLOCK : 1;
}

static int sizes_fit(uint32_t width, uint32_t height, uint32_t small_width, uint32_t small_height) {
    return small_width >= 1 && small_height >= 1 && small_width <= width && small_height <= height &&
           width <= LONGEST_SIDE && height <= LONGEST_SIDE;
}

size_t hg_resize_workspace(uint32_t width, uint32_t height, uint32_t small_width, uint32_t small_height) {
    size_t taps, size;
    uint32_t block;
    if (!sizes_fit(width, height, small_width, small_height)) return 0;
    block = block_of(width, height, small_width, small_height);
    taps = taps_of(block, width, small_width);
    size = (size_t)small_width * (3 * sizeof(int32_t) * HG_RESIZE_OPEN + 2 * taps + 2 + 3);
    if (block > 1) size += (size_t)blocks_of(width, block) * 3 * (sizeof(uint32_t) + 1);
    return (size + 3) & ~(size_t)3;
}

int hg_resize_begin(hg_resize *r, uint32_t width, uint32_t height, uint32_t small_width, uint32_t small_height,
                    void *workspace, size_t size) {
    size_t need = hg_resize_workspace(width, height, small_width, small_height);
    uint32_t x, i;
    if (need == 0 || size < need) return 0;
    memset(r, 0, sizeof *r);
    r->width = width;
    r->height = height;
    r->small_width = small_width;
    r->small_height = small_height;
    r->block = block_of(width, height, small_width, small_height);
    r->taps = taps_of(r->block, width, small_width);
    r->shift_across = shift_of(r->block, width, small_width);
    r->shift_down = shift_of(r->block, height, small_height);
    r->sum = (int32_t *)workspace;
    r->squares = (uint32_t *)(void *)(r->sum + (size_t)3 * HG_RESIZE_OPEN * small_width);
    r->weight = (int16_t *)(void *)(r->squares + (r->block > 1 ? (size_t)3 * blocks_of(width, r->block) : 0));
    r->first = (uint16_t *)(r->weight + (size_t)r->taps * small_width);
    r->row = (uint8_t *)(r->first + small_width);
    r->mean = r->row + 3 * (size_t)small_width;
    memset(workspace, 0, need);
    for (x = 0; x < small_width; x++) {
        uint32_t first = first_of(x, r->block, width, small_width), end = end_of(x, r->block, width, small_width);
        r->first[x] = (uint16_t)first;
        for (i = first; i < end; i++)
            r->weight[(size_t)x * r->taps + i - first] =
                (int16_t)weight_of(i, r->block, width, x, small_width, r->shift_across);
    }
    return 1;
}

static uint8_t divided(int32_t sum, int32_t total) {
    int32_t v = sum <= 0 ? 0 : (sum + total / 2) / total;
    return (uint8_t)(v > 255 ? 255 : v);
}

/* Make a row small across. */
static void shrink_row(const hg_resize *r, const uint8_t *pixels) {
    uint32_t x, i, blocks = blocks_of(r->width, r->block);
    for (x = 0; x < r->small_width; x++) {
        const int16_t *w = r->weight + (size_t)x * r->taps;
        const uint8_t *p = pixels + 3 * (size_t)r->first[x];
        uint32_t count = blocks - r->first[x] < r->taps ? blocks - r->first[x] : r->taps;
        int32_t red = 0, green = 0, blue = 0, total = 0;
        for (i = 0; i < count; i++, p += 3) {
            total += w[i];
            red += w[i] * p[0];
            green += w[i] * p[1];
            blue += w[i] * p[2];
        }
        r->row[3 * x] = divided(red, total);
        r->row[3 * x + 1] = divided(green, total);
        r->row[3 * x + 2] = divided(blue, total);
    }
}

/* Add a row to the squares; 1 if they are complete, with their means in r->mean. */
static int take_squares(hg_resize *r, const uint8_t *pixels) {
    uint32_t x, i, blocks = blocks_of(r->width, r->block), rows = r->taken % r->block + 1;
    for (x = 0; x < blocks; x++) {
        uint32_t left = r->width - x * r->block, count = 3 * (left < r->block ? left : r->block);
        const uint8_t *p = pixels + 3 * (size_t)x * r->block;
        uint32_t *sum = r->squares + 3 * (size_t)x;
        for (i = 0; i < count; i += 3) {
            sum[0] += p[i];
            sum[1] += p[i + 1];
            sum[2] += p[i + 2];
        }
    }
    if (rows < r->block && r->taken + 1 < r->height) return 0;
    for (x = 0; x < blocks; x++) {
        uint32_t left = r->width - x * r->block, count = rows * (left < r->block ? left : r->block);
        for (i = 3 * x; i < 3 * x + 3; i++) {
            r->mean[i] = (uint8_t)((r->squares[i] + count / 2) / count);
            r->squares[i] = 0;
        }
    }
    return 1;
}

void hg_resize_take(hg_resize *r, const uint8_t *pixels) {
    uint32_t y, count = 3 * r->small_width, i, row = r->taken / r->block;
    if (r->taken >= r->height) return;
    if (r->block > 1 && !take_squares(r, pixels)) {
        r->taken++;
        return;
    }
    shrink_row(r, r->block > 1 ? r->mean : pixels);
    for (y = r->given; y < r->small_height && y < r->given + HG_RESIZE_OPEN; y++) {
        int32_t w = weight_of(row, r->block, r->height, y, r->small_height, r->shift_down);
        int32_t *sum = r->sum + (size_t)(y % HG_RESIZE_OPEN) * count;
        if (w == 0) continue;
        r->total[y % HG_RESIZE_OPEN] += w;
        for (i = 0; i < count; i++) sum[i] += w * r->row[i];
    }
    r->taken++;
}

int hg_resize_give(hg_resize *r, uint8_t *pixels) {
    uint32_t slot = r->given % HG_RESIZE_OPEN, count = 3 * r->small_width, i;
    int32_t *sum = r->sum + (size_t)slot * count;
    uint32_t rows = r->taken == r->height ? blocks_of(r->height, r->block) : r->taken / r->block;
    if (r->given >= r->small_height || rows < end_of(r->given, r->block, r->height, r->small_height)) return 0;
    for (i = 0; i < count; i++) pixels[i] = divided(sum[i], r->total[slot]);
    memset(sum, 0, count * sizeof *sum);
    r->total[slot] = 0;
    r->given++;
    return 1;
}
