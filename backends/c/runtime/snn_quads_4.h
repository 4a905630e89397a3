/* Linear layers whose columns hold four 8-bit weights in a word, for cores with many registers.
 *
 * Byte k of word j of a column is the weight of output 4 j + k plus an offset. For the spikes ids,
 * lo sums the words and hi their bytes 1 and 3, both modulo 2**32. Then hi less a constant per
 * spike has outputs 4 j + 1 and 4 j + 3 in its halves, and lo less 256 hi has the other two; base
 * moves both halves to 0..65535, which the true sums, all within 16 bits, do not leave.
 * SNN_QUADS(name, int16_t, SNN_SET) defines a function that stores sums, SNN_QUADS(name, int32_t,
 * SNN_MORE) one that adds them to what is there.
 */
#ifndef SNN_QUADS_H
#define SNN_QUADS_H

#include <stdint.h>

#define SNN_BYTES UINT32_C(0x00FF00FF)

/* Sums wrap around on purpose. */
#if defined(__clang__)
#define SNN_WRAPS __attribute__((noinline, no_sanitize("unsigned-integer-overflow", "unsigned-shift-base"))) static
#elif defined(__GNUC__)
#define SNN_WRAPS __attribute__((noinline)) static
#else
#define SNN_WRAPS static
#endif

#define SNN_ADD(lo, hi, word)                                                                \
    do {                                                                                     \
        const uint32_t x = (word);                                                           \
        (lo) += x;                                                                           \
        (hi) += (x >> 8) & SNN_BYTES;                                                        \
    } while (0)

#define SNN_READ(put, lo, hi, y)                                                             \
    do {                                                                                     \
        const uint32_t even = (lo) - ((hi) << 8) + base, odd = (hi) + base;                  \
        put((y)[0], even & 0xFFFFu);                                                         \
        put((y)[1], odd & 0xFFFFu);                                                          \
        put((y)[2], even >> 16);                                                             \
        put((y)[3], odd >> 16);                                                              \
    } while (0)

/* Sums of count spikes. w has so many words for each input, y four numbers for each of them; each
 * is the offset of a weight in both halves of a word. */
#define SNN_QUADS(quads, number, put)                                                        \
    SNN_WRAPS void quads(const uint32_t *restrict w, uint32_t words,                         \
                         const uint16_t *restrict ids, uint32_t count, uint32_t each,        \
                         number *restrict y) {                                               \
        const uint32_t base = UINT32_C(0x80008000) - count * each;                           \
        const uint16_t *const last = ids + count;                                            \
        uint32_t j = words;                                                                  \
        for (; j >= 4u; j -= 4u) {                                                           \
            uint32_t lo0 = 0u, lo1 = 0u, lo2 = 0u, lo3 = 0u;                                 \
            uint32_t hi0 = 0u, hi1 = 0u, hi2 = 0u, hi3 = 0u;                                 \
            for (const uint16_t *id = ids; id != last; id++) {                               \
                const uint32_t *restrict row = w + *id * words;                              \
                SNN_ADD(lo0, hi0, row[0]);                                                   \
                SNN_ADD(lo1, hi1, row[1]);                                                   \
                SNN_ADD(lo2, hi2, row[2]);                                                   \
                SNN_ADD(lo3, hi3, row[3]);                                                   \
            }                                                                                \
            SNN_READ(put, lo0, hi0, y);                                                      \
            SNN_READ(put, lo1, hi1, y + 4);                                                  \
            SNN_READ(put, lo2, hi2, y + 8);                                                  \
            SNN_READ(put, lo3, hi3, y + 12);                                                 \
            w += 4;                                                                          \
            y += 16;                                                                         \
        }                                                                                    \
        for (; j != 0u; j--) {                                                               \
            uint32_t lo = 0u, hi = 0u;                                                       \
            for (const uint16_t *id = ids; id != last; id++) {                               \
                SNN_ADD(lo, hi, w[*id * words]);                                             \
            }                                                                                \
            SNN_READ(put, lo, hi, y);                                                        \
            w++;                                                                             \
            y += 4;                                                                          \
        }                                                                                    \
    }

/* y is the sum, or the sum is added to y. */
#define SNN_SET(y, sum) (y) = (int16_t)((int32_t)(sum) - 32768)
#define SNN_MORE(y, sum) (y) += (int32_t)(sum) - 32768

#endif
