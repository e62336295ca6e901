/* Start of a program on an emulated Cortex-M: vectors, zeroed memory, semihosting files, and a counter of instructions. */
#include "startup.h"

#include <stdlib.h>

extern uint32_t __bss_start[], __bss_end[], __stack_top[];
extern void initialise_monitor_handles(void);
extern int main(void);

static void stop(void) { _Exit(99); }

void Reset_Handler(void) {
    uint32_t *p;
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating point unit, where there is one: printf may use it */
    for (p = __bss_start; p < __bss_end; p++) *p = 0;
    initialise_monitor_handles();
    exit(main());
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    __stack_top, (void *)Reset_Handler, (void *)stop, (void *)stop, (void *)stop, (void *)stop, (void *)stop,
    (void *)stop, (void *)stop, (void *)stop, (void *)stop, (void *)stop, (void *)stop, (void *)stop, (void *)stop,
    (void *)stop};

void _init(void) {}
void _fini(void) {}

/* The board's 25 MHz timer counts down in virtual time, which `-icount shift=6` makes 64 ns for every instruction. */
#define TIMER ((volatile uint32_t *)0x40000000)

void count_from_here(void) {
    TIMER[0] = 0;
    TIMER[2] = 0xFFFFFFFFu; /* reload */
    TIMER[1] = 0xFFFFFFFFu; /* value */
    TIMER[0] = 1;
}

uint32_t instructions_since(void) { return (uint32_t)((uint64_t)(0xFFFFFFFFu - TIMER[1]) * 40 / 64); }

#define STACK_WORDS 8192u /* below the stack pointer, which the heap is far from */
#define PAINT 0xA5A5A5A5u

void paint_stack(void) {
    volatile uint32_t here;
    volatile uint32_t *p = &here - 64; /* beyond this function's own frame */
    uint32_t i;
    for (i = 0; i < STACK_WORDS; i++) *p-- = PAINT;
}

uint32_t painted_bytes_used(void) {
    volatile uint32_t here;
    volatile uint32_t *p = &here - 64 - STACK_WORDS + 1;
    uint32_t left = 0;
    while (left < STACK_WORDS && *p++ == PAINT) left++;
    return 4 * (STACK_WORDS - left) + 64 * 4;
}
