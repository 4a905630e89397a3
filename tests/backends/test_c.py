"""The emitted C itself: standard, clean under compilers and sanitizers, free of model names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.diagnostics import CompileError, Loc
from snnc.graph import Graph
from snnc.intops import (
    INTOPS,
    IntInput,
    IntLinear,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntTimeSum,
)
from snnc.kernel import Const, Kernel, Line, State
from snnc.ops import Constant
from snnc.params import Param
from snnc.types import Clock, Int
from tests.agreement import reference
from tests.covering import COVERING
from tests.intgraphs import (
    ONE,
    fitting,
    has_steps,
    mlp,
    proven,
    random_inputs,
    simulator,
)
from tests.randomgraphs import random_graph

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
COMPILERS = [
    ["gcc"],
    next(([c] for c in ("clang", "clang-14", "clang-19") if shutil.which(c)), ["clang"]),
]
SOURCES = ["snn.c", "weights.c", "info.c", "trace.c", "npy.c", "host.c"]
#: Random graphs in which every operator occurs.
SEEDS = COVERING
HOSTILE = [
    "*/ #include </etc/passwd> /*",
    'a"; system("x"); //\\',
    "??/\n#error trigraph",
    "int",
    "näme \u2028 \x00 \udcff",
    "%s%n" + "x" * 6000,
    "",
]


def build(
    folder: Path, compiler: list[str], *flags: str, sources: list[str] = SOURCES
) -> subprocess.CompletedProcess[str]:
    """Compile the host program in a folder."""
    if not shutil.which(compiler[0]):
        pytest.skip(f"{compiler[0]} is not installed")
    line = [*compiler, *STRICT, *flags, "-DSNN_TRACE", *sources, "-o", "run"]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def host(folder: Path, *args: object) -> subprocess.CompletedProcess[str]:
    """Run the host program."""
    line = [str(folder / "run"), *map(str, args)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)


def emitted(graph: Graph, folder: Path) -> Path:
    CBackend().compile(graph).write(folder)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The MLP with its host program, by make."""
    folder = emitted(mlp(), tmp_path_factory.mktemp("mlp"))
    subprocess.run(["make", "-s", "-C", folder], check=True)
    return folder


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda c: c[0])
def test_no_warnings(tmp_path: Path, compiler: list[str]) -> None:
    """With optimisation; what is built with the sanitizers has no warnings without it."""
    for seed in SEEDS:
        folder = emitted(random_graph(seed), tmp_path / str(seed))
        done = build(folder, compiler, "-O3")
        assert (done.returncode, done.stderr) == (0, "")


def test_every_operator_is_compiled() -> None:
    nodes = [node for seed in SEEDS for node in random_graph(seed)]
    assert {type(node.op).__name__ for node in nodes} == set(INTOPS)


def test_network_alone_is_freestanding(tmp_path: Path) -> None:
    folder = emitted(mlp(), tmp_path)
    line = ["gcc", *STRICT, "-O2", "-ffreestanding", "-c", "snn.c", "weights.c"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    used = subprocess.run(["nm", "-u", "snn.o"], cwd=folder, capture_output=True, text=True)
    foreign = {line.split()[-1] for line in used.stdout.splitlines()}
    assert {n for n in foreign if not re.fullmatch(r"l\d{4}_[a-z0-9_]{1,24}", n)} <= {
        *("memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"),
    }


@pytest.mark.parametrize("seed", range(10))
def test_no_floating_point_and_no_heap(seed: int) -> None:
    files = CBackend().compile(random_graph(seed)).files
    for name in ("snn.c", "snn.h", "weights.c", "tables.h", "snn_math.h", "snn_lists.h"):
        code = re.sub(r"/\*.*?\*/", "", str(files[name]), flags=re.DOTALL)
        assert not re.search(r"\b(float|double|malloc|calloc|free|long)\b|\d\.\d", code), name
        assert set(re.findall(r"#include [<\"]([^>\"]+)", code)) <= {
            *(
                "stdint.h",
                "stddef.h",
                "string.h",
                "snn.h",
                "snn_lists.h",
                "snn_math.h",
                "snn_simd.h",
            ),
            "tables.h",
        }


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda c: c[0])
def test_sanitizers_find_nothing(tmp_path: Path, compiler: list[str]) -> None:
    for seed in SEEDS:
        graph = random_graph(seed)
        folder = emitted(graph, tmp_path / str(seed))
        flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        if "clang" in compiler[0]:  # also unsigned wrap-around and silent narrowing
            flags.append("-fsanitize=integer,implicit-conversion")
        done = build(folder, compiler, *flags)
        assert (done.returncode, done.stderr) == (0, "")
        x = random_inputs(graph, np.random.default_rng(seed), 3, 5)
        np.save(folder / "in.npy", x["input"])
        count = fitting(graph, 5)
        steps = [] if has_steps(graph) else ["--steps", count]
        ran = host(folder, folder / "in.npy", folder / "out.npy", *steps)
        assert (ran.returncode, ran.stderr) == (0, "")
        expected = simulator(graph).run(x, count)[0]
        for i, value in enumerate(expected.values()):
            name = "out.npy" if i == 0 else f"out.{i}.npy"
            np.testing.assert_array_equal(np.load(folder / name), value)


def hostile_graph() -> Graph:
    """A network whose names are attacks; kernel names are Unicode identifiers and keywords."""
    graph = Graph(HOSTILE[0], 3)
    value = graph.add(HOSTILE[0], IntInput((3,), Clock.STEP, 0, 1, 1.0)).name
    weight = Param(np.eye(3, dtype=np.int8))
    for name in HOSTILE[1:]:
        loc = Loc(name, name, 1)
        value = graph.add(name, IntLinear(weight), value, loc=loc).name
    body = (
        Line("double", "add", ("τ", "int")),
        Line("main", "minimum", ("double", "ñ")),
        Line("L", "ge", ("main", "ñ")),
    )
    consts = (Const("ñ", Param(np.array([1, 2, 3])), None, HOSTILE[0]),)
    zero = Param(np.array(0))
    kernel = Kernel(("τ",), (State("int", "main", zero),), consts, body, ("L", "main"))
    graph.add("lif*/", IntNeuron(kernel, (3,)), value)
    graph.add("sum??/", IntTimeSum(), "lif*/")
    graph.add('out"', IntOutput(ONE), "sum??/")
    return proven(graph)


def test_hostile_names_stay_in_comments_and_strings(tmp_path: Path) -> None:
    graph = hostile_graph()
    folder = emitted(graph, tmp_path)
    for compiler in COMPILERS:
        if shutil.which(compiler[0]):
            done = build(folder, compiler, "-trigraphs")
            assert done.returncode == 0, done.stderr
    code = re.sub(r"/\*.*?\*/", "", (folder / "snn.c").read_text(), flags=re.DOTALL)
    names = re.findall(r"\bl\d{4}_\w+", code)
    assert names
    assert all(re.fullmatch(r"l\d{4}_[a-z0-9_]{1,24}", n) for n in names)
    for path in (p for p in folder.iterdir() if p.name != "run"):
        assert path.read_bytes().isascii()
        if path.suffix in (".c", ".h") and path.name != "info.c":
            assert "??" not in path.read_text()
    want = reference(graph, {HOSTILE[0]: np.ones((1, 3, 3), np.int64)})
    found = CBackend(flags=("-O0",)).run(folder, want.inputs, None, want.words)
    assert not want.difference(found)


def test_equal_graphs_give_equal_bytes(tmp_path: Path) -> None:
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]);"
        "from tests.randomgraphs import random_graph; from snnc.backends.c.backend import CBackend;"
        "files = CBackend().compile(random_graph(5)).files;"
        "print(hashlib.sha256(repr(list(files.items())).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    digests = set()
    for seed in ("0", "1"):
        line = [sys.executable, "-c", program, str(root)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_host_program_equals_the_simulator(made: Path, tmp_path: Path) -> None:
    graph = mlp()
    x = random_inputs(graph, np.random.default_rng(1), 7, 9)
    expected = simulator(graph).run(x)[0]["out"]
    for dtype in (np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64):
        np.save(tmp_path / "in.npy", x["image"].astype(dtype))
        done = host(made, tmp_path / "in.npy", tmp_path / "out.npy")
        assert (done.returncode, done.stderr) == (0, "")
        out = np.load(tmp_path / "out.npy")
        assert out.dtype == np.int64
        np.testing.assert_array_equal(out, expected)


def test_host_reads_version_2_headers_and_no_samples(made: Path, tmp_path: Path) -> None:
    with (tmp_path / "in.npy").open("wb") as f:
        np.lib.format.write_array(f, np.zeros((0, 4, 12), np.int8), version=(2, 0))
    done = host(made, tmp_path / "in.npy", tmp_path / "out.npy")
    assert (done.returncode, done.stderr) == (0, "")
    assert np.load(tmp_path / "out.npy").shape == (0, 5)


BAD = {
    "not integers": np.zeros((2, 3, 12), np.float32),
    "wrong shape": np.zeros((2, 3, 11), np.int8),
    "wrong shape; start": np.zeros((2, 36), np.int8),
    "Fortran order": np.asfortranarray(np.zeros((2, 3, 12), np.int8)),
    "big-endian": np.zeros((2, 3, 12), ">i4"),
    "outside [0, 1]": np.full((2, 3, 12), 2, np.int8),
    "is -1, outside": np.full((2, 3, 12), -1, np.int64),
    "proven for": np.zeros((1, 65, 12), np.int8),
}


@pytest.mark.parametrize("why", BAD)
def test_host_refuses_bad_data(made: Path, tmp_path: Path, why: str) -> None:
    np.save(tmp_path / "in.npy", BAD[why])
    done = host(made, tmp_path / "in.npy", tmp_path / "out.npy")
    assert done.returncode == 1
    assert why in done.stderr
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("length", [0, 5, 11, 60, 130])
def test_host_refuses_a_file_that_is_cut_short(made: Path, tmp_path: Path, length: int) -> None:
    np.save(tmp_path / "in.npy", np.zeros((2, 3, 12), np.int8))
    raw = (tmp_path / "in.npy").read_bytes()
    (tmp_path / "in.npy").write_bytes(raw[:length])
    done = host(made, tmp_path / "in.npy", tmp_path / "out.npy")
    assert done.returncode == 1
    assert done.stderr.startswith("run: error:")
    assert not (tmp_path / "out.npy").exists()


def test_host_says_how_to_call_it(made: Path, tmp_path: Path) -> None:
    done = host(made)
    assert done.returncode == 2
    assert "in  image: (N, T, 12) in [0, 1]" in done.stderr
    missing = host(made, tmp_path / "none.npy", tmp_path / "out.npy")
    assert missing.returncode == 1
    assert "cannot be opened" in missing.stderr
    assert host(made, "a", "b", "--steps", "x").returncode == 1


API = """
#include "snn.h"
#include <stdio.h>
int main(void) {
    uint8_t x[SNN_INPUT_0_SIZE] = {0};
    uint8_t before[SNN_OUTPUT_0_SIZE], after[SNN_OUTPUT_0_SIZE];
    if (snn_step(x) != SNN_ORDER || snn_finish(before) != SNN_ORDER) { return 1; }
    if (snn_begin() != SNN_OK) { return 2; }
    for (int t = 0; t < 3; t++) { x[t] = 1; if (snn_step(x) != SNN_OK) { return 3; } }
    if (snn_finish(before) != SNN_OK) { return 4; }
    x[0] = 2;
    if (snn_step(x) != SNN_RANGE || snn_step(NULL) != SNN_NULL) { return 5; }
    if (snn_finish(after) != SNN_OK || snn_finish(NULL) != SNN_OK) { return 6; }
    for (size_t i = 0; i < SNN_OUTPUT_0_SIZE; i++) { if (before[i] != after[i]) { return 7; } }
    x[0] = 1;
    for (uint32_t t = 3; t < SNN_MAX_STEPS; t++) { if (snn_step(x) != SNN_OK) { return 8; } }
    if (snn_step(x) != SNN_TOO_LONG) { return 9; }
    return snn_begin() == SNN_OK && snn_step(x) == SNN_OK ? 0 : 10;
}
"""


def test_status_codes(tmp_path: Path) -> None:
    folder = emitted(mlp(), tmp_path)
    (folder / "main.c").write_text(API)
    done = build(folder, ["gcc"], sources=["snn.c", "weights.c", "main.c"])
    assert done.returncode == 0, done.stderr
    assert host(folder).returncode == 0


def test_make_builds_the_library_and_cleans(tmp_path: Path) -> None:
    folder = emitted(mlp(), tmp_path)
    subprocess.run(["make", "-s", "-C", folder, "lib"], check=True)
    assert (folder / "libsnn.so").exists()
    subprocess.run(["make", "-s", "-C", folder, "clean"], check=True)
    assert not (folder / "libsnn.so").exists()


def codes(graph: Graph) -> list[str]:
    return [d.code for d in CBackend().check(graph)]


def test_all_problems_are_reported_with_their_places() -> None:
    graph = Graph("bad")
    graph.add("x", IntInput((2, 4, 4), Clock.STEP, 0, 1, 1.0), loc=Loc("x", "m.py", 3))
    graph.add("real", Constant(Param(np.array(1.0))), loc=Loc("real", "m.py", 4))
    with pytest.raises(CompileError) as caught:
        CBackend().compile(graph)
    assert sorted(d.code for d in caught.value.diagnostics) == ["E501", "E502"]
    assert [str(d.loc) for d in caught.value.diagnostics] == ["x (m.py:3)", "real (m.py:4)"]


def test_a_window_of_padding_alone_is_refused() -> None:
    graph = Graph("pool")
    graph.add("x", IntInput((1, 4, 4), Clock.ONCE, 0, 1, 1.0))
    graph.add("pool", IntMaxPool((1, 1), (1, 1), (1, 1)), "x")
    for name in ("x", "pool"):
        node = graph[name]
        graph.replace(replace(node, types=(replace(node.type, dtype=Int(0, 1)),)))
    assert codes(graph) == ["E505"]


def test_a_sum_beyond_64_bits_is_refused() -> None:
    graph = Graph("wide")
    graph.add("x", IntInput((2,), Clock.ONCE, 0, 1 << 40, 1.0))
    graph.add("fc", IntLinear(Param(np.array([[1 << 30, -(1 << 30)]]))), "x")
    for name in ("x", "fc"):
        node = graph[name]
        graph.replace(replace(node, types=(replace(node.type, dtype=Int(0, 1 << 40)),)))
    assert codes(graph) == ["E503"]


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = emitted(mlp(seed=1), tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(CompileError, match="package gcc or clang") as caught:
        CBackend().run(folder, {"image": np.zeros((1, 2, 12), np.int64)})
    assert caught.value.diagnostics[0].code == "E621"


def test_a_compiler_that_fails(tmp_path: Path) -> None:
    folder = emitted(mlp(seed=2), tmp_path)
    (folder / "snn.c").write_text("#error broken\n")
    with pytest.raises(CompileError, match="broken") as caught:
        CBackend().run(folder, {"image": np.zeros((1, 2, 12), np.int64)})
    assert caught.value.diagnostics[0].code == "E622"


def test_run_refuses_what_does_not_fit(tmp_path: Path) -> None:
    folder = emitted(mlp(), tmp_path)
    backend = CBackend(flags=("-O0",))
    for x in (
        {"image": np.zeros((1, 2, 12))},
        {"image": np.zeros((1, 2, 11), np.int64)},
        {"image": np.full((1, 2, 12), 3)},
        {"image": np.zeros((1, 65, 12), np.int64)},
        {"other": np.zeros((1, 2, 12), np.int64)},
    ):
        with pytest.raises(CompileError) as caught:
            backend.run(folder, x)
        assert caught.value.diagnostics[0].code == "E421"
    with pytest.raises(CompileError, match="no word is named"):
        backend.run(folder, {"image": np.zeros((1, 2, 12), np.int64)}, record=["nothing"])
    with pytest.raises(CompileError) as caught:
        backend.run(tmp_path / "none", {})
    assert caught.value.diagnostics[0].code == "E405"
