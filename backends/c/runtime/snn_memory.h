/* The three functions of string.h that the network calls; snn_memory.c has them, if nobody else. */
#ifndef SNN_MEMORY_H
#define SNN_MEMORY_H

#include <stddef.h>

void *memset(void *to, int value, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);

#endif
