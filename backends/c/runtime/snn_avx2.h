/* Sums of columns with vectors of 256 bits. */
#ifndef SNN_AVX2_H
#define SNN_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define SNN_COLUMNS 1
#define SNN_INLINE static inline __attribute__((always_inline))

/* Columns are fetched so many spikes ahead. */
#define SNN_AHEAD 4u

/* Sums of n vectors of words, from `w` on, of the columns `ids`. */
SNN_INLINE void snn_part(const uint16_t *w, size_t words, const uint16_t *ids, uint32_t count,
                         uint16_t *lo, uint16_t *hi, int n) {
    __m256i a[4], b[4];
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) {
        a[v] = b[v] = _mm256_setzero_si256();
    }
    for (uint32_t k = 0u; k < count; k++) {
        const uint16_t *column = w + ids[k] * words;
        const uint16_t *later = w + ids[(k + SNN_AHEAD < count) ? k + SNN_AHEAD : k] * words;
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
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) {
        _mm256_storeu_si256((__m256i *)(void *)(lo + 16 * v), a[v]);
        _mm256_storeu_si256((__m256i *)(void *)(hi + 16 * v), b[v]);
    }
}

/* lo and hi: sums modulo 65536 of the words and of their high bytes. */
SNN_INLINE void snn_columns(const uint16_t *w, size_t words, const uint16_t *ids, uint32_t count,
                            uint16_t *lo, uint16_t *hi) {
    const size_t most = words - words % 64u, whole = words - words % 16u;
    for (size_t j = 0u; j < most; j += 64u) {
        snn_part(w + j, words, ids, count, lo + j, hi + j, 4);
    }
    for (size_t j = most; j < whole; j += 16u) {
        snn_part(w + j, words, ids, count, lo + j, hi + j, 1);
    }
    for (size_t j = whole; j < words; j++) {
        uint32_t a = 0u, b = 0u;
        for (uint32_t k = 0u; k < count; k++) {
            const uint16_t x = w[ids[k] * words + j];
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

#endif
