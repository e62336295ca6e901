/* Runs the fuzzer's targets with any compiler: replays inputs, looks for new ones, or keeps the few that matter.
 *
 *   fuzz_core replay FILE ...              run each once
 *   fuzz_core fuzz SECONDS SEED OUT DIR .. change inputs of all folders, 1000 times at least; those that reach what
 *                                          none did go to OUT
 *   fuzz_core keep OUT DIR ...             copy to OUT the smallest inputs that together reach all places that any does
 *
 * What is reached is told by -fsanitize-coverage=trace-pc of gcc and clang; without it `fuzz` changes inputs blindly.
 * The input of a finding is written to ./finding.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_core.h"

enum { MAX_SIZE = 20000, MAX_INPUTS = 1 << 16, MAP = 1 << 14, EXACT_MAP = 1 << 22, MOST_SECONDS = 10, LEAST = 1000 };

typedef struct {
    uint8_t *data;
    size_t size;
} input;

static const char *const names[TARGETS] = {"stream", "slice", "model", "round-trip", "network"};
static input inputs[MAX_INPUTS];
static size_t count;
static size_t map = MAP; /* small, as all of it is looked through after each input */
static uint8_t reached[EXACT_MAP], known[EXACT_MAP]; /* 1 where a step from one place of the core to the next was taken */
static uintptr_t before;
static int places_alone, is_told;
static uint64_t state = 1;
static const input *running;
static volatile sig_atomic_t ticks;

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak)); /* none without sanitizers */
void __sanitizer_cov_trace_pc(void);

/* Called a hundred thousand times for an input. */
void __sanitizer_cov_trace_pc(void) {
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    reached[(here ^ before) % map] = is_told = 1;
    if (!places_alone) before = here >> 1;
}

static uint32_t draw(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

static void put_file(const char *path, const uint8_t *data, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) {
        perror(path);
        _exit(2);
    }
}

static void save_finding(void) {
    if (!running) return;
    put_file("finding", running->data, running->size);
    fprintf(stderr, "fuzz: a finding: %u bytes for target %s, in ./finding\n", (unsigned)running->size,
            running->size ? names[running->data[0] % TARGETS] : "none");
    running = NULL;
}

static void on_abort(int signal) {
    (void)signal;
    save_finding();
    _exit(1);
}

static void on_tick(int signal) {
    (void)signal;
    if (++ticks > MOST_SECONDS) {
        static const char text[] = "fuzz: an input takes too long\n";
        if (write(2, text, sizeof text - 1) < 0) _exit(2);
        on_abort(0);
    }
    alarm(1);
}

/* Run an input in a buffer of exactly its size; `reached` tells what it reached. */
static void run(const input *i) {
    uint8_t *own = malloc(i->size + (i->size == 0));
    memcpy(own, i->data, i->size);
    if (is_told) memset(reached, 0, map);
    before = 0;
    ticks = 0;
    running = i;
    LLVMFuzzerTestOneInput(own, i->size);
    running = NULL;
    free(own);
}

/* Whether the last input reached what none did before. */
static int is_new(void) {
    int found = 0;
    size_t i;
    if (!is_told) return 0;
    for (i = 0; i < map; i++) {
        found |= reached[i] & !known[i];
        known[i] |= reached[i];
    }
    return found;
}

static void add(const uint8_t *data, size_t size) {
    if (count == MAX_INPUTS) return;
    inputs[count].data = malloc(size + (size == 0));
    inputs[count].size = size;
    memcpy(inputs[count++].data, data, size);
}

static void read_file(const char *path) {
    static uint8_t buffer[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t size;
    if (!file) {
        perror(path);
        exit(2);
    }
    size = fread(buffer, 1, sizeof buffer, file);
    fclose(file);
    add(buffer, size);
}

static int in_order(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void read_folder(const char *folder) {
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, in_order), i;
    if (n < 0) {
        perror(folder);
        exit(2);
    }
    for (i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') read_file(path);
        free(entries[i]);
    }
    free(entries);
}

/* Write an input to a folder under a name that its bytes make: FNV-1a, for the CRCs of all that ends with one are equal. */
static void keep(const char *folder, const input *i) {
    char path[4096];
    uint32_t hash = 2166136261u;
    size_t k;
    for (k = 0; k < i->size; k++) hash = (hash ^ i->data[k]) * 16777619u;
    snprintf(path, sizeof path, "%s/%s-%08x", folder, i->size ? names[i->data[0] % TARGETS] : "none", (unsigned)hash);
    put_file(path, i->data, i->size);
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) {
    static const uint8_t telling[] = {0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 129, 254, 255};
    uint32_t times = 1 + draw(4);
    while (times-- > 0) {
        size_t at = size ? draw((uint32_t)size) : 0, length = size - at < 32 ? size - at : 32;
        if (length) length = 1 + draw((uint32_t)length);
        switch (size ? draw(8) : 6) {
        case 0: data[at] ^= (uint8_t)(1u << draw(8)); break;
        case 1: data[at] = (uint8_t)draw(256); break;
        case 2: data[at] = telling[draw(sizeof telling)]; break;
        case 3: data[at] = (uint8_t)(data[at] + draw(9) - 4); break;
        case 4: /* bytes go */
            if (length == size) break;
            memmove(data + at, data + at + length, size - at - length);
            size -= length;
            break;
        case 5: /* bytes come again elsewhere */ memmove(data + draw((uint32_t)(size - length + 1)), data + at, length); break;
        case 6: { /* bytes come in */
            size_t more = 1 + draw(16), i;
            if (more > max_size - size) break;
            memmove(data + at + more, data + at, size - at);
            for (i = 0; i < more; i++) data[at + i] = (uint8_t)draw(256);
            size += more;
            break;
        }
        default: { /* bytes of another input */
            const input *other = &inputs[draw((uint32_t)count)];
            if (other->size < length) break;
            memcpy(data + at, other->data + draw((uint32_t)(other->size - length + 1)), length);
        }
        }
    }
    return size;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Any input; every second time one of the last. */
static const input *pick(void) {
    return &inputs[draw(2) && count > 64 ? (uint32_t)count - 1 - draw(64) : draw((uint32_t)count)];
}

static int fuzz(double seconds, const char *out) {
    static uint8_t buffer[MAX_SIZE];
    uint64_t done[TARGETS] = {0}, total = 0;
    size_t i, given = count;
    double began = now();
    for (i = 0; i < given; i++) {
        run(&inputs[i]);
        is_new();
    }
    while (total < LEAST || now() - began < seconds) {
        const input *parent = pick(), *other = pick();
        input child = {buffer, 0};
        if (other->size < parent->size && draw(4)) parent = other; /* small ones are done sooner */
        child.size = parent->size < MAX_SIZE ? parent->size : MAX_SIZE;
        memcpy(buffer, parent->data, child.size);
        child.size = LLVMFuzzerCustomMutator(buffer, child.size, MAX_SIZE, draw(1u << 31));
        if (child.size == 0) continue;
        run(&child);
        done[buffer[0] % TARGETS]++;
        total++;
        if (is_new()) {
            add(buffer, child.size);
            keep(out, &child);
        }
    }
    for (i = 0; i < TARGETS; i++) printf("core %-12s %12llu executions\n", names[i], (unsigned long long)done[i]);
    printf("core in all      %12llu executions, 0 findings, %u inputs more\n", (unsigned long long)total,
           (unsigned)(count - given));
    return 0;
}

static int by_size(const void *a, const void *b) {
    const input *x = a, *y = b;
    return x->size < y->size ? -1 : x->size > y->size;
}

int main(int argc, char **argv) {
    struct sigaction on = {0};
    int i;
    LLVMFuzzerInitialize(&argc, &argv);
    on.sa_handler = on_abort;
    sigaction(SIGABRT, &on, NULL);
    on.sa_handler = on_tick;
    on.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &on, NULL);
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(save_finding);
    alarm(1);
    if (argc > 2 && !strcmp(argv[1], "replay")) {
        for (i = 2; i < argc; i++) read_file(argv[i]);
        for (i = 0; i < (int)count; i++) run(&inputs[i]);
        printf("%d inputs\n", (int)count);
        return 0;
    }
    if (argc > 5 && !strcmp(argv[1], "fuzz")) {
        state = strtoull(argv[3], NULL, 10) * 2 + 1;
        for (i = 5; i < argc; i++) read_folder(argv[i]);
        return count ? fuzz(strtod(argv[2], NULL), argv[4]) : 2;
    }
    if (argc > 3 && !strcmp(argv[1], "keep")) {
        for (i = 3; i < argc; i++) read_folder(argv[i]);
        places_alone = 1;
        map = EXACT_MAP; /* no two places are one */
        qsort(inputs, count, sizeof *inputs, by_size);
        for (i = 0; i < (int)count; i++) {
            run(&inputs[i]);
            if (is_new()) keep(argv[2], &inputs[i]);
        }
        return 0;
    }
    fputs("usage: fuzz_core replay FILE ... | fuzz SECONDS SEED OUT DIR ... | keep OUT DIR ...\n", stderr);
    return 2;
}
