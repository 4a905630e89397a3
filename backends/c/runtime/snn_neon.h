/* Sums of columns with the vectors of Arm, of 128 bits. */
#ifndef SNN_NEON_H
#define SNN_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#define SNN_COLUMNS 1
#define SNN_INLINE static inline __attribute__((always_inline))

/* Sums of n vectors of words, from `w` on, of the columns `ids`. */
SNN_INLINE void snn_part(const uint16_t *w, size_t words, const uint16_t *ids, uint32_t count,
                         uint16_t *lo, uint16_t *hi, int n) {
    uint16x8_t a[8], b[8];
#pragma GCC unroll 8
    for (int v = 0; v < n; v++) {
        a[v] = b[v] = vdupq_n_u16(0u);
    }
    for (uint32_t k = 0u; k < count; k++) {
        const uint16_t *column = w + ids[k] * words;
#pragma GCC unroll 8
        for (int v = 0; v < n; v++) {
            const uint16x8_t x = vld1q_u16(column + 8 * v);
            a[v] = vaddq_u16(a[v], x);
            b[v] = vsraq_n_u16(b[v], x, 8);
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < n; v++) {
        vst1q_u16(lo + 8 * v, a[v]);
        vst1q_u16(hi + 8 * v, b[v]);
    }
}

/* lo and hi: sums modulo 65536 of the words and of their high bytes. */
SNN_INLINE void snn_columns(const uint16_t *w, size_t stride, size_t words, const uint16_t *ids,
                            uint32_t count, uint16_t *lo, uint16_t *hi) {
    const size_t most = words - words % 64u, whole = words - words % 8u;
    for (size_t j = 0u; j < most; j += 64u) {
        snn_part(w + j, stride, ids, count, lo + j, hi + j, 8);
    }
    for (size_t j = most; j < whole; j += 8u) {
        snn_part(w + j, stride, ids, count, lo + j, hi + j, 1);
    }
    for (size_t j = whole; j < words; j++) {
        uint32_t a = 0u, b = 0u;
        for (uint32_t k = 0u; k < count; k++) {
            const uint16_t x = w[ids[k] * stride + j];
            a += x;
            b += (uint32_t)x >> 8;
        }
        lo[j] = (uint16_t)a;
        hi[j] = (uint16_t)b;
    }
}

#endif
