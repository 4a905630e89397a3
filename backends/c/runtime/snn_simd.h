/* Vectors of the processor that the compiler writes for: AVX-512, AVX2 or NEON.
 *
 * The results are those of the portable code, which is used where there are no such vectors, or
 * with -DSNN_SIMD=0. Each of these files defines snn_columns, the sums of columns of pairs of
 * weights (weights j in the low and j + words in the high bytes), and may define snn_wide, the sums
 * of columns of 16-bit weights, snn_list_16 and snn_copy_16.
 */
#ifndef SNN_SIMD_H
#define SNN_SIMD_H

#if !defined(SNN_SIMD)
#define SNN_SIMD 1
#endif

#if SNN_SIMD && defined(__GNUC__)
#if defined(__AVX512BW__) && defined(__AVX512VL__)
#include "snn_avx512.h"
#elif defined(__AVX2__)
#include "snn_avx2.h"
#elif defined(__ARM_NEON)
#include "snn_neon.h"
#endif
#endif

#endif
