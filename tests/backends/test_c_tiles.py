"""The product by AMX tiles, with the tiles in plain C: a processor that has them is rare."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from snnc.backends.c.layout import runtime
from tests.backends.test_c_vectors import FLAGS

HEADERS = ("snn_math.h", "snn_avx512.h", "snn_vnni.h", "snn_amx.h")
NEEDS = {"avx512bw", "avx512vl", "avx512_vnni"}
PROGRAM = r"""
#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct { uint8_t byte[16][64]; uint32_t rows, bytes; } tile[8];
static int products, released;
#define __get_cpuid_count(leaf, sub, a, b, c, d) (*(a) = *(b) = *(c) = 0u, *(d) = 3u << 24, 1)
long granted(long number, ...) { return number == 158 ? 0 : -1; }

static void configure(const void *from) {
    const uint8_t *x = from;
    if (x[0] != 1u) { exit(2); }
    for (int i = 0; i < 8; i++) {
        tile[i].bytes = x[16 + 2 * i] + 256u * x[17 + 2 * i];
        tile[i].rows = x[48 + i];
        if (tile[i].rows < 1u || tile[i].rows > 16u || tile[i].bytes > 64u) { exit(3); }
    }
}
static void load(int i, const void *from, size_t stride) {
    for (uint32_t r = 0; r < tile[i].rows; r++) {
        memcpy(tile[i].byte[r], (const char *)from + r * stride, tile[i].bytes);
    }
}
static void store(int i, void *to, size_t stride) {
    for (uint32_t r = 0; r < tile[i].rows; r++) {
        memcpy((char *)to + r * stride, tile[i].byte[r], tile[i].bytes);
    }
}
static void multiply(int c, int a, int b) { /* as TDPBUUD of Intel's manual */
    if (tile[c].rows != tile[a].rows || tile[a].bytes != 4u * tile[b].rows) { exit(4); }
    for (uint32_t m = 0; m < tile[c].rows; m++) {
        for (uint32_t k = 0; k < tile[a].bytes / 4u; k++) {
            for (uint32_t n = 0; n < tile[b].bytes / 4u; n++) {
                uint32_t sum;
                memcpy(&sum, &tile[c].byte[m][4u * n], 4u);
                for (uint32_t i = 0; i < 4u; i++) {
                    sum += (uint32_t)tile[a].byte[m][4u * k + i] * tile[b].byte[k][4u * n + i];
                }
                memcpy(&tile[c].byte[m][4u * n], &sum, 4u);
            }
        }
    }
    products++;
}
#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbuud
#define _tile_loadconfig(x) configure(x)
#define _tile_release() (void)(released++)
#define _tile_zero(i) memset(tile[i].byte, 0, sizeof tile[i].byte)
#define _tile_loadd(i, x, stride) load(i, x, stride)
#define _tile_stored(i, x, stride) store(i, x, stride)
#define _tile_dpbuud(c, a, b) multiply(c, a, b)
#include "snn_math.h"
#include "snn_avx512.h"
#include "snn_vnni.h"

enum { MOST = 300, WORDS = 64, STEPS = 32, ROW = 320 };
static uint16_t w[MOST * WORDS], turned[SNN_TURNED(MOST)];
static uint8_t x[STEPS * ROW];
static int16_t y[STEPS * 2 * WORDS];

int main(void) {
    static const uint32_t inputs[] = {1, 3, 63, 64, 70, 257, 300}, steps[] = {4, 15, 16, 17, 32};
    for (size_t i = 0; i < 7u * 5u; i++) {
        const uint32_t n = inputs[i % 7u], most = steps[i / 7u];
        uint32_t counts[STEPS] = {0};
        memset(x, 0, sizeof x);
        for (size_t k = 0; k < n * WORDS; k++) {
            w[k] = (uint16_t)(rand() % 255 + rand() % 255 * 256);
        }
        for (uint32_t t = 0; t < most; t++) {
            for (uint32_t k = 0; k < n; k++) {
                x[t * ROW + k] = rand() % 3 == 0;
                counts[t] += x[t * ROW + k];
            }
        }
        snn_multiply(w, WORDS, WORDS, n, x, ROW, counts, most, 127u, y, y + WORDS, 2u * WORDS,
                     turned);
        for (uint32_t t = 0; t < most; t++) {
            for (uint32_t j = 0; j < 2u * WORDS; j++) {
                int32_t sum = 0;
                for (uint32_t k = 0; k < n; k++) {
                    const uint16_t two = w[k * WORDS + j % WORDS];
                    sum += x[t * ROW + k] * ((j < WORDS ? two & 255 : two >> 8) - 127);
                }
                if (sum != y[t * 2u * WORDS + j]) { return 1; }
            }
        }
    }
    printf("%d products\n", products);
    return products > 0 && released == 7 * 5 * 2 ? 0 : 5;
}
"""


@pytest.mark.skipif(not FLAGS >= NEEDS, reason="this processor lacks AVX-512 VNNI")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_tiles_give_the_sums(tmp_path: Path) -> None:
    for name in HEADERS:
        (tmp_path / name).write_text(runtime(name), encoding="utf-8")
    (tmp_path / "tiles.c").write_text(PROGRAM)
    vectors = ("-mavx512bw", "-mavx512vl", "-mavx512vnni")
    check = ("-Wall", "-Wextra", "-Werror", "-fsanitize=undefined,address")
    line = ["gcc", "-std=gnu99", "-O1", *check, *vectors, "-Dsyscall=granted", "tiles.c"]
    subprocess.run([*line, "-o", "tiles"], cwd=tmp_path, check=True)
    done = subprocess.run(["./tiles"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_tiles_compile_to_their_instructions(tmp_path: Path) -> None:
    for name in HEADERS:
        (tmp_path / name).write_text(runtime(name), encoding="utf-8")
    headers = "".join(f'#include "{name}"\n' for name in HEADERS[:3])
    (tmp_path / "tiles.c").write_text(
        f"#include <immintrin.h>\n{headers}void *all = snn_multiply;\n"
    )
    vectors = ("-mavx512bw", "-mavx512vl", "-mavx512vnni")
    subprocess.run(["gcc", "-std=c99", "-O1", *vectors, "-S", "tiles.c"], cwd=tmp_path, check=True)
    text = (tmp_path / "tiles.s").read_text()
    assert text.count("tdpbuud") == 4
    assert "ldtilecfg" in text
