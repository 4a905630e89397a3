/* Start and end of a program on QEMU's RISC-V board virt, without a C library. */
#include "board.h"

extern uint32_t board_data_from, board_data, board_data_end, board_bss, board_bss_end;

#define UART ((volatile uint8_t *)0x10000000u)
#define FINISHER ((volatile uint32_t *)0x00100000u)

void board_say(const char *text) {
    for (; *text != '\0'; text++) {
        *UART = (uint8_t)*text;
    }
}

void board_exit(int code) {
    *FINISHER = code == 0 ? 0x5555u : ((uint32_t)code << 16) | 0x3333u;
    for (;;) {
    }
}

__attribute__((used)) static void board_fault(void) {
    board_say("FAULT\n");
    board_exit(1);
}

__attribute__((used)) static void board_reset(void) {
    const uint32_t *from = &board_data_from;
    for (uint32_t *to = &board_data; to < &board_data_end; to++) {
        *to = *from;
        from++;
    }
    for (uint32_t *to = &board_bss; to < &board_bss_end; to++) {
        *to = 0u;
    }
    board_exit(main());
}

__asm__(".section .vectors, \"ax\"\n"
        ".option arch, +zicsr\n"
        ".globl board_start\n"
        "board_start:\n"
        "    la sp, board_stack\n"
        "    la t0, board_trap\n"
        "    csrw mtvec, t0\n"
        "    j board_reset\n"
        "    .align 4\n"
        "board_trap:\n"
        "    j board_fault\n"
        ".text\n");
