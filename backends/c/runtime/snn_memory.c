/* Memory functions for programs without a C library; weak, so that a library's own are taken. */
#include "snn_memory.h"

#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__)
/* or gcc would recognise the loops and call the functions that they are */
#define SNN_PLAIN __attribute__((weak, optimize("no-tree-loop-distribute-patterns")))
#elif defined(__clang__)
#define SNN_PLAIN __attribute__((weak, no_builtin))
#else
#define SNN_PLAIN
#endif

SNN_PLAIN void *memset(void *to, int value, size_t size) {
    unsigned char *t = to;
    while (size != 0u) {
        *t = (unsigned char)value;
        t++;
        size--;
    }
    return to;
}

SNN_PLAIN void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    unsigned char *t = to;
    const unsigned char *f = from;
    while (size != 0u) {
        *t = *f;
        t++;
        f++;
        size--;
    }
    return to;
}

SNN_PLAIN void *memmove(void *to, const void *from, size_t size) {
    unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0u; (uintptr_t)to <= (uintptr_t)from && i < size; i++) {
        t[i] = f[i];
    }
    while ((uintptr_t)to > (uintptr_t)from && size != 0u) {
        size--;
        t[size] = f[size];
    }
    return to;
}
