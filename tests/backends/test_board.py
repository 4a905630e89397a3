"""Microcontrollers: the same integers in QEMU, memory as predicted, instructions counted."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.base import Artifacts
from snnc.backends.c.backend import CBackend
from snnc.backends.c.board import Samples, board_project
from snnc.backends.c.board_run import build, emulate, missing_tools, section_sizes
from snnc.backends.c.machines import MACHINES
from snnc.backends.c.memory import total_memory
from snnc.backends.c.network import Network
from snnc.diagnostics import CompileError
from tests.agreement import random_reference
from tests.boards import NETWORKS, network, samples
from tests.covering import COVERING
from tests.intgraphs import mlp
from tests.marks import quick_first
from tests.randomgraphs import random_graph

BOARDS = [name for name, m in MACHINES.items() if not m.is_host]
#: As the compiler's own checks: overflow aborts. Sums of words wrap around on purpose.
CHECKED = (
    *("-std=c99", "-O0", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"),
    *("-fsanitize=undefined", "-fno-sanitize-recover=all"),
)


def project(name: str, board: str, folder: Path, given: Samples | None = None) -> Path:
    """Write the project of one of ``NETWORKS``."""
    if missing := missing_tools(MACHINES[board]):
        pytest.skip(f"{missing[0]} is not installed")
    files = board_project(network(name), MACHINES[board], given or samples(name))
    Artifacts(files).write(folder)
    return folder


PAIRS = [f"{board}-{name}" for board in BOARDS for name in NETWORKS]


@pytest.mark.parametrize("pair", PAIRS)
def test_every_word_on_the_board(tmp_path: Path, pair: str) -> None:
    board, _, name = pair.rpartition("-")
    folder = project(name, board, tmp_path)
    elf = build(folder, MACHINES[board], "TRACE=1")
    assert emulate(elf, MACHINES[board]) == (True, "equal\n")


@pytest.mark.parametrize(
    "pair", quick_first(PAIRS, "cortex-m0-conv", "cortex-m4-dense", "riscv32-recurrent")
)
def test_memory_is_as_predicted(tmp_path: Path, pair: str) -> None:
    board, _, name = pair.rpartition("-")
    sizes = section_sizes(build(project(name, board, tmp_path), MACHINES[board]))
    predicted = total_memory(Network(network(name), MACHINES[board]))
    assert sizes[".snn.rodata"] == predicted.rodata
    assert sizes[".snn.bss"] == predicted.bss
    assert sizes[".data"] == 0
    if name == "dense":
        flash = sum(n for s, n in sizes.items() if s != ".samples" and "bss" not in s)
        weights = 196 * 128 + 128 * 128 + 128 * 10
        assert flash <= weights + 4096


@pytest.mark.parametrize("board", quick_first(BOARDS, "cortex-m4"))
def test_a_wrong_output_and_a_wrong_state_are_seen(tmp_path: Path, board: str) -> None:
    good = samples("dense")
    outputs = {"out": good.outputs["out"] + (np.arange(10) == 9)}
    words = good.words | {"lif1.v": good.words["lif1.v"] + (np.arange(128) == 127)}
    for i, bad in enumerate((replace(good, outputs=outputs), replace(good, words=words))):
        folder = project("dense", board, tmp_path / str(i), bad)
        elf = build(folder, MACHINES[board], "TRACE=1")
        text = ("an output differs\n", "a state or a spike differs\n")[i]
        assert emulate(elf, MACHINES[board]) == (False, text)


@pytest.mark.parametrize(
    ("board", "most"),
    [
        ("cortex-m0", 5.1),
        ("cortex-m4", 3.6),
        pytest.param("riscv32", 3.7, marks=pytest.mark.slow),
    ],
)
def test_instructions_per_synaptic_operation(tmp_path: Path, board: str, most: float) -> None:
    """Counted by a plugin of QEMU, exactly; the difference of one sample and two of them."""
    plugin = Path(__file__).parents[2] / "examples/benchmarks/count_instructions.c"
    library = tmp_path / "libcount.so"
    line = ["gcc", "-shared", "-fPIC", "-O2", str(plugin), "-o", str(library)]
    given = samples("dense", 1)
    project("dense", board, tmp_path)
    subprocess.run(line, check=True)
    counts = []
    for repeat in (1, 2):
        subprocess.run(["make", "-s", "-C", tmp_path, "clean"], check=True)
        project("dense", board, tmp_path, given)
        elf = build(tmp_path, MACHINES[board], f"REPEAT={repeat}")
        well, text = emulate(elf, MACHINES[board], "-plugin", str(library))
        assert well, text
        found = re.search(r"instructions (\d+)", text)
        assert found is not None
        counts.append(int(found[1]))
    fan_out = {"x": 128, "lif0.s": 128, "lif1.s": 10}
    spikes = {"x": given.inputs["x"]} | given.words
    synops = sum(int(spikes[name].sum()) * out for name, out in fan_out.items())
    assert (counts[1] - counts[0]) / synops <= most


@pytest.mark.parametrize(
    ("board", "seeds"),
    [
        ("cortex-m0", COVERING[:2]),
        *(pytest.param(b, COVERING, marks=pytest.mark.slow) for b in BOARDS),
    ],
)
def test_random_graphs_in_code_for_boards(
    tmp_path: Path, board: str, seeds: tuple[int, ...]
) -> None:
    """Built for this computer: every operator, with and without four columns at once."""
    backend = replace(CBackend.for_machine(board), flags=CHECKED)
    for seed in seeds:
        graph, folder = random_graph(seed), tmp_path / str(seed)
        backend.compile(graph).write(folder)
        want = random_reference(graph, seed, 3, 7)
        assert not want.difference(backend.run(folder, want.inputs, want.steps, want.words))


CALLS = """
#include "snn.h"
#include <stdio.h>
int main(void) {
    const uint16_t good[] = {11, 3, 3, 0}, bad[] = {1, 12};
    uint8_t x[SNN_INPUT_0_SIZE] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
    uint8_t events[SNN_OUTPUT_0_SIZE], frames[SNN_OUTPUT_0_SIZE];
    uint32_t label = 99u;
    if (snn_step_events(good, 4u) != SNN_ORDER || snn_classify(&label) != SNN_ORDER) { return 1; }
    if (snn_begin() != SNN_OK || snn_step_events(NULL, 1u) != SNN_NULL) { return 2; }
    for (int t = 0; t < 9; t++) {
        if (snn_step_events(good, 4u) != SNN_OK) { return 3; }
        if (snn_step_events(NULL, 0u) != SNN_OK) { return 3; }
        if (snn_step_events(bad, 2u) != SNN_EVENT) { return 4; }
        if (snn_step_events(NULL, 1u) != SNN_NULL) { return 4; }
    }
    if (snn_finish(events) != SNN_OK || snn_begin() != SNN_OK) { return 5; }
    for (int t = 0; t < 9; t++) {
        const uint8_t none[SNN_INPUT_0_SIZE] = {0};
        if (snn_step(x) != SNN_OK || snn_step(none) != SNN_OK) { return 6; }
    }
    if (snn_finish(frames) != SNN_OK || snn_classify(NULL) != SNN_NULL) { return 7; }
    if (snn_classify(&label) != SNN_OK) { return 8; }
    uint32_t best = 0u, sum = 0u;
    for (uint32_t i = 0u; i < SNN_OUTPUT_0_SIZE; i++) {
        if (events[i] != frames[i]) { return 9; }
        sum += frames[i];
        if (frames[i] > frames[best]) { best = i; }
    }
    if (sum == 0u || label != best) { return 10; }
    for (uint32_t t = 18u; t < SNN_MAX_STEPS; t++) { (void)snn_step_events(NULL, 0u); }
    return snn_step_events(NULL, 0u) == SNN_TOO_LONG ? 0 : 11;
}
"""


@pytest.mark.parametrize("machine", MACHINES)
def test_events_frames_and_classes(tmp_path: Path, machine: str) -> None:
    CBackend.for_machine(machine).compile(mlp()).write(tmp_path)
    source = tmp_path if machine == "host" else tmp_path / "src"
    (source / "main.c").write_text(CALLS)
    files = ["snn.c", "weights.c", "main.c"]
    line = ["gcc", *CHECKED, *files, "-o", "run"]
    subprocess.run(line, cwd=source, check=True)
    assert subprocess.run([source / "run"], check=False).returncode == 0


def test_a_library_needs_nothing(tmp_path: Path) -> None:
    CBackend.for_machine("cortex-m0").compile(network("dense")).write(tmp_path)
    line = ["gcc", "-std=c99", "-O2", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-c"]
    sources = ["snn.c", "weights.c", "snn_memory.c"]
    subprocess.run([*line, *sources], cwd=tmp_path / "src", check=True)
    objects = [name.replace(".c", ".o") for name in sources]
    line = ["ld", "-r", *objects, "-o", "all.o"]
    subprocess.run(line, cwd=tmp_path / "src", check=True)
    line = ["nm", "-u", "all.o"]
    used = subprocess.run(line, cwd=tmp_path / "src", capture_output=True, text=True, check=True)
    assert set(used.stdout.split()) <= {"U", "_GLOBAL_OFFSET_TABLE_"}


@pytest.mark.slow
def test_cmake_builds_the_library(tmp_path: Path) -> None:
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed")
    CBackend.for_machine("cortex-m4").compile(mlp()).write(tmp_path / "net")
    subprocess.run(["cmake", "-S", "net", "-B", "made"], cwd=tmp_path, check=True)
    subprocess.run(["cmake", "--build", "made"], cwd=tmp_path, check=True)
    assert (tmp_path / "made" / "libsnn.a").exists()


def test_missing_tools_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Artifacts(board_project(network("dense"), MACHINES["riscv32"], samples("dense"))).write(
        tmp_path
    )
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CompileError, match="gcc-riscv64-unknown-elf qemu-system-misc") as caught:
        build(tmp_path, MACHINES["riscv32"])
    assert caught.value.diagnostics[0].code == "E621"
