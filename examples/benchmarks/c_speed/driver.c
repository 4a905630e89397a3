/* Evaluates samples one after the other with the functions of snn.h: step by step, or all steps of a
 * sample in one call if RUN is defined. */
#include "info.h"

int bench_type(void);
int bench(const uint8_t *x, uint32_t samples, uint32_t steps, uint8_t *scores);

/* Bytes of a score, less than 0 if it has a sign. */
int bench_type(void) {
    const int bytes = (int)snn_outputs[0].bytes;
    return snn_outputs[0].is_signed ? -bytes : bytes;
}

int bench(const uint8_t *x, uint32_t samples, uint32_t steps, uint8_t *scores) {
    const snn_port *out = &snn_outputs[0];
    if (snn_input_count != 1u || snn_output_count != 1u || snn_inputs[0].bytes != 1u ||
        out->per_step != 0) {
        return 1;
    }
    for (uint32_t n = 0u; n < samples; n++) {
        void *results[1] = {scores};
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
        scores += out->size * out->bytes;
    }
    return 0;
}
