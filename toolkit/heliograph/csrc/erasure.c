/* Heliograph's erasure code; erasure.h says what, PACKETS.md specifies it. */
#include "erasure.h"

#include <string.h>

#define ORDER 255u /* of the field's multiplicative group */

/* Powers of 2 in GF(256) by x^8 + x^4 + x^3 + x^2 + 1, and which power a number is; there is none for 0. */
static const uint8_t power[ORDER] = {
    1, 2, 4, 8, 16, 32, 64, 128, 29, 58, 116, 232, 205, 135, 19, 38, 76, 152, 45, 90, 180, 117, 234, 201, 143, 3, 6,
    12, 24, 48, 96, 192, 157, 39, 78, 156, 37, 74, 148, 53, 106, 212, 181, 119, 238, 193, 159, 35, 70, 140, 5, 10, 20,
    40, 80, 160, 93, 186, 105, 210, 185, 111, 222, 161, 95, 190, 97, 194, 153, 47, 94, 188, 101, 202, 137, 15, 30, 60,
    120, 240, 253, 231, 211, 187, 107, 214, 177, 127, 254, 225, 223, 163, 91, 182, 113, 226, 217, 175, 67, 134, 17,
    34, 68, 136, 13, 26, 52, 104, 208, 189, 103, 206, 129, 31, 62, 124, 248, 237, 199, 147, 59, 118, 236, 197, 151,
    51, 102, 204, 133, 23, 46, 92, 184, 109, 218, 169, 79, 158, 33, 66, 132, 21, 42, 84, 168, 77, 154, 41, 82, 164,
    85, 170, 73, 146, 57, 114, 228, 213, 183, 115, 230, 209, 191, 99, 198, 145, 63, 126, 252, 229, 215, 179, 123, 246,
    241, 255, 227, 219, 171, 75, 150, 49, 98, 196, 149, 55, 110, 220, 165, 87, 174, 65, 130, 25, 50, 100, 200, 141, 7,
    14, 28, 56, 112, 224, 221, 167, 83, 166, 81, 162, 89, 178, 121, 242, 249, 239, 195, 155, 43, 86, 172, 69, 138, 9,
    18, 36, 72, 144, 61, 122, 244, 245, 247, 243, 251, 235, 203, 139, 11, 22, 44, 88, 176, 125, 250, 233, 207, 131,
    27, 54, 108, 216, 173, 71, 142};
static const uint8_t logarithm[256] = {
    0, 0, 1, 25, 2, 50, 26, 198, 3, 223, 51, 238, 27, 104, 199, 75, 4, 100, 224, 14, 52, 141, 239, 129, 28, 193, 105,
    248, 200, 8, 76, 113, 5, 138, 101, 47, 225, 36, 15, 33, 53, 147, 142, 218, 240, 18, 130, 69, 29, 181, 194, 125,
    106, 39, 249, 185, 201, 154, 9, 120, 77, 228, 114, 166, 6, 191, 139, 98, 102, 221, 48, 253, 226, 152, 37, 179, 16,
    145, 34, 136, 54, 208, 148, 206, 143, 150, 219, 189, 241, 210, 19, 92, 131, 56, 70, 64, 30, 66, 182, 163, 195, 72,
    126, 110, 107, 58, 40, 84, 250, 133, 186, 61, 202, 94, 155, 159, 10, 21, 121, 43, 78, 212, 229, 172, 115, 243,
    167, 87, 7, 112, 192, 247, 140, 128, 99, 13, 103, 74, 222, 237, 49, 197, 254, 24, 227, 165, 153, 119, 38, 184,
    180, 124, 17, 68, 146, 217, 35, 32, 137, 46, 55, 63, 209, 91, 149, 188, 207, 205, 144, 135, 151, 178, 220, 252,
    190, 97, 242, 86, 211, 171, 20, 42, 93, 158, 132, 60, 57, 83, 71, 109, 65, 162, 31, 45, 67, 216, 183, 123, 164,
    118, 196, 23, 73, 236, 127, 12, 111, 246, 108, 161, 59, 82, 41, 157, 85, 170, 251, 96, 134, 177, 187, 204, 62, 90,
    203, 89, 95, 176, 156, 169, 160, 81, 11, 245, 22, 235, 122, 117, 44, 215, 79, 174, 213, 233, 230, 231, 173, 232,
    116, 214, 244, 234, 168, 80, 88, 175};

/* Where the polynomials have the bytes of a place: 0, then the powers. */
static uint8_t point(uint32_t place) { return place ? power[place - 1] : 0; }

static uint32_t distance(uint32_t a, uint32_t b) { return logarithm[point(a) ^ point(b)]; }

static uint32_t place_of(const uint8_t *places, uint32_t i) { return places ? places[i] : i; }

int hg_erasure_weigh(const uint8_t *places, uint32_t count, uint8_t *weights) {
    uint32_t i, j;
    if (count < 1 || count > HG_MAX_PLACES) return 0;
    for (i = 0; i < count; i++) {
        const uint32_t place = place_of(places, i);
        uint32_t sum = 0;
        if (place >= HG_MAX_PLACES) return 0;
        for (j = 0; j < count; j++) {
            const uint32_t other = place_of(places, j);
            if (j == i) continue;
            if (other >= HG_MAX_PLACES || other == place) return 0;
            sum += distance(place, other);
        }
        weights[i] = (uint8_t)(sum % ORDER);
    }
    return 1;
}

/* Add a piece times 2^factor to `out`: what `data` has of it, which is from byte `begins` to `ends` of all pieces. The piece
 * is from `at` on. */
static void add_product(uint8_t *out, size_t piece, size_t at, const uint8_t *data, size_t begins, size_t ends,
                        uint32_t factor) {
    const size_t first = at > begins ? at : begins, last = at + piece < ends ? at + piece : ends;
    size_t n;
    for (n = first; n < last; n++) {
        const uint8_t byte = data[n - begins];
        if (byte) {
            const uint32_t sum = logarithm[byte] + factor;
            out[n - at] ^= power[sum < ORDER ? sum : sum - ORDER];
        }
    }
}

void hg_erasure_piece(const uint8_t *places, const uint8_t *weights, uint32_t count, const uint8_t *head, size_t head_size,
                      const uint8_t *data, size_t data_size, size_t piece, uint32_t place, uint8_t *out) {
    const size_t size = head_size + data_size;
    uint32_t i, all = 0, is_there;
    memset(out, 0, piece);
    for (i = 0; i < count && place_of(places, i) != place; i++) all += distance(place, place_of(places, i));
    /* A piece that is there is itself. Lagrange otherwise: what is at `place` is the sum of the pieces, each by a factor of
     * this place and its own. */
    is_there = i < count;
    for (i = is_there ? i : 0; i < count && i * piece < size; i++) {
        const uint32_t factor =
            is_there ? 0 : (all + 2 * ORDER - distance(place, place_of(places, i)) - weights[i]) % ORDER;
        add_product(out, piece, i * piece, head, 0, head_size, factor);
        add_product(out, piece, i * piece, data, head_size, size, factor);
        if (is_there) return;
    }
}
