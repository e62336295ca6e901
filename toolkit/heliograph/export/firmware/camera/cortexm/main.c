/* Example for a bare Cortex-M: rows of a camera become a stream. As it is, the camera and the link are files of the
 * computer that runs the board, by semihosting: a debugger or QEMU. For your board, change camera_row and link_send.
 *
 *   qemu-system-arm -machine mps2-an500 -nographic -semihosting -kernel cortexm.elf
 *
 * reads picture.raw, rows of WIDTH pixels in the format PIXELS, and writes stream.helio, or the packets one after the other. */
#include "codec.h"
#include "startup.h"

#ifndef WIDTH
#define WIDTH 320
#define HEIGHT 240
#endif
#ifndef PIXELS
#define PIXELS HG_RGB888
#define PIXEL_BYTES 3
#endif
#ifndef QUALITY
#define QUALITY 50
#endif
#ifndef SCALE
#define SCALE 0 /* 1 to 31: the picture is made smaller first */
#endif
#ifdef PACKETS /* of PACKET_BYTES are sent, and ARRIVE of them give the picture */
#define BUDGET HELIOGRAPH_PACKETS_BUDGET(PACKET_BYTES, ARRIVE)
#endif
#ifndef BUDGET
#define BUDGET 16384 /* bytes */
#endif

enum { OPEN = 0x01, CLOSE = 0x02, WRITE0 = 0x04, WRITE = 0x05, READ = 0x06, SEEK = 0x0A, EXIT = 0x18 };
enum { READ_BINARY = 1, WRITE_BINARY = 5, APPLICATION_EXIT = 0x20026 };

static int32_t ask_host(uint32_t what, const void *with) {
    register uint32_t r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = with;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static int32_t open_file(const char *name, uint32_t mode) {
    size_t length = 0;
    uintptr_t with[3];
    while (name[length]) length++;
    with[0] = (uintptr_t)name;
    with[1] = mode;
    with[2] = length;
    return ask_host(OPEN, with);
}

static void print_number(const char *name, uint64_t v) {
    char text[24];
    size_t at = sizeof text;
    text[--at] = 0;
    text[--at] = '\n';
    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    ask_host(WRITE0, name);
    ask_host(WRITE0, text + at);
}

/* Ticks by stage: rows of the camera, network, entropy coding, sending. */
static uint64_t spent[4], since;
static uint32_t stage = 3;

void heliograph_stage(uint32_t next) {
    const uint64_t now = ticks();
    spent[stage] += now - since;
    since = now;
    stage = next;
}

static int32_t picture, stream;
static uint8_t row[WIDTH * PIXEL_BYTES];

static const uint8_t *camera_row(void *context, uint32_t y) {
    uintptr_t with[3];
    (void)context;
    with[0] = (uintptr_t)picture;
    with[1] = (uintptr_t)y * sizeof row;
    if (y == 0 && ask_host(SEEK, with)) return NULL; /* a new pass */
    with[1] = (uintptr_t)row;
    with[2] = sizeof row;
    return ask_host(READ, with) == 0 ? row : NULL;
}

static int link_send(void *context, const uint8_t *data, size_t size) {
    uintptr_t with[3];
    (void)context;
    with[0] = (uintptr_t)stream;
    with[1] = (uintptr_t)data;
    with[2] = size;
    return ask_host(WRITE, with) != 0;
}

#if SCALE
static uint32_t scaling_memory[(HELIOGRAPH_SCALING(WIDTH, HEIGHT, PIXEL_BYTES, SCALE) + 3) / 4];
static hg_scaling scaling = {.width = WIDTH, .height = HEIGHT, .scale = SCALE, .pixels = PIXELS, .row = camera_row};
#define MEMORY                                                                                                     \
    HELIOGRAPH_MEMORY(HELIOGRAPH_SCALED(WIDTH, SCALE), HELIOGRAPH_SCALED(HEIGHT, SCALE), 3, BUDGET)
#define MORE_FOR_SCALING (sizeof scaling_memory + sizeof scaling)
#else
#define MEMORY HELIOGRAPH_MEMORY(WIDTH, HEIGHT, PIXEL_BYTES, BUDGET)
#define MORE_FOR_SCALING 0
#endif
#ifdef PACKETS
static uint8_t packet[PACKET_BYTES];
static hg_packets packets = {.bytes = PACKET_BYTES, .count = PACKETS, .arrive = ARRIVE, .device = 4711, .picture = 812,
                             .send = link_send, .packet = packet};
#define MORE_FOR_PACKETS (sizeof packets + sizeof packet)
#else
#define MORE_FOR_PACKETS 0
#endif

/* Bytes of RAM beside the memory, the stack and a row of the camera. */
#define MORE (MORE_FOR_SCALING + MORE_FOR_PACKETS)

int main(void) {
    static uint64_t memory[(MEMORY + 7) / 8];
    static hg_camera camera = {.width = WIDTH, .height = HEIGHT, .scale = SCALE, .pixels = PIXELS, .quality = QUALITY,
                               .budget = BUDGET, .passes = 8, .level = HG_LEVELS, .row = camera_row, .send = link_send};
    uintptr_t file;
    hg_camera_status status;
    picture = open_file("picture.raw", READ_BINARY);
    stream = open_file("stream.helio", WRITE_BINARY);
#if SCALE
    if (!hg_scaling_begin(&scaling, scaling_memory, sizeof scaling_memory)) return 1;
    camera.pixels = HG_RGB888;
    camera.row = hg_scaling_row;
    camera.row_context = &scaling;
#endif
#ifdef PACKETS
    camera.layered = 1;
    camera.send = hg_send_packets;
    camera.send_context = &packets;
#endif
    since = ticks();
    status = hg_encode_picture(&heliograph_codec, &camera, memory, sizeof memory);
    heliograph_stage(0);
    file = (uintptr_t)stream;
    ask_host(CLOSE, &file);
    print_number("status ", status);
    print_number("level ", camera.coded);
    print_number("rows ", spent[0]);
    print_number("network ", spent[1]);
    print_number("entropy ", spent[2]);
    print_number("rest ", spent[3]);
    print_number("stack ", stack_used());
    print_number("memory ", sizeof memory);
    print_number("more ", MORE);
    ask_host(EXIT, (const void *)APPLICATION_EXIT);
    return 0;
}
