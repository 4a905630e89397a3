"""``make any``: one library for several kinds of vectors, chosen where it runs."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.backends.c.dispatch import VARIANTS
from snnc.backends.c.network import Network
from tests.backends.test_c_batch import SAMPLES, STEPS, batch, ports
from tests.backends.test_c_vectors import FLAGS
from tests.intgraphs import mlp, random_inputs, simulator

#: Names of features in /proc/cpuinfo where they differ from gcc's.
KERNEL = {"avx512vbmi2": "avx512_vbmi2", "avx512vnni": "avx512_vnni"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="vectors of x86-64")
@pytest.mark.skipif(not (shutil.which("make") and shutil.which("cc")), reason="needs make and cc")
def test_every_kind_of_vectors_gives_the_same(tmp_path: Path) -> None:
    graph = mlp(sizes=(130, 256, 64, 10))
    assert Network(graph).blocks.stages.dense
    x = random_inputs(graph, np.random.default_rng(0), SAMPLES, STEPS)["image"]
    (expected,) = simulator(graph).run({"image": x})[0].values()
    CBackend().compile(graph).write(tmp_path)
    fast = "FAST=-std=c99 -O0 -Wall -Wextra -Wpedantic -Werror"
    subprocess.run(["make", "any", fast], cwd=tmp_path, check=True, capture_output=True)
    found = ctypes.CDLL(str(tmp_path / "libsnn-any.so"))
    (port,), frames = ports(found, "output"), np.ascontiguousarray(x, np.uint8)
    y = np.zeros(expected.shape, port.dtype)
    assert batch(found, [frames], [y], 1)[0] == 0
    np.testing.assert_array_equal(y, expected)
    for variant in VARIANTS:
        if not {KERNEL.get(f, f) for f in variant.features} <= FLAGS:
            continue
        for n in range(SAMPLES):
            score = np.zeros(expected.shape[1:], port.dtype)
            start, finish = (getattr(found, f"snn_{f}_{variant.name}") for f in ("begin", "finish"))
            run = getattr(found, f"snn_run_{variant.name}")
            assert start() == 0
            assert run(frames[n].ctypes.data_as(ctypes.c_void_p), ctypes.c_uint32(STEPS)) == 0
            assert finish(score.ctypes.data_as(ctypes.c_void_p)) == 0
            np.testing.assert_array_equal(score, expected[n], err_msg=variant.name)
