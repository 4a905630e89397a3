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

static void widen(const snn_port *port, const void *from, int64_t *to) {
    for (size_t i = 0u; i < port->size; i++) {
        to[i] = snn_get(port, from, i);
    }
}

static void collect(int per_step, void *const *results, size_t step, int64_t *const *outputs) {
    for (size_t p = 0u; p < snn_output_count; p++) {
        if (snn_outputs[p].per_step == per_step) {
            widen(&snn_outputs[p], results[p], outputs[p] + step * snn_outputs[p].size);
        }
    }
}

static int play(const int64_t *const *inputs, uint32_t steps, int64_t *const *outputs,
                int64_t *const *words, void *const *frames, void *const *results) {
    int status = narrow(0, inputs, 0u, frames);
    if (status != SNN_OK) {
        return status;
    }
    status = (int)snn_io_begin(frames);
    for (uint32_t t = 0u; status == SNN_OK && t < steps; t++) {
        status = narrow(1, inputs, t, frames);
        if (status == SNN_OK) {
            status = (int)snn_io_step(frames);
        }
        if (status == SNN_OK) {
            status = (int)snn_io_sequence(results);
        }
        if (status == SNN_OK) {
            collect(1, results, t, outputs);
        }
        for (size_t k = 0u; status == SNN_OK && words != NULL && k < snn_word_count; k++) {
            if (words[k] != NULL) {
                widen(&snn_words[k], snn_word_data[k], words[k] + t * snn_words[k].size);
            }
        }
    }
    if (status == SNN_OK) {
        status = (int)snn_io_finish(results);
    }
    if (status == SNN_OK) {
        collect(0, results, 0u, outputs);
    }
    return status;
}

static void release(void **arrays, size_t count) {
    for (size_t i = 0u; arrays != NULL && i < count; i++) {
        free(arrays[i]);
    }
    free(arrays);
}

static void **reserve(const snn_port *ports, size_t count) {
    void **arrays = calloc(count + 1u, sizeof *arrays);
    for (size_t i = 0u; arrays != NULL && i < count; i++) {
        arrays[i] = calloc(ports[i].size, ports[i].bytes);
        if (arrays[i] == NULL) {
            release(arrays, count);
            return NULL;
        }
    }
    return arrays;
}

int snn_trace(const int64_t *const *inputs, uint32_t steps, int64_t *const *outputs,
              int64_t *const *words) {
    void **frames = reserve(snn_inputs, snn_input_count);
    void **results = reserve(snn_outputs, snn_output_count);
    int status = -1;
    if (frames != NULL && results != NULL) {
        status = play(inputs, steps, outputs, words, frames, results);
    }
    release(frames, snn_input_count);
    release(results, snn_output_count);
    return status;
}
