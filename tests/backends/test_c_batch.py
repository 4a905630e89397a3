"""``snn_batch``: many samples in a call, on one or several threads."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.graph import Graph
from snnc.intops import IntInput, IntOutput, IntTimeSum
from snnc.types import Clock
from tests.intgraphs import ONE, has_steps, proven, random_inputs, simulator
from tests.randomgraphs import random_graph

SOURCES = ("snn.c", "weights.c", "info.c", "snn_batch.c")
STRICT = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
THREADS = ("-DSNN_THREADS", "-pthread")
STEPS, SAMPLES = 5, 7
SNN_RANGE = 1


class Port(ctypes.Structure):
    """``snn_port`` of info.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("ndim", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
        ("bytes", ctypes.c_size_t),
        ("is_signed", ctypes.c_int),
        ("per_step", ctypes.c_int),
        ("loop", ctypes.c_uint32),
        ("steps", ctypes.c_uint32),
        ("start", ctypes.c_uint32),
        ("lo", ctypes.c_int64),
        ("hi", ctypes.c_int64),
    )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an element."""
        return np.dtype(f"{'i' if self.is_signed else 'u'}{self.bytes}")


def library(graph: Graph, folder: Path, flags: tuple[str, ...]) -> ctypes.CDLL:
    """Build the network with ``snn_batch``."""
    CBackend().compile(graph).write(folder)
    target = folder / "batch.so"
    line = ["gcc", *STRICT, *flags, "-fPIC", "-shared", *SOURCES, "-o", str(target)]
    subprocess.run(line, cwd=folder, check=True)
    return ctypes.CDLL(str(target))


def ports(found: ctypes.CDLL, kind: str) -> list[Port]:
    """Inputs or outputs."""
    count = ctypes.c_size_t.in_dll(found, f"snn_{kind}_count").value
    return list((Port * count).in_dll(found, f"snn_{kind}s"))


def batch(
    found: ctypes.CDLL, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int
) -> tuple[int, int]:
    """Call ``snn_batch``; the status, and the sample that failed."""
    failed = ctypes.c_size_t(99)
    pointers = [(ctypes.c_void_p * max(1, len(a)))(*(x.ctypes.data for x in a))
                for a in (inputs, outputs)]  # fmt: skip
    status = found.snn_batch(
        pointers[0],
        ctypes.c_size_t(SAMPLES),
        ctypes.c_uint32(STEPS),
        pointers[1],
        ctypes.c_uint(threads),
        ctypes.byref(failed),
    )
    return status, failed.value


@pytest.mark.parametrize("flags", [(), THREADS], ids=["one", "threads"])
def test_random_graphs(tmp_path: Path, flags: tuple[str, ...]) -> None:
    tried = 0
    for seed in range(12):
        graph = random_graph(seed)
        if not has_steps(graph):
            continue
        x = random_inputs(graph, np.random.default_rng(seed), SAMPLES, STEPS)
        expected = simulator(graph).run(x)[0]
        found = library(graph, tmp_path / str(seed), flags)
        names = [p.name.decode() for p in ports(found, "input")]
        if any("\\" in name for name in names):
            continue
        inputs = [
            np.ascontiguousarray(x[name], port.dtype)
            for name, port in zip(names, ports(found, "input"), strict=True)
        ]
        for threads in (1, 3, 20):
            outputs = [
                np.zeros(value.shape, port.dtype)
                for value, port in zip(expected.values(), ports(found, "output"), strict=True)
            ]
            assert batch(found, inputs, outputs, threads)[0] == 0
            for value, have in zip(expected.values(), outputs, strict=True):
                np.testing.assert_array_equal(have, value)
        tried += 1
    assert tried >= 6


def test_a_sample_out_of_range(tmp_path: Path) -> None:
    graph = Graph("small", STEPS)
    graph.add("x", IntInput((3,), Clock.STEP, 0, 1, 1.0))
    graph.add("sum", IntTimeSum(), "x")
    graph.add("out", IntOutput(ONE), "sum")
    found = library(proven(graph), tmp_path, THREADS)
    x = np.ones((SAMPLES, STEPS, 3), np.uint8)
    (port,) = ports(found, "output")
    y = np.zeros((SAMPLES, 3), port.dtype)
    x[4, -1, -1] = 2
    assert batch(found, [x], [y], 3) == (SNN_RANGE, 4)
    assert (y[:4] == STEPS).all()
