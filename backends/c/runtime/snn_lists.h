/* Lists of spikes: the numbers of the ones among bytes that are 0 or 1. */
#ifndef SNN_LISTS_H
#define SNN_LISTS_H

#include <stdint.h>
#include <string.h>

#include "snn_math.h"
#include "snn_simd.h"

/* Places of the ones of a byte, lowest first, then zeros. */
#if SNN_LANES
typedef uint16_t snn_place;
#else
typedef uint8_t snn_place;
#endif
static const snn_place snn_places[256][8] = {
    {0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0, 0, 0}, {0, 1, 0, 0, 0, 0, 0, 0},
    {2, 0, 0, 0, 0, 0, 0, 0}, {0, 2, 0, 0, 0, 0, 0, 0}, {1, 2, 0, 0, 0, 0, 0, 0}, {0, 1, 2, 0, 0, 0, 0, 0},
    {3, 0, 0, 0, 0, 0, 0, 0}, {0, 3, 0, 0, 0, 0, 0, 0}, {1, 3, 0, 0, 0, 0, 0, 0}, {0, 1, 3, 0, 0, 0, 0, 0},
    {2, 3, 0, 0, 0, 0, 0, 0}, {0, 2, 3, 0, 0, 0, 0, 0}, {1, 2, 3, 0, 0, 0, 0, 0}, {0, 1, 2, 3, 0, 0, 0, 0},
    {4, 0, 0, 0, 0, 0, 0, 0}, {0, 4, 0, 0, 0, 0, 0, 0}, {1, 4, 0, 0, 0, 0, 0, 0}, {0, 1, 4, 0, 0, 0, 0, 0},
    {2, 4, 0, 0, 0, 0, 0, 0}, {0, 2, 4, 0, 0, 0, 0, 0}, {1, 2, 4, 0, 0, 0, 0, 0}, {0, 1, 2, 4, 0, 0, 0, 0},
    {3, 4, 0, 0, 0, 0, 0, 0}, {0, 3, 4, 0, 0, 0, 0, 0}, {1, 3, 4, 0, 0, 0, 0, 0}, {0, 1, 3, 4, 0, 0, 0, 0},
    {2, 3, 4, 0, 0, 0, 0, 0}, {0, 2, 3, 4, 0, 0, 0, 0}, {1, 2, 3, 4, 0, 0, 0, 0}, {0, 1, 2, 3, 4, 0, 0, 0},
    {5, 0, 0, 0, 0, 0, 0, 0}, {0, 5, 0, 0, 0, 0, 0, 0}, {1, 5, 0, 0, 0, 0, 0, 0}, {0, 1, 5, 0, 0, 0, 0, 0},
    {2, 5, 0, 0, 0, 0, 0, 0}, {0, 2, 5, 0, 0, 0, 0, 0}, {1, 2, 5, 0, 0, 0, 0, 0}, {0, 1, 2, 5, 0, 0, 0, 0},
    {3, 5, 0, 0, 0, 0, 0, 0}, {0, 3, 5, 0, 0, 0, 0, 0}, {1, 3, 5, 0, 0, 0, 0, 0}, {0, 1, 3, 5, 0, 0, 0, 0},
    {2, 3, 5, 0, 0, 0, 0, 0}, {0, 2, 3, 5, 0, 0, 0, 0}, {1, 2, 3, 5, 0, 0, 0, 0}, {0, 1, 2, 3, 5, 0, 0, 0},
    {4, 5, 0, 0, 0, 0, 0, 0}, {0, 4, 5, 0, 0, 0, 0, 0}, {1, 4, 5, 0, 0, 0, 0, 0}, {0, 1, 4, 5, 0, 0, 0, 0},
    {2, 4, 5, 0, 0, 0, 0, 0}, {0, 2, 4, 5, 0, 0, 0, 0}, {1, 2, 4, 5, 0, 0, 0, 0}, {0, 1, 2, 4, 5, 0, 0, 0},
    {3, 4, 5, 0, 0, 0, 0, 0}, {0, 3, 4, 5, 0, 0, 0, 0}, {1, 3, 4, 5, 0, 0, 0, 0}, {0, 1, 3, 4, 5, 0, 0, 0},
    {2, 3, 4, 5, 0, 0, 0, 0}, {0, 2, 3, 4, 5, 0, 0, 0}, {1, 2, 3, 4, 5, 0, 0, 0}, {0, 1, 2, 3, 4, 5, 0, 0},
    {6, 0, 0, 0, 0, 0, 0, 0}, {0, 6, 0, 0, 0, 0, 0, 0}, {1, 6, 0, 0, 0, 0, 0, 0}, {0, 1, 6, 0, 0, 0, 0, 0},
    {2, 6, 0, 0, 0, 0, 0, 0}, {0, 2, 6, 0, 0, 0, 0, 0}, {1, 2, 6, 0, 0, 0, 0, 0}, {0, 1, 2, 6, 0, 0, 0, 0},
    {3, 6, 0, 0, 0, 0, 0, 0}, {0, 3, 6, 0, 0, 0, 0, 0}, {1, 3, 6, 0, 0, 0, 0, 0}, {0, 1, 3, 6, 0, 0, 0, 0},
    {2, 3, 6, 0, 0, 0, 0, 0}, {0, 2, 3, 6, 0, 0, 0, 0}, {1, 2, 3, 6, 0, 0, 0, 0}, {0, 1, 2, 3, 6, 0, 0, 0},
    {4, 6, 0, 0, 0, 0, 0, 0}, {0, 4, 6, 0, 0, 0, 0, 0}, {1, 4, 6, 0, 0, 0, 0, 0}, {0, 1, 4, 6, 0, 0, 0, 0},
    {2, 4, 6, 0, 0, 0, 0, 0}, {0, 2, 4, 6, 0, 0, 0, 0}, {1, 2, 4, 6, 0, 0, 0, 0}, {0, 1, 2, 4, 6, 0, 0, 0},
    {3, 4, 6, 0, 0, 0, 0, 0}, {0, 3, 4, 6, 0, 0, 0, 0}, {1, 3, 4, 6, 0, 0, 0, 0}, {0, 1, 3, 4, 6, 0, 0, 0},
    {2, 3, 4, 6, 0, 0, 0, 0}, {0, 2, 3, 4, 6, 0, 0, 0}, {1, 2, 3, 4, 6, 0, 0, 0}, {0, 1, 2, 3, 4, 6, 0, 0},
    {5, 6, 0, 0, 0, 0, 0, 0}, {0, 5, 6, 0, 0, 0, 0, 0}, {1, 5, 6, 0, 0, 0, 0, 0}, {0, 1, 5, 6, 0, 0, 0, 0},
    {2, 5, 6, 0, 0, 0, 0, 0}, {0, 2, 5, 6, 0, 0, 0, 0}, {1, 2, 5, 6, 0, 0, 0, 0}, {0, 1, 2, 5, 6, 0, 0, 0},
    {3, 5, 6, 0, 0, 0, 0, 0}, {0, 3, 5, 6, 0, 0, 0, 0}, {1, 3, 5, 6, 0, 0, 0, 0}, {0, 1, 3, 5, 6, 0, 0, 0},
    {2, 3, 5, 6, 0, 0, 0, 0}, {0, 2, 3, 5, 6, 0, 0, 0}, {1, 2, 3, 5, 6, 0, 0, 0}, {0, 1, 2, 3, 5, 6, 0, 0},
    {4, 5, 6, 0, 0, 0, 0, 0}, {0, 4, 5, 6, 0, 0, 0, 0}, {1, 4, 5, 6, 0, 0, 0, 0}, {0, 1, 4, 5, 6, 0, 0, 0},
    {2, 4, 5, 6, 0, 0, 0, 0}, {0, 2, 4, 5, 6, 0, 0, 0}, {1, 2, 4, 5, 6, 0, 0, 0}, {0, 1, 2, 4, 5, 6, 0, 0},
    {3, 4, 5, 6, 0, 0, 0, 0}, {0, 3, 4, 5, 6, 0, 0, 0}, {1, 3, 4, 5, 6, 0, 0, 0}, {0, 1, 3, 4, 5, 6, 0, 0},
    {2, 3, 4, 5, 6, 0, 0, 0}, {0, 2, 3, 4, 5, 6, 0, 0}, {1, 2, 3, 4, 5, 6, 0, 0}, {0, 1, 2, 3, 4, 5, 6, 0},
    {7, 0, 0, 0, 0, 0, 0, 0}, {0, 7, 0, 0, 0, 0, 0, 0}, {1, 7, 0, 0, 0, 0, 0, 0}, {0, 1, 7, 0, 0, 0, 0, 0},
    {2, 7, 0, 0, 0, 0, 0, 0}, {0, 2, 7, 0, 0, 0, 0, 0}, {1, 2, 7, 0, 0, 0, 0, 0}, {0, 1, 2, 7, 0, 0, 0, 0},
    {3, 7, 0, 0, 0, 0, 0, 0}, {0, 3, 7, 0, 0, 0, 0, 0}, {1, 3, 7, 0, 0, 0, 0, 0}, {0, 1, 3, 7, 0, 0, 0, 0},
    {2, 3, 7, 0, 0, 0, 0, 0}, {0, 2, 3, 7, 0, 0, 0, 0}, {1, 2, 3, 7, 0, 0, 0, 0}, {0, 1, 2, 3, 7, 0, 0, 0},
    {4, 7, 0, 0, 0, 0, 0, 0}, {0, 4, 7, 0, 0, 0, 0, 0}, {1, 4, 7, 0, 0, 0, 0, 0}, {0, 1, 4, 7, 0, 0, 0, 0},
    {2, 4, 7, 0, 0, 0, 0, 0}, {0, 2, 4, 7, 0, 0, 0, 0}, {1, 2, 4, 7, 0, 0, 0, 0}, {0, 1, 2, 4, 7, 0, 0, 0},
    {3, 4, 7, 0, 0, 0, 0, 0}, {0, 3, 4, 7, 0, 0, 0, 0}, {1, 3, 4, 7, 0, 0, 0, 0}, {0, 1, 3, 4, 7, 0, 0, 0},
    {2, 3, 4, 7, 0, 0, 0, 0}, {0, 2, 3, 4, 7, 0, 0, 0}, {1, 2, 3, 4, 7, 0, 0, 0}, {0, 1, 2, 3, 4, 7, 0, 0},
    {5, 7, 0, 0, 0, 0, 0, 0}, {0, 5, 7, 0, 0, 0, 0, 0}, {1, 5, 7, 0, 0, 0, 0, 0}, {0, 1, 5, 7, 0, 0, 0, 0},
    {2, 5, 7, 0, 0, 0, 0, 0}, {0, 2, 5, 7, 0, 0, 0, 0}, {1, 2, 5, 7, 0, 0, 0, 0}, {0, 1, 2, 5, 7, 0, 0, 0},
    {3, 5, 7, 0, 0, 0, 0, 0}, {0, 3, 5, 7, 0, 0, 0, 0}, {1, 3, 5, 7, 0, 0, 0, 0}, {0, 1, 3, 5, 7, 0, 0, 0},
    {2, 3, 5, 7, 0, 0, 0, 0}, {0, 2, 3, 5, 7, 0, 0, 0}, {1, 2, 3, 5, 7, 0, 0, 0}, {0, 1, 2, 3, 5, 7, 0, 0},
    {4, 5, 7, 0, 0, 0, 0, 0}, {0, 4, 5, 7, 0, 0, 0, 0}, {1, 4, 5, 7, 0, 0, 0, 0}, {0, 1, 4, 5, 7, 0, 0, 0},
    {2, 4, 5, 7, 0, 0, 0, 0}, {0, 2, 4, 5, 7, 0, 0, 0}, {1, 2, 4, 5, 7, 0, 0, 0}, {0, 1, 2, 4, 5, 7, 0, 0},
    {3, 4, 5, 7, 0, 0, 0, 0}, {0, 3, 4, 5, 7, 0, 0, 0}, {1, 3, 4, 5, 7, 0, 0, 0}, {0, 1, 3, 4, 5, 7, 0, 0},
    {2, 3, 4, 5, 7, 0, 0, 0}, {0, 2, 3, 4, 5, 7, 0, 0}, {1, 2, 3, 4, 5, 7, 0, 0}, {0, 1, 2, 3, 4, 5, 7, 0},
    {6, 7, 0, 0, 0, 0, 0, 0}, {0, 6, 7, 0, 0, 0, 0, 0}, {1, 6, 7, 0, 0, 0, 0, 0}, {0, 1, 6, 7, 0, 0, 0, 0},
    {2, 6, 7, 0, 0, 0, 0, 0}, {0, 2, 6, 7, 0, 0, 0, 0}, {1, 2, 6, 7, 0, 0, 0, 0}, {0, 1, 2, 6, 7, 0, 0, 0},
    {3, 6, 7, 0, 0, 0, 0, 0}, {0, 3, 6, 7, 0, 0, 0, 0}, {1, 3, 6, 7, 0, 0, 0, 0}, {0, 1, 3, 6, 7, 0, 0, 0},
    {2, 3, 6, 7, 0, 0, 0, 0}, {0, 2, 3, 6, 7, 0, 0, 0}, {1, 2, 3, 6, 7, 0, 0, 0}, {0, 1, 2, 3, 6, 7, 0, 0},
    {4, 6, 7, 0, 0, 0, 0, 0}, {0, 4, 6, 7, 0, 0, 0, 0}, {1, 4, 6, 7, 0, 0, 0, 0}, {0, 1, 4, 6, 7, 0, 0, 0},
    {2, 4, 6, 7, 0, 0, 0, 0}, {0, 2, 4, 6, 7, 0, 0, 0}, {1, 2, 4, 6, 7, 0, 0, 0}, {0, 1, 2, 4, 6, 7, 0, 0},
    {3, 4, 6, 7, 0, 0, 0, 0}, {0, 3, 4, 6, 7, 0, 0, 0}, {1, 3, 4, 6, 7, 0, 0, 0}, {0, 1, 3, 4, 6, 7, 0, 0},
    {2, 3, 4, 6, 7, 0, 0, 0}, {0, 2, 3, 4, 6, 7, 0, 0}, {1, 2, 3, 4, 6, 7, 0, 0}, {0, 1, 2, 3, 4, 6, 7, 0},
    {5, 6, 7, 0, 0, 0, 0, 0}, {0, 5, 6, 7, 0, 0, 0, 0}, {1, 5, 6, 7, 0, 0, 0, 0}, {0, 1, 5, 6, 7, 0, 0, 0},
    {2, 5, 6, 7, 0, 0, 0, 0}, {0, 2, 5, 6, 7, 0, 0, 0}, {1, 2, 5, 6, 7, 0, 0, 0}, {0, 1, 2, 5, 6, 7, 0, 0},
    {3, 5, 6, 7, 0, 0, 0, 0}, {0, 3, 5, 6, 7, 0, 0, 0}, {1, 3, 5, 6, 7, 0, 0, 0}, {0, 1, 3, 5, 6, 7, 0, 0},
    {2, 3, 5, 6, 7, 0, 0, 0}, {0, 2, 3, 5, 6, 7, 0, 0}, {1, 2, 3, 5, 6, 7, 0, 0}, {0, 1, 2, 3, 5, 6, 7, 0},
    {4, 5, 6, 7, 0, 0, 0, 0}, {0, 4, 5, 6, 7, 0, 0, 0}, {1, 4, 5, 6, 7, 0, 0, 0}, {0, 1, 4, 5, 6, 7, 0, 0},
    {2, 4, 5, 6, 7, 0, 0, 0}, {0, 2, 4, 5, 6, 7, 0, 0}, {1, 2, 4, 5, 6, 7, 0, 0}, {0, 1, 2, 4, 5, 6, 7, 0},
    {3, 4, 5, 6, 7, 0, 0, 0}, {0, 3, 4, 5, 6, 7, 0, 0}, {1, 3, 4, 5, 6, 7, 0, 0}, {0, 1, 3, 4, 5, 6, 7, 0},
    {2, 3, 4, 5, 6, 7, 0, 0}, {0, 2, 3, 4, 5, 6, 7, 0}, {1, 2, 3, 4, 5, 6, 7, 0}, {0, 1, 2, 3, 4, 5, 6, 7}};

static const uint8_t snn_counts[256] = {
    0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5,
    1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5, 2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6,
    1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5, 2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6,
    2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6, 3, 4, 4, 5, 4, 5, 5, 6, 4, 5, 5, 6, 5, 6, 6, 7,
    1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5, 2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6,
    2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6, 3, 4, 4, 5, 4, 5, 5, 6, 4, 5, 5, 6, 5, 6, 6, 7,
    2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6, 3, 4, 4, 5, 4, 5, 5, 6, 4, 5, 5, 6, 5, 6, 6, 7,
    3, 4, 4, 5, 4, 5, 5, 6, 4, 5, 5, 6, 5, 6, 6, 7, 4, 5, 5, 6, 5, 6, 6, 7, 5, 6, 6, 7, 6, 7, 7, 8};

/* Numbers that may be written behind the end of a list. */
#define SNN_SLACK 32u

/* Eight bytes as one word; compilers make it one load. */
static inline uint64_t snn_eight(const uint8_t *x) {
    return (uint64_t)x[0] | ((uint64_t)x[1] << 8) | ((uint64_t)x[2] << 16) |
           ((uint64_t)x[3] << 24) | ((uint64_t)x[4] << 32) | ((uint64_t)x[5] << 40) |
           ((uint64_t)x[6] << 48) | ((uint64_t)x[7] << 56);
}

/* The lowest bits of its bytes, which have no others, as one byte. Bit 8 k times 2**(56 - 7 k) is bit
 * 56 + k; no two products meet below, and what is above the highest bit goes. */
#if defined(__clang__)
__attribute__((no_sanitize("unsigned-integer-overflow")))
#endif
static inline uint32_t snn_pack(uint64_t eight) {
    return (uint32_t)((eight * UINT64_C(0x0102040810204080)) >> 56);
}

/* Writes the numbers i + place of the ones in a byte, and others behind them; returns how many. */
#define SNN_PUT(put, number)                                                                 \
    static inline uint32_t put(number *restrict ids, uint32_t i, uint32_t set) {             \
        const snn_place *restrict at = snn_places[set];                                      \
        const uint32_t ones = snn_counts[set];                                               \
        ids[0] = (number)(i + at[0]);                                                        \
        ids[1] = (number)(i + at[1]);                                                        \
        ids[2] = (number)(i + at[2]);                                                        \
        ids[3] = (number)(i + at[3]);                                                        \
        for (uint32_t k = 4u; k < ones; k++) {                                               \
            ids[k] = (number)(i + at[k]);                                                    \
        }                                                                                    \
        return ones;                                                                         \
    }

#if SNN_LANES
/* Four at once: no sum of 16 bits carries into the next. */
static inline uint32_t snn_put_16(uint16_t *restrict ids, uint32_t i, uint32_t set) {
    const uint64_t all = (uint64_t)i * UINT64_C(0x0001000100010001);
    const uint32_t ones = snn_counts[set];
    uint64_t four;
    memcpy(&four, snn_places[set], 8u);
    four += all;
    memcpy(ids, &four, 8u);
    if (ones > 4u) {
        memcpy(&four, &snn_places[set][4], 8u);
        four += all;
        memcpy(ids + 4, &four, 8u);
    }
    return ones;
}
#else
SNN_PUT(snn_put_16, uint16_t)
#endif
SNN_PUT(snn_put_32, uint32_t)

/* Numbers of the ones in x[0..n-1], ascending; returns how many. Eight neurons cost a look
 * into the table, without a test that a processor cannot predict; four numbers are written. ids has
 * room for n: no number is written beyond the neurons read so far. */
#define SNN_LIST(list, number, put)                                                          \
    static inline uint32_t list(const uint8_t *restrict x, uint32_t n,                       \
                                number *restrict ids) {                                      \
        number *end = ids;                                                                   \
        uint32_t i = 0u;                                                                     \
        for (; n - i >= 16u; i += 16u) {                                                     \
            end += put(end, i, snn_pack(snn_eight(x + i)));                                  \
            end += put(end, i + 8u, snn_pack(snn_eight(x + i + 8u)));                        \
        }                                                                                    \
        for (; n - i >= 8u; i += 8u) {                                                       \
            end += put(end, i, snn_pack(snn_eight(x + i)));                                  \
        }                                                                                    \
        for (; i < n; i++) {                                                                 \
            if (x[i] != 0u) {                                                                \
                end[0] = (number)i;                                                          \
                end++;                                                                       \
            }                                                                                \
        }                                                                                    \
        return (uint32_t)(end - ids);                                                        \
    }

/* The same with every number moved by first; ids has room for SNN_SLACK more. Returns where the
 * list ends. Lists of a few dozen neurons are rarely empty enough for a test to be worth it. */
#define SNN_APPEND(list, number, put)                                                        \
    static inline number *list(const uint8_t *restrict x, uint32_t n, uint32_t first,        \
                               number *restrict ids) {                                       \
        uint32_t i = 0u;                                                                     \
        for (; n - i >= 8u; i += 8u) {                                                       \
            ids += put(ids, first + i, snn_pack(snn_eight(x + i)));                          \
        }                                                                                    \
        for (; i < n; i++) {                                                                 \
            ids[0] = (number)(first + i);                                                    \
            ids += x[i];                                                                     \
        }                                                                                    \
        return ids;                                                                          \
    }

/* The same for counts x[] below 2**bits, whose numbers come as often as the count says. */
#define SNN_REPEAT(list, number, put)                                                        \
    static inline number *list(const uint8_t *restrict x, uint32_t n, uint32_t bits,         \
                               uint32_t first, number *restrict ids) {                       \
        for (uint32_t i = 0u; i < n; i += 8u) {                                              \
            uint64_t eight = 0u;                                                             \
            if (n - i >= 8u) {                                                               \
                eight = snn_eight(x + i);                                                    \
            } else {                                                                         \
                for (uint32_t k = 0u; k < n - i; k++) {                                      \
                    eight |= (uint64_t)x[i + k] << (8u * k);                                 \
                }                                                                            \
            }                                                                                \
            const uint32_t from = first + i;                                                 \
            ids += put(ids, from, snn_pack(eight & UINT64_C(0x0101010101010101)));           \
            eight &= UINT64_C(0xFEFEFEFEFEFEFEFE);                                           \
            for (uint32_t bit = 1u; bit < bits && eight != 0u; bit++) {                      \
                const uint32_t set = snn_pack((eight >> bit) & UINT64_C(0x0101010101010101)); \
                for (uint32_t again = 0u; again < ((uint32_t)1 << bit); again++) {           \
                    ids += put(ids, from, set);                                              \
                }                                                                            \
            }                                                                                \
        }                                                                                    \
        return ids;                                                                          \
    }

#if SNN_LANES && !defined(SNN_OWN_LIST)
#define SNN_SETS 1

/* Ones as bits: of 128 bytes, bit k of sets[j] is x[j + 16 k]. Vectors do sixteen at once. */
static inline void snn_sets(const uint8_t *restrict x, uint32_t n, uint8_t *restrict sets) {
    for (uint32_t i = 0u; i < n; i += 128u) {
        for (uint32_t j = 0u; j < 16u; j++) {
            uint8_t set = x[i + j + 112u];
            set = (uint8_t)(set + set + x[i + j + 96u]);
            set = (uint8_t)(set + set + x[i + j + 80u]);
            set = (uint8_t)(set + set + x[i + j + 64u]);
            set = (uint8_t)(set + set + x[i + j + 48u]);
            set = (uint8_t)(set + set + x[i + j + 32u]);
            set = (uint8_t)(set + set + x[i + j + 16u]);
            sets[i / 8u + j] = (uint8_t)(set + set + x[i + j]);
        }
    }
}

/* Numbers of the ones that sets of n neurons hold, in no order; returns where the list ends. */
static inline uint16_t *snn_members_16(const uint8_t *sets, uint32_t n, uint16_t *ids) {
    for (uint32_t i = 0u; i < n; i += 128u) {
        uint64_t all = (uint64_t)i * UINT64_C(0x0001000100010001);
        for (uint32_t j = 0u; j < 16u; j++) {
            const uint32_t set = sets[i / 8u + j];
            uint64_t low;
            uint64_t high;
            memcpy(&low, snn_places[set], 8u);
            memcpy(&high, &snn_places[set][4], 8u);
            low = (low << 4) + all;
            high = (high << 4) + all;
            memcpy(ids, &low, 8u);
            memcpy(ids + 4, &high, 8u);
            ids += snn_counts[set];
            all += UINT64_C(0x0001000100010001);
        }
    }
    return ids;
}
#endif

#if !defined(SNN_OWN_LIST)
SNN_LIST(snn_list_16, uint16_t, snn_put_16)
SNN_APPEND(snn_append_16, uint16_t, snn_put_16)
SNN_REPEAT(snn_repeat_16, uint16_t, snn_put_16)
#endif
SNN_LIST(snn_list_32, uint32_t, snn_put_32)
SNN_APPEND(snn_append_32, uint32_t, snn_put_32)
SNN_REPEAT(snn_repeat_32, uint32_t, snn_put_32)

/* Copies n numbers, each moved, and up to seven behind them; returns where the copy ends. */
#define SNN_COPY(copy, number)                                                               \
    static inline number *copy(number *restrict to, const number *restrict from, uint32_t n, \
                               int32_t move) {                                               \
        uint32_t i = 0u;                                                                     \
        do {                                                                                 \
            for (uint32_t k = 0u; k < 8u; k++) {                                             \
                to[i + k] = (number)((int32_t)from[i + k] + move);                           \
            }                                                                                \
            i += 8u;                                                                         \
        } while (i < n);                                                                     \
        return to + n;                                                                       \
    }

#if !defined(SNN_OWN_COPY)
/* The same for numbers below 32768, four at once: no sum carries into the next. */
static inline uint16_t *snn_copy_15(uint16_t *to, const uint16_t *from, uint32_t n,
                                    int32_t move) {
    const uint64_t all = (uint64_t)((uint32_t)move & 32767u) * UINT64_C(0x0001000100010001);
    uint32_t i = 0u;
    do {
        uint64_t low;
        uint64_t high;
        memcpy(&low, from + i, 8u);
        memcpy(&high, from + i + 4u, 8u);
        low = (low + all) & UINT64_C(0x7FFF7FFF7FFF7FFF);
        high = (high + all) & UINT64_C(0x7FFF7FFF7FFF7FFF);
        memcpy(to + i, &low, 8u);
        memcpy(to + i + 4u, &high, 8u);
        i += 8u;
    } while (i < n);
    return to + n;
}

SNN_COPY(snn_copy_16, uint16_t)
#endif
SNN_COPY(snn_copy_32, uint32_t)

#endif
