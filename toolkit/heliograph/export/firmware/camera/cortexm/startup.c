/* Start of a bare Cortex-M: vectors, memory as C wants it, the vector unit, a timer, and paint on the stack. */
#include "startup.h"

extern uint32_t __data_start[], __data_end[], __data_stored[], __bss_start[], __bss_end[];
extern uint32_t __stack_bottom[], __stack_top[];
extern int main(void);

#define PAINT 0xA5A5A5A5u
#define SYSTICK ((volatile uint32_t *)0xE000E010)
#define CPACR (*(volatile uint32_t *)0xE000ED88)
#define VTOR (*(volatile uint32_t *)0xE000ED08)

static volatile uint32_t wraps;

void Reset_Handler(void);

static void stop(void) {
    for (;;) continue;
}

static void on_tick(void) { wraps++; }

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    __stack_top,   (const void *)Reset_Handler, (const void *)stop, (const void *)stop, (const void *)stop,
    (const void *)stop, (const void *)stop,     (const void *)stop, (const void *)stop, (const void *)stop,
    (const void *)stop, (const void *)stop,     (const void *)stop, (const void *)stop, (const void *)stop,
    (const void *)on_tick};

void Reset_Handler(void) {
    volatile uint32_t *p;
    const uint32_t *from = __data_stored;
    for (p = __data_start; p < __data_end;) *p++ = *from++;
    for (p = __bss_start; p < __bss_end;) *p++ = 0;
    for (p = __stack_bottom; (uintptr_t)p < (uintptr_t)__stack_top - 128; p++) *p = PAINT; /* above is this function */
    VTOR = (uint32_t)(uintptr_t)vectors;
    CPACR |= 0xFu << 20; /* where there is one: the unit for floating point and vectors */
    SYSTICK[1] = 0xFFFFFFu;
    SYSTICK[2] = 0;
    SYSTICK[0] = 7;
    main();
    stop();
}

uint64_t ticks(void) {
    uint32_t high, low;
    do {
        high = wraps;
        low = 0xFFFFFFu - SYSTICK[2];
    } while (high != wraps);
    return (uint64_t)high << 24 | low;
}

uint32_t stack_used(void) {
    const volatile uint32_t *p = __stack_bottom;
    while (*p == PAINT) p++;
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)p);
}
