/* What a program on a bare board needs. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

int main(void);
void board_say(const char *text);
void board_exit(int code);

#endif
