/* Whole samples as 64-bit integers, with every word of every step: for hosts and tests. */
#ifndef SNN_TRACE_H
#define SNN_TRACE_H

#include "info.h"

/* Element i of an array of a port's type. */
int64_t snn_get(const snn_port *port, const void *array, size_t i);

/* Elements of a port in one sample of so many steps. */
size_t snn_elements(const snn_port *port, uint32_t steps);

/* Run one sample.
 *
 * inputs[i] has size elements, times steps for a per-step input; outputs[i] likewise, with the
 * steps of its own loop from its start on.
 * words is null, or words[i] is null or gets (steps, size) values, after each step of its loop.
 * Returns a status, or -1 if memory is short.
 */
int snn_trace(const int64_t *const *inputs, uint32_t steps, int64_t *const *outputs,
              int64_t *const *words);

/* Run one sample until an output of one element reaches the limit of its step.
 *
 * port numbers the output, limits has steps values; outputs are those after the last step that
 * was run, whose number (from 1) goes to used. There must be no output per step.
 */
int snn_trace_until(const int64_t *const *inputs, uint32_t steps, int64_t *const *outputs,
                    uint32_t port, const int64_t *limits, uint32_t *used);

#endif
