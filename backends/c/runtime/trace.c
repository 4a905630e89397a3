#include "trace.h"

#include <stdlib.h>
#include <string.h>

int64_t snn_get(const snn_port *port, const void *array, size_t i) {
    switch (port->bytes) {
    case 1: return port->is_signed ? ((const int8_t *)array)[i] : ((const uint8_t *)array)[i];
    case 2: return port->is_signed ? ((const int16_t *)array)[i] : ((const uint16_t *)array)[i];
    case 4: return ((const int32_t *)array)[i];
    default: return ((const int64_t *)array)[i];
    }
}

static void put(const snn_port *port, void *array, size_t i, int64_t value) {
    switch (port->bytes) {
    case 1:
        if (port->is_signed) {
            ((int8_t *)array)[i] = (int8_t)value;
        } else {
            ((uint8_t *)array)[i] = (uint8_t)value;
        }
        break;
    case 2:
        if (port->is_signed) {
            ((int16_t *)array)[i] = (int16_t)value;
        } else {
            ((uint16_t *)array)[i] = (uint16_t)value;
        }
        break;
    case 4: ((int32_t *)array)[i] = (int32_t)value; break;
    default: ((int64_t *)array)[i] = value; break;
    }
}

/* Narrow the inputs of one phase; the 64-bit value is judged here, before it is cut. */
static int narrow(int per_step, const int64_t *const *inputs, size_t step, void *const *frames) {
    for (size_t p = 0u; p < snn_input_count; p++) {
        const snn_port *port = &snn_inputs[p];
        if (port->per_step != per_step) {
            continue;
        }
        const int64_t *x = inputs[p] + step * port->size;
        for (size_t i = 0u; i < port->size; i++) {
            if (x[i] < port->lo || x[i] > port->hi) {
                return SNN_RANGE;
            }
            put(port, frames[p], i, x[i]);
        }
    }
    return SNN_OK;
}

static void widen(const snn_port *port, const void *from, size_t count, int64_t *to) {
    for (size_t i = 0u; i < count; i++) {
        to[i] = snn_get(port, from, i);
    }
}

/* A word, whose channels may be innermost. */
static void widen_word(const snn_port *port, const void *from, int64_t *to) {
    const size_t channels = port->channels != 0u ? port->channels : port->size;
    const size_t places = port->size / channels;
    for (size_t i = 0u; i < port->size; i++) {
        to[i / channels + i % channels * places] = snn_get(port, from, i);
    }
}

size_t snn_elements(const snn_port *port, uint32_t steps) {
    if (port->per_step == 0) {
        return port->size;
    }
    return port->size * ((port->steps != 0u ? port->steps : steps) - port->start);
}

/* Outputs of a step of the first loop. */
static void collect_step(void *const *results, uint32_t step, int64_t *const *outputs) {
    for (size_t p = 0u; p < snn_output_count; p++) {
        const snn_port *port = &snn_outputs[p];
        if (port->per_step != 0 && port->loop < 2u && step >= port->start) {
            widen(port, results[p], port->size, outputs[p] + (step - port->start) * port->size);
        }
    }
}

/* Outputs of the sample, whole sequences of later loops among them. */
static void collect_rest(void *const *results, uint32_t steps, int64_t *const *outputs) {
    for (size_t p = 0u; p < snn_output_count; p++) {
        const snn_port *port = &snn_outputs[p];
        if (port->per_step == 0 || port->loop > 1u) {
            widen(port, results[p], snn_elements(port, steps), outputs[p]);
        }
    }
}

static int64_t *const *wanted; /* of the sample that runs: the words of every step, or null */

/* Keep the words of a step of one loop. */
static void keep_words(uint32_t loop, uint32_t step) {
    if (wanted != NULL) {
        snn_trace_words();
    }
    for (size_t k = 0u; wanted != NULL && k < snn_word_count; k++) {
        const snn_port *port = &snn_words[k];
        if (wanted[k] != NULL && port->loop == loop) {
            widen_word(port, snn_word_data[k], wanted[k] + step * port->size);
        }
    }
}

#ifdef SNN_TRACE_BLOCKS
/* Keep the words of a step of the layers of one stage. */
static void keep_stage(uint32_t stage, uint32_t step) {
    if (wanted != NULL) {
        snn_trace_words();
    }
    for (size_t k = 0u; wanted != NULL && k < snn_word_count; k++) {
        const snn_port *port = &snn_words[k];
        if (wanted[k] != NULL && port->loop < 2u && snn_word_stages[k] == stage) {
            widen_word(port, snn_word_data[k], wanted[k] + step * port->size);
        }
    }
}
#endif

/* When the sample that runs may stop early: an output, and its limit at every step, or null. */
static uint32_t judged;
static const int64_t *limits_of_steps;

static int is_reached(uint32_t step, void *const *results, int *status) {
    if (limits_of_steps == NULL || step + 1u < snn_min_steps) {
        return 0;
    }
    *status = (int)snn_io_finish(results);
    return snn_get(&snn_outputs[judged], results[judged], 0u) >= limits_of_steps[step];
}

#ifdef SNN_TRACE_BLOCKS
static void **reserve(const snn_port *ports, size_t count, uint32_t steps, int whole);
static void release(void **arrays, size_t count);

/* All steps by snn_run. */
static int play_blocks(const int64_t *const *inputs, uint32_t steps, int64_t *const *outputs,
                       void *const *once) {
    void **frames = reserve(snn_inputs, snn_input_count, steps, 1);
    void **results = reserve(snn_outputs, snn_output_count, steps, 1);
    int status = -1;
    if (frames != NULL && results != NULL) {
        status = (int)snn_io_begin(once);
        for (size_t p = 0u; status == SNN_OK && p < snn_input_count; p++) {
            const snn_port *port = &snn_inputs[p];
            for (size_t i = 0u; port->per_step != 0 && i < steps * port->size; i++) {
                if (inputs[p][i] < port->lo || inputs[p][i] > port->hi) {
                    status = SNN_RANGE;
                } else {
                    put(port, frames[p], i, inputs[p][i]);
                }
            }
        }
        snn_trace_stage = keep_stage;
        if (status == SNN_OK) {
            status = (int)snn_io_run(frames, steps, results);
        }
        snn_trace_stage = NULL;
        for (size_t p = 0u; status == SNN_OK && p < snn_output_count; p++) {
            const snn_port *port = &snn_outputs[p];
            if (port->per_step != 0 && port->loop < 2u) {
                widen(port, results[p], snn_elements(port, steps), outputs[p]);
            }
        }
    }
    release(frames, snn_input_count);
    release(results, snn_output_count);
    return status;
}
#endif

static int play(const int64_t *const *inputs, uint32_t *count, int64_t *const *outputs,
                void *const *frames, void *const *results) {
    uint32_t steps = *count;
    int status = narrow(0, inputs, 0u, frames);
    if (status != SNN_OK) {
        return status;
    }
#ifdef SNN_TRACE_BLOCKS
    const int stepwise = limits_of_steps != NULL;
    status = (stepwise != 0) ? (int)snn_io_begin(frames)
                             : play_blocks(inputs, steps, outputs, frames);
#else
    const int stepwise = 1;
    status = (int)snn_io_begin(frames);
#endif
    for (uint32_t t = 0u; stepwise != 0 && status == SNN_OK && t < steps; t++) {
        status = narrow(1, inputs, t, frames);
        if (status == SNN_OK) {
            status = (int)snn_io_step(frames);
        }
        if (status == SNN_OK) {
            status = (int)snn_io_sequence(results);
        }
        if (status == SNN_OK) {
            collect_step(results, t, outputs);
            keep_words(1u, t);
            steps = is_reached(t, results, &status) != 0 ? t + 1u : steps;
        }
    }
    *count = steps;
    if (status == SNN_OK) {
        status = (int)snn_io_finish(results);
    }
    if (status == SNN_OK) {
        collect_rest(results, steps, outputs);
    }
    return status;
}

static void release(void **arrays, size_t count) {
    for (size_t i = 0u; arrays != NULL && i < count; i++) {
        free(arrays[i]);
    }
    free(arrays);
}

/* Arrays of the ports: of one step, or of all if `all` says so. */
static void **reserve(const snn_port *ports, size_t count, uint32_t steps, int all) {
    void **arrays = calloc(count + 1u, sizeof *arrays);
    for (size_t i = 0u; arrays != NULL && i < count; i++) {
        /* one step is handed over at a time, but for sequences of later loops */
        const int whole = ports[i].per_step != 0 && (all != 0 || ports[i].loop > 1u);
        const size_t size = whole != 0 ? snn_elements(&ports[i], steps) : ports[i].size;
        arrays[i] = calloc(size + 1u, ports[i].bytes);
        if (arrays[i] == NULL) {
            release(arrays, count);
            return NULL;
        }
    }
    return arrays;
}

static int run_sample(const int64_t *const *inputs, uint32_t *steps, int64_t *const *outputs) {
    void **frames = reserve(snn_inputs, snn_input_count, *steps, 0);
    void **results = reserve(snn_outputs, snn_output_count, *steps, 0);
    int status = *steps < snn_min_steps ? (int)SNN_TOO_SHORT : -1;
    if (status == -1 && frames != NULL && results != NULL) {
        status = play(inputs, steps, outputs, frames, results);
    }
    release(frames, snn_input_count);
    release(results, snn_output_count);
    return status;
}

int snn_trace_until(const int64_t *const *inputs, uint32_t steps, int64_t *const *outputs,
                    uint32_t port, const int64_t *limits, uint32_t *used) {
    judged = port;
    limits_of_steps = limits;
    *used = steps;
    const int status = run_sample(inputs, used, outputs);
    limits_of_steps = NULL;
    return status;
}

int snn_trace(const int64_t *const *inputs, uint32_t steps, int64_t *const *outputs,
              int64_t *const *words) {
    wanted = words;
    snn_trace_step = keep_words;
    const int status = run_sample(inputs, &steps, outputs);
    wanted = NULL;
    return status;
}
