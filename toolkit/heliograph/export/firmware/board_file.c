/* A board for trying the example on a computer or under semihosting: picture.ppm (binary P6) in, stream.helio out. The
 * quality is the number in quality.txt, or 50. */
#include "board.h"

#include <stdio.h>

static FILE *picture, *stream;
static long pixels_at;
static uint32_t picture_width, picture_height;

int board_take(uint32_t *width, uint32_t *height, uint32_t *quality) {
    unsigned w, h, top, q = 50;
    FILE *wanted = fopen("quality.txt", "r");
    if (wanted != NULL) {
        int got = fscanf(wanted, "%u", &q);
        fclose(wanted);
        if (got != 1 || q > 100) return 1;
    }
    picture = fopen("picture.ppm", "rb");
    stream = fopen("stream.helio", "wb");
    if (picture == NULL || stream == NULL) return 1;
    if (fscanf(picture, "P6 %u %u %u", &w, &h, &top) != 3 || top != 255 || w < 1 || h < 1) return 1;
    if (fgetc(picture) == EOF) return 1; /* one white space before the pixels */
    pixels_at = ftell(picture);
    *width = picture_width = w;
    *height = picture_height = h;
    *quality = q;
    return 0;
}

int board_read(uint32_t left, uint32_t top, uint32_t width, uint32_t height, uint8_t *rgb) {
    uint32_t y, x, i, row, inside = picture_width - left < width ? picture_width - left : width;
    for (y = 0; y < height; y++, rgb += 3 * (size_t)width) {
        row = top + y < picture_height ? top + y : picture_height - 1;
        if (fseek(picture, pixels_at + 3 * ((long)row * (long)picture_width + (long)left), SEEK_SET)) return 1;
        if (fread(rgb, 3, inside, picture) != inside) return 1;
        for (x = inside; x < width; x++)
            for (i = 0; i < 3; i++) rgb[3 * x + i] = rgb[3 * (inside - 1) + i];
    }
    return 0;
}

int board_send(const uint8_t *data, size_t size) {
    return fwrite(data, 1, size, stream) != size || fflush(stream);
}
