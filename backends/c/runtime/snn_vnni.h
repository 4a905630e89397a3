/* Products of many steps with vectors of 512 bits that multiply bytes (AVX-512 VNNI). */
#ifndef SNN_VNNI_H
#define SNN_VNNI_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "snn_amx.h"

#define SNN_MULTIPLY 1

/* Percent of spikes from which on a product is faster than adding columns: counted on processors
 * with one unit of 512 bits that multiplies bytes (Zen 4); estimated for those with two, and for
 * tiles. */
#if !defined(SNN_DENSE)
#define SNN_DENSE (snn_has_tiles() ? 8u : __builtin_cpu_is("intel") ? 45u : 75u)
#endif

/* Words that a layer needs to turn its columns: 32 for every input, of a multiple of 64. */
#define SNN_TURNED(inputs) (((inputs) + 63u) / 64u * 2048u)

/* Columns of 32 words, from `w` on, four inputs at a time, so that their four weights of an output
 * become neighbours. */
SNN_INLINE void snn_turn(const uint16_t *w, size_t stride, size_t inputs, uint16_t *turned) {
    for (size_t k = 0u; k < inputs; k += 4u) {
        __m512i x[4];
#pragma GCC unroll 4
        for (size_t i = 0u; i < 4u; i++) { /* what stands for absent inputs is multiplied by 0 */
            x[i] = _mm512_loadu_si512(w + ((k + i < inputs) ? k + i : k) * stride);
        }
        const __m512i a = _mm512_unpacklo_epi8(x[0], x[1]), b = _mm512_unpackhi_epi8(x[0], x[1]);
        const __m512i c = _mm512_unpacklo_epi8(x[2], x[3]), d = _mm512_unpackhi_epi8(x[2], x[3]);
        _mm512_storeu_si512(turned, _mm512_unpacklo_epi16(a, c));
        _mm512_storeu_si512(turned + 32, _mm512_unpackhi_epi16(a, c));
        _mm512_storeu_si512(turned + 64, _mm512_unpacklo_epi16(b, d));
        _mm512_storeu_si512(turned + 96, _mm512_unpackhi_epi16(b, d));
        turned += 128;
    }
}

/* Sums of 64 outputs in the order of turned columns, less what was added to the weights. */
SNN_INLINE void snn_settle(const __m512i sum[4], uint32_t added, int16_t *low, int16_t *high) {
    /* the places of the low bytes of words 8 q + r, for lanes q of 128 bits */
    const __m512i places = _mm512_set_epi16(
        62, 60, 46, 44, 30, 28, 14, 12, 58, 56, 42, 40, 26, 24, 10, 8, 54, 52, 38, 36, 22, 20, 6, 4,
        50, 48, 34, 32, 18, 16, 2, 0);
    const __m512i others = _mm512_add_epi16(places, _mm512_set1_epi16(1));
    const __m512i all = _mm512_set1_epi16((short)(uint16_t)added);
    const __m512i a =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(sum[0])),
                           _mm512_cvtepi32_epi16(sum[1]), 1);
    const __m512i b =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(sum[2])),
                           _mm512_cvtepi32_epi16(sum[3]), 1);
    _mm512_storeu_si512(low, _mm512_sub_epi16(_mm512_permutex2var_epi16(a, places, b), all));
    _mm512_storeu_si512(high, _mm512_sub_epi16(_mm512_permutex2var_epi16(a, others, b), all));
}

/* The sums of 64 outputs at `rows` steps. */
SNN_INLINE void snn_multiply_rows(const uint16_t *turned, size_t groups, const uint8_t *x,
                                 size_t next_x, const uint32_t *counts, uint32_t offset,
                                 int16_t *low, int16_t *high, size_t next_y, int rows) {
    __m512i sum[6][4];
#pragma GCC unroll 6
    for (int t = 0; t < rows; t++) {
        sum[t][0] = sum[t][1] = sum[t][2] = sum[t][3] = _mm512_setzero_si512();
    }
    for (size_t k = 0u; k < groups; k++) {
        const __m512i w0 = _mm512_loadu_si512(turned + 128u * k);
        const __m512i w1 = _mm512_loadu_si512(turned + 128u * k + 32u);
        const __m512i w2 = _mm512_loadu_si512(turned + 128u * k + 64u);
        const __m512i w3 = _mm512_loadu_si512(turned + 128u * k + 96u);
#pragma GCC unroll 6
        for (int t = 0; t < rows; t++) {
            int32_t four;
            memcpy(&four, x + (size_t)t * next_x + 4u * k, 4u);
            const __m512i spikes = _mm512_set1_epi32(four);
            sum[t][0] = _mm512_dpbusd_epi32(sum[t][0], w0, spikes);
            sum[t][1] = _mm512_dpbusd_epi32(sum[t][1], w1, spikes);
            sum[t][2] = _mm512_dpbusd_epi32(sum[t][2], w2, spikes);
            sum[t][3] = _mm512_dpbusd_epi32(sum[t][3], w3, spikes);
        }
    }
#pragma GCC unroll 6
    for (int t = 0; t < rows; t++) {
        snn_settle(sum[t], counts[t] * offset, low + (size_t)t * next_y, high + (size_t)t * next_y);
    }
}

/* Sums of all columns, times the spikes x[t][input], for so many steps; offset was added to every
 * weight. The words are a whole number of vectors; turned has SNN_TURNED(inputs) words. */
static inline void snn_multiply(const uint16_t *w, size_t stride, size_t words, size_t inputs,
                               const uint8_t *x, size_t next_x, const uint32_t *counts,
                               uint32_t steps, uint32_t offset, int16_t *low, int16_t *high,
                               size_t next_y, uint16_t *turned) {
    const size_t groups = (inputs + 3u) / 4u;
    const uint32_t passes = (steps + 5u) / 6u;
    for (size_t j = 0u; j < words; j += 32u) {
        snn_turn(w + j, stride, inputs, turned);
#if defined(SNN_TILES)
        if (snn_has_tiles() && steps <= 32u) {
            int32_t sums[4][32][16];
            snn_by_tiles(turned, (groups + 15u) / 16u * 16u, x, next_x, steps, sums);
            for (uint32_t t = 0u; t < steps; t++) {
                const __m512i of[4] = {
                    _mm512_loadu_si512(sums[0][t]), _mm512_loadu_si512(sums[1][t]),
                    _mm512_loadu_si512(sums[2][t]), _mm512_loadu_si512(sums[3][t])};
                snn_settle(of, counts[t] * offset, low + t * next_y + j, high + t * next_y + j);
            }
            continue;
        }
#endif
        for (uint32_t p = 0u, t = 0u; p < passes; p++) {
            const uint32_t rows = (steps - t) / (passes - p);
            const uint8_t *from = x + t * next_x;
            int16_t *one = low + t * next_y + j, *two = high + t * next_y + j;
#define SNN_ROWS_OF(n)                                                                            \
    case n:                                                                                       \
        snn_multiply_rows(turned, groups, from, next_x, counts + t, offset, one, two, next_y, n); \
        break
            switch (rows) {
                SNN_ROWS_OF(6);
                SNN_ROWS_OF(5);
                SNN_ROWS_OF(4);
                SNN_ROWS_OF(3);
                SNN_ROWS_OF(2);
            default:
                snn_multiply_rows(turned, groups, from, next_x, counts + t, offset, one, two,
                                 next_y, 1);
            }
#undef SNN_ROWS_OF
            t += rows;
        }
    }
}

#endif
