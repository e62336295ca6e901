/* What the start of the program gives beside a stack: a count of time by the SysTick timer, and how deep the stack went. */
#ifndef STARTUP_H
#define STARTUP_H

#include <stddef.h>
#include <stdint.h>

uint64_t ticks(void); /* of the processor's clock, since the start */
uint32_t stack_used(void); /* bytes, the most so far */

#endif
