/* Products of many steps with tiles (AMX-INT8), on processors that have them and systems that grant
 * them; asked when the program runs. Included by snn_vnni.h, whose turned columns are such tiles. */
#ifndef SNN_AMX_H
#define SNN_AMX_H

#if defined(__linux__) && defined(__x86_64__) && defined(__GNUC__) && !defined(SNN_NO_TILES)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SNN_TILES 1

long syscall(long number, ...);

/* Whether tiles may be used: the processor has them, and Linux lets this process have their state
 * (arch_prctl, ARCH_REQ_XCOMP_PERM of XTILEDATA). */
static inline int snn_has_tiles(void) {
    SNN_STATE int known; /* 0: not yet, 1: no, 2: yes */
    if (known == 0) {
        unsigned a = 0u, b = 0u, c = 0u, d = 0u;
        known = 1;
        if (__get_cpuid_count(7u, 0u, &a, &b, &c, &d) != 0 && (d >> 24 & 3u) == 3u &&
            syscall(SYS_arch_prctl, 0x1023, 18) == 0) {
            known = 2;
        }
    }
    return known == 2;
}

typedef struct {
    uint8_t palette;
    uint8_t start;
    uint8_t unused[14];
    uint16_t bytes[16]; /* of a row of each tile */
    uint8_t rows[16];
} snn_tile_sizes;

/* Sums of 64 outputs at up to 32 steps: sums[vector][step][16], of turned columns (four vectors for
 * four inputs) and rows x of spikes; inputs come in groups of four, a multiple of 16 of them. Tiles
 * 0 and 1 hold spikes of 16 steps, 2 and 3 weights of two vectors, 4 to 7 sums. */
static __attribute__((noinline, target("amx-tile,amx-int8"))) void
snn_by_tiles(const uint16_t *turned, size_t groups, const uint8_t *x, size_t next_x, uint32_t steps,
             int32_t sums[4][32][16]) {
    const uint32_t later = (steps > 16u) ? steps - 16u : 0u;
    const uint8_t first = (uint8_t)(steps - later), second = (uint8_t)((later != 0u) ? later : 1u);
    const snn_tile_sizes sizes = {
        1u, 0u, {0u}, {64u, 64u, 64u, 64u, 64u, 64u, 64u, 64u},
        {first, second, 16u, 16u, first, first, second, second}};
    _tile_loadconfig(&sizes);
    for (size_t v = 0u; v < 4u; v += 2u) {
        _tile_zero(4);
        _tile_zero(5);
        _tile_zero(6);
        _tile_zero(7);
        for (size_t g = 0u; g < groups; g += 16u) {
            _tile_loadd(0, x + 4u * g, next_x);
            _tile_loadd(2, turned + 128u * g + 32u * v, 256);
            _tile_loadd(3, turned + 128u * g + 32u * v + 32u, 256);
            _tile_dpbuud(4, 0, 2);
            _tile_dpbuud(5, 0, 3);
            if (later != 0u) {
                _tile_loadd(1, x + 16u * next_x + 4u * g, next_x);
                _tile_dpbuud(6, 1, 2);
                _tile_dpbuud(7, 1, 3);
            }
        }
        _tile_stored(4, sums[v], 64);
        _tile_stored(5, sums[v + 1u], 64);
        if (later != 0u) {
            _tile_stored(6, sums[v] + 16, 64);
            _tile_stored(7, sums[v + 1u] + 16, 64);
        }
    }
    _tile_release();
}

#else
static inline int snn_has_tiles(void) {
    return 0;
}
#endif

#endif
