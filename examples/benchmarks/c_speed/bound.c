/* What every event-driven program has to do at least: read each column that a spike needs, as
 * fast as vectors can. Nothing is added or decided. Compiled with the machine's widest vectors. */
#include <stdint.h>
#include <string.h>

typedef uint8_t vector __attribute__((vector_size(64), aligned(1), may_alias));

/* Columns of `bytes` bytes; ids of all steps of a sample, one after the other. */
static vector replay(const uint8_t *columns, uint32_t bytes, const uint32_t *ids, uint32_t count) {
    vector a = {0}, b = {0}, c = {0}, d = {0};
    for (uint32_t n = 0; n < count; n++) {
        const uint8_t *w = columns + (uint64_t)ids[n] * bytes;
        const uint8_t *end = w + bytes;
        for (; w + 256 <= end; w += 256) {
            a |= *(const vector *)w;
            b |= *(const vector *)(w + 64);
            c |= *(const vector *)(w + 128);
            d |= *(const vector *)(w + 192);
        }
        for (; w < end; w += 64) {
            a |= *(const vector *)w;
        }
    }
    return a | b | c | d;
}

/* Matrices one after the other: columns[m], bytes[m]; ids[m] and first[m][sample]. */
int replay_all(const uint8_t *const *columns, const uint32_t *bytes, const uint32_t *const *ids,
               const uint32_t *const *first, uint32_t matrices, uint32_t sample, uint32_t samples) {
    vector all = {0};
    for (uint32_t n = sample; n < sample + samples; n++) {
        for (uint32_t m = 0; m < matrices; m++) {
            const uint32_t *place = first[m];
            all |= replay(columns[m], bytes[m], ids[m] + place[n], place[n + 1] - place[n]);
        }
    }
    uint8_t any[64];
    memcpy(any, &all, sizeof any);
    return any[0];
}
