/* Lists of spikes: the numbers of the ones among bytes that are 0 or 1. Small code, no tables. */
#ifndef SNN_LISTS_H
#define SNN_LISTS_H

#include <stdint.h>

/* Numbers of the ones in x[0..n-1], ascending; returns how many. */
#define SNN_LIST(list, number)                                                               \
    static inline uint32_t list(const uint8_t *restrict x, uint32_t n,                       \
                                number *restrict ids) {                                      \
        uint32_t count = 0u;                                                                 \
        for (uint32_t i = 0u; i < n; i++) {                                                  \
            if (x[i] != 0u) {                                                                \
                ids[count] = (number)i;                                                      \
                count++;                                                                     \
            }                                                                                \
        }                                                                                    \
        return count;                                                                        \
    }

SNN_LIST(snn_list_16, uint16_t)
SNN_LIST(snn_list_32, uint32_t)

#endif
