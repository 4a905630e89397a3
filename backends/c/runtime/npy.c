#include "npy.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT 65536u

/* Text after 'key': in the header dictionary, or NULL. */
static const char *entry(const char *header, const char *key) {
    const char *at = strstr(header, key);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(key);
    while (*at == ' ' || *at == ':') {
        at++;
    }
    return at;
}

static const char *read_type(npy_file *npy, const char *at) {
    if (at == NULL || at[0] != '\'' || at[1] == '\0' || at[2] == '\0' || at[3] == '\0') {
        return "its header has no element type";
    }
    const char order = at[1], kind = at[2], width = at[3];
    if (kind != 'i' && kind != 'u') {
        return "its elements are not integers; quantize the data to the network's input first";
    }
    if (at[4] != '\'' || (width != '1' && width != '2' && width != '4' && width != '8')) {
        return "its element type is not understood";
    }
    if (order != '<' && order != '|') {
        return "its elements are big-endian; save them as little-endian";
    }
    npy->is_signed = kind == 'i';
    npy->bytes = (size_t)(width - '0');
    return NULL;
}

static const char *read_shape(npy_file *npy, const char *at) {
    int64_t total = 1;
    if (at == NULL || *at != '(') {
        return "its header has no shape";
    }
    at++;
    npy->ndim = 0u;
    while (*at != ')') {
        int64_t extent = 0;
        int digits = 0;
        while (*at == ' ' || *at == ',') {
            at++;
        }
        if (*at == ')') {
            break;
        }
        for (; *at >= '0' && *at <= '9'; at++) {
            extent = extent * 10 + (*at - '0');
            if (extent > ((int64_t)1 << 40)) {
                return "its shape is too large";
            }
            digits++;
        }
        if (digits == 0 || npy->ndim == NPY_MAX_DIMS) {
            return "its shape is not understood";
        }
        if (extent != 0 && total > ((int64_t)1 << 40) / extent) {
            return "its shape is too large";
        }
        total *= extent;
        npy->shape[npy->ndim] = extent;
        npy->ndim++;
    }
    return NULL;
}

static const char *read_header(npy_file *npy) {
    unsigned char start[12];
    size_t length;
    if (fread(start, 1u, 10u, npy->file) != 10u || memcmp(start, "\223NUMPY", 6u) != 0) {
        return "it is not a .npy file";
    }
    length = (size_t)start[8] | ((size_t)start[9] << 8);
    if (start[6] == 2u || start[6] == 3u) {
        if (fread(start + 10, 1u, 2u, npy->file) != 2u) {
            return "it is cut short";
        }
        length |= ((size_t)start[10] << 16) | ((size_t)start[11] << 24);
    } else if (start[6] != 1u) {
        return "its .npy version is not understood";
    }
    if (length > HEADER_LIMIT) {
        return "its header is too long";
    }
    char *header = malloc(length + 1u);
    if (header == NULL) {
        return "memory is short";
    }
    const char *problem = NULL;
    if (fread(header, 1u, length, npy->file) != length) {
        problem = "it is cut short";
    } else {
        header[length] = '\0';
        const char *order = entry(header, "'fortran_order'");
        problem = read_type(npy, entry(header, "'descr'"));
        if (problem == NULL && (order == NULL || strncmp(order, "False", 5u) != 0)) {
            problem = "it is in Fortran order; save numpy.ascontiguousarray(x)";
        }
        if (problem == NULL) {
            problem = read_shape(npy, entry(header, "'shape'"));
        }
    }
    free(header);
    return problem;
}

const char *npy_open(npy_file *npy, const char *path) {
    const char *problem;
    npy->file = fopen(path, "rb");
    if (npy->file == NULL) {
        return "it cannot be opened";
    }
    problem = read_header(npy);
    if (problem != NULL) {
        (void)fclose(npy->file);
        npy->file = NULL;
    }
    return problem;
}

static int64_t decode(const npy_file *npy, const unsigned char *raw) {
    uint64_t word = 0u;
    for (size_t b = 0u; b < npy->bytes; b++) {
        word |= (uint64_t)raw[b] << (8u * b);
    }
    if (npy->is_signed && (raw[npy->bytes - 1u] & 0x80u) != 0u) {
        const uint64_t ones = ~(uint64_t)0;
        word |= npy->bytes == 8u ? 0u : ones << (8u * npy->bytes);
        return -(int64_t)(ones - word) - 1;
    }
    /* uint64 above the largest int64 is above every input range, too */
    return word > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)word;
}

int npy_read(npy_file *npy, int64_t *to, size_t count) {
    unsigned char raw[8u * 512u];
    while (count > 0u) {
        const size_t some = count < 512u ? count : 512u;
        if (fread(raw, npy->bytes, some, npy->file) != some) {
            return 0;
        }
        for (size_t i = 0u; i < some; i++) {
            to[i] = decode(npy, raw + i * npy->bytes);
        }
        to += some;
        count -= some;
    }
    return 1;
}

int npy_at_end(npy_file *npy) {
    return fgetc(npy->file) == EOF && ferror(npy->file) == 0;
}

int npy_write_header(FILE *file, size_t ndim, const int64_t *shape) {
    char text[512];
    int at = snprintf(text, sizeof text, "{'descr': '<i8', 'fortran_order': False, 'shape': (");
    for (size_t i = 0u; i < ndim && at > 0; i++) {
        at += snprintf(text + at, sizeof text - (size_t)at, "%lld,", (long long)shape[i]);
    }
    at += snprintf(text + at, sizeof text - (size_t)at, "), }");
    while ((at + 10 + 1) % 64 != 0) {
        text[at] = ' ';
        at++;
    }
    text[at] = '\n';
    at++;
    const unsigned char start[10] = {0x93u, 'N', 'U', 'M', 'P', 'Y', 1u, 0u,
                                     (unsigned char)(at % 256), (unsigned char)(at / 256)};
    return fwrite(start, 1u, 10u, file) == 10u && fwrite(text, 1u, (size_t)at, file) == (size_t)at;
}

int npy_write(FILE *file, const int64_t *from, size_t count) {
    for (size_t i = 0u; i < count; i++) {
        unsigned char raw[8];
        const uint64_t word = (uint64_t)from[i];
        for (size_t b = 0u; b < 8u; b++) {
            raw[b] = (unsigned char)((word >> (8u * b)) & 0xFFu);
        }
        if (fwrite(raw, 1u, 8u, file) != 8u) {
            return 0;
        }
    }
    return 1;
}
