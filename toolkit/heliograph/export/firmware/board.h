/* What the example needs of a board: a camera and a link. board_file.c has both as files. */
#ifndef HELIOGRAPH_BOARD_H
#define HELIOGRAPH_BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Take a picture; give its size in pixels and the quality it is to have, 0 to 100. 0 when done. */
int board_take(uint32_t *width, uint32_t *height, uint32_t *quality);

/* Read a rectangle of the picture to rgb uint8 [height][width][3]. Rows and columns beyond the picture repeat its last. */
int board_read(uint32_t left, uint32_t top, uint32_t width, uint32_t height, uint8_t *rgb);

/* Send the next bytes of the stream. */
int board_send(const uint8_t *data, size_t size);

#endif
