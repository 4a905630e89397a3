/* What host programs know of a network: names, shapes, types. */
#ifndef SNN_INFO_H
#define SNN_INFO_H

#include <stddef.h>
#include <stdint.h>

#include "snn.h"

typedef struct {
    const char *name;
    const int64_t *shape; /* of one sample at one step */
    size_t ndim;
    size_t size;
    size_t bytes; /* of one element */
    int is_signed;
    int per_step; /* one value per step, or one per sample */
    uint32_t loop; /* number of the loop that it belongs to: 1, 2, ... */
    uint32_t steps; /* steps of that loop; 0: as many as the first has */
    uint32_t start; /* the first of them that counts */
    uint32_t channels; /* so many are innermost in a word's array; 0: in the order of the shape */
    int64_t lo;
    int64_t hi;
} snn_port;

extern const char snn_network_name[];
extern const uint32_t snn_default_steps;
extern const uint32_t snn_max_steps; /* 0: any number */
extern const uint32_t snn_min_steps;
extern const size_t snn_input_count;
extern const snn_port snn_inputs[];
extern const size_t snn_output_count;
extern const snn_port snn_outputs[];
extern const size_t snn_word_count;
extern const snn_port snn_words[];

/* The functions of snn.h with one array of pointers, indexed as above. */
snn_status snn_io_begin(void *const *in);
snn_status snn_io_step(void *const *in);
snn_status snn_io_sequence(void *const *out);
snn_status snn_io_finish(void *const *out);

/* snn_run, for processors with vectors: in[] has the frames of all these steps, out[] places for
 * outputs with a value per step. */
snn_status snn_io_run(void *const *in, uint32_t steps, void *const *out);

#endif
