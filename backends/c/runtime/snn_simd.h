/* Vectors of the processor that the compiler writes for: AVX-512, AVX2 or NEON.
 *
 * The results are those of the portable code, which is used where there are no such vectors, or
 * with -DSNN_SIMD=0. Each of these files defines snn_columns, the sums of columns of pairs of
 * weights (weights j in the low and j + words in the high bytes), and may define snn_sums, the same
 * as true sums, snn_wide, the sums of columns of 16-bit weights, snn_list_16 and snn_copy_16,
 * snn_outside, whether a byte has other bits than it may have, and snn_multiply, the sums of many
 * steps at once, which is faster than columns where most inputs spike.
 */
#ifndef SNN_SIMD_H
#define SNN_SIMD_H

#include <stddef.h>
#include <stdint.h>

#if !defined(SNN_SIMD)
#define SNN_SIMD 1
#endif

#if SNN_SIMD && defined(__GNUC__)
#if defined(__AVX512BW__) && defined(__AVX512VL__)
#include "snn_avx512.h"
#if defined(__AVX512VNNI__)
#include "snn_vnni.h"
#endif
#elif defined(__AVX2__)
#include "snn_avx2.h"
#elif defined(__ARM_NEON)
#include "snn_neon.h"
#endif
#endif

#if defined(SNN_SUMS)
/* Whether lists are so long that it matters to add few words of all columns for all steps before the
 * next words, so that these words stay in the cache. */
static inline int snn_is_long(const uint32_t *counts, uint32_t steps) {
    uint32_t spikes = 0u;
    for (uint32_t t = 0u; t < steps; t++) {
        spikes += counts[t];
    }
    return spikes / 64u >= steps;
}
#endif

#if defined(SNN_MULTIPLY)
#include <string.h>

/* Bytes of a row of spikes that snn_multiply reads, zeros behind the inputs. */
#define SNN_SPREAD(inputs) (((inputs) + 63u) / 64u * 64u)

/* Whether so many steps together have enough spikes for a product; few steps never have. */
static inline int snn_is_dense(const uint32_t *counts, uint32_t steps, uint32_t inputs) {
    uint64_t spikes = 0u;
    for (uint32_t t = 0u; t < steps; t++) {
        spikes += counts[t];
    }
    return steps >= 4u && 100u * spikes >= (uint64_t)SNN_DENSE * inputs * steps;
}

/* Lists of spikes, each with room for so many inputs, as rows of bytes. */
static inline void snn_spread(const uint16_t *ids, const uint32_t *counts, uint32_t steps,
                              size_t inputs, uint8_t *x) {
    memset(x, 0, steps * SNN_SPREAD(inputs));
    for (uint32_t t = 0u; t < steps; t++) {
        for (uint32_t k = 0u; k < counts[t]; k++) {
            x[ids[k]] = 1u;
        }
        ids += inputs;
        x += SNN_SPREAD(inputs);
    }
}
#endif

#endif
