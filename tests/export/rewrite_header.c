/* Parse the header of the stream `in`, write it again to `out`, check that a buffer one byte short is refused. */
#include "heliograph.h"

#include <stdio.h>

static uint8_t data[1 << 20], out[1 << 16];
static uint32_t length[1 << 12];

int main(void) {
    hg_header h, again;
    size_t size, at, i;
    FILE *file = fopen("in", "rb");
    if (file == NULL) return 1;
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    if (hg_parse(&h, data, size) != HG_OK) return 2;
    for (i = 0, at = h.lengths_at; i < h.segments; i++)
        if (hg_next_length(data, size, &at, &length[i]) != HG_OK) return 3;
    again = h;
    again.crc = again.across = again.down = again.segments = 0;
    again.size = again.lengths_at = 0;
    if (hg_write_header(&again, length, out, sizeof out) != HG_OK || again.size != h.size || again.crc != h.crc ||
        again.segments != h.segments || again.lengths_at != h.lengths_at)
        return 4;
    for (i = 0; i < h.size; i++)
        if (hg_write_header(&again, length, out, i) != HG_NO_SPACE) return 5;
    hg_write_header(&again, length, out, sizeof out);
    file = fopen("out", "wb");
    if (file == NULL || fwrite(out, 1, h.size, file) != h.size) return 6;
    fclose(file);
    printf("%lu\n", (unsigned long)h.size);
    again.parts = HG_MAX_LAYERS + 1 + h.refined;
    if (hg_write_header(&again, length, out, sizeof out) != HG_BAD_ARGUMENT) return 7;
    return 0;
}
