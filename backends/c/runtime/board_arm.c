/* Start and end of a program on Arm Cortex-M, without a C library; texts go to the debugger. */
#include "board.h"

extern uint32_t board_data_from, board_data, board_data_end, board_bss, board_bss_end;
extern uint32_t board_stack;

static int semihosting(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_say(const char *text) {
    (void)semihosting(0x04, text); /* SYS_WRITE0 */
}

void board_exit(int code) {
    /* SYS_EXIT: ADP_Stopped_ApplicationExit, or ADP_Stopped_RunTimeErrorUnknown */
    (void)semihosting(0x18, (const void *)(code == 0 ? 0x20026u : 0x20023u));
    for (;;) {
    }
}

static void fault(void) {
    board_say("FAULT\n");
    board_exit(1);
}

void reset(void);
void reset(void) {
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

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &board_stack, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault};
