/* Integer helpers of generated networks: rounding shifts.
 *
 * No helper shifts a negative number or overflows: magnitudes and complements
 * are non-negative. Shifts are 1..30 for 32-bit words and 1..62 for 64-bit.
 */
#ifndef SNN_MATH_H
#define SNN_MATH_H

#include <stdint.h>

/* A function that adds rows. gcc -O3 would merge its loop with the caller's loop over the spikes
 * (unroll-and-jam), which is not vectorised then: many times slower. */
#if defined(__GNUC__)
#define SNN_ROWS __attribute__((noinline)) static
#else
#define SNN_ROWS static
#endif

/* One that uses every word of a row twice: SNN_PASS before its name, SNN_APART before its sums,
 * SNN_EACH before its loop. Where gcc knows that no store reaches the rows, as restrict or two names
 * of arrays would tell it, it loads a word for each use instead of keeping it, and loads are what
 * such a loop waits for. So it is told only what vectors need: that its turns are independent. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__FRAMAC__)
#define SNN_PASS __attribute__((noinline, noclone)) static
#define SNN_APART
#define SNN_EACH _Pragma("GCC ivdep")
#else
#define SNN_PASS SNN_ROWS
#define SNN_APART restrict
#define SNN_EACH
#endif

/* A word of 16 bits as the number with a sign that is equal to it modulo 65536, and that divided by
 * 2**shift, toward minus infinity. gcc and clang say what a conversion and a shift of negative
 * numbers do, and have both as single operations; the other form says it in numbers alone. */
#if defined(__GNUC__) && !defined(__FRAMAC__)
#define SNN_SIGNED(word) ((int16_t)(uint16_t)(word))
#define SNN_FLOOR(word, shift) (SNN_SIGNED(word) >> (shift))
#else
#define SNN_SIGNED(word) ((int32_t)((uint16_t)(word) ^ 32768u) - 32768)
#define SNN_FLOOR(word, shift) ((int32_t)(((word) ^ 32768u) >> (shift)) - (32768 >> (shift)))
#endif

/* (x * factor + more) / 2**shift, which fits 32 bits; so does (2**shift - 1) * factor + more.
 * Where vectors have no 32-bit product but one of 64 bits, that is cheaper than two halves. */
static inline uint32_t snn_product(uint32_t x, uint32_t factor, uint32_t more, int shift) {
#if defined(__SSE2__) && !defined(__SSE4_1__)
    return (uint32_t)(((uint64_t)x * factor + more) >> shift);
#else
    return (x >> shift) * factor + (((x & (((uint32_t)1 << shift) - 1u)) * factor + more) >> shift);
#endif
}

/* The network's variables: one network in a program, or with SNN_THREADS one in every thread. */
#if !defined(SNN_THREADS)
#define SNN_STATE static
#elif defined(SNN_TRACE)
#error "verification needs the network of a single thread"
#elif defined(__GNUC__)
#define SNN_STATE static __thread
#else
#define SNN_STATE static _Thread_local
#endif

/* Whether neurons are computed in words of 16 bits, two for a wide value: many at a time in vectors,
 * but slower one by one. The results are the same. */
#if !defined(SNN_LANES)
#if defined(__SSE2__) || defined(__ARM_NEON) || defined(__ALTIVEC__) || defined(__wasm_simd128__)
#define SNN_LANES 1
#else
#define SNN_LANES 0
#endif
#endif

/* x / 2**shift, toward minus infinity; ~x is non-negative for negative x. */
static inline int32_t snn_floor_32(int32_t x, int shift) {
    return (x < 0) ? ~(~x >> shift) : (x >> shift);
}

static inline int64_t snn_floor_64(int64_t x, int shift) {
    return (x < 0) ? ~(~x >> shift) : (x >> shift);
}

/* |x|, also of the smallest number, without wrapping around. */
static inline uint32_t snn_magnitude_32(int32_t x) {
    return (x < 0) ? (uint32_t)(-(x + 1)) + 1u : (uint32_t)x;
}

static inline uint64_t snn_magnitude_64(int64_t x) {
    return (x < 0) ? (uint64_t)(-(x + 1)) + 1u : (uint64_t)x;
}

/* Toward zero. */
static inline int32_t snn_trunc_32(int32_t x, int shift) {
    const uint32_t m = snn_magnitude_32(x) >> shift;
    return (x < 0) ? -(int32_t)m : (int32_t)m;
}

static inline int64_t snn_trunc_64(int64_t x, int shift) {
    const uint64_t m = snn_magnitude_64(x) >> shift;
    return (x < 0) ? -(int64_t)m : (int64_t)m;
}

/* To nearest, halves away from zero. */
static inline int32_t snn_half_away_32(int32_t x, int shift) {
    const uint32_t q = (snn_magnitude_32(x) + ((uint32_t)1 << (shift - 1))) >> shift;
    return (x < 0) ? -(int32_t)q : (int32_t)q;
}

static inline int64_t snn_half_away_64(int64_t x, int shift) {
    const uint64_t q = (snn_magnitude_64(x) + ((uint64_t)1 << (shift - 1))) >> shift;
    return (x < 0) ? -(int64_t)q : (int64_t)q;
}

/* To nearest, halves up. */
static inline int32_t snn_half_up_32(int32_t x, int shift) {
    const int32_t q = snn_floor_32(x, shift);
    const int32_t rest = x - q * ((int32_t)1 << shift);
    return q + (int32_t)(rest >= ((int32_t)1 << (shift - 1)));
}

static inline int64_t snn_half_up_64(int64_t x, int shift) {
    const int64_t q = snn_floor_64(x, shift);
    const int64_t rest = x - q * ((int64_t)1 << shift);
    return q + (int64_t)(rest >= ((int64_t)1 << (shift - 1)));
}

/* To nearest, halves to even. */
/* x / d, rounded half away from zero; d is not 0. */
static inline int32_t snn_div_32(int32_t x, int32_t d) {
    const int32_t quotient = x / d, rest = x % d;
    if (2 * snn_magnitude_32(rest) < snn_magnitude_32(d)) {
        return quotient;
    }
    return ((x < 0) == (d < 0)) ? quotient + 1 : quotient - 1;
}

static inline int64_t snn_div_64(int64_t x, int64_t d) {
    const int64_t quotient = x / d, rest = x % d;
    if (2 * snn_magnitude_64(rest) < snn_magnitude_64(d)) {
        return quotient;
    }
    return ((x < 0) == (d < 0)) ? quotient + 1 : quotient - 1;
}

static inline int32_t snn_half_even_32(int32_t x, int shift) {
    const int32_t q = snn_floor_32(x, shift);
    const int32_t rest = x - q * ((int32_t)1 << shift);
    const int32_t half = (int32_t)1 << (shift - 1);
    return q + (int32_t)((rest > half) | ((rest == half) & ((q % 2) != 0)));
}

static inline int64_t snn_half_even_64(int64_t x, int shift) {
    const int64_t q = snn_floor_64(x, shift);
    const int64_t rest = x - q * ((int64_t)1 << shift);
    const int64_t half = (int64_t)1 << (shift - 1);
    return q + (int64_t)((rest > half) | ((rest == half) & ((q % 2) != 0)));
}

/* Number of bits of x. */
static inline int snn_bits_64(uint64_t x) {
    int bits = 0;
    while (x != 0u) {
        bits++;
        x >>= 1;
    }
    return bits;
}

/* x / 2**shift to nearest, halves away from zero; a negative shift multiplies. */
static inline int64_t snn_scaled_64(int64_t x, int shift) {
    return (shift > 0) ? snn_half_away_64(x, shift) : x * ((int64_t)1 << -shift);
}

/* a * b + c modulo 2**32; nothing wraps on the way. */
static inline uint32_t snn_modular_32(uint32_t a, uint32_t b, uint32_t c) {
    return (uint32_t)(((uint64_t)a * b + c) & UINT32_MAX);
}

/* A hash of 32 bits, one to one: lowbias32 (C. Wellons, public domain). */
static inline uint32_t snn_mix_32(uint32_t n) {
    n ^= n >> 16;
    n = snn_modular_32(n, UINT32_C(0x7FEB352D), 0u);
    n ^= n >> 15;
    n = snn_modular_32(n, UINT32_C(0x846CA68B), 0u);
    return n ^ (n >> 16);
}

/* floor(sqrt(x)), bit after bit. */
static inline uint64_t snn_isqrt_64(uint64_t x) {
    uint64_t root = 0u;
    for (uint64_t bit = (uint64_t)1 << 62; bit != 0u; bit >>= 2) {
        const uint64_t tried = root + bit;
        root >>= 1;
        if (x >= tried) {
            x -= tried;
            root += bit;
        }
    }
    return root;
}

#endif
