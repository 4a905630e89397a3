/* Sums of columns and lists of spikes with vectors of 512 bits. */
#ifndef SNN_AVX512_H
#define SNN_AVX512_H

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
    __m512i a[8], b[8];
#pragma GCC unroll 8
    for (int v = 0; v < n; v++) {
        a[v] = b[v] = _mm512_setzero_si512();
    }
    for (uint32_t k = 0u; k < count; k++) {
        const uint16_t *column = w + ids[k] * words;
        const uint16_t *later = w + ids[(k + SNN_AHEAD < count) ? k + SNN_AHEAD : k] * words;
#pragma GCC unroll 8
        for (int v = 0; v < n; v++) {
            if (n == 8) { /* narrow tables are in the cache anyway */
                _mm_prefetch((const char *)(later + 32 * v), _MM_HINT_T0);
            }
            const __m512i x = _mm512_loadu_si512(column + 32 * v);
            a[v] = _mm512_add_epi16(a[v], x);
            b[v] = _mm512_add_epi16(b[v], _mm512_srli_epi16(x, 8u));
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < n; v++) {
        _mm512_storeu_si512(lo + 32 * v, a[v]);
        _mm512_storeu_si512(hi + 32 * v, b[v]);
    }
}

/* The same of half a vector: what is stored whole can be loaded again at once. */
SNN_INLINE void snn_half(const uint16_t *w, size_t words, const uint16_t *ids, uint32_t count,
                         uint16_t *lo, uint16_t *hi) {
    __m256i a = _mm256_setzero_si256(), b = a;
    for (uint32_t k = 0u; k < count; k++) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(w + ids[k] * words));
        a = _mm256_add_epi16(a, x);
        b = _mm256_add_epi16(b, _mm256_srli_epi16(x, 8));
    }
    _mm256_storeu_si256((__m256i *)(void *)lo, a);
    _mm256_storeu_si256((__m256i *)(void *)hi, b);
}

/* The same of fewer words than a vector has. */
SNN_INLINE void snn_rest(const uint16_t *w, size_t words, const uint16_t *ids, uint32_t count,
                         uint16_t *lo, uint16_t *hi, unsigned n) {
    const __mmask32 some = (__mmask32)(((uint32_t)1 << n) - 1u);
    __m512i a = _mm512_setzero_si512(), b = a;
    for (uint32_t k = 0u; k < count; k++) {
        const __m512i x = _mm512_maskz_loadu_epi16(some, w + ids[k] * words);
        a = _mm512_add_epi16(a, x);
        b = _mm512_add_epi16(b, _mm512_srli_epi16(x, 8u));
    }
    _mm512_mask_storeu_epi16(lo, some, a);
    _mm512_mask_storeu_epi16(hi, some, b);
}

/* lo and hi: sums modulo 65536 of the words and of their high bytes. */
SNN_INLINE void snn_columns(const uint16_t *w, size_t stride, size_t words, const uint16_t *ids,
                            uint32_t count, uint16_t *lo, uint16_t *hi) {
    const size_t most = words - words % 256u, half = words - words % 128u;
    const size_t two = words - words % 64u, whole = words - words % 32u;
    for (size_t j = 0u; j < most; j += 256u) {
        snn_part(w + j, stride, ids, count, lo + j, hi + j, 8);
    }
    for (size_t j = most; j < half; j += 128u) {
        snn_part(w + j, stride, ids, count, lo + j, hi + j, 4);
    }
    for (size_t j = half; j < two; j += 64u) {
        snn_part(w + j, stride, ids, count, lo + j, hi + j, 2);
    }
    for (size_t j = two; j < whole; j += 32u) {
        snn_part(w + j, stride, ids, count, lo + j, hi + j, 1);
    }
    if (words - whole == 16u) {
        snn_half(w + whole, stride, ids, count, lo + whole, hi + whole);
    } else if (whole < words) {
        snn_rest(w + whole, stride, ids, count, lo + whole, hi + whole, (unsigned)(words - whole));
    }
}

#define SNN_WIDE 1

/* y: sums of the columns `ids`, a multiple of eight, of `out` weights of 16 bits; none wraps. */
SNN_INLINE void snn_wide(const int16_t *w, size_t out, const uint16_t *ids, uint32_t count,
                         int16_t *y) {
    for (size_t j = 0u; j < out; j += 32u) {
        const unsigned n = (out - j < 32u) ? (unsigned)(out - j) : 32u;
        const __mmask32 some = (__mmask32)(0xFFFFFFFFu >> (32u - n));
        __m512i a[4]; /* several, so that none waits for itself */
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            a[v] = _mm512_setzero_si512();
        }
        for (uint32_t k = 0u; k < count; k += 8u) {
#pragma GCC unroll 8
            for (uint32_t v = 0u; v < 8u; v++) {
                const int16_t *u = w + ids[k + v] * out + j;
                a[v % 4u] = _mm512_add_epi16(a[v % 4u], (n == 32u)
                                                            ? _mm512_loadu_si512(u)
                                                            : _mm512_maskz_loadu_epi16(some, u));
            }
        }
        const __m512i sum = _mm512_add_epi16(_mm512_add_epi16(a[0], a[1]),
                                             _mm512_add_epi16(a[2], a[3]));
        _mm512_mask_storeu_epi16(y + j, some, sum);
    }
}

#define SNN_OWN_OUTSIDE 1

/* Whether one of x[0..n-1] has one of these bits. */
static inline int snn_outside(const uint8_t *x, size_t n, unsigned bits) {
    const __mmask64 rest = ((__mmask64)1 << (n % 64u)) - 1u;
    __m512i all = _mm512_maskz_loadu_epi8(rest, x + n / 64u * 64u);
    for (size_t i = 0u; n - i >= 64u; i += 64u) {
        all = _mm512_or_si512(all, _mm512_loadu_si512(x + i));
    }
    return _mm512_test_epi8_mask(all, _mm512_set1_epi8((char)bits)) != 0u;
}

#define SNN_OWN_COPY 1

/* Copies n numbers, each moved, and up to 31 behind them; returns where the copy ends. */
static inline uint16_t *snn_copy_16(uint16_t *to, const uint16_t *from, uint32_t n, int32_t move) {
    const __m512i all = _mm512_set1_epi16((short)move);
    uint32_t i = 0u;
    do {
        _mm512_storeu_si512(to + i, _mm512_add_epi16(_mm512_loadu_si512(from + i), all));
        i += 32u;
    } while (i < n);
    return to + n;
}

static inline uint16_t *snn_copy_15(uint16_t *to, const uint16_t *from, uint32_t n, int32_t move) {
    return snn_copy_16(to, from, n, move);
}

#define SNN_SUMS 1

/* From so many spikes on, columns are first added bit by bit. */
#define SNN_MANY 16u

/* Bits of x + y + sum without and with a carry: sum is the sum's lower, the result its upper bits. */
SNN_INLINE __m512i snn_carry(__m512i *sum, __m512i x, __m512i y) {
    const __m512i carry = _mm512_ternarylogic_epi64(*sum, x, y, 0xE8);
    *sum = _mm512_ternarylogic_epi64(*sum, x, y, 0x96);
    return carry;
}

SNN_INLINE __m512i snn_column(const uint16_t *w, size_t stride, uint32_t id, int v) {
    return _mm512_loadu_si512(w + id * stride + 32 * v);
}

/* Of n vectors of words, from `w` on: sums of the columns `ids`, without what was added to every
 * weight (base is its negative, times count). Eight columns are added to numbers whose bits lie in
 * three vectors, ones, twos and fours: seven times two operations and a vector of eights, where
 * adding low and high bytes takes three for every column. */
SNN_INLINE void snn_sums_part(const uint16_t *w, size_t stride, const uint16_t *ids, uint32_t count,
                              uint16_t base, int16_t *low, int16_t *high, int n) {
    __m512i a[4], b[4];
    uint32_t k = 0u;
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) {
        a[v] = b[v] = _mm512_setzero_si512();
    }
    if (count >= SNN_MANY) {
        __m512i one[4], two[4], four[4];
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) {
            one[v] = two[v] = four[v] = _mm512_setzero_si512();
        }
        for (; count - k >= 8u; k += 8u) {
            const uint16_t *id = ids + k;
            if (n == 4 && count - k >= 16u) {
                /* pages take longest to find; what follows comes by itself, as do narrow tables */
#pragma GCC unroll 8
                for (int i = 8; i < 16; i++) {
                    _mm_prefetch((const char *)(w + id[i] * stride), _MM_HINT_T0);
                }
            }
#pragma GCC unroll 4
            for (int v = 0; v < n; v++) {
#define SNN_COLUMN(i) snn_column(w, stride, id[i], v)
                const __m512i twos0 = snn_carry(&one[v], SNN_COLUMN(0), SNN_COLUMN(1));
                const __m512i twos1 = snn_carry(&one[v], SNN_COLUMN(2), SNN_COLUMN(3));
                const __m512i fours0 = snn_carry(&two[v], twos0, twos1);
                const __m512i twos2 = snn_carry(&one[v], SNN_COLUMN(4), SNN_COLUMN(5));
                const __m512i twos3 = snn_carry(&one[v], SNN_COLUMN(6), SNN_COLUMN(7));
                const __m512i fours1 = snn_carry(&two[v], twos2, twos3);
                const __m512i eights = snn_carry(&four[v], fours0, fours1);
#undef SNN_COLUMN
                a[v] = _mm512_add_epi16(a[v], eights);
                b[v] = _mm512_add_epi16(b[v], _mm512_srli_epi16(eights, 8u));
            }
        }
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) {
            a[v] = _mm512_add_epi16(_mm512_add_epi16(a[v], a[v]), four[v]);
            b[v] = _mm512_add_epi16(_mm512_add_epi16(b[v], b[v]), _mm512_srli_epi16(four[v], 8u));
            a[v] = _mm512_add_epi16(_mm512_add_epi16(a[v], a[v]), two[v]);
            b[v] = _mm512_add_epi16(_mm512_add_epi16(b[v], b[v]), _mm512_srli_epi16(two[v], 8u));
            a[v] = _mm512_add_epi16(_mm512_add_epi16(a[v], a[v]), one[v]);
            b[v] = _mm512_add_epi16(_mm512_add_epi16(b[v], b[v]), _mm512_srli_epi16(one[v], 8u));
        }
    }
    for (; k < count; k++) {
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) {
            const __m512i x = snn_column(w, stride, ids[k], v);
            a[v] = _mm512_add_epi16(a[v], x);
            b[v] = _mm512_add_epi16(b[v], _mm512_srli_epi16(x, 8u));
        }
    }
    const __m512i all = _mm512_set1_epi16((short)base);
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) {
        const __m512i rest = _mm512_sub_epi16(a[v], _mm512_slli_epi16(b[v], 8u));
        _mm512_storeu_si512(low + 32 * v, _mm512_add_epi16(rest, all));
        _mm512_storeu_si512(high + 32 * v, _mm512_add_epi16(b[v], all));
    }
}

/* The same of some words, a whole number of vectors. */
SNN_INLINE void snn_sums(const uint16_t *w, size_t stride, size_t words, const uint16_t *ids,
                         uint32_t count, uint16_t base, int16_t *low, int16_t *high) {
    const size_t four = words - words % 128u, two = words - words % 64u;
    for (size_t j = 0u; j < four; j += 128u) {
        snn_sums_part(w + j, stride, ids, count, base, low + j, high + j, 4);
    }
    for (size_t j = four; j < two; j += 64u) {
        snn_sums_part(w + j, stride, ids, count, base, low + j, high + j, 2);
    }
    for (size_t j = two; j < words; j += 32u) {
        snn_sums_part(w + j, stride, ids, count, base, low + j, high + j, 1);
    }
}

#if defined(__AVX512VBMI2__)
#define SNN_OWN_LIST 1

/* Numbers of the ones in x[0..n-1], ascending; returns how many. ids has room for n. */
static inline uint32_t snn_list_16(const uint8_t *restrict x, uint32_t n, uint16_t *restrict ids) {
    const __m512i places = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41,
        40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18,
        17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    uint32_t count = 0u;
    uint32_t i = 0u;
    for (; n - i >= 64u; i += 64u) {
        const __m512i bytes = _mm512_loadu_si512(x + i), all = _mm512_set1_epi16((short)i);
        const __mmask64 set = _mm512_test_epi8_mask(bytes, bytes);
        const __m512i ones = _mm512_maskz_compress_epi8(set, places);
        const uint32_t some = (uint32_t)__builtin_popcountll(set);
        /* behind the numbers of the ones, others; no more than were read so far */
        const __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(ones));
        _mm512_storeu_si512(ids + count, _mm512_add_epi16(low, all));
        if (some > 32u) {
            const __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(ones, 1));
            _mm512_storeu_si512(ids + count + 32u, _mm512_add_epi16(high, all));
        }
        count += some;
    }
    for (; i < n; i += 32u) { /* at most two halves */
        const uint32_t rest = (n - i < 32u) ? n - i : 32u;
        const __mmask32 known = (__mmask32)(0xFFFFFFFFu >> (32u - rest));
        const __m256i bytes = _mm256_maskz_loadu_epi8(known, x + i);
        const __mmask32 set = _mm256_test_epi8_mask(bytes, bytes);
        const __m256i ones = _mm256_maskz_compress_epi8(set, _mm512_castsi512_si256(places));
        const __m512i numbers = _mm512_add_epi16(_mm512_cvtepu8_epi16(ones),
                                                 _mm512_set1_epi16((short)i));
        _mm512_mask_storeu_epi16(ids + count, known, numbers);
        count += (uint32_t)__builtin_popcount((unsigned)set);
    }
    return count;
}

/* Numbers from first on of the bytes with a bit, 32 at once. */
static inline uint16_t *snn_bits(__m256i bytes, unsigned bit, uint32_t first, uint16_t *ids) {
    const __m512i places = _mm512_set_epi16(
        31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9,
        8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __mmask32 set = _mm256_test_epi8_mask(bytes, _mm256_set1_epi8((char)(1u << bit)));
    const __m512i all = _mm512_add_epi16(places, _mm512_set1_epi16((short)first));
    _mm512_storeu_si512(ids, _mm512_maskz_compress_epi16(set, all));
    return ids + __builtin_popcount((unsigned)set);
}

/* Numbers of counts below 2**bits, as often as each says. */
static inline uint16_t *snn_repeat_16(const uint8_t *restrict x, uint32_t n, uint32_t bits,
                                      uint32_t first, uint16_t *restrict ids) {
    for (uint32_t i = 0u; i < n; i += 32u) {
        const unsigned known = (n - i >= 32u) ? 0xFFFFFFFFu : (1u << (n - i)) - 1u;
        const __m256i bytes = _mm256_maskz_loadu_epi8((__mmask32)known, x + i);
        ids = snn_bits(bytes, 0u, first + i, ids);
        for (unsigned bit = 1u; bit < bits; bit++) {
            for (unsigned again = 0u; again < (1u << bit); again++) {
                ids = snn_bits(bytes, bit, first + i, ids);
            }
        }
    }
    return ids;
}

static inline uint16_t *snn_append_16(const uint8_t *restrict x, uint32_t n, uint32_t first,
                                      uint16_t *restrict ids) {
    return snn_repeat_16(x, n, 1u, first, ids);
}
#endif

#endif
