/* Many samples in one call, on one or several threads. */
#ifndef SNN_BATCH_H
#define SNN_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "info.h"

/* Evaluate `samples` samples of `steps` steps.
 *
 * inputs[i] and outputs[i] are arrays of the port's own type, sample after sample: (samples, steps,
 * size) for ports with a value per step, else (samples, size). A null output is not wanted.
 * Compiled with -DSNN_THREADS -pthread, every thread has a network of its own and takes an equal
 * share of the samples; else there is one thread, whatever `threads` says. Returns the status of
 * the first sample that failed, whose number *failed tells then, or SNN_OK. */
snn_status snn_batch(const void *const *inputs, size_t samples, uint32_t steps,
                     void *const *outputs, unsigned threads, size_t *failed);

#endif
