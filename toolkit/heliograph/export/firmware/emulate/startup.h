/* What an emulated program can ask about itself. */
#ifndef EMULATE_STARTUP_H
#define EMULATE_STARTUP_H

#include <stdint.h>

void count_from_here(void);
uint32_t instructions_since(void); /* at most 2.6 thousand million */
void paint_stack(void);
uint32_t painted_bytes_used(void); /* of the stack since it was painted, at most 32 KiB */

#endif
