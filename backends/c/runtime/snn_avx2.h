/* Sums of columns with vectors of 256 bits. */
#ifndef SNN_AVX2_H
#define SNN_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SNN_COLUMNS 1
#define SNN_INLINE static inline __attribute__((always_inline))

/* Columns are fetched so many spikes ahead. */
#define SNN_AHEAD 4u

/* a, b: sums of n vectors of words, from `w` on, of the columns `ids`, and of their high bytes. */
SNN_INLINE void snn_gather(const uint16_t *w, size_t stride, const uint16_t *ids, uint32_t count,
                           __m256i *a, __m256i *b, int n) {
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) {
        a[v] = b[v] = _mm256_setzero_si256();
    }
    for (uint32_t k = 0u; k < count; k++) {
        const uint16_t *column = w + ids[k] * stride;
        const uint16_t *later = w + ids[(k + SNN_AHEAD < count) ? k + SNN_AHEAD : k] * stride;
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) {
            if (v % 2 == 0) {
                _mm_prefetch((const char *)(later + 16 * v), _MM_HINT_T0);
            }
            const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(column + 16 * v));
            a[v] = _mm256_add_epi16(a[v], x);
            b[v] = _mm256_add_epi16(b[v], _mm256_srli_epi16(x, 8));
        }
    }
}

/* The same, stored. */
SNN_INLINE void snn_part(const uint16_t *w, size_t words, const uint16_t *ids, uint32_t count,
                         uint16_t *lo, uint16_t *hi, int n) {
    __m256i a[4], b[4];
    snn_gather(w, words, ids, count, a, b, n);
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) {
        _mm256_storeu_si256((__m256i *)(void *)(lo + 16 * v), a[v]);
        _mm256_storeu_si256((__m256i *)(void *)(hi + 16 * v), b[v]);
    }
}

/* lo and hi: sums modulo 65536 of the words and of their high bytes. */
SNN_INLINE void snn_columns(const uint16_t *w, size_t stride, size_t words, const uint16_t *ids,
                            uint32_t count, uint16_t *lo, uint16_t *hi) {
    const size_t most = words - words % 64u, whole = words - words % 16u;
    for (size_t j = 0u; j < most; j += 64u) {
        snn_part(w + j, stride, ids, count, lo + j, hi + j, 4);
    }
    for (size_t j = most; j < whole; j += 16u) {
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

#define SNN_WIDE 1

/* y: sums of the columns `ids` of `out` weights of 16 bits; none of them wraps. */
SNN_INLINE void snn_wide(const int16_t *w, size_t out, const uint16_t *ids, uint32_t count,
                         int16_t *y) {
    const size_t most = out - out % 32u, whole = out - out % 16u;
    for (size_t j = 0u; j < most; j += 32u) {
        __m256i a = _mm256_setzero_si256(), b = a;
        for (uint32_t k = 0u; k < count; k++) {
            const __m256i *v = (const __m256i *)(const void *)(w + ids[k] * out + j);
            a = _mm256_add_epi16(a, _mm256_loadu_si256(v));
            b = _mm256_add_epi16(b, _mm256_loadu_si256(v + 1));
        }
        _mm256_storeu_si256((__m256i *)(void *)(y + j), a);
        _mm256_storeu_si256((__m256i *)(void *)(y + j + 16u), b);
    }
    for (size_t j = most; j < whole; j += 16u) {
        __m256i a = _mm256_setzero_si256();
        for (uint32_t k = 0u; k < count; k++) {
            const __m256i *v = (const __m256i *)(const void *)(w + ids[k] * out + j);
            a = _mm256_add_epi16(a, _mm256_loadu_si256(v));
        }
        _mm256_storeu_si256((__m256i *)(void *)(y + j), a);
    }
    for (size_t j = whole; j < out; j++) {
        int32_t a = 0;
        for (uint32_t k = 0u; k < count; k++) {
            a += w[ids[k] * out + j];
        }
        y[j] = (int16_t)a;
    }
}

#define SNN_SUMS 1

/* Of n vectors of words, from `w` on: sums of the columns `ids`, without what was added to every
 * weight (base is its negative, times count). */
SNN_INLINE void snn_sums_part(const uint16_t *w, size_t stride, const uint16_t *ids, uint32_t count,
                              uint16_t base, int16_t *low, int16_t *high, int n) {
    __m256i a[4], b[4];
    snn_gather(w, stride, ids, count, a, b, n);
    const __m256i all = _mm256_set1_epi16((short)base);
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) {
        const __m256i rest = _mm256_sub_epi16(a[v], _mm256_slli_epi16(b[v], 8));
        _mm256_storeu_si256((__m256i *)(void *)(low + 16 * v), _mm256_add_epi16(rest, all));
        _mm256_storeu_si256((__m256i *)(void *)(high + 16 * v), _mm256_add_epi16(b[v], all));
    }
}

/* The same of some words, a whole number of 32. */
SNN_INLINE void snn_sums(const uint16_t *w, size_t stride, size_t words, const uint16_t *ids,
                         uint32_t count, uint16_t base, int16_t *low, int16_t *high) {
    const size_t four = words - words % 64u;
    for (size_t j = 0u; j < four; j += 64u) {
        snn_sums_part(w + j, stride, ids, count, base, low + j, high + j, 4);
    }
    for (size_t j = four; j < words; j += 32u) {
        snn_sums_part(w + j, stride, ids, count, base, low + j, high + j, 2);
    }
}

#define SNN_MULTIPLY 1

/* Percent of spikes from which on a product is faster than adding columns, counted on Zen 4. */
#if !defined(SNN_DENSE)
#define SNN_DENSE 70u
#endif

/* Nothing is turned in memory. */
#define SNN_TURNED(inputs) 1u

/* The sums of 32 outputs at `rows` steps: two inputs at a time, whose bytes are multiplied by their
 * spikes and added to each other in one operation. */
SNN_INLINE void snn_multiply_rows(const uint16_t *w, size_t stride, size_t inputs, const uint8_t *x,
                                 size_t next_x, const uint32_t *counts, uint32_t offset,
                                 int16_t *low, int16_t *high, size_t next_y, int rows) {
    __m256i a[5], b[5];
#pragma GCC unroll 5
    for (int t = 0; t < rows; t++) {
        a[t] = b[t] = _mm256_setzero_si256();
    }
    for (size_t k = 0u; k < inputs; k += 2u) {
        const uint16_t *first = w + k * stride; /* an absent input is multiplied by 0 */
        const uint16_t *second = (k + 1u < inputs) ? first + stride : first;
        const __m256i p = _mm256_loadu_si256((const __m256i *)(const void *)first);
        const __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)second);
        const __m256i w0 = _mm256_unpacklo_epi8(p, q), w1 = _mm256_unpackhi_epi8(p, q);
#pragma GCC unroll 5
        for (int t = 0; t < rows; t++) {
            int16_t two;
            memcpy(&two, x + (size_t)t * next_x + k, 2u);
            const __m256i spikes = _mm256_set1_epi16(two);
            a[t] = _mm256_add_epi16(a[t], _mm256_maddubs_epi16(w0, spikes));
            b[t] = _mm256_add_epi16(b[t], _mm256_maddubs_epi16(w1, spikes));
        }
    }
    /* a and b have outputs j and j + words in turn, four words of every eight */
    const __m256i low_first = _mm256_set_epi8(15, 14, 11, 10, 7, 6, 3, 2, 13, 12, 9, 8, 5, 4, 1, 0,
                                              15, 14, 11, 10, 7, 6, 3, 2, 13, 12, 9, 8, 5, 4, 1, 0);
#pragma GCC unroll 5
    for (int t = 0; t < rows; t++) {
        const __m256i all = _mm256_set1_epi16((short)(uint16_t)(counts[t] * offset));
        const __m256i c = _mm256_shuffle_epi8(a[t], low_first);
        const __m256i d = _mm256_shuffle_epi8(b[t], low_first);
        const __m256i one = _mm256_sub_epi16(_mm256_unpacklo_epi64(c, d), all);
        const __m256i two = _mm256_sub_epi16(_mm256_unpackhi_epi64(c, d), all);
        _mm256_storeu_si256((__m256i *)(void *)(low + (size_t)t * next_y), one);
        _mm256_storeu_si256((__m256i *)(void *)(high + (size_t)t * next_y), two);
    }
}

/* Sums of all columns, times the spikes x[t][input], for so many steps; offset was added to every
 * weight. The words are a whole number of vectors. */
static inline void snn_multiply(const uint16_t *w, size_t stride, size_t words, size_t inputs,
                               const uint8_t *x, size_t next_x, const uint32_t *counts,
                               uint32_t steps, uint32_t offset, int16_t *low, int16_t *high,
                               size_t next_y, uint16_t *turned) {
    (void)turned;
    for (size_t j = 0u; j < words; j += 16u) {
        uint32_t t = 0u;
        for (; steps - t >= 5u; t += 5u) {
            snn_multiply_rows(w + j, stride, inputs, x + t * next_x, next_x, counts + t, offset,
                             low + t * next_y + j, high + t * next_y + j, next_y, 5);
        }
        for (; t < steps; t++) {
            snn_multiply_rows(w + j, stride, inputs, x + t * next_x, next_x, counts + t, offset,
                             low + t * next_y + j, high + t * next_y + j, next_y, 1);
        }
    }
}

#endif
