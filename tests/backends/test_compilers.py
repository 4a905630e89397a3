"""One hash of all words from every compiler, level of optimisation and processor.

``main.c`` of a board project hashes every spike and state after every step and compares with the
definition; here it runs on this computer, and on big-endian s390x in QEMU.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from snnc.backends.base import Artifacts
from snnc.backends.c.backend import CBackend
from snnc.backends.c.board import board_project
from snnc.backends.c.machines import MACHINES
from tests.boards import NETWORKS, network, samples

SOURCES = ["snn.c", "weights.c", "info.c", "main.c", "samples.c", "say.c"]
SAY = """
#include <stdio.h>
#include "board.h"
void board_say(const char *text) { fputs(text, stdout); }
void board_exit(int code) { (void)code; }
"""
SANITIZED = ("-g", "-fno-sanitize-recover=all")
#: Commands by name: compiler with options, and what runs the program.
BUILDS: dict[str, tuple[list[str], list[str]]] = {
    **{f"gcc-O{n}": (["gcc", f"-O{n}"], []) for n in "0123s"},
    "gcc-native": (["gcc", "-O3", "-march=native"], []),
    **{f"clang-O{n}": (["clang", f"-O{n}"], []) for n in "02"},
    "tcc": (["tcc"], []),
    "s390x": (["s390x-linux-gnu-gcc", "-O2", "-static"], ["qemu-s390x"]),
    "gcc-asan-ubsan": (["gcc", "-O1", *SANITIZED, "-fsanitize=address,undefined"], []),
    "clang-integer": (
        [
            *("clang", "-O1", *SANITIZED),
            "-fsanitize=address,undefined,integer,implicit-conversion",
        ],
        [],
    ),
    "clang-msan": (["clang", "-O1", *SANITIZED, "-fsanitize=memory"], []),
    "valgrind": (["gcc", "-O1", "-g"], ["valgrind", "-q", "--error-exitcode=9"]),
}
QUICK = ("gcc-Os", "tcc")


def written(name: str, machine: str, folder: Path) -> Path:
    """Sources of a network and of the program, all in one folder."""
    graph = network(name)
    CBackend.for_machine(machine).compile(graph).write(folder / "all")
    for path in (p for p in (folder / "all").rglob("*") if p.suffix in (".c", ".h")):
        path.rename(folder / path.name)
    files = board_project(graph, MACHINES["cortex-m4"], samples(name))
    wanted = ("main.c", "samples.c", "samples.h", "board.h")
    Artifacts({n: files[n] for n in wanted}).write(folder)
    (folder / "say.c").write_text(SAY)
    return folder


@pytest.mark.parametrize(
    "build", [b if b in QUICK else pytest.param(b, marks=pytest.mark.slow) for b in BUILDS]
)
def test_one_hash(tmp_path: Path, build: str) -> None:
    compile_, run = BUILDS[build]
    for tool in (compile_[0], *run[:1]):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    for machine in ("host", "cortex-m0", "cortex-m4"):
        for name in NETWORKS if machine == "host" else ("dense",):
            folder = written(name, machine, tmp_path / f"{machine}-{name}")
            line = [*compile_, "-std=c99", "-DSNN_TRACE", *SOURCES, "-o", "run"]
            subprocess.run(line, cwd=folder, check=True)
            program = [*run, str(folder / "run")]
            done = subprocess.run(program, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout, done.stderr[-900:]) == (0, "equal\n", "")


DEVIATIONS = Path(__file__).parents[2] / "backends" / "c" / "MISRA.md"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cppcheck"), reason="cppcheck is not installed")
@pytest.mark.parametrize("lanes", [0, 1])
@pytest.mark.parametrize("machine", ["host", "cortex-m4"])
@pytest.mark.parametrize("name", NETWORKS)
def test_all_deviations_from_misra_are_published(
    tmp_path: Path, name: str, machine: str, lanes: int
) -> None:
    CBackend.for_machine(machine).compile(network(name)).write(tmp_path)
    folder = tmp_path if machine == "host" else tmp_path / "src"
    line = ["cppcheck", "--quiet", "--std=c99", "--addon=misra", f"-DSNN_LANES={lanes}", "snn.c"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    found = set(re.findall(r"misra-c2012-([0-9.]+)", done.stderr))
    published = set(re.findall(r"^\| ([0-9]+\.[0-9]+) \|", DEVIATIONS.read_text(), re.MULTILINE))
    assert found
    assert found <= published
