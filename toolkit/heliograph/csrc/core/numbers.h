/* Bounds, and numbers as bytes: little-endian, and shifts that round down. */

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
