/* Reading and writing of integer .npy files. */
#ifndef SNN_NPY_H
#define SNN_NPY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define NPY_MAX_DIMS 16u

typedef struct {
    FILE *file;
    size_t ndim;
    int64_t shape[NPY_MAX_DIMS];
    size_t bytes; /* of one element */
    int is_signed;
} npy_file;

/* Open for reading; returns NULL, or says what is wrong and leaves nothing open. */
const char *npy_open(npy_file *npy, const char *path);

/* Read count elements; returns 0 if the file is too short. */
int npy_read(npy_file *npy, int64_t *to, size_t count);

/* Whether everything was read. */
int npy_at_end(npy_file *npy);

/* Write a header for int64 elements, then elements. They return 0 on failure. */
int npy_write_header(FILE *file, size_t ndim, const int64_t *shape);
int npy_write(FILE *file, const int64_t *from, size_t count);

#endif
