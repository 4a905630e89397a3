#include "snn_batch.h"

#if defined(SNN_THREADS)
#include <pthread.h>
#endif

#define SNN_MOST_PORTS 32u
#define SNN_MOST_THREADS 64u

typedef struct {
    const void *const *inputs;
    void *const *outputs;
    size_t first; /* of the samples of this share */
    size_t end;
    size_t failed;
    uint32_t steps;
    snn_status status;
} share;

/* Bytes of one sample. */
static size_t extent(const snn_port *port, uint32_t steps) {
    const uint32_t own = (port->steps != 0u) ? port->steps : steps;
    const size_t times = (port->per_step != 0) ? (size_t)(own - port->start) : 1u;
    return times * port->size * port->bytes;
}

/* Inputs: the frames of all steps, or what a sample has once. */
static void point(const share *job, size_t sample, void **frames) {
    for (size_t p = 0u; p < snn_input_count; p++) {
        const snn_port *port = &snn_inputs[p];
        const size_t frame = port->size * port->bytes;
        union {
            const char *from; /* the network only reads it */
            char *to;
        } place = {job->inputs[p]};
        place.from += sample * ((port->per_step != 0) ? job->steps * frame : frame);
        frames[p] = place.to;
    }
}

/* Outputs: those with a value per step of the first loop, or all others. */
static void place_results(const share *job, size_t sample, int of_step, void **results) {
    for (size_t p = 0u; p < snn_output_count; p++) {
        const snn_port *port = &snn_outputs[p];
        const int is_of_step = port->per_step != 0 && port->loop < 2u;
        results[p] = NULL;
        if (job->outputs[p] != NULL && is_of_step == of_step) {
            results[p] = (char *)job->outputs[p] + sample * extent(port, job->steps);
        }
    }
}

static snn_status evaluate(const share *job, size_t sample) {
    void *frames[SNN_MOST_PORTS] = {NULL};
    void *results[SNN_MOST_PORTS] = {NULL};
    point(job, sample, frames);
    snn_status status = snn_io_begin(frames);
    if (status == SNN_OK) {
        place_results(job, sample, 1, results);
        status = snn_io_run(frames, job->steps, results);
    }
    if (status == SNN_OK) {
        place_results(job, sample, 0, results);
        status = snn_io_finish(results);
    }
    return status;
}

static void *work(void *argument) {
    share *job = argument;
    for (size_t n = job->first; n < job->end && job->status == SNN_OK; n++) {
        job->status = evaluate(job, n);
        job->failed = n;
    }
    return NULL;
}

snn_status snn_batch(const void *const *inputs, size_t samples, uint32_t steps,
                     void *const *outputs, unsigned threads, size_t *failed) {
    share shares[SNN_MOST_THREADS];
    if (inputs == NULL || outputs == NULL || snn_input_count > SNN_MOST_PORTS ||
        snn_output_count > SNN_MOST_PORTS) {
        return SNN_NULL;
    }
#if defined(SNN_THREADS)
    size_t count = (threads > SNN_MOST_THREADS) ? SNN_MOST_THREADS : threads;
    count = (count > samples) ? samples : count;
    count = (count == 0u) ? 1u : count;
#else
    const size_t count = 1u;
    (void)threads;
#endif
    for (size_t k = 0u; k < count; k++) {
        const share one = {inputs, outputs, samples * k / count, samples * (k + 1u) / count, 0u,
                           steps,  SNN_OK};
        shares[k] = one;
    }
#if defined(SNN_THREADS)
    pthread_t others[SNN_MOST_THREADS];
    int started[SNN_MOST_THREADS] = {0};
    for (size_t k = 1u; k < count; k++) {
        started[k] = pthread_create(&others[k], NULL, work, &shares[k]) == 0;
    }
#endif
    (void)work(&shares[0]);
#if defined(SNN_THREADS)
    for (size_t k = 1u; k < count; k++) {
        if (started[k] != 0) {
            (void)pthread_join(others[k], NULL);
        } else {
            (void)work(&shares[k]); /* the system is short of threads */
        }
    }
#endif
    for (size_t k = 0u; k < count; k++) {
        if (shares[k].status != SNN_OK) {
            if (failed != NULL) {
                *failed = shares[k].failed;
            }
            return shares[k].status;
        }
    }
    return SNN_OK;
}
