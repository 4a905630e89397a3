"""The files for AVX-512, AVX2 and NEON give the integers of the portable code."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.graph import Graph
from snnc.intops import (
    IntConv,
    IntInput,
    IntLinear,
    IntNeuron,
    IntOutput,
    IntReshape,
    IntTimeStack,
)
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import ONE, proven, simulator
from tests.randomkernels import Builder, lif

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
CPU = Path("/proc/cpuinfo")
FLAGS = set(CPU.read_text().split()) if CPU.exists() else set()
KINDS = [
    ("avx2", ("-mavx2",), {"avx2"}),
    ("avx512", ("-mavx512bw", "-mavx512vl"), {"avx512bw", "avx512vl"}),
    (
        "avx512-vbmi2",
        ("-mavx512bw", "-mavx512vl", "-mavx512vbmi2", "-mpopcnt"),
        {"avx512_vbmi2", "avx512vl"},
    ),
]
#: Outputs that need one, several and parts of vectors of every width.
WIDTHS = (3, 10, 20, 64, 100, 300, 530, 1024)
#: Outputs that fill vectors; their sums are 16 bits wide as they are.
WHOLE = (64, 192, 320)
FAN_IN = 203
#: Channels of convolutions; up to 32 have columns of 16-bit weights.
CHANNELS = (12, 20, 32, 64)


def columns() -> tuple[Graph, np.ndarray]:
    """A spike input into layers of all widths and a chain of convolutions; spikes (N, T, in)."""
    rng = np.random.default_rng(0)
    graph = Graph("columns", 5)
    graph.add("x", IntInput((FAN_IN,), Clock.STEP, 0, 1, 1.0))
    for width, shift in [*((n, 2) for n in WIDTHS), *((n, 0) for n in WHOLE)]:
        w, name = rng.integers(-127, 128, (width, FAN_IN)).astype(np.int8), f"{width}_{shift}"
        graph.add(f"fc{name}", IntLinear(Param(w), None, shift), "x")
        graph.add(f"stack{name}", IntTimeStack(), f"fc{name}")
        graph.add(f"out{name}", IntOutput(ONE), f"stack{name}")
    b = Builder(rng, graph)
    value = graph.add("image", IntReshape((7, FAN_IN // 7)), "x").name
    graph.add("rows", IntLinear(b.param((128, FAN_IN // 7), -127, 127), None, 0), "image")
    graph.add("rows.stack", IntTimeStack(), "rows")
    graph.add("rows.out", IntOutput(ONE), "rows.stack")
    for width in CHANNELS:
        weight = b.param((width, graph[value].type.shape[0], 3), -127, 127)
        conv = IntConv(weight, None, 0, (1,), (1,), (1,))
        value = graph.add(f"conv{width}", conv, value).name
        shape = graph[value].type.shape
        value = graph.add(f"lif{width}", IntNeuron(lif(b, shape), shape), value).name
    size = graph[value].type.size
    graph.add("flat", IntReshape((size,)), value)
    graph.add("read", IntLinear(b.param((9, size), -127, 127), None, 0), "flat")
    graph.add("reads", IntTimeStack(), "read")
    graph.add("image.out", IntOutput(ONE), "reads")
    share = np.array([0, 0.01, 0.1, 0.5, 1])[:, None, None]
    return proven(graph), (rng.random((5, 6, FAN_IN)) < share).astype(np.int64)


@pytest.mark.parametrize(("name", "flags", "needs"), KINDS, ids=[k[0] for k in KINDS])
def test_vectors_of_this_processor(
    tmp_path: Path, name: str, flags: tuple[str, ...], needs: set[str]
) -> None:
    if not needs <= FLAGS:
        pytest.skip(f"this processor lacks {name}")
    graph, x = columns()
    CBackend().compile(graph).write(tmp_path)
    text = (tmp_path / "snn.c").read_text()
    assert text.count("snn_wide(") == 2
    assert "snn_sums(" in text.split(": rows */")[1].split("---- layer")[0]
    assert "snn_sums(" in text.split("IntConv, ")[-1]
    expected = simulator(graph).run({"x": x})[0]
    check = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")
    for compiler in filter(shutil.which, ("gcc", "clang")):
        backend = CBackend(compiler=compiler, flags=(*STRICT, "-O2", *flags))
        actual = backend.run(tmp_path, {"x": x})[0]
        for key, value in expected.items():
            np.testing.assert_array_equal(actual[key], value, err_msg=f"{compiler} {key}")
    line = ["gcc", *STRICT, "-O1", "-g", *flags, *check, "-DSNN_TRACE", *SOURCES, "-o", "run"]
    subprocess.run(line, cwd=tmp_path, check=True)
    assert_program(tmp_path, ["./run"], x, expected)


SOURCES = ("snn.c", "weights.c", "info.c", "trace.c", "npy.c", "host.c")


def assert_program(
    folder: Path, program: list[str], x: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    """Run the host program on spikes and compare all outputs."""
    np.save(folder / "in.npy", x)
    subprocess.run([*program, "in.npy", "out.npy"], cwd=folder, check=True)
    for i, value in enumerate(expected.values()):
        actual = np.load(folder / (f"out.{i}.npy" if i else "out.npy"))
        np.testing.assert_array_equal(actual, value)


def test_neon(tmp_path: Path) -> None:
    compiler, emulator = "aarch64-linux-gnu-gcc", "qemu-aarch64-static"
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    graph, x = columns()
    CBackend().compile(graph).write(tmp_path)
    text = subprocess.run(
        [compiler, *STRICT, "-O2", "-S", "snn.c", "-o", "-"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "usra" in text
    line = [compiler, *STRICT, "-O2", "-static", "-DSNN_TRACE", *SOURCES, "-o", "run"]
    subprocess.run(line, cwd=tmp_path, check=True)
    if not shutil.which(emulator):
        pytest.skip(f"compiled; {emulator} is not installed, so it did not run")
    assert_program(tmp_path, [emulator, "./run"], x, simulator(graph).run({"x": x})[0])
