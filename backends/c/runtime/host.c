/* Runs the network on .npy files of integers:  run IN.npy [IN.npy ...] OUT.npy [--steps T] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"
#include "trace.h"

#define EXIT_USAGE 2

typedef struct {
    npy_file *in;
    FILE **out;
    char **names; /* of the output files */
    int64_t **x;
    int64_t **y;
    int64_t samples;
    uint32_t steps;
} job;

static int complain(const char *what, const char *name, const char *why) {
    (void)fprintf(stderr, "run: error: %s %s: %s\n", what, name, why);
    return EXIT_FAILURE;
}

static int usage(const char *program) {
    (void)fprintf(stderr, "usage: %s", program);
    for (size_t i = 0u; i < snn_input_count; i++) {
        (void)fprintf(stderr, " IN%lu.npy", (unsigned long)i);
    }
    (void)fprintf(stderr, " OUT.npy [--steps T]\nnetwork %s\n", snn_network_name);
    for (size_t i = 0u; i < snn_input_count + snn_output_count; i++) {
        const int is_input = i < snn_input_count;
        const snn_port *p = is_input ? &snn_inputs[i] : &snn_outputs[i - snn_input_count];
        (void)fprintf(stderr, "  %s %s: (N%s", is_input ? "in " : "out", p->name,
                      p->per_step ? ", T" : "");
        for (size_t d = 0u; d < p->ndim; d++) {
            (void)fprintf(stderr, ", %lld", (long long)p->shape[d]);
        }
        (void)fprintf(stderr, ") in [%lld, %lld]\n", (long long)p->lo, (long long)p->hi);
    }
    return EXIT_USAGE;
}

/* Agree on N and T; the shapes must be those of the ports. */
static int agree(job *j, long long wanted) {
    int64_t steps = wanted;
    j->samples = -1;
    for (size_t i = 0u; i < snn_input_count; i++) {
        const snn_port *p = &snn_inputs[i];
        const npy_file *f = &j->in[i];
        const size_t head = p->per_step ? 2u : 1u;
        if (f->ndim != head + p->ndim ||
            (p->ndim != 0u &&
             memcmp(f->shape + head, p->shape, p->ndim * sizeof *p->shape) != 0)) {
            return complain("input", p->name, "wrong shape; start without arguments to see it");
        }
        if (j->samples >= 0 && j->samples != f->shape[0]) {
            return complain("input", p->name, "another number of samples than the first input");
        }
        j->samples = f->shape[0];
        if (p->per_step) {
            if (steps >= 0 && steps != f->shape[1]) {
                return complain("input", p->name, "another number of steps than asked for");
            }
            steps = f->shape[1];
        }
    }
    steps = steps < 0 ? (int64_t)snn_default_steps : steps;
    if (steps > INT32_MAX || (snn_max_steps != 0u && steps > (int64_t)snn_max_steps)) {
        return complain("network", snn_network_name, "more steps than its ranges are proven for");
    }
    if (steps < (int64_t)snn_min_steps) {
        return complain("network", snn_network_name, "fewer steps than it needs");
    }
    j->steps = (uint32_t)steps;
    return EXIT_SUCCESS;
}

/* OUT.npy for the first output, then OUT.1.npy, OUT.2.npy, ... */
static char *file_name(const char *path, size_t index) {
    const size_t length = strlen(path);
    const int has_suffix = length > 4u && strcmp(path + length - 4u, ".npy") == 0;
    const size_t stem = has_suffix && index > 0u ? length - 4u : length;
    char *name = malloc(length + 32u);
    if (name != NULL) {
        memcpy(name, path, stem);
        name[stem] = '\0';
        if (index > 0u) {
            (void)snprintf(name + stem, 32u, ".%lu.npy", (unsigned long)index);
        }
    }
    return name;
}

static int create(job *j, const char *path) {
    for (size_t i = 0u; i < snn_output_count; i++) {
        const snn_port *p = &snn_outputs[i];
        int64_t shape[NPY_MAX_DIMS + 2u];
        size_t ndim = 0u;
        shape[ndim++] = j->samples;
        if (p->per_step) {
            shape[ndim++] = (int64_t)(snn_elements(p, j->steps) / p->size);
        }
        for (size_t d = 0u; d < p->ndim && ndim < NPY_MAX_DIMS; d++) {
            shape[ndim++] = p->shape[d];
        }
        j->names[i] = file_name(path, i);
        j->out[i] = j->names[i] == NULL ? NULL : fopen(j->names[i], "wb");
        if (j->out[i] == NULL || !npy_write_header(j->out[i], ndim, shape)) {
            return complain("output", path, "it cannot be written");
        }
    }
    return EXIT_SUCCESS;
}

static int outside(const job *j, int64_t sample) {
    for (size_t i = 0u; i < snn_input_count; i++) {
        const snn_port *p = &snn_inputs[i];
        for (size_t k = 0u; k < snn_elements(p, j->steps); k++) {
            if (j->x[i][k] < p->lo || j->x[i][k] > p->hi) {
                (void)fprintf(stderr,
                              "run: error: input %s: sample %lld, step %lu, element %lu is %lld, "
                              "outside [%lld, %lld]\n",
                              p->name, (long long)sample, (unsigned long)(k / p->size),
                              (unsigned long)(k % p->size), (long long)j->x[i][k],
                              (long long)p->lo, (long long)p->hi);
                return EXIT_FAILURE;
            }
        }
    }
    return complain("network", snn_network_name, "it refused an input");
}

static int play(job *j) {
    for (size_t i = 0u; i < snn_input_count; i++) {
        j->x[i] = calloc(snn_elements(&snn_inputs[i], j->steps) + 1u, sizeof **j->x);
        if (j->x[i] == NULL) {
            return complain("input", snn_inputs[i].name, "memory is short");
        }
    }
    for (size_t i = 0u; i < snn_output_count; i++) {
        j->y[i] = calloc(snn_elements(&snn_outputs[i], j->steps) + 1u, sizeof **j->y);
        if (j->y[i] == NULL) {
            return complain("output", snn_outputs[i].name, "memory is short");
        }
    }
    for (int64_t n = 0; n < j->samples; n++) {
        for (size_t i = 0u; i < snn_input_count; i++) {
            if (!npy_read(&j->in[i], j->x[i], snn_elements(&snn_inputs[i], j->steps))) {
                return complain("input", snn_inputs[i].name, "the file is cut short");
            }
        }
        const int status = snn_trace((const int64_t *const *)j->x, j->steps, j->y, NULL);
        if (status != SNN_OK) {
            return status == SNN_RANGE ? outside(j, n)
                                       : complain("network", snn_network_name, "it failed");
        }
        for (size_t i = 0u; i < snn_output_count; i++) {
            if (!npy_write(j->out[i], j->y[i], snn_elements(&snn_outputs[i], j->steps))) {
                return complain("output", j->names[i], "it cannot be written");
            }
        }
    }
    for (size_t i = 0u; i < snn_input_count; i++) {
        if (!npy_at_end(&j->in[i])) {
            return complain("input", snn_inputs[i].name, "the file has more data than its shape");
        }
    }
    return EXIT_SUCCESS;
}

/* Close everything; after a failure no output file is left. */
static int finish(job *j, int code) {
    for (size_t i = 0u; i < snn_output_count; i++) {
        if (j->out[i] != NULL && fclose(j->out[i]) != 0 && code == EXIT_SUCCESS) {
            code = complain("output", j->names[i], "it cannot be written");
        }
    }
    for (size_t i = 0u; i < snn_output_count; i++) {
        if (j->out[i] != NULL && code != EXIT_SUCCESS) {
            (void)remove(j->names[i]);
        }
        free(j->names[i]);
        free(j->y[i]);
    }
    for (size_t i = 0u; i < snn_input_count; i++) {
        if (j->in[i].file != NULL) {
            (void)fclose(j->in[i].file);
        }
        free(j->x[i]);
    }
    return code;
}

static int run(job *j, char **paths, long long steps) {
    for (size_t i = 0u; i < snn_input_count; i++) {
        const char *problem = npy_open(&j->in[i], paths[i]);
        if (problem != NULL) {
            return complain("file", paths[i], problem);
        }
    }
    int code = agree(j, steps);
    code = code != EXIT_SUCCESS ? code : create(j, paths[snn_input_count]);
    return code != EXIT_SUCCESS ? code : play(j);
}

int main(int argc, char **argv) {
    long long steps = -1;
    size_t count = 0u;
    char **paths = calloc((size_t)argc + 1u, sizeof *paths);
    for (int a = 1; paths != NULL && a < argc; a++) {
        if (strcmp(argv[a], "--steps") == 0 && a + 1 < argc) {
            char *end = NULL;
            a++;
            steps = strtoll(argv[a], &end, 10);
            if (end == argv[a] || *end != '\0' || steps < 0) {
                free(paths);
                return complain("option", "--steps", "needs a number");
            }
        } else {
            paths[count] = argv[a];
            count++;
        }
    }
    if (paths == NULL || count != snn_input_count + 1u) {
        free(paths);
        return usage(argv[0]);
    }
    job j;
    memset(&j, 0, sizeof j);
    j.in = calloc(snn_input_count + 1u, sizeof *j.in);
    j.x = calloc(snn_input_count + 1u, sizeof *j.x);
    j.out = calloc(snn_output_count + 1u, sizeof *j.out);
    j.names = calloc(snn_output_count + 1u, sizeof *j.names);
    j.y = calloc(snn_output_count + 1u, sizeof *j.y);
    int code = EXIT_FAILURE;
    if (j.in != NULL && j.x != NULL && j.out != NULL && j.names != NULL && j.y != NULL) {
        code = finish(&j, run(&j, paths, steps));
    }
    free(j.in);
    free(j.x);
    free(j.out);
    free(j.names);
    free(j.y);
    free(paths);
    return code;
}
