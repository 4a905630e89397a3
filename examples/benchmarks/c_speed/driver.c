/* Evaluates samples one after the other with the functions of snn.h: step by step, or all steps of a
 * sample in one call if RUN is defined. */
#include <string.h>

#include "info.h"

#define MOST 16384

int bench(const uint8_t *x, uint32_t samples, uint32_t steps, int64_t *scores);

int bench(const uint8_t *x, uint32_t samples, uint32_t steps, int64_t *scores) {
    static int64_t result[MOST];
    const snn_port *out = &snn_outputs[0];
    void *results[1] = {result};
    if (snn_input_count != 1u || snn_output_count != 1u || snn_inputs[0].bytes != 1u ||
        out->per_step != 0 || out->size > MOST) {
        return 1;
    }
    for (uint32_t n = 0u; n < samples; n++) {
        const int constant = snn_inputs[0].per_step == 0;
        union {
            const void *from;
            void *to;
        } frame = {x};
        if (snn_io_begin(constant ? &frame.to : NULL) != SNN_OK) {
            return 1;
        }
#ifdef RUN
        if (snn_io_run(&frame.to, steps, results) != SNN_OK) {
            return 1;
        }
#else
        for (uint32_t t = 0u; t < steps; t++) {
            frame.from = x + (constant ? 0u : t * snn_inputs[0].size);
            if (snn_io_step(constant ? NULL : &frame.to) != SNN_OK) {
                return 1;
            }
        }
#endif
        x += (constant ? 1u : steps) * snn_inputs[0].size;
        if (snn_io_finish(results) != SNN_OK) {
            return 1;
        }
        for (size_t i = 0u; i < out->size; i++) {
            switch (out->bytes) {
            case 1: *scores++ = ((uint8_t *)result)[i]; break;
            case 2: *scores++ = ((uint16_t *)result)[i]; break;
            case 4: *scores++ = ((int32_t *)result)[i]; break;
            default: *scores++ = result[i]; break;
            }
        }
    }
    return 0;
}
