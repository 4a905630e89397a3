"""Instructions of the emitted C: counts by callgrind, which do not depend on the machine's load.

They catch what correctness tests cannot: loops that a compiler no longer vectorises.  gcc -O3
does that to the obvious form of the loop over spikes, at ten times the instructions.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import pytest

from examples.benchmarks.c_events import SIZES, STEPS, check, instructions, make
from snnc.backends.c.backend import CBackend

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or not (shutil.which("gcc") and shutil.which("valgrind")),
    reason="needs gcc for x86-64 and valgrind",
)


def per_operation(folder: Path, level: str, top: int, sizes: tuple[int, ...], steps: int) -> float:
    """Instructions per synaptic operation of an MLP at 10 % density, after a check of its bits."""
    case = make(0.1, sizes, steps, top)
    CBackend().compile(case.graph).write(folder)
    flags = ("-std=c99", level)
    check(case, folder, flags)
    return instructions(case, folder, flags) / case.synops


@pytest.mark.parametrize(
    ("level", "top", "most"),
    [
        pytest.param("-O2", 7, 0.34, marks=pytest.mark.slow),
        ("-O2", 63, 0.5),
        ("-O3", 63, 0.5),
        pytest.param("-O2", 127, 0.62, marks=pytest.mark.slow),
    ],
)
def test_loops_are_vectorised(tmp_path: Path, level: str, top: int, most: float) -> None:
    """Limits are 7 % above what gcc 12 gives; neurons weigh more than in a larger network."""
    assert per_operation(tmp_path, level, top, (512, 512, 512, 10), 4) <= most


@pytest.mark.slow
def test_half_an_instruction_per_synaptic_operation(tmp_path: Path) -> None:
    assert per_operation(tmp_path, "-O2", 127, SIZES, STEPS) <= 0.5
