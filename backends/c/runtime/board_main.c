/* Feeds samples to the network and compares every output with that of the definition. */
#include "board.h"
#include "samples.h"
#include "snn.h"

#ifndef REPEAT
#define REPEAT 1u
#endif

#ifdef SNN_TRACE
#include "info.h"

static uint32_t hash;

static uint32_t low_bits(const snn_port *port, const void *array, size_t i) {
    switch (port->bytes) {
    case 1:
        return port->is_signed != 0 ? (uint32_t)((const int8_t *)array)[i]
                                    : ((const uint8_t *)array)[i];
    case 2:
        return port->is_signed != 0 ? (uint32_t)((const int16_t *)array)[i]
                                    : ((const uint16_t *)array)[i];
    case 4: return (uint32_t)((const int32_t *)array)[i];
    default: return (uint32_t)((const int64_t *)array)[i];
    }
}

/* FNV-1a over every word of a step. */
static void hash_words(uint32_t loop, uint32_t step) {
    (void)step;
    snn_trace_words();
    for (size_t k = 0u; k < snn_word_count; k++) {
        const snn_port *word = &snn_words[k];
        /* channels may be innermost in the array; the hash takes them in the order of the shape */
        const size_t channels = word->channels != 0u ? word->channels : word->size;
        const size_t places = word->size / channels;
        for (size_t i = 0u; word->loop == loop && i < word->size; i++) {
            const size_t at = i % places * channels + i / places;
            const uint64_t next = hash ^ low_bits(word, snn_word_data[k], at);
            hash = (uint32_t)((next * 16777619u) & UINT32_MAX);
        }
    }
}
#endif

@PLAY@
int main(void) {
#ifdef SNN_TRACE
    snn_trace_step = hash_words;
#endif
    for (uint32_t r = 0u; r < REPEAT; r++) {
        for (uint32_t s = 0u; s < SAMPLES; s++) {
#ifdef SNN_TRACE
            hash = UINT32_C(2166136261);
#endif
            const int code = play(s);
            if (code != 0) {
                board_say(code == 1 ? "an output differs\n" : "a call was refused\n");
                return code;
            }
#ifdef SNN_TRACE
            if (hash != word_hash[s]) {
                board_say("a state or a spike differs\n");
                return 6;
            }
#endif
        }
    }
    board_say("equal\n");
    return 0;
}
