/* What a program that adds a weight per synaptic operation and updates every neuron has to do at
 * least: additions of 16 bits from the innermost cache to registers, and the cheapest update there
 * is, a decay by the high half of a product. Compiled with the machine's widest vectors. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int16_t vector __attribute__((vector_size(64)));
#define LANES 32u
#define SUMS 8u
#define NEURONS 4096u

/* Of external linkage: a compiler must expect that somebody else has changed them. */
vector weights[64];
int16_t membrane[NEURONS], current[NEURONS];
uint8_t spikes[NEURONS];

static vector add(uint64_t adds) {
    vector sums[SUMS] = {{0}};
    uint32_t place = 0u;
    for (uint64_t n = 0u; n < adds; n += LANES * SUMS) {
#pragma GCC unroll 8
        for (uint32_t k = 0u; k < SUMS; k++) {
            sums[k] += weights[place + k];
        }
        place = (place + SUMS) % 64u;
        __asm__ volatile("" ::: "memory"); /* the weights may have changed */
    }
    return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

static void update(void) {
    for (size_t i = 0u; i < NEURONS; i++) {
        const int16_t v = (int16_t)(((membrane[i] * 29491) >> 16) + current[i]);
        const int16_t fired = (int16_t)-(v >= 900);
        membrane[i] = (int16_t)(v - (fired & 900));
        spikes[i] = (uint8_t)(fired & 1);
    }
}

int bound(double adds, double updates, uint32_t samples);

int bound(double adds, double updates, uint32_t samples) {
    const vector sums = add((uint64_t)(adds * samples));
    for (double done = 0.0; done < updates * samples; done += NEURONS) {
        update();
        __asm__ volatile("" ::: "memory");
    }
    int16_t any[LANES];
    memcpy(any, &sums, sizeof any);
    return any[0] + spikes[NEURONS - 1u];
}
